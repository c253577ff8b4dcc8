"""What the command line prints comes through the catalogue, lines up in cells, and is the same for programs in every
language."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import DENSE, MOE
from tests.patience import PATIENCE_S
from tests.running import llmtui
from tests.words import pseudo
from tui.base.text import cells
from tui.config import paths
from tui.machine.missing_gpu import read_build
from tui.measure.chart_plot import can_draw_chinese

CHINESE = {"LANG": "zh_CN.UTF-8", "LC_ALL": "", "LANGUAGE": ""}
_PSEUDO = """
import sys
from tests.words import pseudo
from tui import words
speak = words.use
words.use = lambda wanted, catalogue=None: speak("zh", pseudo.Pseudo())
from tui.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
"""The command in the language that nobody speaks."""
LLAMA_BENCH = ("| model ", " size | ", " params | ", " backend | ", " threads | ", " test | ")
"""Its headings, which its readers look for."""
SMALL = ("-p", "8", "-n", "4", "-r", "1", "-t", "1")


def in_pseudo(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _PSEUDO, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--devices"],
        ["--devices", "--software-vulkan"],
        ["--locate"],
        ["--bench", DENSE, *SMALL, "--output", "table"],
        ["--bench", DENSE, MOE, *SMALL, "--output", "table", "--e2e"],
        ["--bench", DENSE, *SMALL, "--output", "md", "--compare", "last", "--fail-below", "3", "-r", "3"],
        ["--quick", DENSE, "-t", "1", "--output", "table"],
        ["--parallel", "1,2", DENSE, *SMALL, "--output", "table"],
        ["--history", "--output", "table"],
        ["--bench", "nowhere.gguf"],
        ["--bench", DENSE, "--backend", "vulkan9"],
        ["--bench", DENSE, "-c", "1", *SMALL],
        ["--bench", DENSE, *SMALL, "--compare", "9999"],
        ["--bench", DENSE, *SMALL, "--compare", "nowhere.json"],
        ["--bench", DENSE, *SMALL, "--baseline", "x", "--output", "chart"],
        ["--bench", DENSE, *SMALL, "--baseline", "x", "--output", "json"],
    ],
    ids=lambda arguments: " ".join(Path(str(word)).name for word in arguments),
)
def test_no_word_bypasses_the_catalogue(arguments: list[str | Path]) -> None:
    done = in_pseudo(*arguments)
    told = done.stdout + done.stderr
    assert told and "Traceback" not in told
    assert pseudo.bypassed(told, *names_in(told)) == []


def names_in(told: str) -> list[str]:
    """What is named and not said: paths, commands in quotes, models, processors, drivers, systems, options."""
    named = r"(?<!\w)/[^\s,:()]+|`[^`]*`|--?[a-z][\w-]*(?: [a-z]\w*)?|[\w.-]+\.(?:gguf|json)|apt-get [\w -]+"
    named += r"|(?:[A-Z_]+=\S+ )*make run"
    models = ("Tiny Qwen", "qwen3moe", "qwen3")
    return [
        *re.findall(named, told),
        *_processor(),
        *_packages(),
        *re.findall(r"llvmpipe \([^()]*\)|\(llvmpipe\)|llvmpipe", told),
        *models,
        *LLAMA_BENCH,
        "llama-cpp-python",
        "auto",
        "cpu",
        "last",
        "json",
    ]


def _processor() -> list[str]:
    from tui.measure.machine import this_machine

    here = this_machine()
    return [here.cpu, here.os]


def _packages() -> tuple[str, ...]:
    """Of Debian, that this llama.cpp was built without."""
    build = read_build(paths.llama_build_file())
    return build.packages if build is not None else ()


@pytest.mark.parametrize("arguments", [["--devices"], ["--locate"], ["--history", "--output", "table"]], ids=str)
def test_columns_line_up_in_chinese(arguments: list[str]) -> None:
    if "--history" in arguments:
        assert llmtui("--bench", DENSE, *SMALL).returncode == 0
    done = llmtui(*arguments, **CHINESE)
    rows = done.stdout.split("\n\n")[0].rstrip().splitlines()
    assert len(rows) > 1 and re.search(r"[\u4e00-\u9fff]", done.stdout)
    # The last column is aligned at its left or, with figures, at its right end.
    ends = {cells(row) for row in rows}
    begins = {cells(row[: row.rindex("  ") + 2]) for row in rows}
    assert len(ends) == 1 or len(begins) == 1


def test_a_chinese_report_has_its_columns_below_each_other() -> None:
    done = llmtui("--bench", DENSE, MOE, *SMALL, "--output", "table", **CHINESE)
    heading, *rows = done.stdout.splitlines()[:3]
    assert heading.startswith("模型") and "占用 GiB" in heading
    assert {cells(row) for row in rows} == {cells(heading)}


@pytest.mark.parametrize("output", ["json", "csv"])
def test_what_programs_read_is_the_same_in_every_language(output: str) -> None:
    def figures_apart(text: str) -> str:
        return re.sub(r"\d+(\.\d+)?(e[-+]\d+)?", "0", text)

    arguments = ("--bench", DENSE, "-p", "8", "-n", "0", "-r", "1", "-t", "1", "--output", output)
    english, chinese = llmtui(*arguments), llmtui(*arguments, **CHINESE)
    assert figures_apart(chinese.stdout) == figures_apart(english.stdout) != ""


def test_scores_places_and_history_are_the_same_for_programs_in_every_language() -> None:
    for arguments in (["--locate", "--json"], ["--history", "--json"]):
        assert llmtui(*arguments, **CHINESE).stdout == llmtui(*arguments).stdout
    quick = [json.loads(llmtui("--quick", DENSE, "-t", "1", "--json", **environ).stdout) for environ in ({}, CHINESE)]
    assert quick[0]["definition"] == quick[1]["definition"] and quick[0].keys() == quick[1].keys()


def test_errors_are_told_in_chinese() -> None:
    assert "没有这个文件" in llmtui("--bench", "nowhere.gguf", **CHINESE).stderr
    assert "没有这次运行" in llmtui("--bench", DENSE, "--compare", "9999", **CHINESE).stderr
    assert "没有这个设备" in llmtui("--bench", DENSE, "--backend", "vulkan9", *SMALL, **CHINESE).stderr


def test_files_that_cannot_be_measured_are_told_in_chinese(tmp_path: Path) -> None:
    half, page = tmp_path / "half.gguf", tmp_path / "page.gguf"
    half.write_bytes(DENSE.read_bytes()[:-1000])
    page.write_text("<html>")
    assert "不完整" in llmtui("--bench", half, **CHINESE).stderr
    assert "保存的是网页" in llmtui("--bench", page, **CHINESE).stderr
    for path in (half, page):
        told = in_pseudo("--bench", path).stderr
        assert pseudo.bypassed(told, *names_in(told)) == []


def test_a_picture_is_in_chinese_where_a_font_has_it_and_else_in_english() -> None:
    done = llmtui("--bench", DENSE, "-p", "8", "-n", "0", "-r", "1", "-t", "1", "--output", "svg", **CHINESE)
    assert done.returncode == 0
    if can_draw_chinese():
        assert "预填充速度" in done.stdout and "字体" not in done.stderr
    else:
        assert "Prefill speed" in done.stdout and "没有中文字体" in done.stderr
        assert not re.search(r"[\u4e00-\u9fff]", done.stdout)
