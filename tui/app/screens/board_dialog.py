"""The base of the dialogs that measure: a board that fills them, whose rows arrows and page keys move, and the state
that it shows."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

import msgspec
from textual.binding import Binding, BindingType

from tui.app.bindings import Keymap
from tui.app.screens.dialog import Dialog
from tui.app.widgets.board import Board
from tui.config.scopes import Scope

Result = TypeVar("Result")
State = TypeVar("State", bound=msgspec.Struct)


class BoardDialog(Dialog[Result], Generic[Result, State]):
    """A dialog around a `board`, which shows what `change` made of its state."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "move(-10)", "Page up", show=False),
        Binding("pagedown", "move(10)", "Page down", show=False),
    ]
    AUTO_FOCUS = ""

    def __init__(self, board: Board[State], keymap: Keymap, *scopes: Scope, title: str) -> None:
        super().__init__(keymap, *scopes, title=title)
        # Known also while the screen goes: what was measured is kept then.
        self.board = board
        self.state = board.state

    def action_move(self, by: int) -> None:
        """Show other rows."""
        self.board.move(by)

    def change(self, **fields: object) -> None:
        """Show the state with these fields, as long as there is a screen."""
        self.state = msgspec.structs.replace(self.state, **fields)
        if self.is_mounted:
            self.board.show(self.state)
