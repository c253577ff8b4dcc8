"""The speed of the engine from moment to moment, as the session's events tell it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from tui.protocol.messages import Loaded
from tui.session import events
from tui.session.speed import AnswerNow, SpeedHistory, SpeedNow, SpreadCounter, after_silence


class KnowsPrefill(Protocol):
    """As `tui.session.speed.PrefillSpeeds`."""

    def of(self, loaded: Loaded | None) -> float:
        """How fast prompts are read with it, in tokens per second; 0 when that is not known."""


class LiveSpeed:
    """Listens with `hear`, and is asked once a second. What was measured of another load or another conversation is
    forgotten, which is told as `SpeedReset`."""

    def __init__(
        self,
        loaded: Callable[[], Loaded | None],
        prefill_speeds: KnowsPrefill,
        tell: Callable[[events.AnySessionEvent], None],
    ) -> None:
        """`loaded` gives what is loaded now."""
        self._loaded, self._prefill_speeds, self._tell = loaded, prefill_speeds, tell
        self._history = SpeedHistory()
        self._grew_at = 0.0
        """When text of the answer came last, by `time.monotonic`."""
        self._began_at: float | None = None
        """When the engine began with the answer, or with the rest of it after a pause; None while none is written."""
        self._spread = SpreadCounter()
        self._is_of_a_model = False
        """What is known is of the model that is loaded."""
        self.now = SpeedNow()

    @property
    def prefill_tps(self) -> float:
        """How fast a prompt is read with what is loaded, in tokens per second; 0 when that is not known."""
        return self._prefill_speeds.of(self._loaded())

    def each_second(self) -> SpeedNow:
        """The speed of the second that has passed, put into the history."""
        now = self.now
        if now.is_decoding:
            tps = after_silence(now.decode_tps, time.monotonic() - self._grew_at)
            self._change(decode_tps=tps)
            self._history.add(tps)
            if tps:
                self._change_answer(spread=self._spread.add(tps))
        else:
            self._history.add(0.0)
        if self._began_at is not None:
            self._change_answer(took_s=time.monotonic() - self._began_at)
        self._change(history=self._history.values)
        return self.now

    def hear(self, event: events.AnySessionEvent) -> None:
        """Follow one event."""
        match event:
            case events.PhaseChanged(phase=phase):
                if self._loaded() is None or phase == "loading":
                    self._is_of_a_model = False
                    self._forget()
                elif not self._is_of_a_model:  # a load that came to nothing, or is about to be told
                    self._is_of_a_model = True
                    self._forget(prefill_tps=self.prefill_tps)
            case events.ModelLoaded():
                self._is_of_a_model = True
                self._forget(prefill_tps=self.prefill_tps)
            case events.ConversationOpened():
                self._forget(prefill_tps=self.prefill_tps)
            case events.AnswerBegan(turn=turn):
                self._begin_answer(max(0.0, time.time() - turn.created_at))
            case events.PromptAdvanced(progress=progress):
                self._begin_answer()
                self._change(prefill=progress, prefill_tps=progress.tps or self.now.prefill_tps)
            case events.AnswerGrew(delta=delta):
                self._begin_answer()
                self._change(prefill=None, decode_tps=delta.decode_tps, is_decoding=True)
                self._change_answer(n_tokens=delta.n_decode, n_drafted=delta.n_drafted, n_accepted=delta.n_accepted)
                self._grew_at = time.monotonic()
            case events.AnswerPaused():
                self._began_at = None
                self._change(prefill=None, is_decoding=False)
            case events.AnswerEnded(turn=turn):
                self._began_at = None
                self._change(prefill=None, is_decoding=False, prefill_tps=self.prefill_tps)
                if timings := turn.timings:
                    self._change(decode_tps=timings.decode_tps, ttft_s=timings.ttft_s or None)
                    self._change_answer(
                        n_tokens=timings.n_decode,
                        took_s=timings.ttft_s + timings.decode_s,
                        n_drafted=timings.n_drafted,
                        n_accepted=timings.n_accepted,
                    )

    def _change(self, **changes: Any) -> None:
        self.now = msgspec.structs.replace(self.now, **changes)

    def _change_answer(self, **changes: Any) -> None:
        self._change(answer=msgspec.structs.replace(self.now.answer or AnswerNow(), **changes))

    def _begin_answer(self, ago_s: float = 0.0) -> None:
        """Unless it has begun already. What goes on after a pause is another load's, and begins too."""
        if self._began_at is None:
            self._began_at, self._spread = time.monotonic() - ago_s, SpreadCounter()
            self._change(answer=AnswerNow())

    def _forget(self, **known: Any) -> None:
        """What was measured was of something else."""
        self._history.clear()
        self.now = SpeedNow(history=self._history.values, **known)
        self._tell(events.SpeedReset(speed=self.now))
