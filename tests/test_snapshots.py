"""What every screen looks like in the app, text and colours, as files in `tests/__snapshots__`: first the terminal's
rows, then one letter per cell for its style, then what the letters mean.

After a wanted change: UPDATE_SNAPSHOTS=1 pytest tests/test_snapshots.py, and read the difference."""

from __future__ import annotations

import contextlib
import os
import string
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.style import Style
from textual.command import CommandList
from textual.strip import Strip
from textual.widgets import Input

from tests.app.conftest import Person
from tests.conftest import until
from tests.recorded import CONVERSATION, LIBRARY, PROMPT_HALF_READ, QUESTION, QWEN, replace_machine
from tui.app.run import make_app
from tui.app.screens.conversations import ConversationsScreen
from tui.app.screens.main import MainScreen
from tui.chat.store import Summary
from tui.cli_options import AppOptions
from tui.config.actions import ACTIONS
from tui.engine.messages import ErrorInfo
from tui.models.library import Library

SNAPSHOTS = Path(__file__).parent / "__snapshots__"
LETTERS = string.ascii_letters + string.digits + string.punctuation
NOW = datetime(2026, 3, 2, 12, 0)


# What a person does until the screen is there ---------------------------------------------------------------------


async def chat(person: Person) -> None:
    """A conversation from the store, and one more answer."""
    await person.app.store.create(CONVERSATION)
    await person.app.main.open_conversation(CONVERSATION.id)
    await person.ask(QUESTION)


async def read_prompt(person: Person) -> None:
    await chat(person)
    person.app.controller.engine.events = PROMPT_HALF_READ
    await person.send("Summarize this chapter for me.")
    await person.wait_for(lambda: "41%" in person.screen_text())
    await person.type("Meanwhile I type")


async def lose_the_engine(person: Person) -> None:
    await read_prompt(person)
    person.app.controller.engine.die()
    await person.wait_for(lambda: person.turns[-1].stop)


async def start_empty(person: Person) -> None:
    await person.wait_for(lambda: not isinstance(person.app.screen, MainScreen))


async def close_the_picker(person: Person) -> None:
    await start_empty(person)
    await person.press("escape")


async def pick_model(person: Person) -> None:
    await chat(person)
    await person.press("ctrl+o")


async def change_load_settings(person: Person) -> None:
    await chat(person)
    await person.press("ctrl+l")


async def list_conversations(person: Person) -> None:
    await chat(person)
    hour = 3600
    chats = tuple(
        Summary(
            id=id,
            title=title,
            model_path=str(QWEN.path),
            created_at=0,
            updated_at=NOW.timestamp() - hours * hour,
            n_turns=n,
        )
        for id, title, hours, n in (
            ("c1", CONVERSATION.title, 1, 4),
            ("c2", "中文的標題和一個問題", 26, 12),
            ("c3", "A title that is longer than any column that it could ever stand in", 24 * 90, 2),
        )
    )

    async def load() -> tuple[Summary, ...]:
        return chats

    async def unused(*_: str) -> None:
        raise AssertionError("nothing is changed here")

    screen = ConversationsScreen(load, unused, unused, unused, person.app.keymap, current="c1", now=lambda: NOW)  # type: ignore[arg-type]
    person.app.push_screen(screen)


def action(name: str) -> Callable[[Person], Awaitable[None]]:
    """The conversation, and then this action."""

    async def act(person: Person) -> None:
        await chat(person)
        await person.app.run_action(name)

    return act


async def open_palette(person: Person) -> None:
    await chat(person)
    await person.press("ctrl+p")
    n_actions = sum(one.palette for one in ACTIONS)
    await person.wait_for(lambda: [found.option_count for found in person.app.screen.query(CommandList)] == [n_actions])


async def overflow(person: Person) -> None:
    await chat(person)
    person.app.main.answer_refused(ErrorInfo(kind="context_overflow", detail="", n_prompt=9410, n_ctx=8192, n_drop=2))


class Scene(NamedTuple):
    """How to get to a screen, and a text that is seen when it is there."""

    act: Callable[[Person], Awaitable[None]]
    ready: str
    has_model: bool = True
    theme: str = "graphite"
    sizes: tuple[tuple[int, int], ...] = ((80, 24), (120, 40))


SCENES = {
    "main": Scene(chat, "complete", sizes=((40, 12), (80, 24), (120, 40))),
    "main-light": Scene(chat, "complete", theme="paper"),
    "main-prompt-read": Scene(read_prompt, "Meanwhile I type"),
    "main-engine-died": Scene(lose_the_engine, "ErrorDeviceLost"),
    "main-no-model": Scene(close_the_picker, "No model is loaded", has_model=False),
    "empty-start": Scene(start_empty, "No models were found", has_model=False),
    "picker": Scene(pick_model, "half.gguf"),
    "load-settings": Scene(change_load_settings, "free after"),
    "conversations": Scene(list_conversations, "LAST USED"),
    "sampling": Scene(action("screen.sampling"), "emperature"),
    "system-prompt": Scene(action("screen.system_prompt"), "patient teacher"),
    "help": Scene(action("help"), "pick_model"),
    "log": Scene(action("log_view"), "304.75 MiB"),
    "confirm": Scene(action("screen.delete"), "gone for good"),
    "overflow": Scene(overflow, "The context is full"),
    "palette": Scene(action("palette"), "Let the model think"),
}


@asynccontextmanager
async def shown(scene: Scene, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Person]:
    """The app at that scene, when nothing on it changes any more."""
    replace_machine(monkeypatch, LIBRARY if scene.has_model else Library())
    app = make_app(AppOptions(model=QWEN.path if scene.has_model else None, theme=scene.theme))
    async with app.run_test(size=size, notifications=True) as pilot:
        person = Person(app, pilot)
        await person.wait_for(lambda: person.phase == ("ready" if scene.has_model else "no_model"))
        await scene.act(person)
        await person.wait_for(lambda: scene.ready in person.screen_text() and "looking…" not in person.screen_text())
        for line in app.screen.query(Input):
            line.cursor_blink = False
        await app.main._read()
        await pilot.pause()
        yield person
        await app.controller.stop()


# A screen as text -------------------------------------------------------------------------------------------------


def snapshot(strips: list[Strip]) -> str:
    """The rows, their styles cell by cell, and the styles."""
    letters: dict[str, str] = {}
    rows, styles = [], []
    for strip in strips:
        rows.append(strip.text.rstrip())
        styles.append(
            "".join(
                letters.setdefault(_in_words(segment.style or Style()), LETTERS[len(letters)]) * segment.cell_length
                for segment in strip
            )
        )
    legend = [f"{letter} {words}" for words, letter in letters.items()]
    return "\n".join([*rows, "", *styles, "", *legend, ""])


def _in_words(style: Style) -> str:
    """Such as "#e0e0e0 on #202020 bold"."""
    colours = [f"{colour.get_truecolor().hex if colour else 'default'}" for colour in (style.color, style.bgcolor)]
    attributes = [name for name in ("bold", "dim", "italic", "underline", "reverse", "strike") if getattr(style, name)]
    return " ".join([" on ".join(colours), *attributes])


@pytest.mark.parametrize(
    ("name", "size"),
    [
        pytest.param(name, size, id=f"{name}-{size[0]}x{size[1]}")
        for name, scene in SCENES.items()
        for size in scene.sizes
    ],
)
async def test_a_screen_looks_as_it_did(name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch):
    file = SNAPSHOTS / f"{name}-{size[0]}x{size[1]}.txt"
    async with shown(SCENES[name], size, monkeypatch) as person:

        def seen() -> str:
            return snapshot(person.app.screen._compositor.render_strips())

        if os.environ.get("UPDATE_SNAPSHOTS"):
            file.parent.mkdir(exist_ok=True)
            file.write_text(seen())
        expected = file.read_text()
        # A busy machine may still be painting what is behind a dialog.
        with contextlib.suppress(AssertionError):
            await until(lambda: seen() == expected, within_s=5)
        assert seen() == expected
