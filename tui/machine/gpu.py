"""Live figures of the GPUs, from whichever source this machine has; llama.cpp's own report is the fallback."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from tui.machine.drm import AMDGPU_IDS, DrmCard, find_cards
from tui.machine.nvml import Nvml, load_nvml
from tui.machine.readings import GpuSample
from tui.protocol.records import Device

__all__ = ["GpuReader", "GpuSample", "from_devices"]


class GpuReader:
    """Reads all GPUs. Made for one thread, which should not be the UI's: the first `read` looks for GPUs and loads
    NVML, and a GPU that is busy may answer late."""

    def __init__(
        self,
        sysfs: Path = Path("/sys"),
        *,
        load_nvml: Callable[[], Nvml | None] = load_nvml,
        amdgpu_ids: Path = AMDGPU_IDS,
    ) -> None:
        self._sysfs = sysfs
        self._load_nvml = load_nvml
        self._amdgpu_ids = amdgpu_ids
        self._nvml: Nvml | None = None
        self._cards: tuple[DrmCard, ...] | None = None

    def read(self) -> tuple[GpuSample, ...]:
        """A sample of each GPU, NVIDIA's first; empty on a machine without one that can be read."""
        if self._cards is None:
            self._cards = find_cards(self._sysfs, self._amdgpu_ids)
            self._nvml = self._load_nvml()
        samples = self._nvml.read() if self._nvml is not None else ()
        return samples + tuple(card.read() for card in self._cards)

    def close(self) -> None:
        """Let go of NVML; the next `read` would start anew."""
        if self._nvml is not None:
            self._nvml.close()
        self._nvml = self._cards = None


def from_devices(devices: Iterable[Device]) -> tuple[GpuSample, ...]:
    """The GPUs among llama.cpp's devices, with their memory only. An integrated GPU's counts as shared.

    The free memory of an integrated GPU can exceed the total when llama.cpp's figure underflows: none is used then.
    """
    samples = []
    for device in devices:
        if device.kind not in ("gpu", "igpu"):
            continue
        total = device.total_bytes
        used = total - min(max(device.free_bytes, 0), total)
        is_integrated = device.kind == "igpu"
        samples.append(
            GpuSample(
                name=device.description or device.name,
                kind="igpu" if is_integrated else "gpu",
                source="llama.cpp",
                id=device.name,
                dedicated_used_bytes=None if is_integrated else used,
                dedicated_total_bytes=None if is_integrated else total,
                shared_used_bytes=used if is_integrated else None,
                shared_total_bytes=total if is_integrated else None,
            )
        )
    return tuple(samples)
