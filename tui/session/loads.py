"""Loads that were decided on, and what it took to load the loaded model again: on another backend, or with other
settings. Knows no engine and no screen."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from tui.base import format
from tui.config.modelrules import ChatOverrides
from tui.config.settings import ChosenLoad
from tui.models.info import ModelInfo
from tui.protocol.messages import Loaded
from tui.protocol.records import Device, SwaFull


class LoadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A load that was decided on."""

    path: Path
    choice: ChosenLoad
    name: str = ""
    """How the model is called on the screen; the file's name without its ending when empty."""
    remember: bool = True
    """The settings were chosen in the app, and are to be remembered for this model."""
    load_first: bool = False
    """There is memory for both: the present model stays until the new one is there."""
    swa_full: SwaFull = "auto"
    """What "auto" of that setting comes to, by what was free when the load was decided on."""
    model_draft: str = "off"
    """The same of the draft model: its path, or "off"."""
    chat_format: ChatOverrides | None = None
    """Chat template and stop strings; None takes those of the command line."""
    is_fitted: bool = False
    """Layers and experts were placed where they are fastest, of all that fits."""
    asked_at: float = msgspec.field(default_factory=time.perf_counter)
    """When it was decided on, by `time.perf_counter`."""

    @classmethod
    def again(
        cls, path: Path, choice: ChosenLoad, name: str, before: Loaded | None, *, remember: bool = False
    ) -> LoadRequest:
        """What was loaded, once more: what was "auto" comes to the same."""
        return cls(
            path=path,
            choice=choice,
            name=name,
            remember=remember,
            swa_full="auto" if before is None else "on" if before.llama.swa_full else "off",
            model_draft=(before.llama.draft if before else "") or "off",
        )


class Reload(msgspec.Struct, frozen=True, kw_only=True):
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

    @classmethod
    def of(cls, request: LoadRequest, source: str, loaded: Loaded, prefill_tps: float) -> Reload:
        """What a load took that is complete now: from the backend `source` to what is `loaded`."""
        return cls(
            source=source,
            target=format.backend(loaded.llama.devices),
            took_s=time.perf_counter() - request.asked_at,
            n_kept=loaded.n_kept,
            n_lost=loaded.n_lost,
            keep_s=loaded.keep_s,
            prefill_tps=prefill_tps,
        )


class LastLoaded(msgspec.Struct, frozen=True, kw_only=True):
    """What was loaded last, and what it was asked to be loaded with."""

    loaded: Loaded
    path: Path
    choice: ChosenLoad
    name: str


class InUse(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine has loaded, as the session knows it that had it loaded: for the others that share the engine."""

    devices: tuple[Device, ...] = ()
    last: LastLoaded | None = None
    """None where nothing was loaded yet."""
    chat_format: ChatOverrides | None = None
    info: ModelInfo | None = None
    is_fitted: bool = False
