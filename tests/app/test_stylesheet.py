"""Styles of component classes are found only when they can have changed, and are always what Textual itself finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.css.stylesheet import Stylesheet
from textual.widget import Widget

from tui.app.stylesheet import ThriftyStylesheet

NAMES = ("painted--word", "painted--mark")


class Painted(Widget, can_focus=True):
    COMPONENT_CLASSES: ClassVar[set[str]] = set(NAMES)
    DEFAULT_CSS = """
    Painted {
        height: 1;
        .painted--word { color: $foreground-muted; }
    }
    """


class Other(Widget):
    COMPONENT_CLASSES: ClassVar[set[str]] = {"other--word"}
    DEFAULT_CSS = "Other { .other--word { color: red; } }"


class PaintedApp(App[None]):
    CSS = """
    Vertical.loud .painted--word { color: red; }
    #column.mute #one > .painted--mark { text-style: bold; }
    Painted:focus > .painted--mark { text-style: reverse; }
    Painted:disabled > .painted--word { color: blue; }
    Painted:light > .painted--mark { color: green; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.stylesheet = ThriftyStylesheet(variables=self.stylesheet._variables)

    def compose(self) -> ComposeResult:
        yield Vertical(Painted(id="one"), Painted(id="two"), id="column")

    def found(self) -> dict[str, Any]:
        """The styles that each widget has for its component classes."""
        return {
            f"{widget.id} {name}": dict(widget._component_styles[name].base.get_rules())
            for widget in self.query(Painted)
            for name in NAMES
        }


def wear(name: str) -> Callable[[PaintedApp], object]:
    return lambda app: app.query_one("#column").toggle_class(name)


def disable(app: PaintedApp) -> None:
    app.query_one("#two").disabled = True


def lighten(app: PaintedApp) -> None:
    app.theme = "textual-light"


@pytest.mark.parametrize(
    "change",
    [wear("loud"), wear("mute"), lambda app: app.query_one("#one").focus(), disable, lighten],
    ids=["a class above", "a class and an id above", "the focus", "disabled", "another theme"],
)
async def test_whatever_the_rules_ask_for_changes_the_styles(change: Callable[[PaintedApp], object]) -> None:
    app = PaintedApp()
    async with app.run_test() as pilot:
        app.set_focus(None)
        await pilot.pause()
        before = app.found()
        change(app)
        await pilot.pause()
        after = app.found()
        assert after != before
        for widget in app.query(Painted):
            Stylesheet._process_component_classes(app.stylesheet, widget)
        assert after == app.found()


async def test_nothing_is_looked_for_again_when_nothing_that_the_rules_ask_for_has_changed() -> None:
    app = PaintedApp()
    async with app.run_test() as pilot:
        one = app.query_one("#one")
        before = dict(one._component_styles)
        wear("wide")(app)
        await pilot.pause()
        await app.mount(Other())  # its rules come to the others
        await pilot.pause()
        assert "wide" in app.query_one("#column").classes
        assert {name: styles is one._component_styles[name] for name, styles in before.items()} == dict.fromkeys(
            NAMES, True
        )
