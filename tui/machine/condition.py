"""What of a machine decides whether a speed measured on it can be trusted: governor, clocks, throttling, temperature,
swap, battery, and what other programs take. Facts only; `tui.measure.condition` judges them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from tui.machine.files import read_int, read_scaled, read_text
from tui.machine.host import Portable, Source
from tui.machine.procfs import Linux

LEAST_S = 0.3
"""The kernel counts CPU time in ticks of up to 10 ms: over less than this, parts of it are chance."""
MOST_CPUS = 64
"""Of a machine with more, so many are looked at, spread evenly: a reading must not cost milliseconds."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What changes while a machine computes; cheap to read. Two of them tell what happened between."""

    time_s: float
    """Of a clock that never goes back."""
    cpu_busy: float | None = None
    cpu_total: float | None = None
    """CPU time of all programs and all CPUs, in one unit."""
    own_cpu: dict[int, tuple[float, float]] = {}
    """This process and the engine, by id: when it was started, and its CPU time in that unit."""
    swap_used_bytes: int | None = None
    temperature_c: float | None = None
    """Of the CPU package."""
    throttle_count: int | None = None
    """How often CPUs had to slow down for their temperature since the machine was started: Intel's tell."""
    clocks_mhz: tuple[float, ...] = ()
    """Of each CPU that is looked at."""

    def fastest_clock_mhz(self, part: float) -> float | None:
        """Mean clock of the fastest `part` (0 to 1) of the CPUs: idle ones may show any clock."""
        if not self.clocks_mhz:
            return None
        count = min(len(self.clocks_mhz), max(1, round(part * len(self.clocks_mhz))))
        return sum(sorted(self.clocks_mhz)[-count:]) / count


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """A machine before something is measured on it."""

    n_cpus: int
    """Logical ones."""
    governors: tuple[str, ...] = ()
    """Each that some CPU has, once; empty where the system lets nobody choose, as in most virtual machines."""
    clock_mhz: float | None = None
    """Mean over the CPUs."""
    fastest_clock_mhz: float | None = None
    max_clock_mhz: float | None = None
    """What the fastest CPU can reach."""
    limit_clock_mhz: float | None = None
    """What it is allowed to reach."""
    temperature_c: float | None = None
    swap_used_bytes: int | None = None
    on_battery: bool | None = None
    """None for a machine that tells of no power supply."""
    others_percent: float | None = None
    """CPU time, of all CPUs together, that neither this process nor the engine took: 0 to 100."""
    load: float | None = None
    """Programs that computed or waited for a disk, averaged over the last minute."""


def others_percent(before: Moment, after: Moment) -> float | None:
    """Of all CPU time between two moments, 0 to 100, what neither this process nor the engine took; in a virtual
    machine that includes what other ones took from it. None when too little time has passed."""
    whole, own = _elapsed(before, after), _own(before, after)
    if whole is None or own is None or before.cpu_busy is None or after.cpu_busy is None:
        return None
    return _percent(after.cpu_busy - before.cpu_busy - own, whole)


def own_percent(before: Moment, after: Moment) -> float | None:
    """The same of this process and the engine together."""
    whole, own = _elapsed(before, after), _own(before, after)
    return None if whole is None or own is None else _percent(own, whole)


def _elapsed(before: Moment, after: Moment) -> float | None:
    if before.cpu_total is None or after.cpu_total is None or after.time_s - before.time_s < LEAST_S:
        return None
    whole = after.cpu_total - before.cpu_total
    return whole if whole > 0 else None


def _own(before: Moment, after: Moment) -> float | None:
    """None when one of them ended meanwhile: what it took until then is known to nobody."""
    own = 0.0
    for pid, (started, cpu) in before.own_cpu.items():
        now = after.own_cpu.get(pid)
        if now is None or now[0] != started:
            return None
        own -= cpu
    return own + sum(cpu for _, cpu in after.own_cpu.values())


def _percent(part: float, whole: float) -> float:
    return min(100.0, max(0.0, 100 * part / whole))


class ConditionReader:
    """Reads below `root`, which tests set to a folder that holds proc/ and sys/. Made for one thread at a time."""

    def __init__(self, root: Path = Path("/"), source: Source | None = None) -> None:
        self._proc, self._sys = str(root / "proc"), str(root / "sys")
        self._source: Source = source or (Linux(root) if (root / "proc/meminfo").exists() else Portable())
        numbered = (root / "sys/devices/system/cpu").glob("cpu[0-9]*")
        cpus = sorted(numbered, key=lambda folder: int(folder.name[3:]) if folder.name[3:].isdigit() else 0)
        self._n_cpus = len(cpus) or os.cpu_count() or 1
        self._cpus = tuple(str(cpu) for cpu in cpus[:: -(-len(cpus) // MOST_CPUS) or 1])
        names = ("core_throttle_count", "package_throttle_count")
        throttles = (f"{cpu}/thermal_throttle/{name}" for cpu in self._cpus for name in names)
        self._throttles = tuple(file for file in throttles if Path(file).exists())
        clocks = (f"{cpu}/cpufreq/scaling_cur_freq" for cpu in self._cpus)
        self._clocks = tuple(file for file in clocks if Path(file).exists())

    def moment(self, engine_pid: int | None) -> Moment:
        """What can be read in about a millisecond."""
        # The clocks first: they are those of a computation for a few milliseconds after it only.
        clocks = tuple(clock for file in self._clocks if (clock := read_scaled(file, 1000)) is not None)
        machine = self._source.machine()
        own = {}
        for pid in (os.getpid(), engine_pid):
            process = None if pid is None else self._source.process(pid)
            if pid is not None and process is not None:
                own[pid] = (process.started, process.cpu)
        throttles = [count for file in self._throttles if (count := read_int(file)) is not None]
        return Moment(
            time_s=time.monotonic(),
            cpu_busy=machine.cpu_busy,
            cpu_total=machine.cpu_total,
            own_cpu=own,
            swap_used_bytes=machine.swap_used_bytes,
            temperature_c=machine.temperature_c,
            throttle_count=sum(throttles) if throttles else None,
            clocks_mhz=clocks,
        )

    def condition(self, before: Moment, engine_pid: int | None) -> Condition:
        """Everything now; what other programs take is since `before`. The battery of a laptop may answer late: not for
        the UI's thread."""
        now = self.moment(engine_pid)
        clocks = now.clocks_mhz or self._cpuinfo_clocks()
        governors = (read_text(f"{cpu}/cpufreq/scaling_governor") for cpu in self._cpus)
        return Condition(
            n_cpus=self._n_cpus,
            governors=tuple(dict.fromkeys(governor.strip() for governor in governors if governor)),
            clock_mhz=sum(clocks) / len(clocks) if clocks else None,
            fastest_clock_mhz=max(clocks, default=None),
            max_clock_mhz=self._highest("cpuinfo_max_freq"),
            limit_clock_mhz=self._highest("scaling_max_freq"),
            temperature_c=now.temperature_c,
            swap_used_bytes=now.swap_used_bytes,
            on_battery=self._on_battery(),
            others_percent=others_percent(before, now),
            load=self._load(),
        )

    def _highest(self, name: str) -> float | None:
        clocks = (read_scaled(f"{cpu}/cpufreq/{name}", 1000) for cpu in self._cpus)
        return max((clock for clock in clocks if clock is not None), default=None)

    def _cpuinfo_clocks(self) -> tuple[float, ...]:
        """What x86 kernels without a frequency driver tell, as in virtual machines."""
        clocks = []
        for line in (read_text(f"{self._proc}/cpuinfo") or "").splitlines():
            name, _, value = line.partition(":")
            try:
                if name.strip() == "cpu MHz":
                    clocks.append(float(value))
            except ValueError:
                continue
        return tuple(clocks)

    def _on_battery(self) -> bool | None:
        """Whether a battery of the machine's own, not of a mouse, is being emptied."""
        supplies = [str(folder) for folder in sorted(Path(self._sys, "class/power_supply").glob("*"))]
        batteries = []
        for folder in supplies:
            kind, scope = (read_text(f"{folder}/{name}") or "" for name in ("type", "scope"))
            if kind.strip() == "Battery" and scope.strip() != "Device":
                batteries.append((read_text(f"{folder}/status") or "").strip())
        return "Discharging" in batteries if supplies else None

    def _load(self) -> float | None:
        fields = (read_text(f"{self._proc}/loadavg") or "").split()
        try:
            return float(fields[0])
        except (IndexError, ValueError):
            return None
