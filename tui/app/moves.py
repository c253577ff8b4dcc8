"""Loads that were decided on, and what it took to move a loaded model: to another backend, or to other settings. Knows
no engine and no screen."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from tui.config.settings import LoadDefaults
from tui.engine.messages import Loaded
from tui.engine.records import Timings

TELLING_TOKENS = 32
"""The speed at which fewer tokens were read says little of how long a prompt would take."""


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A load that was decided on."""

    path: Path
    choice: LoadDefaults
    name: str = ""
    """How the model is called on the screen; the file's name without its ending when empty."""
    chosen: bool = True
    """The settings were chosen in the app: they are remembered for this model."""
    load_first: bool = False
    """There is memory for both: the present model stays until the new one is there."""
    asked_at: float = msgspec.field(default_factory=time.perf_counter)
    """When it was decided on, by `time.perf_counter`."""


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """The loaded model was loaded again with other settings; what was read of the conversation came along, or not."""

    source: str
    """Label of the backend that it was on."""
    target: str
    """Label of the one that it is on; the same when only other settings changed."""
    took_s: float
    """From the command until the next token could be computed; in the middle of an answer until it was there."""
    n_kept: int
    n_lost: int
    keep_s: float
    """What taking the context along took, out and in."""
    prefill_tps: float
    """How fast a prompt was read last on `measured_on`; 0 when that is not known."""
    measured_on: str
    """`target`, or `source` when nothing was read on the target yet."""

    @property
    def reading_s(self) -> float:
        """What reading the tokens that came along would have taken; 0 when the speed is not known."""
        return self.n_kept / self.prefill_tps if self.prefill_tps else 0.0


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What was loaded last, and what it was asked to be loaded with."""

    loaded: Loaded
    path: Path
    choice: LoadDefaults
    name: str


def backend_label(loaded: Loaded) -> str:
    """The backend of a load, as an answer's footer names it: "CPU", "Vulkan0+Vulkan1"."""
    return "+".join(loaded.devices) or "CPU"


class PrefillSpeeds:
    """How fast each backend read the last prompt of the loaded model, in tokens per second."""

    def __init__(self) -> None:
        self._speeds: dict[str, float] = {}

    def note(self, label: str, timings: Timings) -> None:
        """A prompt was read, or a part of it."""
        if timings.prefill_tps and (timings.n_prefill >= TELLING_TOKENS or label not in self._speeds):
            self._speeds[label] = timings.prefill_tps

    def of(self, label: str) -> float:
        """0 when nothing was read there yet."""
        return self._speeds.get(label, 0.0)

    def clear(self) -> None:
        """Another model is loaded."""
        self._speeds.clear()

    def moved(self, move: Move, source: str, loaded: Loaded) -> Moved:
        """What a move that is complete now took."""
        target = backend_label(loaded)
        measured_on = target if self.of(target) else source
        return Moved(
            source=source,
            target=target,
            took_s=time.perf_counter() - move.asked_at,
            n_kept=loaded.n_kept,
            n_lost=loaded.n_lost,
            keep_s=loaded.keep_s,
            prefill_tps=self.of(measured_on),
            measured_on=measured_on,
        )
