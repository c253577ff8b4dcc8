"""How likely each token of an answer was, and what might have come instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.app.bindings import Keymap
from tui.app.screens.dialog import Dialog
from tui.app.widgets.odds_board import OddsBoard
from tui.protocol.records import TokenOdds
from tui.words import tr


class OddsScreen(Dialog[None]):
    """Arrows go from token to token, and from row to row."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "odds.tcss"]  # type: ignore[assignment]
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "row(-1)", "Up", show=False),
        Binding("down", "row(1)", "Down", show=False),
        Binding("pageup", "row(-10)", "Page up", show=False),
        Binding("pagedown", "row(10)", "Page down", show=False),
        Binding("home,ctrl+home", "token(-1000000)", "First", show=False),
        Binding("end,ctrl+end", "token(1000000)", "Last", show=False),
    ]

    def __init__(self, tokens: Sequence[TokenOdds], keymap: Keymap) -> None:
        super().__init__(keymap, "odds", title=tr("Token probabilities"))
        self.board = OddsBoard(tokens)

    def compose_body(self) -> ComposeResult:
        """The board."""
        yield self.board

    def action_row(self, by: int) -> None:
        """Go so many rows down."""
        self.board.go_by_rows(by)

    def action_token(self, by: int) -> None:
        """Go so many tokens on."""
        self.board.go(self.board.at + by)

    def action_odds_previous(self) -> None:
        """The token before."""
        self.board.go(self.board.at - 1)

    def action_odds_next(self) -> None:
        """The next token."""
        self.board.go(self.board.at + 1)

    def action_odds_unsure(self) -> None:
        """The next token that was not likely."""
        self.board.go_to_unsure(1)

    def action_odds_unsure_before(self) -> None:
        """The one before that was not likely."""
        self.board.go_to_unsure(-1)
