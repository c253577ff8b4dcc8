"""Speeds from earlier runs: what was measured of a model is said of it, what others reached is expected of it, and how
long a benchmark takes is told from both."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.conftest import DENSE
from tests.measure.fixed import COMPARISON
from tests.planning.shapes import QWEN3_8B, QWEN3_30B_A3B
from tui.measure import duration
from tui.measure.history import History
from tui.measure.known_speeds import KnownSpeeds, how_loaded, known_speeds
from tui.measure.machine import this_machine
from tui.measure.report import Comparison, Report
from tui.measure.runner import BenchJob, plan_tests
from tui.models.info import ModelInfo
from tui.models.library import LibraryModel
from tui.planning.formula import estimate, reads
from tui.protocol.records import LoadSettings

ON_CPU = LoadSettings(n_ctx=4096)
TESTS = plan_tests([512], [128])


def kept(tmp_path: Path, *reports: Report) -> KnownSpeeds:
    """What is known when these were kept, measured on this machine."""
    history = History(tmp_path / "bench.sqlite")
    history.add(Comparison(reports=reports))
    return known_speeds(history)


def report(info: ModelInfo, tps: float, *, is_here: bool = True) -> Report:
    """The model on the CPU, that fast."""
    base = next(one for one in COMPARISON.reports if not one.loaded.llama.devices and one.decode)
    assert base.decode is not None
    decode = msgspec.structs.replace(
        base.decode, samples_ns=(round(128e9 / tps),), read_bytes=reads(info, ON_CPU), marks=()
    )
    results = tuple(decode if result.test.is_decode else result for result in base.results)
    facts = msgspec.structs.replace(base.model, name=info.name, quant=info.quant, n_params=info.n_params)
    loaded = msgspec.structs.replace(base.loaded, llama=msgspec.structs.replace(base.loaded.llama, n_gpu_layers=0))
    machine = this_machine() if is_here else base.machine
    return msgspec.structs.replace(base, model=facts, results=results, loaded=loaded, machine=machine)


def test_what_was_measured_of_a_model_is_said_of_it(tmp_path: Path) -> None:
    found = kept(tmp_path, report(QWEN3_8B, 10.0), report(QWEN3_8B, 12.5)).of(QWEN3_8B, estimate(QWEN3_8B, ON_CPU))
    assert found is not None and found.is_measured and found.tps == pytest.approx(12.5, rel=0.01), "the newest one"


def test_what_was_measured_deep_in_a_context_is_not_the_speed_of_a_short_one(tmp_path: Path) -> None:
    whole = report(QWEN3_8B, 4.0)
    deep = tuple(
        msgspec.structs.replace(result, test=msgspec.structs.replace(result.test, n_depth=8192))
        for result in whole.results
    )
    found = kept(tmp_path, msgspec.structs.replace(whole, results=deep)).of(QWEN3_8B, estimate(QWEN3_8B, ON_CPU))
    assert found is None or not found.is_measured


def test_what_is_loaded_in_another_way_was_not_measured(tmp_path: Path) -> None:
    speeds = kept(tmp_path, report(QWEN3_8B, 12.5))
    on_gpu = LoadSettings(n_ctx=4096, devices=("Vulkan0",))
    assert speeds.of(QWEN3_8B, estimate(QWEN3_8B, on_gpu)) is None


def test_another_model_is_expected_to_read_memory_as_fast(tmp_path: Path) -> None:
    speeds = kept(tmp_path, report(QWEN3_8B, 10.0))
    found = speeds.of(QWEN3_30B_A3B, estimate(QWEN3_30B_A3B, ON_CPU))
    share = sum(reads(QWEN3_8B, ON_CPU).values()) / sum(reads(QWEN3_30B_A3B, ON_CPU).values())
    assert found is not None and not found.is_measured and found.tps == pytest.approx(10.0 * share, rel=0.05)


def test_expected_times_of_several_devices_add_up() -> None:
    speeds = KnownSpeeds(reached={"CPU": 20e9, "Vulkan0": 40e9})
    assert speeds.expected({"CPU": 2_000_000_000, "Vulkan0": 4_000_000_000}) == pytest.approx(5.0)
    assert speeds.expected({"CPU": 2_000_000_000, "Vulkan1": 1}) is None
    assert speeds.expected({"CPU": 5_000_000}) is None, "so little is read that other things take longer"


def test_runs_of_another_machine_say_nothing_of_this_one(tmp_path: Path) -> None:
    assert not kept(tmp_path, report(QWEN3_8B, 12.5, is_here=False))


def test_without_a_history_nothing_is_known(tmp_path: Path) -> None:
    assert not known_speeds(History(tmp_path / "none.sqlite"))


def job(info: ModelInfo) -> BenchJob:
    return BenchJob(model=LibraryModel(path=DENSE, paths=(DENSE,), info=info, source="folder"), settings=ON_CPU)


def test_a_benchmark_takes_as_long_as_what_was_measured_says() -> None:
    info = msgspec.structs.replace(QWEN3_8B, size_bytes=0)
    how = how_loaded(info, (), 0)
    speeds = KnownSpeeds(measured={how: 12.8}, prefill={how: 51.2})
    found = duration.about([job(info)], TESTS, 3, speeds)
    assert found.is_known and 70 <= found.seconds <= 75  # 4 x 10 s of reading, 3 x 10 s of writing, and a start


def test_what_was_never_measured_is_a_rough_guess_that_grows_with_the_model() -> None:
    large, small = (duration.about([job(info)], TESTS, 3, KnownSpeeds()) for info in (QWEN3_8B, QWEN3_30B_A3B))
    assert not large.is_known and not small.is_known
    assert large.seconds > small.seconds, "of a mixture of experts a part is computed"
    both = duration.about([job(QWEN3_8B), job(QWEN3_30B_A3B)], TESTS, 3, KnownSpeeds())
    assert both.seconds > large.seconds
