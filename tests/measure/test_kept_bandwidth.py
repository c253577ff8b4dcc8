"""How fast memory is, kept once it was measured: the best of several times, of this machine and this llama.cpp."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.conftest import DENSE
from tui.measure import forecast_words
from tui.measure.forecast import forecast
from tui.measure.history import History
from tui.measure.kept_bandwidth import KeptBandwidth
from tui.measure.known_speeds import known_speeds
from tui.measure.machine import Machine
from tui.models.library import inspect
from tui.planning.formula import estimate
from tui.protocol.messages import Hello
from tui.protocol.records import Device, LoadSettings

CPU = Device(name="CPU", description="a processor", kind="cpu", total_bytes=1 << 34, free_bytes=1 << 33)
GPU = Device(name="Vulkan0", description="Radeon 860M", kind="igpu", total_bytes=1 << 34, free_bytes=1 << 33)
HELLO = Hello(pid=1, llama_cpp="0.3.36", devices=(CPU, GPU))
HERE = Machine(cpu="a processor", n_cores=8, n_cpus=16, ram_bytes=1 << 35, os="Linux")


@pytest.fixture
def kept(tmp_path: Path) -> KeptBandwidth:
    return KeptBandwidth(tmp_path / "bandwidth.json", HERE)


def test_nothing_is_known_of_a_new_machine(kept: KeptBandwidth) -> None:
    assert (kept.known(), kept.missing(HELLO)) == ({}, ("CPU", "Vulkan0"))


def test_the_best_is_kept_and_two_that_agree_are_enough(kept: KeptBandwidth) -> None:
    kept.add(HELLO, ("CPU",), {"CPU": 40e9})
    assert (kept.missing(HELLO), kept.unsure(HELLO)) == (("Vulkan0",), ("CPU", "Vulkan0"))
    kept.add(HELLO, ("CPU",), {"CPU": 59e9})
    assert kept.unsure(HELLO) == ("CPU", "Vulkan0")
    kept.add(HELLO, ("CPU",), {"CPU": 57e9})
    assert kept.unsure(HELLO) == ("Vulkan0",)
    assert kept.known() == {"CPU": 59e9}


def test_a_memory_that_cannot_be_measured_is_not_tried_for_ever(kept: KeptBandwidth) -> None:
    for _ in range(3):
        assert "Vulkan0" in kept.unsure(HELLO)
        kept.add(HELLO, ("Vulkan0",), {})
    assert (kept.unsure(HELLO), kept.known()) == (("CPU",), {})


@pytest.mark.parametrize(
    "there",
    [
        msgspec.structs.replace(HERE, cpu="another processor"),
        msgspec.structs.replace(HERE, n_cores=16),
        msgspec.structs.replace(HERE, ram_bytes=1 << 36),
    ],
    ids=["cpu", "cores", "ram"],
)
def test_another_machine_is_another_matter(kept: KeptBandwidth, tmp_path: Path, there: Machine) -> None:
    kept.add(HELLO, ("CPU", "Vulkan0"), {"CPU": 40e9, "Vulkan0": 90e9})
    moved = KeptBandwidth(tmp_path / "bandwidth.json", there)
    assert (moved.known(), moved.missing(HELLO)) == ({}, ("CPU", "Vulkan0"))
    moved.add(HELLO, ("CPU",), {"CPU": 20e9})
    assert moved.known() == {"CPU": 20e9}


def test_another_card_or_llama_cpp_is_measured_and_takes_the_place_of_what_was(kept: KeptBandwidth) -> None:
    kept.add(HELLO, ("CPU", "Vulkan0"), {"CPU": 40e9, "Vulkan0": 900e9})
    card = msgspec.structs.replace(GPU, description="Arc 140V")
    for hello in (
        msgspec.structs.replace(HELLO, devices=(CPU, card)),
        msgspec.structs.replace(HELLO, llama_cpp="0.4.0"),
    ):
        assert kept.missing(hello) == ("Vulkan0",)
    kept.add(msgspec.structs.replace(HELLO, llama_cpp="0.4.0"), ("Vulkan0",), {"Vulkan0": 90e9})
    assert kept.known() == {"CPU": 40e9, "Vulkan0": 90e9}


def test_a_damaged_file_costs_another_measurement(kept: KeptBandwidth, tmp_path: Path) -> None:
    kept.add(HELLO, ("CPU",), {"CPU": 40e9})
    (tmp_path / "bandwidth.json").write_bytes(b'{"machine": [')
    assert kept.missing(HELLO) == ("CPU", "Vulkan0")


def test_a_forecast_can_be_made_before_the_first_benchmark(kept: KeptBandwidth, tmp_path: Path) -> None:
    info, history = inspect(DENSE).info, History(tmp_path / "none.sqlite")
    plan = estimate(info, LoadSettings(n_ctx=512))
    assert forecast(info, plan, known_speeds(history, kept)) is None
    kept.add(HELLO, ("CPU",), {"CPU": 40e9})
    found = forecast(info, plan, known_speeds(history, kept))
    assert found is not None and found.decode_tps is not None
    assert (found.decode_tps.basis, found.decode_tps.n_runs) == ("roofline", 0)
    assert found.decode_tps.low < found.decode_tps.tps < found.decode_tps.high
    told = forecast_words.sentence(found.decode_tps)
    assert told.endswith("from this machine's memory bandwidth, not yet measured with a model")
