"""Before a load: what memory there is, and which options would make a model fit that leaves too little of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from tui.base.format import listed
from tui.config.load import AUTO, CPU, backend_devices
from tui.config.loadtable import LOAD_ROWS
from tui.config.settings import MemorySettings
from tui.machine.gpu import GpuReader
from tui.machine.host import HostReader
from tui.planning import verdict_words
from tui.planning.now import MemoryNow, memory_now
from tui.planning.remedies import Remedy
from tui.protocol.messages import Loaded
from tui.protocol.records import Device
from tui.words import tr


async def read_memory(devices: Sequence[Device], reserves: MemorySettings, loaded: Loaded | None = None) -> MemoryNow:
    """What a model may take now, as if `loaded` were gone. Asks the GPUs' drivers, in a thread."""
    reader = GpuReader()
    try:
        gpus = await asyncio.to_thread(reader.read)
    finally:
        reader.close()
    return memory_now(HostReader().read(), devices, reserves, loaded, gpus=gpus)


def no_such_device(backend: str, devices: Sequence[Device]) -> str:
    """Why what `--backend` names cannot be had on this machine; "" where it can."""
    if backend_devices(backend, devices) is not None:
        return ""
    return tr(
        "{option}: there is no such device here. There are: {devices}.",
        option=f"--backend {backend}",
        devices=listed(AUTO, CPU, *(device.name for device in devices if device.kind != "cpu")),
    )


def options_of(remedies: Iterable[Remedy]) -> str:
    """What would bring these about on a command line: "--fit; --ngl 20"; "" where no option would."""
    return "; ".join(option for remedy in remedies if (option := _option(remedy)))


def _option(remedy: Remedy) -> str:
    """What brings it about on a command line."""
    match remedy.change:
        case "fit":
            return "--fit"
        case "layers":
            return _options(remedy, "n_gpu_layers")
        case "experts":
            return _options(remedy, "n_cpu_moe")
        case "context":
            return _options(remedy, "n_ctx")
        case "cache":
            return _options(remedy, "type_k", "type_v")
        case "windows":
            return _options(remedy, "swa_full")
        case "quant":
            return verdict_words.remedy_label(remedy)
        case _:
            return ""


def _options(remedy: Remedy, *names: str) -> str:
    return " ".join(f"{LOAD_ROWS[name].option} {getattr(remedy.choice, name)}" for name in names)
