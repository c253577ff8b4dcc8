"""What changed between two runs, how sure that is, and what else differs."""

from __future__ import annotations

import msgspec
import pytest

from tests.measure.reports import HELLO, MACHINE, PP, TG, report, result
from tui.bench.llama_records import records
from tui.measure.compare import ComparedRun, closest, compare, differences, runs_of
from tui.measure.report import Comparison, Report, Test
from tui.protocol.records import LoadSettings

FAST, SLOW = (100.0, 101.0, 99.0, 100.5), (90.0, 91.0, 89.0, 90.5)


def test_a_loss_of_a_tenth_is_seen_with_its_p_and_bounds() -> None:
    import scipy.stats  # takes a second, which each process that runs any test would wait for

    (change,) = compare(report({PP: FAST}), report({PP: SLOW}))
    expected = scipy.stats.ttest_ind(FAST, SLOW, equal_var=False).pvalue
    assert (change.test, change.verdict, change.n_before, change.n_after) == ("pp512", "slower", 4, 4)
    assert change.percent == pytest.approx(100 * (90.125 / 100.125 - 1), rel=1e-6)
    assert change.p == pytest.approx(expected, rel=1e-3)
    assert change.low is not None and change.high is not None
    assert change.low < change.percent < change.high < 0
    assert compare(report({PP: SLOW}), report({PP: FAST}))[0].verdict == "faster"


def test_a_difference_within_the_spread_is_no_difference() -> None:
    (change,) = compare(report({PP: (100.0, 110.0, 90.0)}), report({PP: (101.0, 112.0, 92.0)}))
    assert change.verdict == "no difference seen" and not change.is_significant
    assert change.p is not None and change.p > 0.5


def test_two_repetitions_are_too_few_whatever_their_p() -> None:
    (change,) = compare(report({PP: (100.0, 100.1)}), report({PP: (50.0, 50.1)}))
    assert change.p is not None and change.p < 0.05
    assert change.verdict == "too few runs" and not change.is_significant


def test_one_repetition_has_no_p_and_is_compared_all_the_same() -> None:
    (change,) = compare(report({PP: (100.0,)}), report({PP: FAST}))
    assert (change.p, change.low, change.verdict) == (None, None, "too few runs")
    assert change.percent == pytest.approx(0.125, rel=1e-3)


def test_tests_are_matched_by_name_and_those_that_only_one_has_are_left_out() -> None:
    deep = Test(n_gen=128, n_depth=4096)
    before, after = report({PP: FAST, deep: FAST}), report({TG: FAST, deep: FAST, PP: SLOW})
    assert [change.test for change in compare(before, after)] == ["tg128 @ d4096", "pp512"]


def test_marks_are_told_with_the_test_that_has_them() -> None:
    marked = msgspec.structs.replace(report(), results=(result(PP, FAST, ((), ("swapped",), ("swapped", "hot"))),))
    (change,) = compare(report({PP: FAST}), marked)
    assert change.notes == ("pp512: now, the machine swapped, the CPU was too hot",)


def test_runs_that_differ_in_nothing_but_speed_have_no_differences() -> None:
    assert differences(report({PP: FAST}), report({PP: SLOW})) == ()


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (report(n_threads=4), "threads: 8, now 4"),
        (report(n_ubatch=128), "ubatch: 512, now 128"),
        (report(type_k="q8_0"), "K cache: f16, now q8_0"),
        (report(flash_attn=False), "flash attention: 1, now 0"),
        (report(settings=LoadSettings(n_ctx=512, repack="off")), "repack: 1, now 0"),
        (report(settings=LoadSettings(n_ctx=512, use_mmap=False)), "load mode: mmap, now none"),
        (report(machine=msgspec.structs.replace(MACHINE, cpu="Apple M4")), "CPU: AMD EPYC 9R14, now Apple M4"),
        (report(hello=msgspec.structs.replace(HELLO, build_commit="fffffff")), "llama.cpp: 0c1e570, now fffffff"),
        (report(path="/elsewhere/Qwen3-4B-Q8_0.gguf"), "model: Qwen3-4B-Q4_K_M.gguf, now Qwen3-4B-Q8_0.gguf"),
    ],
)
def test_whatever_figures_depend_on_is_told_when_it_differs(other: Report, said: str) -> None:
    assert differences(report(), other) == (said,)


def test_of_two_builds_only_the_features_that_differ_are_told() -> None:
    built = HELLO.llama_cpp.replace(" | AVX2 = 1", "")
    other = report(hello=msgspec.structs.replace(HELLO, llama_cpp=built))
    assert differences(report(), other) == ("build: AVX2 = 1, now without",)


def test_a_driver_is_told_when_both_runs_know_theirs() -> None:
    old, new = (report(machine=msgspec.structs.replace(MACHINE, gpu_driver=f"nvidia {v}")) for v in (550, 570))
    assert differences(old, new) == ("GPU driver: nvidia 550, now nvidia 570",)
    assert differences(report(), new) == ()


def test_a_report_and_its_records_are_the_same_run() -> None:
    """The keys of llama-bench and the fields of a report are two ways to the same facts."""
    gpu = report(devices=("Vulkan0",), n_gpu_layers=37)
    for one in (report(), gpu):
        (from_records,) = runs_of(records(Comparison(reports=(one,))))
        told = ComparedRun.of(one)
        assert from_records.facts == {name: text for name, text in told.facts.items() if name != "build"}
        assert (from_records.model_file, from_records.model_type) == (told.model_file, told.model_type)
        assert [change.percent for change in compare(from_records, one)] == pytest.approx([0, 0], abs=1e-4)


LLAMA_BENCH = {
    "build_commit": "0c1e570", "build_number": 1, "cpu_info": "AMD EPYC 9R14", "gpu_info": "", "backends": "CPU",
    "model_filename": "/data/Qwen3-4B-Q4_K_M.gguf", "model_type": "qwen3 4B Q4_K - Medium", "model_size": 2491322368,
    "model_n_params": 4022468096, "n_batch": 2048, "n_ubatch": 512, "n_threads": 8, "type_k": "f16", "type_v": "f16",
    "n_gpu_layers": -1, "n_cpu_moe": 0, "flash_attn": -1, "devices": "auto", "load_mode": "auto", "n_prompt": 512,
    "n_gen": 0, "n_depth": 0, "test_time": "2026-11-24T10:00:00Z", "avg_ns": 5120000000, "stddev_ns": 1,
    "avg_ts": 100.0, "stddev_ts": 1.0, "samples_ns": [5069306930, 5171717171], "samples_ts": [101.0, 99.0],
}  # fmt: skip


def test_what_llama_bench_printed_can_be_compared_with() -> None:
    (run,) = runs_of([LLAMA_BENCH, {**LLAMA_BENCH, "n_prompt": 0, "n_gen": 128, "samples_ts": [20.0, 21.0]}])
    changes = compare(run, report())
    assert [(change.test, round(change.before_ts, 3)) for change in changes] == [("pp512", 100.0), ("tg128", 20.5)]
    # What llama-bench leaves to llama.cpp and does not tell is no difference.
    assert differences(run, report()) == ("batch: 2048, now 512",)


@pytest.mark.parametrize("written", [True, 1, "1", False, 0, "0"], ids=repr)
def test_repacking_is_read_from_every_format_of_llama_bench(written: bool | int | str) -> None:
    (run,) = runs_of([{**LLAMA_BENCH, "n_batch": 512, "repack": written}])
    is_on = bool(int(written))
    assert differences(run, report()) == (() if is_on else ("repack: 0, now 1",))


def test_of_several_runs_in_a_file_the_most_similar_one_of_the_model_is_taken() -> None:
    runs = runs_of(
        {**LLAMA_BENCH, "n_threads": n_threads, "model_filename": name, "samples_ts": [float(n_threads)]}
        for name in ("other.gguf", "/data/Qwen3-4B-Q4_K_M.gguf")
        for n_threads in (4, 8, 16)
    )
    found = closest(runs, ComparedRun.of(report()))
    assert found is not None
    assert (found.model_file, found.facts["threads"]) == ("Qwen3-4B-Q4_K_M.gguf", "8")


def test_a_renamed_file_of_the_same_model_is_found_and_another_model_is_not() -> None:
    (renamed,) = runs_of([{**LLAMA_BENCH, "model_filename": "renamed.gguf"}])
    assert closest([renamed], ComparedRun.of(report())) == renamed
    (other,) = runs_of([{**LLAMA_BENCH, "model_filename": "other.gguf", "model_size": 7}])
    assert closest([other], ComparedRun.of(report())) is None
    (no_test,) = runs_of([{**LLAMA_BENCH, "n_prompt": 64}])
    assert closest([no_test], ComparedRun.of(report())) is None


def test_a_record_without_figures_is_refused_with_the_key() -> None:
    with pytest.raises(msgspec.ValidationError, match="avg_ts"):
        runs_of([{key: value for key, value in LLAMA_BENCH.items() if key != "avg_ts"}])
