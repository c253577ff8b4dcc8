"""Charts in a terminal: how they look, and that they never leave its width or need more than it can show."""

from __future__ import annotations

import pytest
import wcwidth
from hypothesis import given
from hypothesis import strategies as st

from tests.measure.fixed import COMPARISON, QWEN3_4B, QWEN3_30B_A3B, measured, model, path_of
from tui.measure.chart import charts
from tui.measure.chart_text import SIGNS, Span, chart_lines, text_of
from tui.measure.report import Comparison, RefusedJob, Report

DECODE, PREFILL = charts(COMPARISON)

AT_80 = """\
Decode tg128 in tok/s, x1.0 is Qwen3-32B Q3_K_L on CPU

Qwen3-4B Q4_K_M · 4.0B
  CPU     ██████████████████████████████████▉         28.20 ± 0.28 tok/s  x6.9
  Vulkan0 █████████████████████████████████████████▎  33.40 ± 0.33 tok/s  x8.1

DeepSeek-R1-Distill-Qwen-7B Q4_K_M · 7.6B
  CPU     ███████████████████                         15.40 ± 0.15 tok/s  x3.8
  Vulkan0 ███████████████████████▌                    19.00 ± 0.19 tok/s  x4.6

Qwen3-8B Q4_K_M · 8.2B
  CPU     █████████████████▋                          14.30 ± 0.14 tok/s  x3.5 !
  Vulkan0 █████████████████████▊                      17.60 ± 0.18 tok/s  x4.3

Qwen3-14B Q4_K_M · 14.8B
  CPU     █████████▉                                   8.00 ± 0.08 tok/s  x2.0
  Vulkan0 ████████████▎                                9.90 ± 0.10 tok/s  x2.4

Qwen3-30B-A3B Q3_K_L · 30.5B (3.4B) · MoE
  CPU     ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒           26.90 ± 0.27 tok/s  x6.6
  Vulkan0 ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒ 34.80 ± 0.35 tok/s  x8.5

Qwen3-32B Q3_K_L · 32.8B
  CPU     █████▏                                       4.10 ± 0.04 tok/s  x1.0
  Vulkan0 Does not fit: 2.4 GiB too much for Vulkan0

█ dense  ▒ MoE: mixture of experts
! not reliable: the clock fell"""
AT_40 = """\
Decode tg128 in tok/s
x1.0 is Qwen3-32B Q3_K_L on CPU

Qwen3-4B Q4_K_M · 4.0B
  CPU     █████████████    28.20  x6.9
  Vulkan0 ███████████████▍ 33.40  x8.1

DeepSeek-R1-Distill-Qwen-7B Q4_K… · 7.6B
  CPU     ███████▏         15.40  x3.8
  Vulkan0 ████████▊        19.00  x4.6

Qwen3-8B Q4_K_M · 8.2B
  CPU     ██████▋          14.30  x3.5 !
  Vulkan0 ████████▏        17.60  x4.3

Qwen3-14B Q4_K_M · 14.8B
  CPU     ███▋              8.00  x2.0
  Vulkan0 ████▌             9.90  x2.4

Qwen3-30B-A3B Q3_K… · 30.5B (3.4B) · MoE
  CPU     ▒▒▒▒▒▒▒▒▒▒▒▒     26.90  x6.6
  Vulkan0 ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒ 34.80  x8.5

Qwen3-32B Q3_K_L · 32.8B
  CPU     █▉                4.10  x1.0
  Vulkan0 Does not fit: 2.4 GiB too muc…

█ dense  ▒ MoE: mixture of experts
! not reliable: the clock fell"""


def drawn(comparison: Comparison, columns: int = 80, *, plain_ascii: bool = False) -> list[str]:
    return text_of(chart_lines(charts(comparison)[0], columns, plain_ascii=plain_ascii)).splitlines()


def bars(lines: list[str], sign: str) -> list[int]:
    """How many whole cells of `sign` each line with any has."""
    return [line.count(sign) for line in lines if sign in line and "dense" not in line]


def test_it_looks_like_this_in_80_columns() -> None:
    assert text_of(chart_lines(DECODE, 80)) == AT_80


def test_it_looks_like_this_in_40_columns() -> None:
    assert text_of(chart_lines(DECODE, 40)) == AT_40


def test_without_block_characters_it_is_all_ascii_and_tells_dense_from_experts() -> None:
    lines = drawn(COMPARISON, plain_ascii=True)
    assert "\n".join(lines).isascii()
    assert len(bars(lines, "#")) == 9 and len(bars(lines, "=")) == 2
    assert lines[-2] == "# dense  = MoE: mixture of experts"


def test_block_characters_are_those_that_a_stream_is_asked_for() -> None:
    assert set(text_of(chart_lines(DECODE, 80)) + text_of(chart_lines(DECODE, 40))) - set(map(chr, range(128))) <= set(
        SIGNS
    )


def test_bars_are_as_long_as_the_speeds_to_an_eighth_of_a_cell() -> None:
    lines = drawn(Comparison(reports=(measured(QWEN3_4B, 9, 5), measured(QWEN3_4B, 9, 10, "Vulkan0"))), 60)
    slow, fast = lines[3:5]
    whole = fast.count("█")
    eighths = slow.count("█") * 8 + "▏▎▍▌▋▊▉".find(slow.split()[1][-1]) + 1
    assert whole > 20 and eighths == whole * 4


def test_the_slowest_of_all_still_has_a_bar() -> None:
    rows = (measured(QWEN3_4B, 9, 1), measured(QWEN3_4B, 9, 5000, "CUDA0"), measured(QWEN3_30B_A3B, 9, 1))
    lines = drawn(Comparison(reports=rows))
    assert "▏" in lines[3] and bars(lines, "▒") == [1]


def test_one_backend_takes_no_empty_lines_between_models() -> None:
    lines = drawn(Comparison(reports=(measured(QWEN3_4B, 9, 5), measured(QWEN3_30B_A3B, 9, 4))))
    assert [index for index, line in enumerate(lines) if not line] == [1, 6]


def test_the_baseline_line_is_cut_only_where_it_has_a_line_of_its_own() -> None:
    assert drawn(COMPARISON, 80)[0] == "Decode tg128 in tok/s, x1.0 is Qwen3-32B Q3_K_L on CPU"
    assert drawn(COMPARISON, 40)[:2] == ["Decode tg128 in tok/s", "x1.0 is Qwen3-32B Q3_K_L on CPU"]


def test_roles_tell_cpu_from_gpu_and_reasons_and_marks_from_figures() -> None:
    spans = [span for line in chart_lines(DECODE, 80) for span in line]
    assert len([span for span in spans if span.role == "cpu"]) == 6
    assert len([span for span in spans if span.role == "gpu"]) == 5
    assert [span.text for span in spans if span.role == "reason"] == ["Does not fit: 2.4 GiB too much for Vulkan0"]
    assert Span(" !", "mark") in spans


def test_paint_gets_every_piece() -> None:
    lines = chart_lines(DECODE, 80)
    painted = text_of(lines, lambda span: f"<{span.role}>" if span.role == "cpu" else "")
    assert painted.count("<cpu>") == 6


@pytest.mark.parametrize(("asked", "taken"), [(10, 40), (1000, 200)])
def test_beyond_40_and_200_columns_it_stays_as_it_is(asked: int, taken: int) -> None:
    assert chart_lines(DECODE, asked) == chart_lines(DECODE, taken)


names = st.text(min_size=1, max_size=60) | st.text("千问三大模型Qwen-👩‍👩‍👧é", min_size=1, max_size=60)
speeds = st.floats(min_value=1e-3, max_value=1e6)
backends = st.sampled_from(["", "Vulkan0", "CUDA0", "Vulkan0+Vulkan1+Vulkan2", "BLAS"])
rows = st.builds(
    lambda name, n_params, is_moe, decode, device: measured(
        model(name, "Q4_K_M", n_params, 1.0, n_expert=128 if is_moe else 0), 10.0, decode, device, ("hot",)
    ),
    names,
    st.floats(min_value=1e6, max_value=1e12),
    st.booleans(),
    speeds,
    backends,
)


@given(st.lists(rows, min_size=1, max_size=6), names, st.integers(40, 200), st.booleans())
def test_no_line_is_ever_wider_than_the_terminal(
    reports: list[Report], reason: str, columns: int, plain_ascii: bool
) -> None:
    refused = RefusedJob(model=QWEN3_4B, path=path_of(QWEN3_4B), backend="Vulkan1", reason=reason)
    for line in drawn(Comparison(reports=tuple(reports), refused=(refused,)), columns, plain_ascii=plain_ascii):
        assert 0 <= wcwidth.wcswidth(line) <= columns
