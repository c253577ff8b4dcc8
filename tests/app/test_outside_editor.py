"""The prompt in the user's own editor, and prompts of earlier conversations found again."""

from __future__ import annotations

import os
import signal
import termios
import time
from pathlib import Path

import psutil
import pytest

from tests.app.conftest import Person, StartApp
from tests.conftest import DENSE
from tests.on_pty import LLMTUI, OnPty, on_pty
from tui.app.outside_editor import NoEditor, editor_command
from tui.app.screens.prompts import PromptsScreen
from tui.app.widgets.prompt import Prompt
from tui.chat import conversation as chat


def script(folder: Path, text: str) -> Path:
    """An editor."""
    file = folder / "my editor"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o700)
    return file


def prompt(person: Person) -> Prompt:
    return person.app.main.query_one(Prompt)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"VISUAL": "code --wait", "EDITOR": "vi"}, ["code", "--wait"]),
        ({"VISUAL": " ", "EDITOR": "'/my apps/ed' -n"}, ["/my apps/ed", "-n"]),
    ],
)
def test_the_users_variables_name_the_editor(environ: dict[str, str], words: list[str]) -> None:
    assert editor_command(environ) == words
    with pytest.raises(NoEditor, match="VISUAL cannot be read as a command"):
        editor_command({"VISUAL": "'vi"})


def test_without_a_variable_a_usual_one_is_taken_and_without_any_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoEditor, match="export EDITOR=nano"):
        editor_command({})
    (tmp_path / "vi").write_text("")
    (tmp_path / "vi").chmod(0o700)
    assert editor_command({}) == ["vi"]


async def test_what_the_editor_saves_is_the_prompt_and_what_goes_wrong_leaves_it(
    start: StartApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", f"'{script(tmp_path, 'cat $1 > $1.new; echo 世界 >> $1.new; mv $1.new $1')}'")
    async with start() as person:
        await person.type("你好")
        await person.press("alt+e")
        await person.wait_for(lambda: prompt(person).text == "你好世界")
        for text, told in (
            ("echo lost > $1; exit 3", "ended with exit code 3: the prompt is as it was"),
            ("rm $1", "could not be written and read again: No such file or directory"),
        ):
            script(tmp_path, text)
            await person.press("alt+e")
            await person.wait_for(lambda told=told: told in person.told)  # type: ignore[misc]
        monkeypatch.setenv("VISUAL", "/nowhere/editor")
        await person.press("alt+e")
        await person.wait_for(lambda: "/nowhere/editor cannot be started: No such file" in person.told)
        assert prompt(person).text == "你好世界"


def modes(program: OnPty) -> list[object]:
    return termios.tcgetattr(program.theirs)


def test_the_terminal_is_lent_to_the_editor_and_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'echo "EDITING $(stty -a < /dev/tty | grep -o -- " icanon")"; read -r line; printf %s "$line" > "$1"'
    monkeypatch.setenv("EDITOR", f"'{script(tmp_path, text)}'")
    monkeypatch.delenv("VISUAL", raising=False)
    with on_pty(*LLMTUI, DENSE, "-t", "1") as program:
        program.wait_for("ctx ")
        ours = modes(program)
        program.type(b"/editor\r")
        program.wait_for("EDITING  icanon")
        assert modes(program) == program.modes  # as the shell had it
        program.type(b"\x03")  # an interruption is the editor's; it ends of it, and llmtui does not
        program.wait_for(lambda: "code" in program.text or "ctx " in program.text)
        program.wait_for("ended with exit code")
        assert modes(program) == ours

        program.type(b"/editor\r")
        program.wait_for("EDITING  icanon")
        program.type(b"written outside\n")
        program.wait_for(lambda: "written outside" in program.text and "ctx " in program.text)
        program.resize(30, 100)
        program.type(b" and inside")
        program.wait_for("written outside and inside")
        program.type(b"\x11")
        assert program.wait_for_end() == 0 and modes(program) == program.modes


def test_ctrl_z_in_the_editor_stops_both_and_fg_lets_both_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITOR", f"'{script(tmp_path, 'echo EDITING; read -r line; printf %s $line > $1')}'")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("PS1", "SHELL> ")
    with on_pty("bash", "--norc", "--noprofile", "-i") as program:
        program.wait_for("SHELL>")
        program.type(b" ".join([os.fsencode(one) for one in (*LLMTUI, DENSE, "-t", "1")]) + b"\r")
        program.wait_for("ctx ")
        program.type(b"/editor\r")
        program.wait_for("EDITING")
        app = program.app()
        program.type(b"\x1a")
        program.wait_for("Stopped")
        assert app.status() == psutil.STATUS_STOPPED
        program.type(b"fg\r")
        program.wait_for(lambda: app.status() != psutil.STATUS_STOPPED)
        time.sleep(0.2)
        program.type(b"outside\n")
        program.wait_for(lambda: "outside" in program.text and "ctx " in program.text)
        program.type(b"\x11")
        program.wait_for(lambda: not app.is_running() or app.status() == psutil.STATUS_ZOMBIE)
        os.kill(program.pid, signal.SIGHUP)


SAID = ("Why is the sky blue?\nSay it in 100% words.", "天空为什么是蓝色的？", "Name a_b", "Name axb")


async def test_a_prompt_of_any_conversation_is_found_and_taken_again(start: StartApp) -> None:
    async with start(model=None) as person:
        await person.wait_without_a_model()
        for text in SAID:
            await person.app.store.create(chat.with_turn(chat.new_conversation(), chat.user_turn(text)))
        await person.type("and now")
        await person.press("alt+h")
        await person.wait_for(lambda: isinstance(person.app.screen, PromptsScreen))
        await person.wait_for(lambda: "4 prompts" in person.screen_text())
        assert person.screen_text().index("Name axb") < person.screen_text().index("Name a_b")
        for words, found in (("a_b", "Name a_b"), ("100% sky", "Why is the sky blue?"), ("蓝色", "天空为什么")):
            await person.press("ctrl+u", *words)
            await person.wait_for(lambda: "1 prompt" in person.screen_text())
            await person.wait_for(lambda found=found: found in person.screen_text())  # type: ignore[misc]
        await person.press("enter")
        await person.wait_for(lambda: prompt(person).text == "天空为什么是蓝色的？\n\nand now")
