"""The key bar: which keys it shows, and what a click on them does."""

from __future__ import annotations

from typing import Any

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.widgets import Input

from tui.app.bindings import bind
from tui.app.markdown.text import width_of
from tui.app.widgets.key_bar import KeyBar
from tui.config.actions import ACTIONS
from tui.config.keymap import resolve


class KeyApp(App[None]):
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, **overrides: str) -> None:
        super().__init__()
        keymap, _ = resolve(overrides)
        bind(self, keymap, "app", "chat")
        self.ran: list[str] = []
        self.unavailable = {"stop"}
        self.absent = {"answer_now"}  # while no thought is written

    def compose(self) -> ComposeResult:
        yield Input()
        yield KeyBar()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in self.absent:
            return False
        return None if action in self.unavailable else True

    def __getattr__(self, name: str) -> Any:
        if name.removeprefix("action_") in {action.id for action in ACTIONS}:
            return lambda: self.ran.append(name.removeprefix("action_"))
        raise AttributeError(name)


async def test_the_bar_shows_the_footer_actions_with_their_keys() -> None:
    async with KeyApp(pick_model="alt+k").run_test(size=(120, 10)) as pilot:
        await pilot.pause()
        (row,) = pilot.app.query_one(KeyBar).rows_as_text
        assert row == (
            "alt+k Choose model  f6 Switch backend  ^l Change load settings  ^t Switch thinking  esc Stop  "
            "^p Open palette  f1 Help"
        )


async def test_an_action_that_is_not_available_is_quiet_and_an_absent_one_not_there() -> None:
    app = KeyApp()
    async with app.run_test(size=(120, 10)) as pilot:
        bar_ = app.query_one(KeyBar)
        await pilot.pause()
        styles = {text.strip(): style for text, style in bar_._rows[0]}
        assert styles["Stop"] == "muted"
        assert styles["Choose model"] == ""
        app.unavailable, app.absent = set(), {"regenerate", "switch_backend", "answer_now"}
        app.refresh_bindings()
        await pilot.pause()
        styles = {text.strip(): style for text, style in bar_._rows[0]}
        assert styles["Stop"] == ""
        assert "Switch backend" not in styles


@pytest.mark.parametrize("width", [80, 60, 40, 24])
async def test_a_narrow_bar_keeps_help_longest(width: int) -> None:
    async with KeyApp().run_test(size=(width, 10)) as pilot:
        await pilot.pause()
        (row,) = pilot.app.query_one(KeyBar).rows_as_text
        assert row.endswith("f1 Help")
        assert width_of(row) <= width - 2


async def test_a_click_does_what_the_key_does() -> None:
    app = KeyApp()
    async with app.run_test(size=(120, 10)) as pilot:
        await pilot.pause()
        (row,) = app.query_one(KeyBar).rows_as_text
        for title in ("Switch thinking", "f1"):
            await pilot.click(KeyBar, offset=(1 + row.index(title), 0))
        await pilot.click(KeyBar, offset=(118, 0))
        await pilot.pause()
        assert app.ran == ["toggle_thinking_mode", "help"]


class Greedy(Input):
    """Takes every key for itself, without a binding."""

    def on_key(self, event: events.Key) -> None:
        event.stop()


async def test_a_click_runs_the_action_even_where_its_key_is_taken() -> None:
    app = KeyApp()
    app.unavailable = set()
    async with app.run_test(size=(120, 10)) as pilot:
        await app.mount(Greedy(id="greedy"))
        app.query_one("#greedy").focus()
        await pilot.press("escape")
        (row,) = app.query_one(KeyBar).rows_as_text
        await pilot.click(KeyBar, offset=(1 + row.index("Stop"), 0))
        await pilot.pause()
        assert app.ran == ["stop"]


async def test_a_key_that_the_focused_widget_takes_is_not_promised() -> None:
    app = KeyApp()
    bind(app, resolve({})[0], "transcript")
    async with app.run_test(size=(200, 10)) as pilot:
        app.screen.set_focus(None)
        await pilot.pause()
        assert "y Copy" in app.query_one(KeyBar).rows_as_text[0]
        # A field takes letters for text, and enter for itself.
        app.query_one(Input).focus()
        await pilot.pause()
        (row,) = app.query_one(KeyBar).rows_as_text
        assert "Copy" not in row
        assert "Fold" not in row


async def test_the_keys_of_the_focused_widget_come_first() -> None:
    app = KeyApp()
    async with app.run_test(size=(120, 10)) as pilot:
        bind(app.query_one(Input), resolve({})[0], "card", owners=(app,))
        app.refresh_bindings()
        await pilot.pause()
        assert app.query_one(KeyBar).rows_as_text[0].startswith("r Reload  u Reload with small ubatch  l Reload ")
