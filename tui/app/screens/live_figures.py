"""The figures of the sidebar and of the status line: read once a second, and changed by what the session tells."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from tui.app import phrases
from tui.app.screens.flows import Flows
from tui.app.widgets.readings import Figures, Readings, SpeedNow
from tui.config.settings import MemorySettings
from tui.machine.pressure import MemoryWatch
from tui.machine.speed import after_silence
from tui.session import events
from tui.session.controller import Controller
from tui.session.monitoring import Monitoring


class LiveFigures:
    """What is known of the machine, of the speed and of the context. `views` show the same; which of them is seen
    depends on the width of the terminal."""

    def __init__(
        self,
        controller: Controller,
        monitoring: Monitoring,
        settings: MemorySettings,
        views: Sequence[Readings],
        flows: Flows,
    ) -> None:
        self._controller, self._monitoring, self._settings = controller, monitoring, settings
        self._views, self._flows = views, flows
        self._watch = MemoryWatch()
        self.now = Figures()
        """What is shown, or will be with the next reading."""
        self._grew_at = 0.0
        """When text of the answer came last, by `time.monotonic`."""
        self._context_before = (0, 0)
        """What is right again if a load comes to nothing."""

    async def read(self) -> None:
        """Once a second: everything that is read, and the speed, so that the sidebar is painted once."""
        speed = self.now.speed
        if speed.is_decoding:
            speed = self._change_speed(decode_tps=after_silence(speed.decode_tps, time.monotonic() - self._grew_at))
        host, gpus = await self._monitoring.read(speed.decode_tps if speed.is_decoding else 0.0)
        if short := self._watch.take(host, self._settings.reserve_bytes(host.ram_total_bytes or 0)):
            self._flows.tell(phrases.shortage(short, self._flows.keymap), bad=True)
        self._change_speed(history=self._monitoring.history.values)
        self._change(host=host, gpus=gpus, npus=self._monitoring.npus)
        for view in self._views:
            if view.display:
                view.show(self.now)

    def hear(self, event: events.AnySessionEvent) -> None:
        """What was measured goes with the model and the conversation that it was measured of; while an answer comes,
        its figures wait for the next reading."""
        match event:
            case events.PhaseChanged(phase=phase):
                self._follow_model(phase)
            case events.ModelLoaded(loaded=loaded):
                self._forget_speed(prefill_tps=self._prefill_tps)
                self._show_context(self._controller.n_used, loaded.n_ctx)
            case events.ConversationOpened():
                self._forget_speed(prefill_tps=self._prefill_tps)
            case events.ContextUsed(n_used=n_used, n_ctx=n_ctx):
                self._show_context(n_used, n_ctx)
            case events.AnswerBegan(started=started):
                self._show_context(started.n_cached, started.n_ctx)
            case events.PromptAdvanced(progress=progress):
                self._change_speed(prefill=progress, prefill_tps=progress.tps or self.now.speed.prefill_tps)
            case events.AnswerGrew(delta=delta):
                self._change_speed(prefill=None, decode_tps=delta.decode_tps, is_decoding=True)
                self._change(context=(delta.n_used, self.now.context[1]))
                self._grew_at = time.monotonic()
            case events.AnswerPaused():
                self._change_speed(prefill=None, is_decoding=False)
            case events.AnswerEnded(turn=turn):
                self._change_speed(prefill=None, is_decoding=False, prefill_tps=self._prefill_tps)
                if timings := turn.timings:
                    self._change_speed(decode_tps=timings.decode_tps, ttft_s=timings.ttft_s or None)

    def _follow_model(self, phase: events.Phase) -> None:
        if self._controller.engine.loaded is None or phase == "loading":
            if self.now.context[1]:
                self._context_before = self.now.context
            self._forget_speed()
            self._show_context(0, 0)
        elif not self.now.context[1]:  # a load that came to nothing
            self._forget_speed(prefill_tps=self._prefill_tps)
            self._show_context(*self._context_before)

    @property
    def _prefill_tps(self) -> float:
        """How fast a prompt is read with what is loaded; 0 when that is not known."""
        return self._controller.prefill_speeds.of(self._controller.engine.loaded)

    def _change(self, **changes: Any) -> None:
        """What the next reading will show."""
        self.now = msgspec.structs.replace(self.now, **changes)

    def _change_speed(self, **changes: Any) -> SpeedNow:
        self._change(speed=msgspec.structs.replace(self.now.speed, **changes))
        return self.now.speed

    def _forget_speed(self, **known: Any) -> None:
        """Show at once that what was measured was of something else, and what is known already."""
        self._monitoring.history.clear()
        self._change(speed=SpeedNow(history=self._monitoring.history.values, **known))
        self._show()

    def _show_context(self, n_used: int, n_ctx: int) -> None:
        self._change(context=(n_used, n_ctx))
        self._show()

    def _show(self) -> None:
        for view in self._views:
            view.show(self.now)
