"""NVIDIA GPUs through NVML. Its library is loaded only on machines that have it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, TypeVar

from tui.machine.readings import GpuSample, ThrottleReason

T = TypeVar("T")
_REASONS: tuple[tuple[int, ThrottleReason], ...] = (
    (0x20 | 0x40, "heat"),
    (0x04 | 0x80, "power"),
    (0x08, "hardware"),
)
"""Bits of nvmlDeviceGetCurrentClocksThrottleReasons, by nvml.h: thermal slowdown by software and by hardware, the power
cap and the power brake; 0x08, hardware slowdown, comes with one of its more precise reasons on newer GPUs. Being idle
and clocks that somebody asked for are no throttling."""


class Nvml:
    """The GPUs that `library` lists: the module `pynvml`, initialised here, or an object with its functions."""

    def __init__(self, library: Any) -> None:
        self._library = library
        library.nvmlInit()

    def read(self) -> tuple[GpuSample, ...]:
        """A sample of each GPU; one that fell off the bus is left out."""
        return tuple(self._sample(handle) for handle in self._handles())

    def counters(self) -> list[tuple[str, float | None, float | None]]:
        """Each GPU's PCI address, the joules that it has taken and the seconds that heat has slowed it down for, both
        since its driver was loaded; None for what one does not count. Joules are counted since Volta."""
        nvml = self._library
        found = []
        for handle in self._handles():
            millijoules = self._ask(nvml.nvmlDeviceGetTotalEnergyConsumption, handle)
            slowed = self._ask(nvml.nvmlDeviceGetViolationStatus, handle, nvml.NVML_PERF_POLICY_THERMAL)
            taken_j = None if millijoules is None else millijoules / 1000
            found.append((self._address(handle), taken_j, None if slowed is None else slowed.violationTime / 1e9))
        return found

    def close(self) -> None:
        """Let go of the driver."""
        self._ask(self._library.nvmlShutdown)

    def _handles(self) -> list[Any]:
        nvml = self._library
        count = self._ask(nvml.nvmlDeviceGetCount) or 0
        handles = [self._ask(nvml.nvmlDeviceGetHandleByIndex, index) for index in range(count)]
        return [handle for handle in handles if handle is not None]

    def _address(self, handle: Any) -> str:
        pci = self._ask(self._library.nvmlDeviceGetPciInfo, handle)
        return "" if pci is None else _pci_address(_string(pci.busId))

    def _sample(self, handle: Any) -> GpuSample:
        nvml = self._library
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo, handle)
        use = self._ask(nvml.nvmlDeviceGetUtilizationRates, handle)
        milliwatts = self._ask(nvml.nvmlDeviceGetPowerUsage, handle)
        return GpuSample(
            name=_string(self._ask(nvml.nvmlDeviceGetName, handle)) or "NVIDIA GPU",
            kind="gpu",
            source="nvml",
            id=self._address(handle),
            dedicated_used_bytes=memory.used if memory is not None else None,
            dedicated_total_bytes=memory.total if memory is not None else None,
            busy_percent=use.gpu if use is not None else None,
            temperature_c=self._ask(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
            power_w=milliwatts / 1000 if milliwatts is not None else None,
            clock_mhz=self._ask(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_GRAPHICS),
            throttled_by=_reasons(self._ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)),
        )

    def _ask(self, function: Callable[..., T], *arguments: Any) -> T | None:
        """None for what this GPU does not report."""
        try:
            return function(*arguments)
        except self._library.NVMLError:
            return None


def load_nvml() -> Nvml | None:
    """NVML when its library is here and its driver answers. Takes some 10 ms to seconds: not for the UI thread."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    import pynvml

    try:
        return Nvml(pynvml)
    except pynvml.NVMLError:
        return None


def _reasons(bits: int | None) -> tuple[ThrottleReason, ...] | None:
    if bits is None:
        return None
    found = tuple(reason for mask, reason in _REASONS if bits & mask)
    return found if len(found) < 2 else tuple(reason for reason in found if reason != "hardware")


def _string(text: str | bytes | None) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text or ""


def _pci_address(bus_id: str) -> str:
    """NVML's "00000000:C4:00.0" as Linux writes it: "0000:c4:00.0"."""
    domain, _, rest = bus_id.lower().partition(":")
    return f"{domain[-4:]}:{rest}"
