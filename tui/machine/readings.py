"""What the monitors read: immutable samples taken at one moment. A reading that a machine does not give is None."""

from __future__ import annotations

from typing import Literal

import msgspec

from tui.machine.figures import MEMORY_PRESSURE

GpuSource = Literal["nvml", "amdgpu", "i915", "xe", "llama.cpp"]
GpuKind = Literal["gpu", "igpu"]
ThrottleReason = Literal["heat", "power", "current", "hardware"]
"""What a driver says it holds the clock of a GPU down for: temperature, a limit of power or of current, or a signal
from elsewhere in the machine, such as the power supply or the firmware."""


class HostSample(msgspec.Struct, frozen=True, kw_only=True):
    """The machine and the engine process at one moment."""

    time: float
    """Unix time in seconds."""
    cpu_percent: float | None = None
    """Of all cores together, 0 to 100, since the read before; None for the first one."""
    core_percents: tuple[float, ...] = ()
    """The same of each logical CPU, in the kernel's order; empty for the first read, and where nothing tells."""
    engine_cpu_percent: float | None = None
    """The engine's part of `cpu_percent`, on the same scale: 100 would be all cores."""
    ram_total_bytes: int | None = None
    """What this process may use: the machine's memory, or the limit of its control group if that is less."""
    ram_available_bytes: int | None = None
    """What can be allocated without swapping, page cache included."""
    engine_rss_bytes: int | None = None
    """Resident memory of the engine: `engine_private_bytes` and `engine_shared_bytes` together."""
    engine_private_bytes: int | None = None
    """Anonymous: KV cache, compute buffers, repacked weights."""
    engine_shared_bytes: int | None = None
    """Backed by files or shared: the mapped part of the model file, mostly; the system can drop it."""
    engine_pss_bytes: int | None = None
    """As `engine_rss_bytes`, pages of several processes divided among them; read every few seconds if asked for."""
    engine_uss_bytes: int | None = None
    """Pages that no other process uses; read every few seconds if asked for."""
    swap_total_bytes: int | None = None
    swap_used_bytes: int | None = None
    swap_delta_bytes: int | None = None
    """Growth of `swap_used_bytes` since the read before, negative when it shrank; None for the first one."""
    cpu_temperature_c: float | None = None
    cpu_power_w: float | None = None
    """Of the CPU packages, integrated GPU included, since the read before; None where only root may know."""
    figures: dict[str, float] = {}
    """Those of `tui.machine.figures.FIGURES` that are known, by name."""

    @property
    def memory_pressure_percent(self) -> float | None:
        """How much of the time programs wait for memory; see `tui.machine.figures.memory_pressure`."""
        return self.figures.get(MEMORY_PRESSURE)

    @property
    def ram_used_bytes(self) -> int | None:
        """What is not available."""
        if self.ram_total_bytes is None or self.ram_available_bytes is None:
            return None
        return self.ram_total_bytes - self.ram_available_bytes


class NpuSample(msgspec.Struct, frozen=True, kw_only=True):
    """An NPU or another accelerator. It has no figures: what does not compute for us is not measured."""

    name: str
    """ "AMD XDNA 2 NPU (Strix Halo)"."""
    is_usable: bool
    """This llama.cpp can compute on it."""


class GpuSample(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU at one moment."""

    name: str
    kind: GpuKind
    """"igpu" shares the machine's RAM: its dedicated memory is a carve-out of it."""
    source: GpuSource
    id: str = ""
    """PCI address such as "0000:c4:00.0"; llama.cpp's device name for source "llama.cpp"."""
    dedicated_used_bytes: int | None = None
    dedicated_total_bytes: int | None = None
    shared_used_bytes: int | None = None
    """RAM that the GPU reaches through its page table (GTT)."""
    shared_total_bytes: int | None = None
    busy_percent: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    """Of the whole chip, CPU cores included, for an "igpu"."""
    clock_mhz: float | None = None
    throttled_by: tuple[ThrottleReason, ...] | None = None
    """Why it is slower than it could be, now; empty when it is not, None where the driver does not tell."""
