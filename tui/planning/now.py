"""What memory there is for a model now: the host's, each device's own, and what a device may take of the host's. From a
reading of the machine, llama.cpp's list of devices and the drivers' figures; nothing is judged here."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tui.config.settings import MemorySettings
from tui.machine.readings import GpuSample, HostSample
from tui.planning.placement import HOST
from tui.planning.taken import given_back, taken
from tui.protocol.messages import Loaded
from tui.protocol.records import Device


class MemoryNow(msgspec.Struct, frozen=True, kw_only=True):
    """What a model may take, in bytes, once the one that is loaded now is gone."""

    host_free_bytes: int
    host_total_bytes: int
    device_free: dict[str, int] = {}
    """By llama.cpp's name of the device, the host left out: its own memory and what it may take of the host's."""
    shared_free: dict[str, int] = {}
    """How much of a device's `device_free` is really the host's memory, as with an integrated GPU."""
    own_total: dict[str, int] = {}
    """All of a device's own memory: a graphics card's, or the carve-out of an integrated GPU ("dedicated")."""
    shared_total: dict[str, int] = {}
    """The most that a device may take of the host's memory: GTT, as AMD's driver calls it."""
    shared_used: dict[str, int] = {}
    """What other programs have taken of `shared_total`."""
    reserve_bytes: int = 1 << 30
    """What should stay free on the host: with less, a load is tight."""
    gpu_reserve_bytes: int = 1 << 29
    """The same on each device with memory of its own only."""

    def reserve(self, place: str) -> int:
        """What should stay free there: `HOST` or a device's name. What an integrated GPU has free is, beyond its
        carve-out, the host's, and kept back there."""
        if place == HOST:
            return self.reserve_bytes
        return 0 if place in self.shared_free else self.gpu_reserve_bytes

    def own_free(self, device: str) -> int:
        """What is free of the device's own memory."""
        return max(0, self.device_free.get(device, 0) - self.shared_free.get(device, 0))

    def usable(self, device: str) -> int:
        """What a model may take on this device, if it took nothing on the host itself: for an integrated GPU
        carve-out free + min(GTT free, MemAvailable - reserve)."""
        if device not in self.shared_free:
            return max(0, self.device_free.get(device, 0) - self.gpu_reserve_bytes)
        of_host = min(self.shared_free[device], self.host_free_bytes - self.reserve_bytes)
        return self.own_free(device) + max(0, of_host)


def memory_now(
    host: HostSample,
    devices: Sequence[Device],
    reserves: MemorySettings,
    loaded: Loaded | None = None,
    gpus: Sequence[GpuSample] = (),
) -> MemoryNow:
    """What is free now, from a reading of the machine and llama.cpp's list of devices, as if `loaded` were gone.

    Weights that are mapped count as free already: the system can drop them. An integrated GPU's memory is the host's
    but for the carve-out, which only the driver's own figures (`gpus`) tell apart; without them all of it is the
    host's. llama.cpp's figure for such a GPU is not trusted beyond what the host has.
    """
    known = {device.name: device for device in devices if device.kind not in ("cpu", "accel")}
    back = {name: given_back(place) for name, place in taken(loaded, known).items()} if loaded else {}
    views = {name: _view(device, devices, gpus, back.pop(name, 0)) for name, device in known.items()}
    # What is left lay on the host, or on what computes in its memory.
    host_free = (host.ram_available_bytes or 0) + sum(back.values())
    host_free += sum(view.returned_bytes for view in views.values())
    shared_free = {
        name: min(view.shared_free_bytes, host_free)
        for name, view in views.items()
        if view.shared_free_bytes is not None
    }
    return MemoryNow(
        host_free_bytes=host_free,
        host_total_bytes=host.ram_total_bytes or 0,
        device_free={name: view.own_free_bytes + shared_free.get(name, 0) for name, view in views.items()},
        shared_free=shared_free,
        own_total={name: view.own_total_bytes for name, view in views.items()},
        shared_total={name: views[name].shared_total_bytes for name in shared_free},
        shared_used={
            name: views[name].shared_total_bytes - (views[name].shared_free_bytes or 0) for name in shared_free
        },
        reserve_bytes=reserves.reserve_bytes(host.ram_total_bytes or 0),
        gpu_reserve_bytes=reserves.gpu_reserve_bytes,
    )


class _View(msgspec.Struct, frozen=True, kw_only=True):
    """A device's memory as if the loaded model were gone."""

    own_total_bytes: int
    own_free_bytes: int
    shared_total_bytes: int = 0
    shared_free_bytes: int | None = None
    """None for a device that takes nothing of the host's memory."""
    returned_bytes: int = 0
    """What the loaded model gives back to the host."""


def _view(device: Device, devices: Sequence[Device], gpus: Sequence[GpuSample], taken: int) -> _View:
    total, free = device.total_bytes, min(max(device.free_bytes, 0), device.total_bytes)
    if device.kind == "gpu":
        return _View(own_total_bytes=total, own_free_bytes=min(free + taken, total))
    sample = _driver_sample(devices, gpus) if device.kind == "igpu" else None
    if sample is None or sample.dedicated_total_bytes is None or sample.shared_total_bytes is None:
        own_total = (sample.dedicated_total_bytes or 0) if sample else 0
        own_free = max(0, own_total - (sample.dedicated_used_bytes or 0)) if sample else 0
        shared_total = max(0, total - own_total)
        shared_free = max(0, min(free + taken - own_free, shared_total))
        return _View(
            own_total_bytes=own_total,
            own_free_bytes=own_free,
            shared_total_bytes=shared_total,
            shared_free_bytes=shared_free,
            returned_bytes=taken,
        )
    # The driver fills the carve-out first, so that is where the loaded model is, as far as it goes.
    own_used, shared_used = sample.dedicated_used_bytes or 0, sample.shared_used_bytes or 0
    of_own = min(taken, own_used)
    of_shared = min(taken - of_own, shared_used)
    return _View(
        own_total_bytes=sample.dedicated_total_bytes,
        own_free_bytes=max(0, sample.dedicated_total_bytes - own_used + of_own),
        shared_total_bytes=sample.shared_total_bytes,
        shared_free_bytes=max(0, sample.shared_total_bytes - shared_used + of_shared),
        returned_bytes=of_shared,
    )


def _driver_sample(devices: Sequence[Device], gpus: Sequence[GpuSample]) -> GpuSample | None:
    """What the driver says of the integrated GPU, when there is no doubt which one that is."""
    found = [gpu for gpu in gpus if gpu.kind == "igpu" and gpu.source != "llama.cpp"]
    if len(found) != 1 or sum(device.kind == "igpu" for device in devices) != 1:
        return None
    return found[0]
