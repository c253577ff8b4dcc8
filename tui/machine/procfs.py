"""The machine and one process as Linux's /proc, /sys and control groups tell it: plain readings, nothing compared."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from tui.machine.cgroups import groups_of
from tui.machine.figures import Figure, Places
from tui.machine.files import OpenFile, key_values, read_int, read_scaled, read_text

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MEMORY = ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree")
_CPU_ZONES = (
    "cpu-thermal", "CPU-therm", "package-thermal", "soc-thermal", "bigcore0-thermal", "cpu0-thermal", "cpuss0-thermal",
)  # fmt: skip
"""Thermal zones on chips of Arm's architecture, the one that says most about the whole CPU first."""
_CPU_SENSORS = ("k10temp", "coretemp", "zenpower", "apm_xgene", *(zone.replace("-", "_") for zone in _CPU_ZONES))
"""Drivers, and what a zone is called where it stands among them."""


class MachineCounters(msgspec.Struct, frozen=True, kw_only=True):
    """Counters and levels of the whole machine. CPU time is in one unit of the source's choice."""

    cpu_busy: float | None = None
    cpu_total: float | None = None
    cores: tuple[tuple[float, float], ...] = ()
    """Busy and total time of each logical CPU."""
    ram_total_bytes: int | None = None
    ram_available_bytes: int | None = None
    swap_total_bytes: int | None = None
    swap_used_bytes: int | None = None
    temperature_c: float | None = None


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """Counters and levels of one process. CPU time is in the unit of `MachineCounters`."""

    started: float
    """Tells a process from a later one of the same id."""
    cpu: float
    rss_bytes: int
    shared_bytes: int | None = None


class Proportions(msgspec.Struct, frozen=True, kw_only=True):
    """How the resident memory of a process divides."""

    pss_bytes: int | None = None
    uss_bytes: int | None = None


STARTED = 22 - 3
"""The field of `stat_fields` with the time of a process's start, in clock ticks since the system started."""


def stat_fields(stat: str) -> list[str]:
    """What stands in /proc/<pid>/stat, as numbered in proc(5), from 3 on. ValueError where it is cut short."""
    # The name, in parentheses, may itself hold spaces and parentheses.
    return stat[stat.rindex(")") + 2 :].split()


class Linux:
    """Reads below `root`, which tests set to a folder that holds proc/ and sys/."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._proc = str(root / "proc")
        self._stat, self._meminfo = (OpenFile(f"{self._proc}/{name}") for name in ("stat", "meminfo"))
        self._process: tuple[int, OpenFile, OpenFile] | None = None
        self._sys = str(root / "sys")
        self._limits = tuple(_limiting_groups(root))
        self._cpu_sensor = _cpu_sensor(root)
        groups = tuple(group.folder for group in self._limits)
        self._places = Places(proc=self._proc, sys=self._sys, memory_groups=groups)

    def machine(self) -> MachineCounters:
        busy, total, cores = self._cpu()
        memory = _memory(self._meminfo)
        ram_total, ram_available = memory.get("MemTotal"), memory.get("MemAvailable")
        for group in self._limits:
            ram_total, ram_available = group.cap(ram_total, ram_available)
        swap_total, swap_free = memory.get("SwapTotal"), memory.get("SwapFree")
        return MachineCounters(
            cpu_busy=busy,
            cpu_total=total,
            cores=cores,
            ram_total_bytes=ram_total,
            ram_available_bytes=ram_available,
            swap_total_bytes=swap_total,
            swap_used_bytes=None if swap_total is None or swap_free is None else swap_total - swap_free,
            temperature_c=None if self._cpu_sensor is None else read_scaled(self._cpu_sensor, 1000),
        )

    def process(self, pid: int) -> Process | None:
        """None for a process that is gone, a zombie included."""
        if self._process is None or self._process[0] != pid:
            stat_file, statm_file = (OpenFile(f"{self._proc}/{pid}/{name}") for name in ("stat", "statm"))
            self._process = pid, stat_file, statm_file
        _, stat_file, statm_file = self._process
        stat, statm = stat_file.read(), statm_file.read()
        if not stat or not statm:
            return None
        try:
            fields = stat_fields(stat)
            pages = [int(field) for field in statm.split()]
            if fields[0] in ("Z", "X"):
                return None
            return Process(
                started=float(fields[STARTED]),
                cpu=float(fields[14 - 3]) + float(fields[15 - 3]),
                rss_bytes=pages[1] * _PAGE_BYTES,
                shared_bytes=pages[2] * _PAGE_BYTES,
            )
        except (ValueError, IndexError):
            return None

    def proportions(self, pid: int) -> Proportions | None:
        """Walks every page table entry of the process: too dear for every read."""
        rollup = read_text(f"{self._proc}/{pid}/smaps_rollup")
        if not rollup:
            return None
        values = key_values(rollup, ":")
        private = [_kib(values.get(name)) for name in ("Private_Clean", "Private_Dirty")]
        known = [size for size in private if size is not None]
        return Proportions(pss_bytes=_kib(values.get("Pss")), uss_bytes=sum(known) if known else None)

    def figure(self, figure: Figure, pid: int | None) -> float | None:
        """What the figure's reader gives, with this engine."""
        if figure.of_engine and pid is None:
            return None
        return figure.read(msgspec.structs.replace(self._places, engine=f"{self._proc}/{pid}"))

    def _cpu(self) -> tuple[float | None, float | None, tuple[tuple[float, float], ...]]:
        """Busy and total time of all CPUs together, and of each."""
        stat = self._stat.read()
        if not stat or not stat.startswith("cpu "):
            return None, None, ()
        # One line for all CPUs and one for each come before anything else. A last one may be cut off by a huge file.
        lines = stat[: stat.find("\nintr")].splitlines()
        busy, total = _busy_and_total(lines[0])
        return busy, total, tuple(_busy_and_total(line) for line in lines[1:] if line.startswith("cpu"))


class _Group:
    """A control group that limits memory, of version 1 or 2."""

    def __init__(self, folder: Path, *, is_v2: bool) -> None:
        names = ("memory.max", "memory.current") if is_v2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        self._limit, self._usage = (str(folder / name) for name in names)
        self._stat = str(folder / "memory.stat")
        self.folder = str(folder)
        prefix = "" if is_v2 else "total_"
        self._cache = (f"{prefix}active_file", f"{prefix}inactive_file")

    def limit_bytes(self) -> int | None:
        """None without a limit ("max" in version 2)."""
        return read_int(self._limit)

    def cap(self, total: int | None, available: int | None) -> tuple[int | None, int | None]:
        """Total and available memory, no more than this group allows. Its page cache counts as available."""
        limit, usage = self.limit_bytes(), read_int(self._usage)
        if limit is None or (total is not None and limit >= total):
            return total, available
        stat = key_values(read_text(self._stat) or "")
        cache = sum(int(stat[name]) for name in self._cache if stat.get(name, "").isdigit())
        left = None if usage is None else max(0, limit - max(0, usage - cache))
        if left is None or available is None:
            return limit, available if left is None else left
        return limit, min(available, left)


def _limiting_groups(root: Path) -> list[_Group]:
    """The groups of this process, from its own to the outermost, that limit memory below what the machine has."""
    ram_total = _memory(OpenFile(str(root / "proc/meminfo"))).get("MemTotal")
    groups = [_Group(group.folder, is_v2=group.is_v2) for group in groups_of("memory", root)]
    limits = [(group, group.limit_bytes()) for group in groups]
    return [group for group, limit in limits if limit is not None and (ram_total is None or limit < ram_total)]


def _cpu_sensor(root: Path) -> str | None:
    """The file with the CPU package's temperature in millidegrees."""
    sensors = _by_name(root / "sys/class/hwmon", "hwmon*", "name", "temp1_input")
    zones = _by_name(root / "sys/class/thermal", "thermal_zone*", "type", "temp")
    found = (*map(sensors.get, _CPU_SENSORS), *map(zones.get, ("x86_pkg_temp", *_CPU_ZONES)))
    return next(filter(None, found), None)


def _by_name(folder: Path, pattern: str, name: str, value: str) -> dict[str, str]:
    """Files called `value`, by what the file `name` beside each says; the first of several."""
    named = ((read_text(str(entry / name)), entry / value) for entry in sorted(folder.glob(pattern), reverse=True))
    return {text.strip(): str(file) for text, file in named if text and file.exists()}


def _busy_and_total(line: str) -> tuple[float, float]:
    # user nice system idle iowait irq softirq steal; guest time, which follows, is part of user.
    times = list(map(float, line.split(None, 9)[1:9]))
    total = sum(times)
    return total - sum(times[3:5]), total


def _memory(meminfo: OpenFile) -> dict[str, int]:
    """Bytes by name, of what is wanted of the file: to take all of it apart takes ten times as long."""
    text, found = meminfo.read() or "", {}
    for name in _MEMORY:
        at = text.find(f"{name}:")
        if at >= 0 and (size := _kib(text[at + len(name) + 1 : at + len(name) + 32])) is not None:
            found[name] = size
    return found


def _kib(field: str | None) -> int | None:
    """Bytes of a field such as "1024 kB"."""
    number = (field or "").split()
    return int(number[0]) * 1024 if number and number[0].isdigit() else None
