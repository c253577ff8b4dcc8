"""What the engine is at, in one word that screens and the queue go by."""

from __future__ import annotations

from collections.abc import Callable

from tui.engines.interface import Engine
from tui.session.events import Phase


class EnginePhase:
    """The phase of one engine; `on_change` is called with each new one."""

    def __init__(self, engine: Engine, is_paused: Callable[[], bool], on_change: Callable[[Phase], None]) -> None:
        """`is_paused` says whether an answer waits for the end of a load."""
        self._engine, self._is_paused, self._on_change = engine, is_paused, on_change
        self.now: Phase = "starting"

    def set(self, phase: Phase) -> None:
        """The engine is at this now."""
        if phase != self.now:
            self.now = phase
            self._on_change(phase)

    def set_idle(self) -> None:
        """Nothing runs any more, unless an answer waits for the end of a load."""
        if self._engine.alive and not self._is_paused():
            self.set("no_model" if self._engine.loaded is None else "ready")
