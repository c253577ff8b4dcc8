"""How far a build of llama.cpp is and how long it will still take, from ninja's files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.places import CHECKOUT

sys.path.insert(0, str(CHECKOUT / "scripts"))

import build_progress
import llama_steps

OUTPUTS = [f"CMakeFiles/llama.dir/part{number}.cpp.o" for number in range(4)]
PLAN = "rule phony\n" + "".join(f"build {output}: CXX_COMPILER__llama ../x.cpp || order\n" for output in OUTPUTS)
DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a minute"),
        (44, "less than a minute"),
        (45, "about a minute"),
        (89, "about a minute"),
        (91, "about 2 minutes"),
        (600, "about 10 minutes"),
    ],
)
def test_minutes_are_told_in_words(seconds: float, words: str) -> None:
    assert build_progress.minutes(seconds) == words


@pytest.mark.parametrize(
    ("output", "name"),
    [
        ("vendor/src/CMakeFiles/llama.dir/models/llama-vocab.cpp.o", "llama/llama-vocab.cpp.o"),
        ("CMakeFiles/ggml-cpu.dir/ops.cpp.o", "ggml-cpu/ops.cpp.o"),
        ("vulkan/mul_mm.comp.cpp", "mul_mm.comp.cpp"),
        ("plain", "plain"),
    ],
)
def test_a_step_is_known_by_its_target_and_file(output: str, name: str) -> None:
    assert build_progress.step_name(output) == name


def done(objects: Path, outputs: list[str]) -> None:
    """Ninja's log after these."""
    lines = [f"0\t9\t1\t{output}\tabc\n" for output in outputs]
    (objects / ".ninja_log").write_text("# ninja log v5\n" + "".join(lines))


def test_what_is_left_falls_as_the_log_grows(tmp_path: Path) -> None:
    (tmp_path / "build.ninja").write_text(PLAN)
    progress = build_progress.Progress(tmp_path, lambda _: 10.0, expected=2.0)
    progress.read("[1/5] Building")
    left = []
    for n_done in range(len(OUTPUTS) + 1):
        done(tmp_path, OUTPUTS[:n_done])
        left.append(progress.left_s(DAY_S + 5 * n_done))  # as fast as was expected: 10 s of steps in 5 s
    assert left == [20.0, 15.0, 10.0, 5.0, 0.0]
    assert progress.left_s(2 * DAY_S) == 0.0


def test_a_build_that_is_slower_than_expected_takes_longer(tmp_path: Path) -> None:
    (tmp_path / "build.ninja").write_text(PLAN)
    progress = build_progress.Progress(tmp_path, lambda _: 10.0, expected=2.0)
    progress.read("[1/5] Building")
    done(tmp_path, [])
    assert progress.left_s(DAY_S) == 20.0
    done(tmp_path, OUTPUTS[:1])
    assert progress.left_s(DAY_S + 20) == 30.0  # 10 s of steps took 20 s, and the 20 s of trust 10: a second for each


def test_what_was_built_before_is_no_part_of_how_fast_it_goes(tmp_path: Path) -> None:
    (tmp_path / "build.ninja").write_text(PLAN)
    done(tmp_path, OUTPUTS[:2])
    progress = build_progress.Progress(tmp_path, lambda _: 10.0)
    progress.read("[3/5] Building")
    assert progress.left_s(DAY_S) is None
    done(tmp_path, OUTPUTS[:3])
    assert progress.left_s(DAY_S + 7) == 7.0


def test_nothing_is_told_while_nothing_is_known(tmp_path: Path) -> None:
    progress = build_progress.Progress(tmp_path, lambda _: 10.0, expected=2.0)
    assert progress.left_s(DAY_S) is None
    progress.read("[1/5] Building")
    assert progress.left_s(DAY_S) is None  # ninja has written nothing yet
    done(tmp_path, [])
    (tmp_path / "build.ninja").write_text(PLAN)
    assert progress.left_s(DAY_S) == 20.0
    progress.read("Building wheel for llama_cpp_python: finished")
    assert progress.left_s(DAY_S) is None


@pytest.mark.parametrize("backend", ["cpu", "vulkan"])
def test_a_faster_machine_needs_less_and_more_cores_help_up_to_the_longest_chain(backend: str) -> None:
    alone, two, same_with_many = (
        llama_steps.expected_s(backend, speed, jobs) for speed, jobs in ((1.0, 1), (2.0, 2), (64.0, 64))
    )
    assert alone > two > same_with_many
    assert llama_steps.expected_s(backend, 128.0, 128) == same_with_many
    assert llama_steps.expected_s(backend, 2.0, 1) < alone


def test_only_what_is_built_for_the_libraries_has_a_weight() -> None:
    assert llama_steps.weight("llama/llama-vocab.cpp.o") == llama_steps.LONG["llama/llama-vocab.cpp.o"]
    assert llama_steps.weight("llama/anything.cpp.o") > 0 and llama_steps.weight("any.comp.cpp") > 0
    assert llama_steps.weight("libllama.so") == 0 == llama_steps.weight("llama-cli/main.cpp.o")
