"""How fast answers are: the speed now, its history, and how fast prompts are read with each load. Knows neither engine
nor screen."""

from __future__ import annotations

from collections import deque

import msgspec

from tui.protocol.messages import Loaded, Prefill
from tui.protocol.records import Timings

_SILENT_S = 1.0
"""Text comes several times a second, or with each token where these are slower."""
_LEAST_SECONDS = 2
"""One second alone has no spread."""
_UNTOLD = 3
"""Tokens that show no text yet: a Chinese character, or an emoji, can take so many."""


class Spread(msgspec.Struct, frozen=True):
    """What a speed was over a number of seconds, in tokens per second."""

    least: float
    mean: float
    most: float


class AnswerNow(msgspec.Struct, frozen=True, kw_only=True):
    """The answer that is being written, or was last."""

    n_tokens: int = 0
    """Tokens so far, thinking included."""
    took_s: float = 0.0
    """Since the engine began with it; while one goes on after a pause, tokens and time are those since then."""
    spread: Spread | None = None
    """Of its decode speed second by second; None for the first two seconds."""
    n_drafted: int = 0
    """Tokens that were guessed and decoded ahead, and those of them that were right."""
    n_accepted: int = 0


class SpeedNow(msgspec.Struct, frozen=True, kw_only=True):
    """The speed of the engine at one moment."""

    decode_tps: float = 0.0
    """Tokens per second now, or of the last answer when none is being written; 0 before the first with what is loaded,
    and where too few were written to tell."""
    is_decoding: bool = False
    history: tuple[float, ...] = ()
    """`decode_tps` second by second, oldest first, 0 while nothing was decoded."""
    prefill: Prefill | None = None
    """Progress of the prompt that is being evaluated; None when none is."""
    prefill_tps: float = 0.0
    """Of the last prompt that is long enough to tell, read with what is loaded; 0 before the first."""
    ttft_s: float | None = None
    """Time to first token of the last answer."""
    answer: AnswerNow | None = None
    """None before the first, with what is loaded and in the open conversation."""


class SpeedHistory:
    """The newest samples of decode speed in tokens per second, one a second; 0 while nothing is decoded."""

    def __init__(self, capacity: int = 240) -> None:
        self._samples: deque[float] = deque(maxlen=capacity)

    def add(self, decode_tps: float) -> None:
        """Append the speed of the second that just passed; the oldest sample goes when the ring is full."""
        self._samples.append(decode_tps)

    def clear(self) -> None:
        """Forget all samples."""
        self._samples.clear()

    @property
    def values(self) -> tuple[float, ...]:
        """Oldest first."""
        return tuple(self._samples)


class SpreadCounter:
    """The spread of the speeds that it was given."""

    def __init__(self) -> None:
        self._least = self._most = self._sum = 0.0
        self._n = 0

    def add(self, tps: float) -> Spread | None:
        """Take the speed of one more second; the spread of all so far, None for fewer than two."""
        self._least = min(self._least, tps) if self._n else tps
        self._most, self._sum, self._n = max(self._most, tps), self._sum + tps, self._n + 1
        if self._n < _LEAST_SECONDS:
            return None
        return Spread(least=self._least, mean=self._sum / self._n, most=self._most)


def after_silence(tps: float, silent_s: float) -> float:
    """Tokens per second of an answer that nothing came of for `silent_s`, when it was last told to be `tps` fast: while
    a machine swaps, or its GPU hangs, no more than `_UNTOLD` tokens can have been computed meanwhile."""
    return min(tps, _UNTOLD / silent_s) if silent_s > _SILENT_S else tps


class PrefillSpeeds:
    """How fast the last prompt that is long enough to tell was read, in tokens per second: with each model, on each
    device and with each of the settings that it was loaded with. Those of another load say nothing of this one."""

    def __init__(self) -> None:
        self._speeds: dict[Loaded, float] = {}

    def note(self, loaded: Loaded, timings: Timings) -> None:
        """A prompt was read, or a part of it."""
        if timings.prefill_tps:
            self._speeds[loaded.alike] = timings.prefill_tps

    def of(self, loaded: Loaded | None) -> float:
        """0 when too little was read with such a load, or nothing is loaded."""
        return self._speeds.get(loaded.alike, 0.0) if loaded else 0.0
