"""How fast the memories of this machine can be read, kept in a file once it was measured: a forecast can be made from
it before the first benchmark. Measures nothing: `measure_bandwidth.py` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from tui.measure.machine import Machine
from tui.measure.machine_file import MachineFile
from tui.planning.placement import HOST
from tui.protocol.messages import Hello
from tui.protocol.records import Device

_AGREE = 0.1
"""Two measurements agree when they are no further apart than this part of the faster one."""
ENOUGH = 3
"""So many times a memory is measured, where no two of them agree."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """Of one memory."""

    device: str
    """llama.cpp's name; "CPU" for the host."""
    description: str = ""
    """Of the device; another graphics card may get the same name. Empty for the host, which the machine says."""
    engine: str = ""
    """llama.cpp with its build, by which a device copies. Empty for the host, which is read without it."""
    bytes_per_s: float
    """The best: what disturbs makes it less, and nothing makes it more. 0 where it could not be measured."""
    n_measured: int
    is_sure: bool = False
    """Two measurements agreed, or there were enough."""


_IsKnown = Callable[[Figure], bool]


class KeptBandwidth:
    """The figures in a file. Blocking; for a thread. What cannot be read, and what is of another machine, is as if it
    was never measured; what cannot be written is for the log."""

    def __init__(self, file: Path, machine: Machine | None = None) -> None:
        """`machine` is the one that this runs on, unless a test says otherwise."""
        self._file = MachineFile(file, tuple[Figure, ...], machine)

    def known(self) -> dict[str, float]:
        """Bytes per second by device, of those that could be measured."""
        return {one.device: one.bytes_per_s for one in self._load() if one.bytes_per_s}

    def missing(self, hello: Hello) -> tuple[str, ...]:
        """Devices of this engine that were never measured, the host first."""
        return self._without(hello, lambda _: True)

    def unsure(self, hello: Hello) -> tuple[str, ...]:
        """Devices of which another measurement would tell more, the missing ones too."""
        return self._without(hello, lambda figure: figure.is_sure)

    def add(self, hello: Hello, asked: Sequence[str], measured: Mapping[str, float]) -> None:
        """Keep what came of asking for these devices; 0 where nothing came."""
        figures = {one.device: one for one in self._load()}
        for device in _memories(hello):
            if device.name in asked:
                before, now = figures.get(device.name), _figure(device, hello, measured.get(device.name, 0.0))
                is_of_it = before is not None and _is_of(before, now)
                figures[device.name] = _better(before, now) if before is not None and is_of_it else now
        self._file.save(tuple(figures.values()))

    def _without(self, hello: Hello, is_known: _IsKnown) -> tuple[str, ...]:
        figures = {one.device: one for one in self._load()}
        found = []
        for device in _memories(hello):
            figure = figures.get(device.name)
            if figure is None or not _is_of(figure, _figure(device, hello, 0.0)) or not is_known(figure):
                found.append(device.name)
        return tuple(found)

    def _load(self) -> tuple[Figure, ...]:
        return self._file.load() or ()


def _memories(hello: Hello) -> list[Device]:
    """The host and what has memory of its own, or a queue of its own to the host's."""
    host = next((one for one in hello.devices if one.name == HOST), None)
    devices = [one for one in hello.devices if one.kind in ("gpu", "igpu", "accel", "software")]
    return [host or Device(name=HOST, description="", kind="cpu", total_bytes=0, free_bytes=0), *devices]


def _figure(device: Device, hello: Hello, bytes_per_s: float) -> Figure:
    is_host = device.name == HOST
    return Figure(
        device=device.name,
        description="" if is_host else device.description,
        engine="" if is_host else f"{hello.llama_cpp} {hello.build_commit}",
        bytes_per_s=bytes_per_s,
        n_measured=1,
    )


def _is_of(one: Figure, other: Figure) -> bool:
    return (one.description, one.engine) == (other.description, other.engine)


def _better(before: Figure, now: Figure) -> Figure:
    best, n = max(before.bytes_per_s, now.bytes_per_s), before.n_measured + 1
    agree = best > 0 and min(before.bytes_per_s, now.bytes_per_s) >= (1 - _AGREE) * best
    return msgspec.structs.replace(now, bytes_per_s=best, n_measured=n, is_sure=agree or n >= ENOUGH)
