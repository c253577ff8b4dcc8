"""Live figures of the machine and the engine process: CPU, memory, swap. It compares each reading with the one before.

The readings come from `procfs` on Linux, from psutil elsewhere.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol, TypeVar

import psutil

from tui.machine.energy import EnergyMeter, EnergyReading, joules
from tui.machine.figures import FIGURES, Figure
from tui.machine.procfs import Linux, MachineCounters, Process, Proportions
from tui.machine.readings import HostSample

PROPORTIONS_S = 5.0
"""Least time between two readings of `engine_pss_bytes`."""
_MOST_OF_TIME = 0.001
"""The page walk behind it takes at most this part of the time, however large the engine grows."""


class Source(Protocol):
    """Where readings come from. None and missing fields for what is not there; never an exception."""

    def machine(self) -> MachineCounters: ...
    def process(self, pid: int) -> Process | None: ...
    def proportions(self, pid: int) -> Proportions | None: ...
    def figure(self, figure: Figure, pid: int | None) -> float | None: ...


class HostReader:
    """Reads the machine and, once `engine_pid` is set, the engine. Made for one thread.

    `read` takes about 0.1 ms on Linux. With `proportions` it also walks the engine's page tables now and then, 9 ms per
    GiB of resident memory (measured): then call it from a worker thread, not from the UI's.
    """

    engine_pid: int | None
    """The engine process; set it anew after a restart, None for no engine."""

    def __init__(
        self,
        engine_pid: int | None = None,
        source: Source | None = None,
        *,
        proportions: bool = False,
        sysfs: Path = Path("/sys"),
    ) -> None:
        self.engine_pid = engine_pid
        self._with_proportions = proportions
        self._source: Source = source or (Linux() if Path("/proc/meminfo").exists() else Portable())
        self._base = MachineCounters()
        self._base_process: Process | None = None
        self._cpu_percent: float | None = None
        self._core_percents: tuple[float, ...] = ()
        self._energy = EnergyMeter(sysfs)
        self._energy_before: EnergyReading | None = None
        self._counters: dict[str, tuple[float, float]] = {}
        """When each was read the last time, and what it was."""
        self._engine_cpu_percent: float | None = None
        self._swap_used: int | None = None
        self._engine: tuple[int, float] | None = None
        self._proportions: Proportions | None = None
        self._proportions_at = 0.0

    def read(self) -> HostSample:
        """A sample of now; percentages and deltas are those since the read before."""
        machine, process = self._source.machine(), self._read_engine()
        self._compare(machine, process)
        swap_delta = _minus(machine.swap_used_bytes, self._swap_used)
        self._swap_used = machine.swap_used_bytes
        return HostSample(
            time=time.time(),
            cpu_percent=self._cpu_percent,
            core_percents=self._core_percents,
            engine_cpu_percent=self._engine_cpu_percent if process else None,
            ram_total_bytes=machine.ram_total_bytes,
            ram_available_bytes=machine.ram_available_bytes,
            engine_rss_bytes=process.rss_bytes if process else None,
            engine_private_bytes=_minus(process.rss_bytes, process.shared_bytes) if process else None,
            engine_shared_bytes=process.shared_bytes if process else None,
            engine_pss_bytes=self._proportions.pss_bytes if process and self._proportions else None,
            engine_uss_bytes=self._proportions.uss_bytes if process and self._proportions else None,
            swap_total_bytes=machine.swap_total_bytes,
            swap_used_bytes=machine.swap_used_bytes,
            swap_delta_bytes=swap_delta,
            cpu_temperature_c=machine.temperature_c,
            cpu_power_w=self._power(),
            figures=self._figures(self.engine_pid if process else None),
        )

    def swap_used_bytes(self) -> int | None:
        """Swap in use right now; what `read` compares is left as it is."""
        return self._source.machine().swap_used_bytes

    def _read_engine(self) -> Process | None:
        """The engine, unless it is gone; a later process that was given its id is not the engine."""
        pid = self.engine_pid
        process = None if pid is None else self._source.process(pid)
        if pid is None or process is None:
            return None
        if self._engine is None or self._engine[0] != pid:
            self._engine = (pid, process.started)
            self._base_process = self._engine_cpu_percent = self._proportions = None
            for figure in FIGURES:
                if figure.of_engine:
                    self._counters.pop(figure.name, None)
            self._proportions_at = 0.0
        elif self._engine[1] != process.started:
            return None
        before = time.monotonic()
        if self._with_proportions and before >= self._proportions_at:
            self._proportions = self._source.proportions(pid)
            after = time.monotonic()
            self._proportions_at = after + max(PROPORTIONS_S, (after - before) / _MOST_OF_TIME)
        return process

    def _compare(self, machine: MachineCounters, process: Process | None) -> None:
        if self._base.cpu_total is not None and machine.cpu_total == self._base.cpu_total:
            return  # Within one tick of the kernel's clock there is nothing to compare.
        elapsed = _minus(machine.cpu_total, self._base.cpu_total)
        self._cpu_percent = _percent(_minus(machine.cpu_busy, self._base.cpu_busy), elapsed)
        pairs = zip(machine.cores, self._base.cores, strict=False)
        busy = (_percent(now[0] - before[0], now[1] - before[1]) for now, before in pairs)
        # A CPU of which not one tick was counted has slept all the time.
        self._core_percents = tuple(percent or 0.0 for percent in busy)
        base = self._base_process
        self._engine_cpu_percent = _percent(process.cpu - base.cpu, elapsed) if process and base else None
        self._base, self._base_process = machine, process

    def _figures(self, pid: int | None) -> dict[str, float]:
        read = ((figure, self._source.figure(figure, pid)) for figure in FIGURES)
        told = {
            figure.name: self._per_second(figure.name, value) if figure.is_counter else value
            for figure, value in read
            if value is not None
        }
        return {name: value for name, value in told.items() if value is not None}

    def _per_second(self, name: str, value: float) -> float | None:
        """Since the read before."""
        now, before = (time.monotonic(), value), self._counters.get(name)
        self._counters[name] = now
        if before is None or now[0] <= before[0]:
            return None
        return max(0.0, now[1] - before[1]) / (now[0] - before[0])

    def _power(self) -> float | None:
        """Mean of the CPU packages since the read before."""
        now, before = self._energy.read(), self._energy_before
        if not now.counts_cpu:
            return None
        self._energy_before = now
        taken_j = None if before is None else joules(before, now)
        return None if taken_j is None or before is None else taken_j / (now.time_s - before.time_s)


class Portable:
    """Readings through psutil, for systems without /proc."""

    def machine(self) -> MachineCounters:
        times = psutil.cpu_times()
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        total = sum(times)
        return MachineCounters(
            cpu_busy=total - times.idle,
            cpu_total=total,
            ram_total_bytes=memory.total,
            ram_available_bytes=memory.available,
            swap_total_bytes=swap.total,
            swap_used_bytes=swap.used,
        )

    def process(self, pid: int) -> Process | None:
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                if process.status() == psutil.STATUS_ZOMBIE:
                    return None
                times, memory = process.cpu_times(), process.memory_info()
                shared = getattr(memory, "shared", None)
                return Process(
                    started=process.create_time(),
                    cpu=times.user + times.system,
                    rss_bytes=memory.rss,
                    shared_bytes=shared,
                )
        except psutil.Error:
            return None

    def proportions(self, pid: int) -> Proportions | None:
        try:
            memory = psutil.Process(pid).memory_full_info()
        except psutil.Error:
            return None
        return Proportions(pss_bytes=getattr(memory, "pss", None), uss_bytes=getattr(memory, "uss", None))

    def figure(self, figure: Figure, pid: int | None) -> float | None:
        """None: the readers of figures know Linux."""
        return None


Number = TypeVar("Number", int, float)


def _minus(now: Number | None, before: Number | None) -> Number | None:
    return None if now is None or before is None else now - before


def _percent(part: float | None, whole: float | None) -> float | None:
    return None if part is None or whole is None or whole <= 0 else min(100.0, max(0.0, 100 * part / whole))
