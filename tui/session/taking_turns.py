"""Loads and answers of one session among others that share its engine: each waits for its turn, and an answer begins
with the model that its session had loaded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from tui.engines.turns import Turn
from tui.protocol.records import ErrorInfo
from tui.session.engine_phase import EnginePhase
from tui.session.events import AnySessionEvent, TurnAwaited
from tui.session.model_loading import ModelLoading
from tui.session.one_at_a_time import Work
from tui.words.later import later


class TakingTurns:
    """What is done in one session's turn."""

    def __init__(
        self,
        turn: Turn,
        phase: EnginePhase,
        model: ModelLoading,
        *,
        refused: Callable[[ErrorInfo], None],
        tell: Callable[[AnySessionEvent], None],
    ) -> None:
        """`refused` is called when an answer does not come because it was stopped while it waited."""
        self._turn, self._phase, self._model, self._refused = turn, phase, model, refused
        turn.on_wait = lambda n_before: tell(TurnAwaited(n_before=n_before))

    @property
    def is_waiting(self) -> bool:
        """Others go first."""
        return self._turn.is_waiting

    async def work(self, work: Callable[[], Work]) -> None:
        """Do this in its turn."""
        has_begun = False
        try:
            async with self._turn.taken():
                has_begun = True
                await work()
        finally:
            if not has_begun:
                self._phase.set_idle()

    async def answer(self, answer: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Answer in its turn, with what this session had loaded."""
        has_begun = False
        if self._turn.must_wait:
            self._phase.set("answering")
        try:
            async with self._turn.taken():
                if (own := self._model.displaced) is not None:
                    await self._model.load(own)
                has_begun = True
                await answer()
        except asyncio.CancelledError:
            if not has_begun:
                self._phase.set_idle()
                self._refused(ErrorInfo(kind="cancelled", detail=later("it was stopped while it waited")))
            raise
