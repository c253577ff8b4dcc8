"""Energy that CPU packages and GPUs take, from counters that only grow: `joules` tells what was taken between two
readings of them, `gpu_was_slowed` whether a GPU got too hot. A counter that cannot be read is None, never an
exception."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tui.machine.drm import DrmCard, find_cards
from tui.machine.files import read_scaled, read_text
from tui.machine.nvml import Nvml, load_nvml

MOST_W = 400.0
"""No CPU package takes more over minutes. Says for how long a counter that starts again at 65 kJ can be trusted."""
LEAST_S = 0.02
"""RAPL renews its counters about every millisecond: over less than this, when it did matters."""
GPU_LEAST_S = 0.2
"""The same for GPUs: an H100 renews its counter every 100 ms (measured)."""
SLOWED_PART = 0.01
"""A GPU that is slowed down for less of the time than this changes no figure."""


class EnergyCounter(msgspec.Struct, frozen=True, kw_only=True):
    """One counter."""

    name: str
    """"package-0", or a GPU's PCI address."""
    joules: float | None
    """None where the system refuses or the device does not count."""
    range_j: float | None = None
    """What it starts again at; None for a counter that does not."""
    slowed_s: float | None = None
    """For how long heat has slowed a GPU down, all in all; None for one that does not tell."""


class EnergyReading(msgspec.Struct, frozen=True, kw_only=True):
    """All counters at one moment."""

    time_s: float
    """Of a clock that never goes back."""
    cpu: tuple[EnergyCounter, ...] = ()
    """One for each CPU package, its integrated GPU included; empty where the platform has none. Memory modules are
    not counted: few machines tell theirs."""
    gpu: tuple[EnergyCounter, ...] | None = None
    """One for each GPU with memory of its own, whether it counts or not; None when nobody asked for them."""

    @property
    def counts_cpu(self) -> bool:
        return bool(self.cpu) and all(count.joules is not None for count in self.cpu)

    @property
    def counts_gpu(self) -> bool:
        return bool(self.gpu) and all(count.joules is not None for count in self.gpu or ())


def joules(before: EnergyReading, after: EnergyReading) -> float | None:
    """What was taken between two readings by everything that counts: CPU packages, and the GPUs if both readings have
    them. None where nothing counts, where a GPU does not (the rest would pass for the whole), or when the
    time between was too short, or so long that a counter may have started again twice. Packages that only root may read
    are left out beside GPUs that count."""
    elapsed_s = after.time_s - before.time_s
    parts: list[tuple[EnergyCounter, EnergyCounter]] = []
    if before.counts_cpu:
        parts += zip(before.cpu, after.cpu, strict=False)
    if before.gpu is not None and after.gpu is not None:
        if not before.gpu or len(before.gpu) != len(after.gpu):
            return None
        parts += zip(before.gpu, after.gpu, strict=True)
    if not parts or elapsed_s < (LEAST_S if before.gpu is None else GPU_LEAST_S):
        return None
    total = 0.0
    for old, new in parts:
        growth = _growth(old, new, elapsed_s)
        if growth is None:
            return None
        total += growth
    return total


def gpu_was_slowed(before: EnergyReading, after: EnergyReading) -> bool:
    """Whether heat slowed a GPU down for more than a moment between two readings."""
    most_s = SLOWED_PART * (after.time_s - before.time_s)
    return any(
        old.name == new.name
        and old.slowed_s is not None
        and new.slowed_s is not None
        and new.slowed_s - old.slowed_s > most_s
        for old, new in zip(before.gpu or (), after.gpu or (), strict=False)
    )


def _growth(before: EnergyCounter, after: EnergyCounter, elapsed_s: float) -> float | None:
    if before.joules is None or after.joules is None or before.name != after.name:
        return None
    growth = after.joules - before.joules
    if after.range_j is None:
        return growth if growth >= 0 else None
    return None if elapsed_s * MOST_W > after.range_j else growth % after.range_j


class EnergyMeter:
    """Reads the counters: CPU packages take microseconds, an NVIDIA GPU 4 ms (H100, measured). Made for one thread.
    GPUs are looked for, and NVML is loaded, when they are first asked for: that can take a second."""

    def __init__(self, sysfs: Path = Path("/sys"), *, load_nvml: Callable[[], Nvml | None] = load_nvml) -> None:
        self._sysfs = sysfs
        self._load_nvml = load_nvml
        self._packages = _packages(sysfs)
        self._nvml: Nvml | None = None
        self._cards: tuple[DrmCard, ...] | None = None

    def read(self, *, gpus: bool = False) -> EnergyReading:
        """The counters now; those of all GPUs with memory of their own too if `gpus`, as some of them compute."""
        counts = self._gpu_counts() if gpus else None
        packages = tuple(
            EnergyCounter(name=package.name, joules=read_scaled(package.file, 1e6), range_j=package.range_j)
            for package in self._packages
        )
        return EnergyReading(time_s=time.monotonic(), cpu=packages, gpu=counts)

    def close(self) -> None:
        """Let go of NVML; the next `read` of GPUs would start anew."""
        if self._nvml is not None:
            self._nvml.close()
        self._nvml = self._cards = None

    def _gpu_counts(self) -> tuple[EnergyCounter, ...]:
        if self._cards is None:
            self._cards = tuple(card for card in find_cards(self._sysfs) if card.kind == "gpu")
            self._nvml = self._load_nvml()
        counted = self._nvml.counters() if self._nvml is not None else []
        counted += [(card.id, card.energy_j(), None) for card in self._cards]
        return tuple(EnergyCounter(name=name, joules=taken_j, slowed_s=slowed_s) for name, taken_j, slowed_s in counted)


class _Package(msgspec.Struct, frozen=True):
    name: str
    file: str
    range_j: float | None


def _packages(sysfs: Path) -> tuple[_Package, ...]:
    """The CPU packages of the kernel's power capping framework, which AMD's CPUs share with Intel's, name and all. What
    lies below a package is part of it, and "psys" of the whole machine; intel-rapl-mmio has the package once more."""
    found = []
    for folder in sorted((sysfs / "class/powercap").glob("intel-rapl:*")):
        name = (read_text(str(folder / "name")) or "").strip()
        if name.startswith("package"):
            range_j = read_scaled(str(folder / "max_energy_range_uj"), 1e6)
            found.append(_Package(name, str(folder / "energy_uj"), range_j))
    return tuple(found)
