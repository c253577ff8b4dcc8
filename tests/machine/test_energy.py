"""Energy counters: CPU packages and cards from small sysfs trees, NVIDIA from an object that answers as NVML does."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine.test_gpu import NvmlLibrary
from tests.places import SYSFS
from tui.machine.energy import MOST_W, EnergyCounter, EnergyMeter, EnergyReading, gpu_was_slowed, joules
from tui.machine.nvml import Nvml

TREES = SYSFS
LAPTOP = TREES / "laptop-core-i7"
ENERGY = "class/powercap/intel-rapl:0/energy_uj"


def package(joules: float | None, range_j: float | None = 262_143.0) -> EnergyCounter:
    return EnergyCounter(name="package-0", joules=joules, range_j=range_j)


def card(joules: float | None) -> EnergyCounter:
    return EnergyCounter(name="0000:01:00.0", joules=joules)


def test_of_the_domains_of_rapl_only_the_packages_count() -> None:
    reading = EnergyMeter(LAPTOP, load_nvml=lambda: None).read()

    assert reading.cpu == (EnergyCounter(name="package-0", joules=262_100.0, range_j=262_143.32885),)
    assert reading.gpu is None and reading.counts_cpu


def test_what_was_taken_between_two_readings_of_the_kernels_files(tmp_path: Path) -> None:
    tree = shutil.copytree(LAPTOP, tmp_path / "sys")
    meter = EnergyMeter(tree, load_nvml=lambda: None)
    before = meter.read()
    (tree / ENERGY).write_text("262112500000\n")
    after = msgspec.structs.replace(meter.read(), time_s=before.time_s + 1)
    (tree / ENERGY).write_text("56671150\n")
    started_again = msgspec.structs.replace(meter.read(), time_s=before.time_s + 2)

    assert joules(before, after) == pytest.approx(12.5)
    assert joules(before, started_again) == pytest.approx(100.0)


def test_a_counter_that_only_root_may_read_is_none_and_seen_to_be_there(tmp_path: Path) -> None:
    tree = shutil.copytree(LAPTOP, tmp_path / "sys")
    # Root may read everything: what the kernel refuses to others is played by a file that cannot be read at all.
    (tree / ENERGY).unlink()
    (tree / ENERGY).mkdir()
    reading = EnergyMeter(tree, load_nvml=lambda: None).read()

    assert [count.joules for count in reading.cpu] == [None] and not reading.counts_cpu
    assert joules(reading, msgspec.structs.replace(reading, time_s=reading.time_s + 1)) is None


def test_a_machine_without_counters_gives_no_joules(tmp_path: Path) -> None:
    meter = EnergyMeter(tmp_path, load_nvml=lambda: None)
    reading = meter.read(gpus=True)

    assert (reading.cpu, reading.gpu) == ((), ())
    assert joules(reading, msgspec.structs.replace(reading, time_s=reading.time_s + 1)) is None


def test_gpus_are_counted_when_asked_for_and_integrated_ones_are_part_of_the_package(tmp_path: Path) -> None:
    drm = tmp_path / "class/drm"
    shutil.copytree(TREES / "intel-arc-xe/class/drm/card0", drm / "card1")
    shutil.copytree(TREES / "intel-igpu-xe/class/drm/card0", drm / "card0")
    library = NvmlLibrary()
    meter = EnergyMeter(tmp_path, load_nvml=lambda: Nvml(library))

    assert meter.read().gpu is None and not library.is_open
    reading = meter.read(gpus=True)
    assert reading.gpu is not None
    assert [count.joules for count in reading.gpu] == [1234.5, None, 812_500.0]
    assert [count.slowed_s for count in reading.gpu] == [2.5, None, None]
    assert [count.name for count in reading.gpu] == ["0000:8d:00.0", "000f:01:00.0", "0000:03:00.0"]
    assert not reading.counts_gpu
    meter.close()
    assert not library.is_open


def test_packages_and_gpus_add_up() -> None:
    before = EnergyReading(time_s=10.0, cpu=(package(100.0), package(200.0)), gpu=(card(5000.0),))
    after = EnergyReading(time_s=12.0, cpu=(package(150.0), package(230.0)), gpu=(card(5300.0),))

    assert joules(before, after) == pytest.approx(380.0)


def test_gpus_that_count_stand_alone_where_packages_are_refused() -> None:
    before = EnergyReading(time_s=10.0, cpu=(package(None),), gpu=(card(5000.0),))
    after = EnergyReading(time_s=12.0, cpu=(package(None),), gpu=(card(5300.0),))

    assert joules(before, after) == pytest.approx(300.0)


@pytest.mark.parametrize("gpu", [(), (card(None),), (card(1.0), card(None))])
def test_packages_do_not_pass_for_the_whole_where_a_gpu_computes_that_nobody_counts(
    gpu: tuple[EnergyCounter, ...],
) -> None:
    before = EnergyReading(time_s=10.0, cpu=(package(100.0),), gpu=gpu)
    after = EnergyReading(time_s=12.0, cpu=(package(150.0),), gpu=gpu)

    assert joules(before, after) is None


@pytest.mark.parametrize(
    ("seconds", "has_gpu", "is_told"),
    [(0.001, False, False), (0.1, False, True), (0.1, True, False), (1.0, True, True)],
)
def test_a_time_too_short_for_the_counters_tells_nothing(seconds: float, has_gpu: bool, is_told: bool) -> None:
    before = EnergyReading(time_s=10.0, cpu=(package(100.0),), gpu=(card(10.0),) if has_gpu else None)
    after = EnergyReading(time_s=10.0 + seconds, cpu=(package(101.0),), gpu=(card(12.0),) if has_gpu else None)

    assert (joules(before, after) is not None) == is_told


@pytest.mark.parametrize(
    ("slowed_s", "is_told"),
    [((3.0, 3.0), False), ((3.0, 3.01), False), ((3.0, 3.5), True), ((None, 3.5), False), ((3.0, None), False)],
)
def test_a_gpu_that_heat_slowed_down_for_more_than_a_moment_is_told(
    slowed_s: tuple[float | None, float | None], is_told: bool
) -> None:
    before, after = (
        EnergyReading(time_s=2.0 * number, gpu=(msgspec.structs.replace(card(1.0), slowed_s=seconds),))
        for number, seconds in enumerate(slowed_s)
    )
    assert gpu_was_slowed(before, after) == is_told
    assert not gpu_was_slowed(EnergyReading(time_s=0.0), EnergyReading(time_s=2.0))


def test_a_time_in_which_a_counter_may_have_started_again_twice_tells_nothing() -> None:
    before = EnergyReading(time_s=0.0, cpu=(package(100.0, 65_532.0),))
    soon = EnergyReading(time_s=150.0, cpu=(package(6_100.0, 65_532.0),))
    late = EnergyReading(time_s=200.0, cpu=(package(6_100.0, 65_532.0),))

    assert joules(before, soon) == pytest.approx(6000.0)
    assert joules(before, late) is None


def test_a_counter_that_went_back_without_a_known_end_tells_nothing() -> None:
    before = EnergyReading(time_s=0.0, cpu=(package(100.0, None),))
    after = EnergyReading(time_s=1.0, cpu=(package(50.0, None),))

    assert joules(before, after) is None


@given(start=st.floats(0, 65_000), watts=st.floats(0, MOST_W), seconds=st.floats(0.1, 160))
def test_whatever_was_taken_comes_out_wherever_the_counter_stood(start: float, watts: float, seconds: float) -> None:
    taken = watts * seconds
    before = EnergyReading(time_s=0.0, cpu=(package(start, 65_532.0),))
    after = EnergyReading(time_s=seconds, cpu=(package((start + taken) % 65_532.0, 65_532.0),))

    assert joules(before, after) == pytest.approx(taken, abs=1e-6)
