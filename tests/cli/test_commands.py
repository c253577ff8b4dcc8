"""The commands that stand first, as words: their help, what is refused, what may have been meant."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import DENSE
from tests.running import llmtui, on_terminal, plain
from tui.base.exit_codes import ExitCode
from tui.base.text import cells
from tui.cli.command_parsers import command_parser
from tui.cli.commands import COMMANDS


def test_the_help_names_all_commands() -> None:
    lines = llmtui("--help").stdout.splitlines()
    assert all(any(line.startswith(f"  {name} ") for line in lines) for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("locale", ["C.UTF-8", "zh_CN.UTF-8"])
def test_each_has_a_help_with_examples_that_fits_into_80_columns(name: str, locale: str) -> None:
    done = llmtui(name, "--help", LC_ALL=locale, COLUMNS="80")
    assert done.returncode == ExitCode.FINE and done.stderr == ""
    assert f"\n  llmtui {name} " in done.stdout and ("--json" in done.stdout) == (name != "attach")
    assert max(map(cells, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_a_help_of_one_needs_no_hub_and_no_settings(name: str) -> None:
    code = (
        f"import sys\nfrom tui.cli.main import main\nmain([{name!r}, '--help'])\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("msgspec", "huggingface_hub", "modelscope_hub", "pathlib", "asyncio"):
        assert f"'{heavy}'" not in done.stderr, heavy


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search"], "say what to search for"),
        (["search", "qwen3", "--sort", "size"], "invalid choice: 'size'"),
        (["search", "qwen3", "--hub", "github"], "'github' is not one of huggingface (hf), modelscope (ms)"),
        (["search", "qwen3", "--limit", "0"], "0 is not 1 or more"),
        (["show"], "name one model"),
        (["show", "a/b", "c/d"], "name one model"),
        (["pull"], "name one model"),
        (["pull", "a/b", "--limit-rate", "fast"], "'fast' is not a number of bytes such as 500K or 5M"),
        (["models", "--quick", "--fits"], "--quick does not find out what fits"),
        (["rm"], "name what to delete"),
        (["models", "--settings", "nowhere.toml"], "nowhere.toml: there is no such file"),
    ],
)
def test_bad_usage_is_refused_with_the_help_of_the_command(arguments: list[str], said: str) -> None:
    done = llmtui(*arguments)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    problem, advice = done.stderr.splitlines()
    assert said in problem
    assert advice in (f"See llmtui {arguments[0]} --help.", "See llmtui --help.")


def test_a_misspelt_option_of_a_command_gets_its_own() -> None:
    done = llmtui("search", "qwen3", "--autor", "Qwen")
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.splitlines()[1] == "Did you mean --author? See llmtui search --help."


@pytest.mark.parametrize("arguments", [["serach"], ["serach", "qwen3"], ["model"], ["shwo", "Qwen/Qwen3-4B-GGUF"]])
def test_a_misspelt_command_gets_the_one_that_is_meant(arguments: list[str]) -> None:
    meant = {"serach": "search", "model": "models", "shwo": "show"}[arguments[0]]
    with on_terminal(*arguments) as running:
        code, _ = running.end()
    assert code in (ExitCode.USAGE, ExitCode.MODEL)
    assert plain(running.seen).splitlines()[1] == f"Did you mean llmtui {meant}?"


@pytest.mark.parametrize(
    "arguments", [["pul", "x"], ["pul"], ["pul", "x", "--limit-rate", "5M"], ["--theme", "paper"], ["pul", "--json"]]
)
def test_so_it_does_without_a_terminal(arguments: list[str]) -> None:
    done = llmtui(*arguments)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    advice = done.stderr.splitlines()[1]
    assert advice == ("Did you mean llmtui pull?" if arguments[0] == "pul" else "See llmtui --help.")


def test_a_file_of_a_commands_name_is_meant_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(DENSE, tmp_path / "search")
    monkeypatch.chdir(tmp_path)
    shown = json.loads(llmtui("show", "./search", "--quick", "--json").stdout)
    assert shown["path"] == str(tmp_path / "search")


@pytest.mark.parametrize(
    ("written", "bytes_per_s"),
    [
        ("0", 0),
        ("300", 300),
        ("500K", 512_000),
        ("5M", 5 << 20),
        ("1.5g", 3 << 29),
        ("2MiB/s", 2 << 20),
        ("1 MB", 1 << 20),
    ],
)
def test_a_rate_is_read_as_people_write_it(written: str, bytes_per_s: int) -> None:
    assert command_parser("pull").parse_args(["a/b", "--limit-rate", written]).limit_rate == bytes_per_s


def test_words_stand_anywhere_among_the_options() -> None:
    arguments = command_parser("search").parse_args(["qwen3", "--limit", "5", "8b"])
    assert (arguments.models, arguments.limit) == (["qwen3", "8b"], 5)


@pytest.mark.parametrize("arguments", [["models", "--quick"], ["show", str(DENSE), "--quick"], ["rm", "nothing"]])
def test_what_concerns_this_machine_loads_no_screen_no_engine_and_no_hub(arguments: list[str]) -> None:
    code = (
        f"import sys\nfrom tui.cli.main import main\nmain({arguments!r})\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("textual", "llama_cpp", "huggingface_hub", "modelscope_hub", "httpx", "requests"):
        assert f"'{heavy}'" not in done.stderr, heavy
