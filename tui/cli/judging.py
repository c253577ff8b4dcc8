"""What loading models would mean on this machine, for the commands: needs, fit and speed, in words and as JSON. The
devices are llama.cpp's own, so that an engine is started for them, once."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from tui.base import format
from tui.base.terminal_style import Piece, Tone, Toned, say
from tui.cli.own_library import OwnLibrary
from tui.config import paths
from tui.config.options import Options
from tui.engines.local import LocalEngine
from tui.machine.vulkan import engine_environment
from tui.measure import forecast_words
from tui.measure.forecast import Forecast, Range, forecast
from tui.measure.kept_bandwidth import KeptBandwidth
from tui.measure.known_speeds import KnownSpeeds, speeds_here
from tui.measure.measure_bandwidth import is_disturbed, measure
from tui.models.info import ModelInfo
from tui.planning.formula import Fit
from tui.planning.guardrail import LoadPermission
from tui.planning.now import MemoryNow
from tui.planning.suggestions import permitted
from tui.protocol.death import EngineDied
from tui.protocol.records import Device
from tui.session.load_order import LoadOrder
from tui.shell.load_guard import read_memory
from tui.words import mark, tr

TONES: dict[Fit, Tone] = {"fits": "good", "tight": "tight", "no": "bad"}
_FITS: dict[Fit, str] = {"fits": mark("fits"), "tight": mark("tight"), "no": mark("does not fit")}


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """Of one model, loaded as the app would load it."""

    permission: LoadPermission
    speed: Forecast | None = None
    """None where there is no telling."""

    @property
    def decode(self) -> Range | None:
        """Tokens per second that are written; None for what cannot be loaded."""
        return self.speed.decode_tps if self.speed and self.permission.fit != "no" else None


class Here:
    """This machine as it is now."""

    def __init__(self, own: OwnLibrary, devices: tuple[Device, ...], memory: MemoryNow, speeds: KnownSpeeds) -> None:
        self.devices, self.memory, self._speeds = devices, memory, speeds
        self._order = LoadOrder(own.settings, own.state, Options(), lambda problem: say(str(problem)))

    async def judged(self, info: ModelInfo, path: Path) -> Judged:
        """A model; `path` is where what is remembered of it is found."""
        choice = self._order.load_for(path, info)
        permission = await permitted(info, self.devices, self.memory, choice)
        speed = forecast(info, permission.outcome.plan, self._speeds, n_threads=choice.n_threads)
        return Judged(permission=permission, speed=speed)


async def here(own: OwnLibrary) -> Here | None:
    """Looks around; None, with a word on stderr, where no engine can be asked."""
    try:
        devices = await _devices(software=own.settings.engine.software_vulkan)
    except EngineDied as died:
        say(tr("Needs and speeds are not known: {reason}.", reason=died))
        return None
    memory = await read_memory(devices, own.settings.memory)
    return Here(own, devices, memory, await asyncio.to_thread(speeds_here))


async def _devices(*, software: bool) -> tuple[Device, ...]:
    """llama.cpp's, by an engine that is started for it. Measures their memory where that was never done. Raises
    `EngineDied`."""
    kept = KeptBandwidth(paths.bandwidth_file())
    async with LocalEngine(env=engine_environment(software=software)) as engine:
        hello = await engine.start()
        if (names := await asyncio.to_thread(kept.missing, hello)) and not await is_disturbed(engine.pid):
            if sys.stderr.isatty():
                say(tr("Measuring how fast this machine's memory is, once…"))
            await measure(engine, hello, names, kept)
        return hello.devices


# In words -------------------------------------------------------------------------------------------------------------


def needs(judged: Judged | None) -> str:
    """Memory that it takes; empty where that is not known."""
    return format.size(judged.permission.outcome.plan.total_bytes) if judged else ""


def fit(judged: Judged | None) -> Piece:
    """Whether it fits."""
    return Toned(tr(_FITS[judged.permission.fit]), TONES[judged.permission.fit]) if judged else ""


def speed(judged: Judged | None) -> str:
    """Tokens per second that it writes; empty where there is no telling."""
    return forecast_words.short(judged.decode) if judged and judged.decode else ""


def as_json(judged: Judged | None) -> dict[str, object]:
    """The fields of a model that say what it does here; all of them None where nothing was judged."""
    if judged is None:
        return dict.fromkeys(("fit", "needs_bytes", "backend", "n_gpu_layers", "n_ctx", "decode_tps", "prompt_tps"))
    plan = judged.permission.outcome.plan
    prompt = judged.speed.prompt_tps if judged.speed and judged.permission.fit != "no" else None
    return {
        "fit": judged.permission.fit,
        "needs_bytes": plan.total_bytes,
        "backend": format.backend([cost.device for cost in plan.devices]),
        "n_gpu_layers": plan.n_gpu_layers,
        "n_ctx": plan.n_ctx,
        "decode_tps": msgspec.to_builtins(judged.decode),
        "prompt_tps": msgspec.to_builtins(prompt),
    }
