"""What is said about a machine before a run, and what is marked during it: on a small tree, and in a real run."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from tests.conftest import DENSE, MOE, TINY
from tests.places import SYSFS
from tui.engines.interface import Engine
from tui.machine.condition import LEAST_S, Condition, ConditionReader, Moment
from tui.machine.energy import EnergyCounter, EnergyMeter, EnergyReading
from tui.machine.readings import GpuKind
from tui.measure.bench_plan import BenchJob, BenchPlan, plan_tests
from tui.measure.condition import MachineProbe, energy_note, warnings
from tui.measure.report import Test
from tui.measure.runner import Runner
from tui.models.library import inspect
from tui.words.later import Later

LAPTOP = SYSFS / "laptop-core-i7"
GIB, MIB = 1 << 30, 1 << 20
DECODE = Test(n_gen=128)
GOOD = Condition(
    n_cpus=8,
    governors=("performance",),
    clock_mhz=3000.0,
    max_clock_mhz=4700.0,
    limit_clock_mhz=4700.0,
    temperature_c=52.0,
    swap_used_bytes=100 * MIB,
    on_battery=False,
    others_percent=3.0,
    load=6.0,
)


class Played(ConditionReader):
    """Gives the moments that a test writes down, a second after one another."""

    def __init__(self, *moments: Moment) -> None:
        super().__init__()
        self._moments = [msgspec.structs.replace(moment, time_s=float(n)) for n, moment in enumerate(moments)]

    def moment(self, engine_pid: int | None) -> Moment:
        return self._moments.pop(0)


class PlayedMeter(EnergyMeter):
    """Gives the counts of a package that takes 40 J a second, and, when asked for, of a GPU that heat slows down for
    some part of each second."""

    def __init__(self, slowed: float = 0.0) -> None:
        super().__init__()
        self._n, self._slowed = 0, slowed

    def read(self, *, gpus: bool = False) -> EnergyReading:
        self._n += 1
        gpu = EnergyCounter(name="0000:01:00.0", joules=300.0 * self._n, slowed_s=self._slowed * self._n)
        cpu = EnergyCounter(name="package-0", joules=40.0 * self._n, range_j=65_532.0)
        return EnergyReading(time_s=float(self._n), cpu=(cpu,), gpu=(gpu,) if gpus else None)


def at(busy: float = 0, total: float = 0, own: float = 0, **more: object) -> Moment:
    moment = Moment(time_s=0, cpu_busy=busy, cpu_total=total, own_cpu={7: (1, own)})
    return msgspec.structs.replace(moment, **more)


def repetitions(
    *moments: Moment, gpu: GpuKind | None = None, tests: tuple[Test, ...] = ()
) -> list[tuple[float | None, tuple[str, ...]]]:
    """What the probe finds in repetitions that begin and end with these moments."""
    probe = MachineProbe(lambda: 7, lambda: gpu, Played(*moments), PlayedMeter())
    found: list[tuple[float | None, tuple[str, ...]]] = []
    for number in range(len(moments) // 2):
        probe.begin(0, tests[number] if tests else DECODE)
        found.append(probe.end())
    return found


def marks(*moments: Moment, gpu: GpuKind | None = None, tests: tuple[Test, ...] = ()) -> list[tuple[str, ...]]:
    return [found for _, found in repetitions(*moments, gpu=gpu, tests=tests)]


# Before the run -------------------------------------------------------------------------------------------------------


def test_a_machine_that_is_ready_gets_no_warning() -> None:
    assert warnings(GOOD) == ()
    assert warnings(Condition(n_cpus=1)) == ()


def test_each_thing_that_is_not_right_is_a_sentence_with_what_to_do() -> None:
    bad = Condition(
        n_cpus=8,
        governors=("powersave", "schedutil"),
        max_clock_mhz=4700.0,
        limit_clock_mhz=2400.0,
        temperature_c=93.4,
        swap_used_bytes=round(2.1 * GIB),
        on_battery=True,
        others_percent=35.2,
        load=9.0,
    )
    assert tuple(map(str, warnings(bad))) == (
        "The CPU governor is powersave, schedutil; performance gives steadier figures: "
        "`sudo cpupower frequency-set -g performance`.",
        "The clock is limited to 2.4 of 4.7 GHz; choose the fastest power profile.",
        "Other programs use 35% of the CPU; close them, or measure when they are done.",
        "2.1 GiB are swapped out; close programs that use much memory.",
        "The CPU is at 93 °C; let it cool down, or it will lower its clock.",
        "Running on battery; plug it in, as many machines are slower without.",
    )


def test_where_nobody_tells_who_computes_the_load_is_the_sign() -> None:
    unknown = msgspec.structs.replace(GOOD, others_percent=None)
    assert tuple(map(str, warnings(unknown))) == ("The load is 6.0 on 8 CPUs; close what computes, or measure later.",)
    assert warnings(msgspec.structs.replace(unknown, load=1.0)) == ()


# During the run -------------------------------------------------------------------------------------------------------


def test_a_quiet_repetition_has_its_joules_and_no_mark() -> None:
    assert repetitions(at(), at(busy=410, total=800, own=400)) == [(40.0, ())]


def test_joules_of_a_gpu_are_added_when_one_with_memory_of_its_own_computes() -> None:
    quiet = at(), at(busy=110, total=800, own=100)
    assert repetitions(*quiet, gpu="gpu") == [(340.0, ())]
    assert repetitions(*quiet, gpu="igpu") == [(40.0, ())]


def test_swap_that_grew_by_more_than_a_little_is_marked() -> None:
    before, little, much = (at(swap_used_bytes=GIB + more) for more in (0, MIB - 1, 40 * MIB))
    assert marks(before, little, before, much, much, before) == [(), ("swapped",), ()]


def test_other_programs_that_take_more_than_a_tenth_are_marked() -> None:
    assert marks(at(), at(busy=480, total=800, own=400), at(), at(busy=480, total=800, own=401)) == [(), ()]
    assert marks(at(), at(busy=500, total=800, own=400)) == [("busy",)]


def test_throttling_that_the_cpu_counts_and_too_much_heat_are_marked() -> None:
    cool, slowed, hot = at(throttle_count=5), at(throttle_count=6), at(temperature_c=97.0)
    assert marks(cool, cool, cool, slowed, at(), hot) == [(), ("throttled",), ("hot",)]


def test_a_clock_that_fell_by_more_than_a_tenth_is_marked_and_idle_cpus_do_not_count() -> None:
    def done(fast: float, idle: float = 800.0) -> Moment:
        return at(busy=400, total=800, own=400, clocks_mhz=(fast, idle, fast, idle))

    fell = marks(at(), done(4000), at(), done(3700, idle=400), at(), done(3500), at(), done(3990))
    assert fell == [(), (), ("throttled",), ()]


def test_clocks_of_different_tests_are_not_compared_and_beside_a_gpu_none_are() -> None:
    fast, slow = (at(busy=800, total=800, own=800, clocks_mhz=(clock, clock)) for clock in (4000.0, 3000.0))
    prefill = Test(n_prompt=512)
    assert marks(at(), fast, at(), slow, tests=(DECODE, prefill)) == [(), ()]
    assert marks(at(), fast, at(), slow, tests=(DECODE, DECODE)) == [(), ("throttled",)]
    assert marks(at(), fast, at(), slow, gpu="gpu") == marks(at(), fast, at(), slow, gpu="igpu") == [(), ()]


@pytest.mark.parametrize(("gpu", "slowed", "mark"), [("gpu", 0.3, ("throttled",)), ("gpu", 0.0, ()), (None, 0.3, ())])
def test_a_gpu_that_heat_slowed_down_is_marked_when_it_computes(
    gpu: GpuKind | None, slowed: float, mark: tuple[str, ...]
) -> None:
    probe = MachineProbe(lambda: 7, lambda: gpu, Played(at(), at()), PlayedMeter(slowed))
    probe.begin(0, DECODE)
    assert probe.end()[1] == mark


def test_counters_of_the_kernels_files_reach_the_marks(tmp_path: Path) -> None:
    shutil.copytree(LAPTOP, tmp_path / "sys")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 1000000 kB\nSwapTotal: 9000 kB\nSwapFree: 9000 kB\n")
    probe = MachineProbe(
        lambda: None,
        lambda: None,
        ConditionReader(tmp_path),
        EnergyMeter(tmp_path / "sys", load_nvml=lambda: None),
    )
    probe.begin(0, DECODE)
    (tmp_path / "sys/devices/system/cpu/cpu2/thermal_throttle/core_throttle_count").write_text("1\n")
    (tmp_path / "sys/class/hwmon/hwmon3/temp1_input").write_text("99000\n")
    (tmp_path / "proc/meminfo").write_text("MemTotal: 1000000 kB\nSwapTotal: 9000 kB\nSwapFree: 2000 kB\n")

    assert probe.end()[1] == ("swapped", "throttled", "hot")


# What the joules are of -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cpu", "gpu", "note"),
    [
        ((1.0,), None, ""),
        ((1.0,), (2.0,), ""),
        ((), None, "Energy is not counted: this machine does not report its CPU's power."),
        ((None,), None, "Energy is not counted: only root may read the CPU's counter "
         "(`sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj` allows it)."),
        ((), (2.0,), "Energy is that of the GPU alone: this machine does not report its CPU's power."),
        ((), (2.0, 3.0), "Energy is that of the 2 GPUs alone: this machine does not report its CPU's power."),
        ((1.0,), (2.0, None), "Energy is not counted: the GPU at gpu1 does not report its power."),
        ((1.0,), (), "Energy is not counted: the GPU does not report its power."),
    ],
)  # fmt: skip
def test_what_is_left_out_is_said(
    cpu: tuple[float | None, ...], gpu: tuple[float | None, ...] | None, note: str
) -> None:
    def counts(name: str, joules: tuple[float | None, ...]) -> tuple[EnergyCounter, ...]:
        return tuple(EnergyCounter(name=f"{name}{number}", joules=each) for number, each in enumerate(joules))

    reading = EnergyReading(time_s=0.0, cpu=counts("package-", cpu), gpu=None if gpu is None else counts("gpu", gpu))
    assert energy_note(reading) == note


# A real run -----------------------------------------------------------------------------------------------------------


async def test_a_run_on_this_machine_is_watched_from_before_the_first_load_to_its_end(engine: Engine) -> None:
    jobs = tuple(BenchJob(model=inspect(model), settings=TINY) for model in (DENSE, MOE))
    plan = BenchPlan(jobs=jobs, tests=plan_tests([16], [4], [0, 8]), repetitions=2)
    probe = MachineProbe.of(engine)

    reports = (await Runner(engine, plan, probe=probe).run()).reports
    probe.close()

    assert len(reports) == 2 and reports[0].warnings == reports[1].warnings
    assert all(str(sentence).endswith(".") for sentence in reports[0].warnings)
    for report in reports:
        for result in report.results:
            assert len(result.marks) == len(result.energy_j) == len(result.samples_ns) == 2
            assert all(joules is None or joules > 0 for joules in result.energy_j)
            if result.test.n_depth:
                assert result.energy_j == (None, None) and result.j_per_token is None


async def test_the_runner_keeps_what_the_probe_finds(engine: Engine) -> None:
    busy = [at(), at(busy=800, total=800, own=100)]
    reader, meter = Played(*busy, *busy, *busy, *busy), PlayedMeter()

    class Watching(MachineProbe):
        async def warnings(self) -> tuple[Later, ...]:
            return (Later("It is late."),)

    plan = BenchPlan(
        jobs=(BenchJob(model=inspect(DENSE), settings=TINY),), tests=plan_tests([16], [4], [0, 8]), repetitions=1
    )
    probe = Watching(lambda: engine.pid, lambda: None, reader, meter)
    (report,) = (await Runner(engine, plan, probe=probe).run()).reports

    assert report.warnings == (Later("It is late."),)
    prefill, decode, deep_prefill, deep_decode = report.results
    assert (prefill.energy_j, decode.energy_j, decode.j_per_token) == ((40.0,), (40.0,), 10.0)
    # What a depth takes is not timed, but taken all the same.
    assert (deep_prefill.energy_j, deep_decode.energy_j) == ((None,), (None,))
    assert [result.all_marks for result in report.results] == [("busy",)] * 4


async def test_looking_takes_long_enough_to_see_who_computes() -> None:
    class Long(ConditionReader):
        seen: Condition | None = None

        def condition(self, before: Moment, engine_pid: int | None) -> Condition:
            self.seen = super().condition(before, engine_pid)
            assert self.moment(None).time_s - before.time_s >= LEAST_S
            return self.seen

    reader = Long()
    await MachineProbe(lambda: None, lambda: None, reader, EnergyMeter(load_nvml=lambda: None)).warnings()

    assert reader.seen is not None and reader.seen.others_percent is not None
