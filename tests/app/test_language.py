"""The language of the interface, chosen while the app runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.conftest import Person, StartApp
from tui.app.screens.choice import ChoiceScreen
from tui.app.widgets.prompt import Prompt
from tui.config.state import StateStore
from tui.engines.interface import EngineError
from tui.protocol.records import LoadSettings
from tui.words import language, translate, use


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    use("en")
    yield
    use("en")


async def choose(person: Person, label: str) -> None:
    """In the dialog that the palette opens."""
    await person.app.run_action("screen.language")
    await person.wait_for(lambda: isinstance(person.app.screen, ChoiceScreen))
    screen = person.app.screen
    assert isinstance(screen, ChoiceScreen)
    screen.rows.highlight([choice.label for choice in screen.rows.items].index(label))
    await person.press("enter")
    await person.wait_for(lambda: person.app.screen is person.app.main)


def remembered() -> str:
    state = StateStore()
    assert state.read() == []
    return state.state.language


async def test_everything_on_the_screen_is_in_the_chosen_language_at_once_and_it_is_remembered(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        for english in ("You", "complete", "Ask anything", "SPEED", "ctx 1,024"):
            assert english in person.screen_text()
        await choose(person, "简体中文")
        await person.wait_for(lambda: "已完成" in person.screen_text())
        shown = person.screen_text()
        for chinese in ("你", "输入消息", "速度", "上下文 1,024", "命令面板", "首字延迟"):
            assert chinese in shown
        for english in ("You", "complete", "Ask anything", "SPEED", "ctx", "palette"):
            assert english not in shown
        await person.wait_for(lambda: remembered() == "zh")

        await choose(person, "English")
        await person.wait_for(lambda: "complete" in person.screen_text())
        assert "Ask anything" in person.screen_text() and "速度" not in person.screen_text()
        await person.wait_for(lambda: remembered() == "en")


async def test_what_is_edited_stays_and_is_said_in_the_other_language(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        await person.press("f2")
        assert "editing · esc cancel" in person.screen_text()
        await choose(person, "简体中文")
        await person.wait_for(lambda: "编辑中 · esc 取消" in person.screen_text())
        assert person.app.main.query_one(Prompt).text == "hello"


async def test_a_card_is_said_in_the_other_language_and_its_keys_work(start: StartApp, tmp_path: Path) -> None:
    async with start() as person:
        broken = tmp_path / "broken.gguf"
        broken.write_bytes(b"<html>")
        person.app.main.models.open_model(broken)
        await person.wait_for(lambda: "broken.gguf cannot be loaded" in person.screen_text())
        await choose(person, "简体中文")
        await person.wait_for(lambda: "无法加载 broken.gguf" in person.screen_text())
        assert "[o] 选择其他模型" in person.screen_text()
        person.app.main.transcript.focus()
        await person.press("o")
        await person.wait_for(lambda: person.app.screen is not person.app.main)


async def test_automatic_is_what_the_environment_says(start: StartApp, monkeypatch: pytest.MonkeyPatch) -> None:
    async with start() as person:
        monkeypatch.setenv("LANG", "zh_CN.UTF-8")
        await choose(person, "Automatic")
        await person.wait_for(lambda: language() == "zh")
        monkeypatch.setenv("LANG", "C.UTF-8")
        await choose(person, "自动")
        await person.wait_for(lambda: language() == "en")


async def test_what_the_engine_words_itself_is_in_the_chosen_language_too(start: StartApp) -> None:
    async with start() as person:
        engine = person.controller.engine
        for label, says in (("简体中文", "不是文件"), ("English", "is not a file")):
            await choose(person, label)
            await person.wait_for(lambda: not any(worker.group == "language" for worker in person.app.workers))
            with pytest.raises(EngineError) as error:
                await engine.load("/nowhere/model.gguf", LoadSettings())
            assert says in error.value.info.text


async def test_a_language_that_is_not_installed_is_said_and_not_remembered(
    start: StartApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translate, "catalogue_file", lambda _: str(tmp_path / "none.mo"))
    async with start() as person:
        await choose(person, "简体中文")
        await person.wait_for(lambda: "This language is not installed" in person.told)
        assert "Ask anything" in person.screen_text()
    assert remembered() == ""
