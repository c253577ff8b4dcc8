"""Judges the machine: what is not right about it before a run, in sentences, and what went wrong during a repetition,
as marks, with the energy that it took. What it judges is read by `tui.machine`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tui.base.format import size
from tui.engines.interface import Engine
from tui.machine.condition import Condition, ConditionReader, Moment, others_percent, own_percent
from tui.machine.energy import EnergyMeter, EnergyReading, gpu_was_slowed, joules
from tui.machine.pressure import swap_growth
from tui.machine.readings import GpuKind
from tui.measure.report import Mark, Test
from tui.words import tr, trn
from tui.words.later import Later, later

LOOK_S = 1.0
"""For how long the machine is watched before a run."""
BUSY_PERCENT = 10.0
"""Other programs that take more of the CPU than this are in the way."""
WARM_C = 85.0
"""A CPU that is so hot before it computes will slow down."""
HOT_C = 95.0
"""CPUs slow down between this and 105 °C."""
SWAPPED_BYTES = 512 << 20
"""Less than this lies in the swap of any machine that has been up for a while."""
CLOCK_FELL = 0.9
"""A clock below this part of the highest that the same test had is marked."""


def warnings(condition: Condition) -> tuple[Later, ...]:
    """What makes figures worse or less steady than they could be, a sentence each with what to do; mostly nothing."""
    found = []
    slow = [name for name in condition.governors if name != "performance"]
    if slow:
        found.append(
            later(
                "The CPU governor is {governor}; performance gives steadier figures: `{command}`.",
                governor=", ".join(slow),
                command="sudo cpupower frequency-set -g performance",
            )
        )
    limit, highest = condition.limit_clock_mhz, condition.max_clock_mhz
    if limit is not None and highest is not None and limit < CLOCK_FELL * highest:
        found.append(
            later(
                "The clock is limited to {limit} of {highest} GHz; choose the fastest power profile.",
                limit=f"{limit / 1000:.1f}",
                highest=f"{highest / 1000:.1f}",
            )
        )
    others, load = condition.others_percent, condition.load
    if others is not None and others > BUSY_PERCENT:
        found.append(
            later(
                "Other programs use {percent}% of the CPU; close them, or measure when they are done.",
                percent=f"{others:.0f}",
            )
        )
    elif others is None and load is not None and load > condition.n_cpus / 2:
        found.append(
            later(
                "The load is {load} on {n} CPUs; close what computes, or measure later.",
                load=f"{load:.1f}",
                n=str(condition.n_cpus),
            )
        )
    if condition.swap_used_bytes is not None and condition.swap_used_bytes >= SWAPPED_BYTES:
        swapped = size(condition.swap_used_bytes)
        found.append(later("{size} are swapped out; close programs that use much memory.", size=swapped))
    if condition.temperature_c is not None and condition.temperature_c >= WARM_C:
        found.append(
            later(
                "The CPU is at {degrees} °C; let it cool down, or it will lower its clock.",
                degrees=f"{condition.temperature_c:.0f}",
            )
        )
    if condition.on_battery:
        found.append(later("Running on battery; plug it in, as many machines are slower without."))
    return tuple(found)


class MachineProbe:
    """Watches the machine before a run and during each repetition: the runner's `Probe`. Nothing is read while a
    repetition computes. Made for one run, on one thread."""

    def __init__(
        self,
        engine_pid: Callable[[], int | None],
        gpu: Callable[[], GpuKind | None],
        reader: ConditionReader | None = None,
        meter: EnergyMeter | None = None,
    ) -> None:
        """`engine_pid` is asked anew each time, as engines are restarted between jobs. So is `gpu`: what sort of GPU
        holds layers, None for the CPU alone."""
        self._engine_pid, self._gpu = engine_pid, gpu
        self._reader, self._meter = reader or ConditionReader(), meter or EnergyMeter()
        self._test: tuple[int, Test] | None = None
        self._moment: Moment | None = None
        self._energy: EnergyReading | None = None
        self._highest_mhz: dict[tuple[int, Test], float] = {}

    @classmethod
    def of(cls, engine: Engine) -> MachineProbe:
        """For whatever this engine has loaded at the time."""
        return cls(lambda: engine.pid, lambda: _gpu_of(engine))

    async def warnings(self) -> tuple[Later, ...]:
        """What is not right about the machine, a sentence each. Watches it for `LOOK_S` while nothing is computed."""
        before = self._reader.moment(self._engine_pid())
        await asyncio.sleep(LOOK_S)
        return warnings(await asyncio.to_thread(self._reader.condition, before, self._engine_pid()))

    def begin(self, job: int, test: Test) -> None:
        """A repetition of this test of this job begins. Takes about a millisecond, and some more for each GPU; the
        first time with one up to a second."""
        self._test = (job, test)
        self._moment = self._reader.moment(self._engine_pid())
        # An integrated GPU is part of the CPU's package.
        self._energy = self._meter.read(gpus=self._gpu() == "gpu")

    def end(self) -> tuple[float | None, tuple[Mark, ...]]:
        """It is over: the joules that it took, and why not to trust it."""
        before, energy = self._moment, self._energy
        if before is None or energy is None:
            return None, ()
        after = self._reader.moment(self._engine_pid())
        self._energy = self._meter.read(gpus=energy.gpu is not None)
        hot_gpu = gpu_was_slowed(energy, self._energy)
        return joules(energy, self._energy), self._marks(before, after, hot_gpu=hot_gpu)

    @property
    def energy_note(self) -> str:
        """What the joules leave out, or why there are none, in one sentence; empty when all that computes is counted,
        or before the first repetition."""
        return "" if self._energy is None else energy_note(self._energy)

    def close(self) -> None:
        """Let go of the GPU's driver."""
        self._meter.close()

    def _marks(self, before: Moment, after: Moment, *, hot_gpu: bool) -> tuple[Mark, ...]:
        found: list[Mark] = []
        if swap_growth(before.swap_used_bytes, after.swap_used_bytes):
            found.append("swapped")
        # The clocks are looked at each time, to know the highest.
        fell = self._clock_fell(before, after)
        if hot_gpu or fell or _grew(before.throttle_count, after.throttle_count):
            found.append("throttled")
        others = others_percent(before, after)
        if others is not None and others > BUSY_PERCENT:
            found.append("busy")
        if after.temperature_c is not None and after.temperature_c >= HOT_C:
            found.append("hot")
        return tuple(found)

    def _clock_fell(self, before: Moment, after: Moment) -> bool:
        """Whether as many of the fastest CPUs as have computed are slower than in another repetition of the same test.
        Beside a GPU, CPUs wait for most of the time: their clocks say nothing."""
        own = own_percent(before, after)
        if own is None or self._test is None or self._gpu() is not None:
            return False
        clock = after.fastest_clock_mhz(own / 100)
        if clock is None:
            return False
        highest = self._highest_mhz[self._test] = max(clock, self._highest_mhz.get(self._test, 0.0))
        return clock < CLOCK_FELL * highest


def energy_note(reading: EnergyReading) -> str:
    """What `joules` leaves out with such readings, or why it gives nothing, in one sentence; empty when it counts all
    that computes."""
    if reading.gpu is not None and not reading.counts_gpu:
        silent = ", ".join(count.name for count in reading.gpu if count.joules is None)
        if silent:
            return tr("Energy is not counted: the GPU at {gpus} does not report its power.", gpus=silent)
        return tr("Energy is not counted: the GPU does not report its power.")
    if reading.counts_cpu:
        return ""
    if reading.cpu:
        why = tr(
            "only root may read the CPU's counter (`{command}` allows it)",
            command="sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj",
        )
    else:
        why = tr("this machine does not report its CPU's power")
    if reading.gpu is None:
        return tr("Energy is not counted: {reason}.", reason=why)
    return trn(
        "Energy is that of the GPU alone: {reason}.",
        "Energy is that of the {n} GPUs alone: {reason}.",
        len(reading.gpu),
        reason=why,
    )


def _gpu_of(engine: Engine) -> GpuKind | None:
    """What sort of GPU holds layers; one with memory of its own before an integrated one."""
    if engine.loaded is None or engine.hello is None:
        return None
    used = {device.kind for device in engine.hello.devices if device.name in engine.loaded.llama.devices}
    return "gpu" if "gpu" in used else "igpu" if "igpu" in used else None


def _grew(before: int | None, after: int | None) -> bool:
    return before is not None and after is not None and after > before
