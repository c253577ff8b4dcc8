"""Figures of the machine and of the engine's process that are one number each: where it is read, what it is called, how
it is written, and where it is shown. A row of `FIGURES` is all that a new one takes: each `HostSample` carries it, the
sidebar and the monitor show it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from tui.base import format
from tui.machine.files import key_values, read_text
from tui.words import mark


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where Linux tells things."""

    proc: str
    """ "/proc", but for tests."""
    sys: str
    """ "/sys"."""
    engine: str = ""
    """Folder of the engine's process, "/proc/4711"; empty without one."""
    memory_groups: tuple[str, ...] = ()
    """Folders of the control groups that limit the memory of this process."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One number of the machine or of the engine."""

    name: str
    """Its key in `HostSample.figures`."""
    words: str
    """What it is called, marked for the catalogue."""
    panel: Literal["CPU", "RAM"]
    """Where it is shown."""
    read: Callable[[Places], float | None]
    """Called once a second; None where the machine does not tell. Never raises."""
    write: Callable[[float], str]
    """The number with its unit."""
    is_counter: bool = False
    """`read` gives what only ever grows, and the figure is how much it grew in a second."""
    of_engine: bool = False
    """There is none without an engine, and it begins again with another."""
    least: float = 0.0
    """From here on it is worth a row."""
    alarm: float = float("inf")
    """From here on it is in the colour of what is full."""


def disk_reads(places: Places) -> float | None:
    """Bytes that the engine has had read from disks, the pages of a mapped file included; what comes from the page
    cache is not counted."""
    text = key_values(read_text(f"{places.engine}/io") or "", ":").get("read_bytes", "")
    return int(text) if text.isdigit() else None


def memory_pressure(places: Places) -> float | None:
    """Time over the last 10 s in which some task waited for memory, 0 to 100 (Linux pressure stall information): of the
    machine, or of a control group that limits this process if that is more."""
    files = [f"{places.proc}/pressure/memory", *(f"{group}/memory.pressure" for group in places.memory_groups)]
    return max((percent for percent in map(_waiting_percent, files) if percent is not None), default=None)


def _waiting_percent(file: str) -> float | None:
    text = read_text(file)
    if not text or not text.startswith("some avg10="):
        return None
    try:
        return float(text[len("some avg10=") :].split(None, 1)[0])
    except ValueError:
        return None


def _percent(value: float) -> str:
    return f"{value:.0f}%"


def _per_second(n_bytes: float) -> str:
    return f"{format.size(n_bytes)}/s"


MEMORY_PRESSURE = "memory_pressure"

FIGURES = (
    Figure(
        name="engine_disk_reads",
        words=mark("disk reads"),
        panel="RAM",
        read=disk_reads,
        write=_per_second,
        is_counter=True,
        of_engine=True,
        least=1 << 20,  # an engine that reads less does not wait for the disk
    ),
    Figure(
        name=MEMORY_PRESSURE,
        words=mark("waiting for memory"),
        panel="RAM",
        read=memory_pressure,
        write=_percent,
        least=0.5,
        alarm=10.0,  # programs that wait so much are in their own way already
    ),
)
"""In the order in which they stand in their panels."""
