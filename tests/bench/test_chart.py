"""`llmtui --bench` with charts, from outside: what comes to stdout, and what is refused before anything is measured."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import DENSE, MOE
from tests.patience import PATIENCE_S
from tests.running import COMMAND, llmtui, on_terminal
from tui.base.exit_codes import ExitCode

SMALL = ("-p", "32", "-n", "8", "-r", "2", "-t", "1")
ENDLESS = ("-p", "0", "-n", "8", "-r", "1000000", "-t", "1")
"""Whatever is refused must be refused before this is measured."""
FIGURES = r"[\d,.]+ ± +[\d,.]+ tok/s +x[\d.]+$"
COLOUR = re.compile(r"\x1b\[\d*m")


def test_a_chart_as_text_shows_both_tests_of_both_models_and_what_they_ran_on() -> None:
    done = llmtui("--bench", DENSE, MOE, *SMALL, "--output", "chart")
    assert done.returncode == ExitCode.FINE and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "Decode tg8 in tok/s, x1.0 is Tiny Qwen3 0.001B Q8_0 on CPU"
    assert "Prefill pp32 in tok/s, x1.0 is Tiny Qwen3 0.001B Q8_0 on CPU" in lines
    assert len([line for line in lines if re.search(rf"^  CPU █.* {FIGURES}", line)]) == 2
    assert len([line for line in lines if re.search(rf"^  CPU ▒.* {FIGURES}", line)]) == 2
    assert "llama.cpp" in lines[-2] + lines[-1] and max(map(len, lines)) <= 80


def test_a_stream_without_block_characters_gets_ascii() -> None:
    done = llmtui("--bench", DENSE, MOE, *SMALL, "-o", "chart", PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    assert done.returncode == ExitCode.FINE
    assert "CPU ###" in done.stdout and "CPU ===" in done.stdout and "?" not in done.stdout


def test_the_table_of_two_rows_on_a_terminal_ends_with_the_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    with on_terminal("--bench", DENSE, MOE, *SMALL, "--baseline", "a0.001b") as running:
        code, _ = running.end()
    assert code == ExitCode.FINE
    report = running.seen.rpartition("\x1b[K")[2]
    chart = report[report.index("Decode tg8") :]
    assert "tg t/s  takes GiB" in COLOUR.sub("", report) and "\x1b[34m█" in chart and "\x1b[34m▒" in chart
    assert "x1.0 is Tiny Qwen3 0.002B A0.001B Q8_0 on CPU" in COLOUR.sub("", chart)


def test_no_color_takes_the_colours_away_and_one_row_has_no_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    with on_terminal("--bench", DENSE, MOE, *SMALL, "-n", "0") as running:
        running.end()
    assert "Prefill pp32" in running.seen and not COLOUR.search(running.seen)
    with on_terminal("--bench", DENSE, *SMALL) as running:
        running.end()
    assert "Decode" not in running.seen


def test_png_and_svg_come_to_stdout_as_they_are() -> None:
    arguments = ("--bench", DENSE, MOE, *SMALL, "--baseline", MOE.name, "--output")
    png = subprocess.run([*COMMAND, *map(str, arguments), "png"], capture_output=True, check=True, timeout=PATIENCE_S)
    assert png.stdout.startswith(b"\x89PNG\r\n\x1a\n") and png.stdout.endswith(b"IEND\xaeB`\x82")
    svg = llmtui(*arguments, "svg")
    assert svg.returncode == ExitCode.FINE
    assert "relative to Tiny Qwen3 0.002B A0.001B Q8_0 on CPU" in "".join(ElementTree.fromstring(svg.stdout).itertext())


def test_a_png_is_refused_on_a_terminal_before_anything_is_measured() -> None:
    with on_terminal("--bench", DENSE, *ENDLESS, "--output", "png") as running:
        code, _ = running.end()
    assert code == ExitCode.USAGE and "> chart.png" in running.seen and "loading" not in running.seen


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-o", "svg", "--baseline", "nobody"), "There are: Tiny Qwen3 0.001B Q8_0 on CPU, Tiny Qwen3 0.002B"),
        (
            ("-o", "svg", "--baseline", "tiny"),
            "several models have that name: Tiny Qwen3 0.001B Q8_0, Tiny Qwen3 0.002B",
        ),
        (("-o", "json", "--baseline", "tiny"), "--baseline goes with a chart"),
        (("-o", "png", "-n", "0", "-pg", "8,8"), "only read or only write"),
    ],
)
def test_what_cannot_be_drawn_is_bad_usage_before_anything_is_measured(arguments: tuple[str, ...], said: str) -> None:
    done = llmtui("--bench", DENSE, MOE, *ENDLESS, *arguments)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert said in done.stderr


def test_where_matplotlib_was_lost_it_is_said_before_anything_is_measured_and_text_needs_none() -> None:
    def run(output: str) -> subprocess.CompletedProcess[str]:
        arguments = ["--bench", str(DENSE), *SMALL, "-o", output]
        without = "import sys\nsys.modules['matplotlib'] = None\nfrom tui.cli.main import main"
        code = f"{without}\nsys.exit(main({arguments!r}))"
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )

    refused = run("svg")
    assert (refused.returncode, refused.stdout) == (ExitCode.USAGE, "")
    assert "make install" in refused.stderr and "pp32" not in refused.stderr
    assert "Decode tg8" in run("chart").stdout


def test_a_model_that_breaks_is_an_empty_bar_and_one_that_was_to_be_the_baseline_is_replaced(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(DENSE.read_bytes().replace(b"blk.0.attn_q.weight", b"blk.0.attn_z.weight"))
    done = llmtui("--bench", broken, MOE, *SMALL, "-o", "chart", "--baseline", "broken")
    assert done.returncode == ExitCode.MODEL
    assert "--baseline broken was not measured" in done.stderr
    assert re.search(r"^  CPU tensor 'blk.0.attn_q.weight' not found$", done.stdout, re.MULTILINE)
    assert "x1.0 is Tiny Qwen3 0.002B A0.001B Q8_0 on CPU" in done.stdout


def test_when_nothing_could_be_measured_there_is_no_picture_but_the_reasons(tmp_path: Path) -> None:
    paths = [tmp_path / "one.gguf", tmp_path / "two.gguf"]
    for path in paths:
        path.write_bytes(DENSE.read_bytes().replace(b"blk.0.attn_q.weight", b"blk.0.attn_z.weight"))
    done = llmtui("--bench", *paths, *SMALL, "-o", "svg")
    assert (done.returncode, done.stdout) == (ExitCode.MODEL, "")
    assert "nothing to draw" in done.stderr and "one.gguf on CPU" in done.stderr and "two.gguf on CPU" in done.stderr
