"""Whatever stands where settings, state and themes are read from: the app starts, names what it left aside, works."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import until
from tui.app.app import LlmtuiApp
from tui.app.run import make_app
from tui.app.widgets.prompt import Prompt
from tui.config import paths
from tui.config.options import AppOptions
from tui.config.state import StateStore

DEEP = 200_000

TEXTS: dict[str, bytes] = {
    "lists in each other": b"[load]\nn_ctx = " + b"[" * DEEP + b"]" * DEEP,
    "inline tables in each other": b"ui = " + b"{a = " * 50_000 + b"1" + b"}" * 50_000,
    "a key of many parts": b".".join([b"a"] * DEEP) + b" = 1",
    "a quoted key of many parts": b" . ".join([b'"a b"'] * 50_000) + b" = 1",
    "a table of many parts": b"[" + b".".join([b"ui"] * 100_000) + b"]",
    "tables forty deep": b".".join([b"load"] * 40) + b" = 1",
    "a number of many digits": b"[load]\nn_ctx = " + b"9" * 50_000,
    "a hexadecimal number of many digits": b"[load]\nn_ctx = 0x" + b"f" * 50_000,
    "a number of 65 bits": b"[load]\nn_ctx = 18446744073709551616",
    "an invalid date": b"[load]\nn_ctx = 2026-13-45T99:99:99",
    "a date": b"[load]\nn_ctx = 2026-11-28",
    "not a number": b"[memory]\nreserve_gib = nan\ngpu_reserve_gib = -inf",
    "a key twice": b"[load]\nn_ctx = 1\nn_ctx = 2",
    "a table twice": b"[load]\n[load]",
    "zero bytes": b"[load]\nn_ctx = 1\0",
    "only zero bytes": bytes(100_000),
    "UTF-16": "[load]\nn_ctx = 512".encode("utf-16"),
    "Latin-1": b"# caf\xe9",
    "a lone surrogate": b'[chat]\nsystem_prompt = "\\uD800"',
    "an escape sequence in a key": b'"\\u001b[31mload" = 1\n[ui]\ntheme = "\\u001b]0;t\\u0007"',
    "names with zero bytes": b'last_model = "a\\u0000b"\n[models]\nfolders = ["a\\u0000b"]\n'
    b'[[model]]\nmatch = "\\u0000"\nchat_template = "\\u0000"',
    "a long key": b'"' + b"k" * 900_000 + b'" = 1',
    "a long value": b'[ui]\ntheme = "' + b"t" * 900_000 + b'"',
    "a long pattern": b'[[model]]\nmatch = "' + b"*a" * 400_000 + b'"',
    "many unknown keys": b"".join(b"k%d = 1\n" % i for i in range(60_000)),
    "many unknown actions": b"[keys]\n" + b"".join(b"k%d = 'x'\n" % i for i in range(50_000)),
    "many sections": b"[[model]]\n" * 100_000,
    "many models remembered": b"[loads]\n" + b"".join(b"'/m/%d' = 1\n" % i for i in range(40_000)),
    "sections where values belong": b"load = 1\nui = []\nkeys = 2\nmodel = 3\nlog = 'x'\nloads = 4\ntuned = [1]",
    "larger than any settings": b"# " + b"x" * (3 << 20),
}


def hole(path: Path) -> None:
    path.touch()
    os.truncate(path, 100 << 30)


THINGS: dict[str, Callable[[Path], None]] = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "100 GB": hole,
}


def in_place_of(file: Path, content: bytes | Callable[[Path], None]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if callable(content):
        content(file)
    else:
        file.write_bytes(content)


def shown(app: LlmtuiApp) -> str:
    return "\n".join(map(str, app.problems))


@pytest.mark.parametrize("content", [*TEXTS.values(), *THINGS.values()], ids=[*TEXTS, *THINGS])
async def test_the_app_starts_with_anything_for_settings_state_and_a_theme(
    home: Path, content: bytes | Callable[[Path], None]
) -> None:
    theme = paths.user_themes_dir() / "mine.toml"
    for file in (paths.user_settings_file(), paths.state_file(), theme):
        in_place_of(file, content)
    app = make_app(AppOptions())
    async with app.run_test() as pilot:
        await pilot.press("h", "i")
        await until(lambda: app.keys_are_done)
        assert app.main.query_one(Prompt).text == "hi"
    told = shown(app)
    assert str(paths.user_settings_file()) in told
    assert str(theme) in told
    assert len(told) < 100_000 and len(app.problems) < 200
    assert "\x1b" not in told


@pytest.mark.parametrize("content", [TEXTS["a number of many digits"], *THINGS.values()], ids=["text", *THINGS])
def test_what_is_in_the_place_of_the_state_is_set_aside_and_a_new_one_is_written(
    home: Path, content: bytes | Callable[[Path], None]
) -> None:
    in_place_of(paths.state_file(), content)
    store = StateStore()
    (problem,) = store.read()
    assert "state.toml.bad" in problem.text
    assert os.path.lexists(paths.state_file().with_name("state.toml.bad"))
    assert store.update(theme="paper") is None
    again = StateStore()
    assert again.read() == [] and again.state.theme == "paper"


async def test_a_theme_folder_that_cannot_be_listed_is_named(home: Path) -> None:
    in_place_of(paths.user_themes_dir(), b"not a folder")
    app = make_app(AppOptions())
    async with app.run_test():
        assert str(paths.user_themes_dir()) in shown(app)


@pytest.mark.parametrize("content", [*TEXTS.values(), *THINGS.values()], ids=[*TEXTS, *THINGS])
def test_the_command_line_reads_it_in_little_memory_and_never_ends_in_a_traceback(
    home: Path, content: bytes | Callable[[Path], None]
) -> None:
    in_place_of(paths.user_settings_file(), content)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))

    done = subprocess.run(
        [sys.executable, "-m", "tui", "--locate"], capture_output=True, text=True, preexec_fn=limit, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
