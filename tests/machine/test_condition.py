"""What decides whether a speed can be trusted, as the monitor reads it: from a small tree, and from the real kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.places import SYSFS
from tui.machine.condition import LEAST_S, MOST_CPUS, Condition, ConditionReader, Moment, others_percent, own_percent
from tui.machine.host import Portable

LAPTOP = SYSFS / "laptop-core-i7"
MIB = 1 << 20


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    """A machine's root folder: the laptop's /sys, and a /proc in which nothing happens."""
    shutil.copytree(LAPTOP, tmp_path / "sys")
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "stat").write_text("cpu  1000 0 500 8000 500 0 0 0 0 0\n")
    (proc / "meminfo").write_text(
        "MemTotal: 1000000 kB\nMemAvailable: 600000 kB\nSwapTotal: 9000 kB\nSwapFree: 6952 kB\n"
    )
    (proc / "loadavg").write_text("1.75 0.80 0.40 2/900 4711\n")
    return tmp_path


def moment(seconds: float, busy: float, total: float, own: dict[int, tuple[float, float]] | None = None) -> Moment:
    return Moment(time_s=seconds, cpu_busy=busy, cpu_total=total, own_cpu=own or {})


def test_a_laptop_tells_what_its_figures_depend_on(laptop: Path) -> None:
    reader = ConditionReader(laptop)

    assert reader.condition(reader.moment(None), None) == Condition(
        n_cpus=4,
        governors=("powersave",),
        clock_mhz=2850.0,
        fastest_clock_mhz=3312.0,
        max_clock_mhz=4700.0,
        limit_clock_mhz=4700.0,
        temperature_c=61.0,
        swap_used_bytes=2 * MIB,
        on_battery=False,
        others_percent=None,
        load=1.75,
    )


def test_governors_that_differ_and_a_limited_clock_are_seen(laptop: Path) -> None:
    cpus = laptop / "sys/devices/system/cpu"
    (cpus / "cpu2/cpufreq/scaling_governor").write_text("performance\n")
    for cpu in ("cpu0", "cpu1"):
        (cpus / cpu / "cpufreq/scaling_max_freq").write_text("2000000\n")
    reader = ConditionReader(laptop)

    found = reader.condition(reader.moment(None), None)

    assert found.governors == ("powersave", "performance")
    assert (found.limit_clock_mhz, found.max_clock_mhz) == (3400.0, 4700.0)


def test_the_battery_of_a_mouse_is_not_the_machines(laptop: Path) -> None:
    supplies = laptop / "sys/class/power_supply"
    reader = ConditionReader(laptop)
    before = reader.moment(None)
    assert reader.condition(before, None).on_battery is False

    (supplies / "BAT0/status").write_text("Discharging\n")
    assert reader.condition(before, None).on_battery is True

    shutil.rmtree(supplies)
    assert reader.condition(before, None).on_battery is None


def test_a_moment_has_the_throttle_counts_of_cores_and_package_and_each_clock(laptop: Path) -> None:
    now = ConditionReader(laptop).moment(None)

    assert now.throttle_count == 2 * 4 + 4 * 17
    assert now.clocks_mhz == (3312.0, 3287.0, 2410.0, 2391.0)
    assert now.fastest_clock_mhz(0.5) == pytest.approx(3299.5)
    assert now.fastest_clock_mhz(0.0) == 3312.0
    assert now.fastest_clock_mhz(1.0) == pytest.approx(2850.0)


def test_what_is_not_there_is_none_and_the_clock_is_then_the_kernels_own_word(laptop: Path) -> None:
    shutil.rmtree(laptop / "sys")
    (laptop / "proc/cpuinfo").write_text("processor: 0\ncpu MHz\t\t: 2400.0\n\nprocessor: 1\ncpu MHz\t\t: 2600.0\n")
    (laptop / "proc/loadavg").unlink()
    reader = ConditionReader(laptop)
    now = reader.moment(None)

    assert (now.throttle_count, now.clocks_mhz, now.fastest_clock_mhz(1.0), now.temperature_c) == (None, (), None, None)
    found = reader.condition(now, None)
    assert (found.clock_mhz, found.fastest_clock_mhz, found.max_clock_mhz) == (2500.0, 2600.0, None)
    assert (found.governors, found.on_battery, found.load) == ((), None, None)


def test_of_a_machine_with_very_many_cpus_some_are_looked_at_spread_evenly(laptop: Path) -> None:
    cpus = laptop / "sys/devices/system/cpu"
    for number in range(4, 384):
        folder = cpus / f"cpu{number}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(f"{number}000\n")
    reader = ConditionReader(laptop)

    clocks = reader.moment(None).clocks_mhz

    assert len(clocks) == MOST_CPUS and clocks[1:] == tuple(range(6, 384, 6))
    assert reader.condition(reader.moment(None), None).n_cpus == 384


def test_what_others_take_is_all_that_was_busy_less_ones_own() -> None:
    before = moment(0, busy=1000, total=10_000, own={1: (5, 100), 2: (6, 200)})
    after = moment(1, busy=1300, total=10_400, own={1: (5, 110), 2: (6, 390)})

    assert others_percent(before, after) == pytest.approx(25.0)
    assert own_percent(before, after) == pytest.approx(50.0)


def test_an_engine_that_started_meanwhile_counts_as_ones_own_and_of_one_that_ended_nobody_knows() -> None:
    alone = moment(0, busy=1000, total=10_000, own={1: (5, 100)})
    both = moment(1, busy=1300, total=10_400, own={1: (5, 110), 2: (900, 190)})
    again = moment(2, busy=1500, total=10_800, own={1: (5, 120), 2: (950, 50)})

    assert others_percent(alone, both) == pytest.approx(25.0)
    assert others_percent(both, alone) is None
    assert others_percent(both, again) is None and own_percent(both, again) is None


@pytest.mark.parametrize(
    "after",
    [
        moment(LEAST_S / 2, busy=1300, total=10_400),
        moment(1, busy=1000, total=10_000),
        Moment(time_s=1.0),
    ],
)
def test_too_short_a_time_and_unknown_times_give_no_percentage(after: Moment) -> None:
    assert others_percent(moment(0, busy=1000, total=10_000), after) is None


@pytest.mark.parametrize("source", [None, Portable()])
def test_on_the_real_machine_a_busy_child_is_ones_own_when_it_is_the_engine_and_anothers_when_not(
    source: Portable | None,
) -> None:
    reader = ConditionReader(source=source)
    program = "import sys\nfor line in sys.stdin: sum(range(2_000_000)); print(flush=True)"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None and child.stdout is not None
        as_engine, as_other = reader.moment(child.pid), reader.moment(None)
        used = psutil.Process(child.pid).cpu_times().user
        while time.monotonic() < as_other.time_s + LEAST_S or psutil.Process(child.pid).cpu_times().user < used + 0.3:
            child.stdin.write(b"\n")
            child.stdin.flush()
            child.stdout.readline()
        engine, other = reader.moment(child.pid), reader.moment(None)
        child.kill()

    assert set(engine.own_cpu) == {os.getpid(), child.pid} and set(other.own_cpu) == {os.getpid()}
    own, foreign = own_percent(as_engine, engine), others_percent(as_engine, engine)
    without = others_percent(as_other, other)
    assert own is not None and foreign is not None and without is not None
    assert 0 < own <= 100
    assert without > foreign
