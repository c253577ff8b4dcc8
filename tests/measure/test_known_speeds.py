"""What is known of speeds: the kept runs of this machine, each with what a forecast needs of it, and how long a
benchmark takes by them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.conftest import DENSE
from tests.measure.known import ON_CPU, decoding, report_of, run_of
from tests.planning.shapes import QWEN3_8B, QWEN3_30B_A3B
from tui.measure import duration
from tui.measure.bench_plan import BenchJob, plan_tests
from tui.measure.history import History
from tui.measure.known_speeds import KnownPrefill, KnownSpeeds, known_speeds, of_reports
from tui.measure.machine import Machine, this_machine
from tui.measure.report import Comparison, Report, Roofline
from tui.models.info import ModelInfo
from tui.models.library import LibraryModel
from tui.planning.formula import reads

TESTS = plan_tests([512], [128])


def kept(tmp_path: Path, *reports: Report) -> KnownSpeeds:
    """What is known when these were kept."""
    history = History(tmp_path / "bench.sqlite")
    history.add(Comparison(reports=reports))
    return known_speeds(history)


def test_a_kept_run_is_known_with_what_it_read_and_how_fast(tmp_path: Path) -> None:
    found = kept(tmp_path, report_of(QWEN3_8B, 10.0), report_of(QWEN3_30B_A3B, 20.0))
    assert [run.n_params for run in found.runs] == [QWEN3_30B_A3B.n_params, QWEN3_8B.n_params], "the newest first"
    mixture, dense = found.runs
    assert mixture.is_moe and not dense.is_moe
    assert dense.n_layer_params == QWEN3_8B.n_layer_params
    (decode,) = dense.decodes
    assert decode.tps == pytest.approx(10.0, rel=0.01) and decode.n_past == 64
    assert decode.read_bytes == reads(QWEN3_8B, ON_CPU, 64)
    assert dense.prefills[0].n_prompt == 512


def test_tests_at_several_depths_are_known_with_their_depths(tmp_path: Path) -> None:
    shallow = report_of(QWEN3_8B, 10.0)
    deep = report_of(QWEN3_8B, 6.0, n_depth=8192)
    both = msgspec.structs.replace(shallow, results=(*shallow.results, *deep.results))
    (run,) = kept(tmp_path, both).runs
    assert [(round(one.tps), one.n_past) for one in run.decodes] == [(10, 64), (6, 8256)]
    assert [one.n_depth for one in run.prefills] == [0, 8192]


@pytest.mark.parametrize(
    "other",
    [
        lambda here: msgspec.structs.replace(here, cpu="Another CPU"),
        lambda here: msgspec.structs.replace(here, n_cpus=here.n_cpus + 4),
        lambda here: msgspec.structs.replace(here, n_cores=here.n_cores + 1),
        lambda here: msgspec.structs.replace(here, ram_bytes=2 * here.ram_bytes),
    ],
    ids=["cpu", "cpus", "cores", "ram"],
)
def test_runs_of_another_machine_say_nothing_of_this_one(tmp_path: Path, other: Callable[[Machine], Machine]) -> None:
    run = report_of(QWEN3_8B, 12.5)
    assert kept(tmp_path, run)
    moved = msgspec.structs.replace(run, machine=other(this_machine()))
    assert not kept(tmp_path / "other", moved)


def test_a_kernel_that_keeps_some_ram_for_itself_makes_no_other_machine(tmp_path: Path) -> None:
    here = this_machine()
    machine = msgspec.structs.replace(here, ram_bytes=round(here.ram_bytes * 0.99))
    assert kept(tmp_path, msgspec.structs.replace(report_of(QWEN3_8B, 12.5), machine=machine))


def test_the_newest_bandwidth_counts() -> None:
    def with_bandwidth(bytes_per_s: float) -> Report:
        roofline = Roofline(tps=1, read_bytes={"CPU": 1}, bandwidth={"CPU": bytes_per_s})
        return msgspec.structs.replace(report_of(QWEN3_8B, 12.5), roofline=roofline)

    assert of_reports([with_bandwidth(50e9), with_bandwidth(40e9)]).bandwidth == {"CPU": 50e9}


def test_another_graphics_card_under_the_same_name_says_nothing_of_the_one_that_is_there() -> None:
    new, old = (report_of(QWEN3_8B, 30.0, device="Vulkan0") for _ in range(2))
    other = tuple(msgspec.structs.replace(one, description="Another card") for one in old.hello.devices)
    old = msgspec.structs.replace(old, hello=msgspec.structs.replace(old.hello, devices=other))
    assert len(of_reports([new, new]).runs) == 2
    assert len(of_reports([new, old]).runs) == 1


def test_a_run_that_was_disturbed_is_known_less_surely() -> None:
    calm, disturbed = report_of(QWEN3_8B, 10.0), report_of(QWEN3_8B, 10.0, marks=("busy",))
    spreads = [run.decodes[0].spread for run in of_reports([calm, disturbed]).runs]
    assert spreads[0] < 0.01 < 0.1 <= spreads[1]


def test_without_a_history_nothing_is_known(tmp_path: Path) -> None:
    assert not known_speeds(History(tmp_path / "none.sqlite"))


def job(info: ModelInfo) -> BenchJob:
    return BenchJob(model=LibraryModel(path=DENSE, paths=(DENSE,), info=info, source="folder"), settings=ON_CPU)


def test_a_benchmark_takes_as_long_as_what_was_measured_says() -> None:
    info = msgspec.structs.replace(QWEN3_8B, size_bytes=0)
    run = run_of(info, decoding(info, 12.8), prefills=(KnownPrefill(tps=51.2, n_prompt=512),))
    found = duration.about([job(info)], TESTS, 3, KnownSpeeds(runs=(run,)))
    assert found.is_known and 70 <= found.seconds <= 75  # 4 x 10 s of reading, 3 x 10 s of writing, and a start


def test_what_was_never_measured_is_a_rough_guess_that_grows_with_the_model() -> None:
    large, small = (duration.about([job(info)], TESTS, 3, KnownSpeeds()) for info in (QWEN3_8B, QWEN3_30B_A3B))
    assert not large.is_known and not small.is_known
    assert large.seconds > small.seconds, "of a mixture of experts a part is computed"
    both = duration.about([job(QWEN3_8B), job(QWEN3_30B_A3B)], TESTS, 3, KnownSpeeds())
    assert both.seconds > large.seconds


def test_bandwidth_alone_makes_no_duration_known() -> None:
    assert not duration.about([job(QWEN3_8B)], TESTS, 3, KnownSpeeds(bandwidth={"CPU": 40e9})).is_known
