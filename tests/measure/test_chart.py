"""What a chart shows of a comparison: which bars in which order, what counts as 1, and what is said of the rest."""

from __future__ import annotations

import msgspec
import pytest

from tests.measure.fixed import (
    COMPARISON,
    DEEPSEEK_7B,
    PP512,
    QWEN3_4B,
    QWEN3_14B,
    QWEN3_30B_A3B,
    QWEN3_32B,
    TG128,
    measured,
    path_of,
    report,
    result,
)
from tui.measure.chart import Chart, RowName, UnknownBaseline, charts, factor, find_baseline, row_names
from tui.measure.report import Comparison, RefusedJob, Test


def relatives(chart: Chart) -> dict[str, float]:
    """Relative speeds, by the name of the row."""
    return {f"{g.label} on {bar.backend}": round(bar.relative, 2) for g in chart.groups for bar in g.bars}


def named(text: str) -> RowName:
    label, _, backend = text.partition(" on ")
    return RowName(label=label, backend=backend, file=f"{label.replace(' ', '-')}.gguf")


ROWS = tuple(map(named, ("Qwen3-4B Q4_K_M on CPU", "Qwen3-4B Q4_K_M on Vulkan0", "Qwen3-4B Q8_0 on CPU", "B on CUDA0")))


def test_models_grow_downwards_with_the_experts_among_dense_models_of_their_size_and_the_cpu_first() -> None:
    decode, prefill = charts(COMPARISON)
    assert [(group.label, group.is_moe) for group in decode.groups] == [
        ("Qwen3-4B Q4_K_M", False),
        ("DeepSeek-R1-Distill-Qwen-7B Q4_K_M", False),
        ("Qwen3-8B Q4_K_M", False),
        ("Qwen3-14B Q4_K_M", False),
        ("Qwen3-30B-A3B Q3_K_L", True),
        ("Qwen3-32B Q3_K_L", False),
    ]
    assert all([bar.backend for bar in group.bars] == ["CPU", "Vulkan0"] for group in decode.groups)
    assert (decode.what, decode.test, prefill.what, prefill.test) == ("decode", "tg128", "prefill", "pp512")


def test_speeds_are_relative_to_the_slowest_dense_model_on_the_cpu() -> None:
    decode, prefill = charts(COMPARISON)
    assert decode.baseline == prefill.baseline == "Qwen3-32B Q3_K_L on CPU"
    (moe,) = (group for group in decode.groups if group.is_moe)
    cpu, gpu = moe.bars
    assert cpu.tps == pytest.approx(26.9, rel=1e-3) and cpu.deviation_tps == pytest.approx(0.269, rel=1e-3)
    assert cpu.relative == pytest.approx(26.9 / 4.1) and gpu.relative == pytest.approx(34.8 / 4.1)
    assert relatives(prefill)["Qwen3-4B Q4_K_M on Vulkan0"] == round(610 / 22, 2)
    assert decode.longest == gpu.relative


def test_a_slower_mixture_of_experts_or_gpu_is_not_taken_for_1() -> None:
    rows = (measured(QWEN3_30B_A3B, 10, 1), measured(QWEN3_4B, 10, 2, "Vulkan0"), measured(QWEN3_4B, 10, 4))
    (decode, _) = charts(Comparison(reports=rows))
    assert decode.baseline == "Qwen3-4B Q4_K_M on CPU"
    assert relatives(decode)["Qwen3-30B-A3B Q3_K_L on CPU"] == 0.25


def test_without_a_dense_model_on_the_cpu_the_slowest_row_is_1() -> None:
    rows = (measured(QWEN3_30B_A3B, 10, 8), measured(QWEN3_4B, 10, 2, "Vulkan0"), measured(QWEN3_14B, 9, 5, "Vulkan0"))
    assert charts(Comparison(reports=rows))[0].baseline == "Qwen3-4B Q4_K_M on Vulkan0"


@pytest.mark.parametrize(
    ("wanted", "baseline"),
    [
        ("Qwen3-4B Q4_K_M", "Qwen3-4B Q4_K_M on CPU"),
        ("30b", "Qwen3-30B-A3B Q3_K_L on CPU"),
        ("deepseek@vulkan", "DeepSeek-R1-Distill-Qwen-7B Q4_K_M on Vulkan0"),
        ("Qwen3-14B-Q4_K_M.gguf", "Qwen3-14B Q4_K_M on CPU"),
        ("@vulkan0", "Qwen3-14B Q4_K_M on Vulkan0"),
    ],
)
def test_the_baseline_can_be_named(wanted: str, baseline: str) -> None:
    decode, prefill = charts(COMPARISON, wanted)
    assert decode.baseline == prefill.baseline == baseline and relatives(decode)[baseline] == 1.0


def test_a_baseline_that_was_refused_is_no_row_with_a_speed() -> None:
    with pytest.raises(UnknownBaseline) as caught:
        charts(COMPARISON, "Qwen3-32B@vulkan0")
    assert caught.value.matches == () and named("Qwen3-32B Q3_K_L on CPU") in caught.value.rows


def test_a_name_of_several_models_is_refused_with_their_rows_unless_it_is_the_whole_of_one() -> None:
    with pytest.raises(UnknownBaseline) as caught:
        find_baseline("qwen3-4b", ROWS)
    assert caught.value.matches == ROWS[:3]
    assert find_baseline("qwen3-4b q8_0", ROWS) == ROWS[2:3]
    assert find_baseline("B", ROWS) == ROWS[3:]


def test_a_name_of_nothing_is_refused_with_the_rows_there_are() -> None:
    with pytest.raises(UnknownBaseline) as caught:
        find_baseline("14B@cpu", ROWS)
    assert (caught.value.wanted, caught.value.matches, caught.value.rows) == ("14B@cpu", (), ROWS)


def test_an_at_sign_that_names_no_backend_belongs_to_the_name() -> None:
    odd = named("model@home on CPU")
    assert find_baseline("model@home", (*ROWS, odd)) == (odd,)


def test_what_was_refused_is_an_empty_bar_with_the_reason_in_short() -> None:
    refused = charts(COMPARISON)[0].groups[-1].bars[1]
    assert (refused.reason, refused.tps, refused.relative) == ("Does not fit: 2.4 GiB too much for Vulkan0", 0.0, 0.0)


def test_a_file_that_cannot_be_read_is_last_and_called_by_its_file() -> None:
    broken = RefusedJob(model=None, path="/models/broken.gguf", backend="CPU", reason="broken.gguf: not a GGUF file.")
    decode, _ = charts(Comparison(reports=(measured(QWEN3_4B, 10, 4),), refused=(broken,)))
    assert [(group.label, group.bars[0].reason) for group in decode.groups][-1] == ("broken.gguf", "not a GGUF file")


def test_a_row_that_failed_after_its_test_keeps_what_was_measured() -> None:
    failed = RefusedJob(model=QWEN3_4B, path=path_of(QWEN3_4B), backend="CPU", reason="the engine stopped.")
    interrupted = report(QWEN3_4B, result(PP512, 100.0))
    decode, prefill = charts(Comparison(reports=(measured(QWEN3_14B, 9, 5), interrupted), refused=(failed,)))
    assert [bar.reason for bar in decode.bars] == ["the engine stopped", ""]
    assert [bar.reason for bar in prefill.bars] == ["", ""]


def test_only_the_same_test_is_compared() -> None:
    other = report(DEEPSEEK_7B, result(Test(n_gen=128, n_depth=4096), 3.0), result(TG128, 6.0))
    decode, _ = charts(Comparison(reports=(measured(QWEN3_14B, 9, 5), other)))
    assert relatives(decode) == {"DeepSeek-R1-Distill-Qwen-7B Q4_K_M on CPU": 1.2, "Qwen3-14B Q4_K_M on CPU": 1.0}


def test_nothing_measured_makes_no_chart() -> None:
    assert charts(Comparison()) == () == charts(Comparison(refused=COMPARISON.refused))
    assert charts(Comparison(reports=(report(QWEN3_4B, result(Test(n_prompt=8, n_gen=8), 5.0)),))) == ()


def test_models_of_the_same_name_are_called_by_their_files() -> None:
    twin = measured(QWEN3_4B, 10, 3)
    twin = msgspec.structs.replace(twin, loaded=msgspec.structs.replace(twin.loaded, path="/models/mine.gguf"))
    decode, _ = charts(Comparison(reports=(measured(QWEN3_4B, 10, 4), twin)))
    assert {group.label for group in decode.groups} == {"Qwen3-4B-Q4_K_M.gguf", "mine.gguf"}
    names = row_names([(QWEN3_4B, "/a/x.gguf", "CPU"), (QWEN3_4B, "/b/y.gguf", "CPU"), (QWEN3_4B, "/b/y.gguf", "V")])
    assert list(map(str, names)) == ["x.gguf on CPU", "y.gguf on CPU", "y.gguf on V"]


def test_a_name_that_would_garble_a_terminal_is_cleaned() -> None:
    decode, _ = charts(
        Comparison(reports=(measured(msgspec.structs.replace(QWEN3_4B, name="a\x1b[2J\nb\u202ec"), 9, 9),))
    )
    assert decode.groups[0].label == "a [2J bc Q4_K_M"


def test_a_part_of_the_layers_is_said_and_marks_are_kept() -> None:
    part = report(QWEN3_32B, result(TG128, 6.0, 6.0, marks=("busy", "hot")), device="Vulkan0", n_gpu_layers=20)
    (decode,) = charts(Comparison(reports=(part,)))
    assert decode.bars[0].label == "Vulkan0 20/37" and decode.bars[0].marks == ("busy", "hot")
    assert decode.doubt == "! not reliable: other programs were busy, the CPU was too hot"
    assert charts(COMPARISON)[1].doubt == ""


def test_the_facts_say_on_what_and_with_what_it_was_measured() -> None:
    machine, device, rest = charts(COMPARISON)[0].facts
    assert machine == "Ryzen AI 9 HX 370, 12 cores, 32.0 GiB RAM" and device == "Vulkan0: Radeon 890M"
    for fact in ("llama.cpp 1a2b3c4", "llmtui ", "12 threads", "of 3 runs", "2026-11-25"):
        assert fact in rest


def test_figures_are_as_short_as_they_can_be_read() -> None:
    assert [factor(x) for x in (0.0834, 0.994, 0.996, 1.0, 6.23, 99.94, 99.96, 1234.5, 2e6)] == [
        *("0.08", "0.99", "1.0", "1.0", "6.2", "99.9", "100", "1234", "2.0e+06")
    ]
    assert [chart.digits for chart in charts(COMPARISON)] == [2, 1]
    assert charts(Comparison(reports=(measured(QWEN3_4B, 2000, 4), measured(QWEN3_4B, 9e3, 2e3, "C"))))[0].digits == 1
