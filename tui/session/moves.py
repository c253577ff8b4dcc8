"""Loads that were decided on, and what it took to move a loaded model: to another backend, or to other settings. Knows
no engine and no screen."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from tui.config.settings import ChosenLoad
from tui.protocol.messages import Loaded
from tui.protocol.records import Timings


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A load that was decided on."""

    path: Path
    choice: ChosenLoad
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
    """How fast a prompt is read with what is loaded now; 0 when that is not known."""

    @property
    def reading_s(self) -> float:
        """What reading the tokens that came along would take; 0 when the speed is not known."""
        return self.n_kept / self.prefill_tps if self.prefill_tps else 0.0


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What was loaded last, and what it was asked to be loaded with."""

    loaded: Loaded
    path: Path
    choice: ChosenLoad
    name: str


def backend_label(loaded: Loaded) -> str:
    """The backend of a load, as an answer's footer names it: "CPU", "Vulkan0+Vulkan1"."""
    return "+".join(loaded.devices) or "CPU"


class PrefillSpeeds:
    """How fast the last prompt that is long enough to tell was read, in tokens per second: with each model, on each
    device and with each of the settings that it was loaded with. Those of another load say nothing of this one."""

    def __init__(self) -> None:
        self._speeds: dict[Loaded, float] = {}

    def note(self, loaded: Loaded, timings: Timings) -> None:
        """A prompt was read, or a part of it."""
        if timings.prefill_tps:
            self._speeds[_alike(loaded)] = timings.prefill_tps

    def of(self, loaded: Loaded | None) -> float:
        """0 when too little was read with such a load, or nothing is loaded."""
        return self._speeds.get(_alike(loaded), 0.0) if loaded else 0.0

    def moved(self, move: Move, source: str, loaded: Loaded) -> Moved:
        """What a move that is complete now took."""
        return Moved(
            source=source,
            target=backend_label(loaded),
            took_s=time.perf_counter() - move.asked_at,
            n_kept=loaded.n_kept,
            n_lost=loaded.n_lost,
            keep_s=loaded.keep_s,
            prefill_tps=self.of(loaded),
        )


def _alike(loaded: Loaded) -> Loaded:
    """The same for all loads that read a prompt equally fast: without what one load happened to take, and without the
    size of the context, of which only what is filled counts."""
    return msgspec.structs.replace(
        loaded, id=0, n_ctx=0, buffers=(), load_s=0.0, n_kept=0, n_lost=0, keep_s=0.0, footprint=None
    )
