"""Keeps how likely the tokens of answers were, in memory only, and shows that of one answer."""

from __future__ import annotations

from collections.abc import Callable

from tui.app.screens.flows import Flows, flow
from tui.chat.conversation import Turn
from tui.protocol.records import TokenOdds
from tui.session import events
from tui.words import tr

MOST_ANSWERS = 20
MOST_TOKENS = 20_000
"""Of one answer: what comes behind them is not kept."""


class OddsFlows:
    """Follows the session."""

    def __init__(self, flows: Flows, meant: Callable[[], Turn | None]) -> None:
        """`meant` gives the message that is selected, or the last answer."""
        self.flows, self._meant = flows, meant
        self._kept: dict[str, list[TokenOdds]] = {}
        """By the id of the answer, the newest last."""

    def hear(self, event: events.AnySessionEvent) -> None:
        """Keep what is told of an answer."""
        if isinstance(event, events.OddsTold):
            kept = self._kept.setdefault(event.turn_id, [])
            kept += event.tokens[: MOST_TOKENS - len(kept)]
            while len(self._kept) > MOST_ANSWERS:
                del self._kept[next(iter(self._kept))]

    @flow("dialog")
    async def action_message_odds(self) -> None:
        """Show how likely the tokens of the selected answer were."""
        from tui.app.screens.odds import OddsScreen

        turn = self._meant()
        if turn is not None and (tokens := self._kept.get(turn.id)):
            await self.flows.ask(OddsScreen(tuple(tokens), self.flows.keymap))
        else:
            self.flows.tell(
                tr(
                    "No probabilities were kept of this answer. They are kept, until llmtui ends, of answers that are "
                    "written with alternatives = 10 under [chat] in settings.toml."
                )
            )
