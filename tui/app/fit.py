"""How a load compares with what is free: the verdict that picker and load settings show, and the largest settings that
fit. The figures are the planner's; here they are judged, place by place, and put into words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from tui.config.load import engine_settings
from tui.config.settings import LoadDefaults, MemorySettings
from tui.engine.messages import Device, Loaded, LoadSettings
from tui.engine.planner import HOST, Cost, Fit, Plan, best_n_gpu_layers, estimate, free_after
from tui.models import format
from tui.models.info import ModelInfo
from tui.monitor.records import GpuSample, HostSample

MARKS: dict[Fit, str] = {"fits": "●", "tight": "◐", "no": "○"}
_ORDER: tuple[Fit, ...] = ("fits", "tight", "no")
_CTX_STEPS = (512, 1024, 2048, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152, 65536, 98304)


class MemoryNow(msgspec.Struct, frozen=True, kw_only=True):
    """What a model may take, in bytes, once the one that is loaded now is gone."""

    host_free_bytes: int
    host_total_bytes: int
    device_free: dict[str, int] = {}
    """By llama.cpp's name of the device, the host left out."""
    shared_free: dict[str, int] = {}
    """How much of a device's `device_free` is really the host's memory, as with an integrated GPU."""
    reserve_bytes: int = 1 << 30
    """What should stay free on the host: with less, a load is tight."""
    gpu_reserve_bytes: int = 1 << 29
    """The same on each device."""

    def reserve(self, place: str) -> int:
        """What should stay free there: `HOST` or a device's name."""
        return self.reserve_bytes if place == HOST else self.gpu_reserve_bytes


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What a load means for the host or one device."""

    cost: Cost
    left_bytes: int
    """Free once the model is loaded; negative where it does not fit."""
    fit: Fit

    @property
    def name(self) -> str:
        """The host's memory is called by its own name: "RAM", "Vulkan0"."""
        return "RAM" if self.cost.device == HOST else self.cost.device


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, judged. The host comes first in `places`."""

    plan: Plan
    places: tuple[Place, ...]

    @property
    def fit(self) -> Fit:
        """Of the worst place."""
        return max((place.fit for place in self.places), key=_ORDER.index)

    @property
    def sentence(self) -> str:
        """One sentence: whether it fits, and where not by how much."""
        worst = min(self.places, key=lambda place: (-_ORDER.index(place.fit), place.left_bytes))
        if worst.fit == "no":
            return f"Does not fit: {format.size(-worst.left_bytes)} too much for {worst.name}."
        if worst.fit == "tight":
            return f"Tight: only {format.size(worst.left_bytes)} stay free in {worst.name}."
        return "Fits."


class Brief(msgspec.Struct, frozen=True):
    """A verdict for a table."""

    fit: Fit
    words: str
    """ "CPU", "GPU 48/48", "no: needs 133 GiB of 31"."""
    short: str
    """The same in 11 cells or so: "no: 133 GiB"."""


def memory_now(
    host: HostSample,
    devices: Sequence[Device],
    reserves: MemorySettings,
    loaded: Loaded | None = None,
    gpus: Sequence[GpuSample] = (),
) -> MemoryNow:
    """What is free now, from a reading of the machine and llama.cpp's list of devices, as if `loaded` were gone.

    Weights that are mapped count as free already: the system can drop them. An integrated GPU's memory is the host's
    but for the carve-out, which only the driver's own figures (`gpus`) tell apart.
    """
    host_free = host.ram_available_bytes or 0
    device_free = {device.name: device.free_bytes for device in devices if device.kind not in ("cpu", "accel")}
    for buffer in loaded.buffers if loaded else ():
        if buffer.device in device_free:
            device_free[buffer.device] += buffer.n_bytes
        elif buffer.purpose != "weights":
            host_free += buffer.n_bytes
    shared_free = {}
    for device in devices:
        if device.kind in ("igpu", "software"):
            own = _carve_out_free(devices, gpus) if device.kind == "igpu" else 0
            shared_free[device.name] = max(0, min(device_free[device.name] - own, host_free))
            device_free[device.name] = min(device_free[device.name], own + shared_free[device.name])
    return MemoryNow(
        host_free_bytes=host_free,
        host_total_bytes=host.ram_total_bytes or 0,
        device_free=device_free,
        shared_free=shared_free,
        reserve_bytes=reserves.reserve_bytes,
        gpu_reserve_bytes=reserves.gpu_reserve_bytes,
    )


def judge(info: ModelInfo, choice: LoadDefaults, devices: Sequence[Device], memory: MemoryNow) -> Verdict:
    """What loading with `choice` would mean. A backend that is not there counts as "auto", as when it is loaded."""
    settings, _ = engine_settings(choice, devices)
    return _judge(info, settings, memory)


def brief(info: ModelInfo, choice: LoadDefaults, devices: Sequence[Device], memory: MemoryNow) -> Brief:
    """A few words about what loading with `choice` would mean.

    Where all layers are asked for and do not fit on the GPU, the words name how many do, and it counts as tight.
    """
    settings, _ = engine_settings(choice, devices)
    verdict = _judge(info, settings, memory)
    if settings.devices and verdict.fit == "no" and settings.n_gpu_layers < 0:
        n = _best_layers(info, settings, memory)
        part = _judge(info, msgspec.structs.replace(settings, n_gpu_layers=n), memory)
        if part.fit != "no":
            return Brief("tight", *[f"GPU {n}/{part.plan.n_layers}" if n else "CPU"] * 2)
    plan = verdict.plan
    if verdict.fit != "no":
        return Brief(verdict.fit, *[f"GPU {plan.n_gpu_layers}/{plan.n_layers}" if plan.n_gpu_layers else "CPU"] * 2)
    free = memory.host_free_bytes
    free += sum(memory.device_free.get(name, 0) - memory.shared_free.get(name, 0) for name in settings.devices)
    if plan.total_bytes > free:
        needed = (
            f"{plan.total_bytes / 2**30:.0f} GiB" if plan.total_bytes >= 9.5 * 2**30 else format.size(plan.total_bytes)
        )
        in_all = f"{free / 2**30:.0f}" if free >= 9.5 * 2**30 and needed.endswith("GiB") else format.size(max(free, 0))
        return Brief("no", f"no: needs {needed} of {in_all}", f"no: {needed}")
    worst = min(verdict.places, key=lambda place: place.left_bytes)
    return Brief("no", f"no: {format.size(-worst.left_bytes)} short on {worst.name}", f"no: {worst.name}")


def largest_fit(info: ModelInfo, choice: LoadDefaults, devices: Sequence[Device], memory: MemoryNow) -> LoadDefaults:
    """`choice` with as many layers on the GPU as fit, and a smaller context only where nothing else helps.

    The context is never raised. When not even the smallest one fits, it is taken all the same: the verdict tells.
    """
    found = choice
    for wanted in _ORDER[:2]:
        for n_ctx in _smaller_contexts(choice.n_ctx or info.n_ctx_train):
            found = msgspec.structs.replace(choice, n_ctx=n_ctx, n_gpu_layers=-1)
            if judge(info, found, devices, memory).fit != "fits":
                settings, _ = engine_settings(found, devices)
                n = _best_layers(info, settings, memory)
                if settings.devices:
                    found = msgspec.structs.replace(found, n_gpu_layers=n)
            if _ORDER.index(judge(info, found, devices, memory).fit) <= _ORDER.index(wanted):
                return found
    return found


def context_steps(n_ctx_train: int) -> tuple[int, ...]:
    """Context sizes that a slider stops at: up to what the model was trained with, at least up to 4,096."""
    top = max(n_ctx_train, 4096)
    steps = [*_CTX_STEPS, *(k << 17 for k in range(1, (top >> 17) + 1))]
    return (*(step for step in steps if step < top), top)


def _best_layers(info: ModelInfo, settings: LoadSettings, memory: MemoryNow) -> int:
    return best_n_gpu_layers(
        info, settings, memory.host_free_bytes, memory.device_free, memory.gpu_reserve_bytes, memory.shared_free
    )


def _judge(info: ModelInfo, settings: LoadSettings, memory: MemoryNow) -> Verdict:
    plan = estimate(info, settings, memory.device_free)
    left = free_after(plan, memory.host_free_bytes, memory.device_free, memory.shared_free)
    places = []
    for cost in (plan.host, *plan.devices):
        left_bytes = left[cost.device]
        is_idle = cost is not plan.host and not cost.total_bytes
        fit = "fits" if is_idle else _fit(left_bytes, memory.reserve(cost.device))
        places.append(Place(cost=cost, left_bytes=left_bytes, fit=fit))
    return Verdict(plan=plan, places=tuple(places))


def _fit(left_bytes: int, reserve_bytes: int) -> Fit:
    return "no" if left_bytes < 0 else "tight" if left_bytes < reserve_bytes else "fits"


def _smaller_contexts(n_ctx: int) -> Iterator[int]:
    yield n_ctx
    yield from (step for step in reversed(context_steps(n_ctx)) if step < n_ctx)


def _carve_out_free(devices: Sequence[Device], gpus: Sequence[GpuSample]) -> int:
    """Dedicated memory that is free, when there is no doubt which sample belongs to the device."""
    found = [gpu for gpu in gpus if gpu.kind == "igpu"]
    if len(found) != 1 or sum(device.kind == "igpu" for device in devices) != 1:
        return 0
    return max(0, (found[0].dedicated_total_bytes or 0) - (found[0].dedicated_used_bytes or 0))
