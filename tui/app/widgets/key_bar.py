"""The last row of the screen: the keys that do something right now, taken from the screen's active bindings, so that it
cannot promise what a key press would not do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar

import msgspec
from textual import events
from textual.dom import DOMNode
from textual.screen import Screen

from tui.app.markdown.text import width_of
from tui.app.widgets.lines import LineWidget, Row
from tui.base.text import one_line
from tui.config.actions import ACTIONS
from tui.config.keymap import display_key
from tui.words import tr

_GAP = 2
_PLACE = {action.id: place for place, action in enumerate(ACTIONS)}
_KEPT_LONGEST = ("message_menu", "palette", "stop", "help", "answer_now")
"""Through help, palette and the menu of a message every other action is found; stop, and the end of a thought, are
wanted in a hurry."""


class KeyHint(msgspec.Struct, frozen=True):
    """One entry of the bar."""

    key: str
    """In Textual's spelling."""
    title: str
    action: str
    is_enabled: bool
    node: DOMNode
    """What the action is looked for in."""

    @property
    def label(self) -> str:
        """The key as people write it."""
        return display_key(self.key)

    @property
    def width(self) -> int:
        """Cells of key, blank and title."""
        return width_of(self.label) + 1 + width_of(self.title)


class KeyBar(LineWidget):
    """Follows focus and `refresh_bindings()` by itself. A click on an entry runs its action."""

    DEFAULT_CSS = """
    KeyBar {
        width: 1fr;
        height: 1;
        padding: 0 1;
        background: $footer-background;
        pointer: pointer;
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = set()

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._shown: list[KeyHint] = []

    def on_mount(self) -> None:
        """Hear of every change of the bindings."""
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_updated)

    def _bindings_updated(self, _screen: Screen[object]) -> None:
        self.update_rows()

    def compose_rows(self, width: int, height: int) -> list[Row]:
        """The one row: as many entries as fit whole."""
        self._shown = _fitting(self._hints(), width)
        row: list[tuple[str, str]] = []
        for hint in self._shown:
            if row:
                row.append((" " * _GAP, ""))
            row.append((hint.label, "key" if hint.is_enabled else "muted"))
            row.append((f" {hint.title}", "" if hint.is_enabled else "muted"))
        return [tuple(row)]

    def on_click(self, event: events.Click) -> None:
        """Run the action of the entry below the mouse: in the app's task, as if its key had been pressed."""
        x = event.get_content_offset(self)
        if x is None:
            return
        start = 0
        for hint in self._shown:
            if start <= x.x < start + hint.width:
                event.stop()
                self.app.call_later(self.app.run_action, hint.action, hint.node)
                return
            start += hint.width + _GAP

    def _hints(self) -> list[KeyHint]:
        """The shown actions with the first of their keys that reaches them: those of the focused widget, then the
        others in the order of the table of actions."""
        found: dict[tuple[int, str], tuple[bool, KeyHint]] = {}
        titles: Mapping[str, str] = getattr(self.screen, "key_titles", {})
        left_out: Collection[str] = getattr(self.screen, "left_out_of_footer", ())
        for key, active in self.screen.active_bindings.items():
            binding = active.binding
            if not binding.show or binding.action in left_out or (id(active.node), binding.action) in found:
                continue
            is_local = active.node is not self.app and active.node is not self.screen
            title = titles.get(binding.action, binding.description)
            hint = KeyHint(key, one_line(tr(title)), binding.action, active.enabled, active.node)
            found[id(active.node), binding.action] = (is_local, hint)
        hints = sorted(found.values(), key=lambda item: (not item[0], _PLACE.get(item[1].action, len(_PLACE))))
        return [hint for _, hint in hints]


def _fitting(hints: list[KeyHint], width: int) -> list[KeyHint]:
    """As many as fit, in their order. Those that do nothing now go first, then those at the end."""
    by_worth = sorted(
        enumerate(hints),
        key=lambda item: (
            not item[1].is_enabled,
            -_KEPT_LONGEST.index(item[1].action) if item[1].action in _KEPT_LONGEST else 1,
            item[0],
        ),
    )
    kept: set[int] = set()
    free = width + _GAP
    for index, hint in by_worth:
        if hint.width + _GAP <= free:
            kept.add(index)
            free -= hint.width + _GAP
    return [hint for index, hint in enumerate(hints) if index in kept]
