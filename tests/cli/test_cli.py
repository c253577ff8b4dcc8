"""The command line: answers at once, imports little, is good to pipes, and says what to do next when it refuses."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.conftest import DENSE
from tests.running import COMMAND, llmtui, on_terminal, plain
from tui import __version__
from tui.base.exit_codes import ExitCode
from tui.base.text import cells
from tui.bench.picture import PICTURES
from tui.bench.render import FORMATS
from tui.cli import types
from tui.cli.chat_arguments import load_fields
from tui.cli.parser import MIN_REPETITIONS, OF_OTHERS, OUTPUTS, parser
from tui.config.load import merge_load
from tui.config.settings import ChosenLoad, SamplingValues
from tui.measure import compare
from tui.protocol import records

FULL = Path("/dev/full")
EVERY_LOAD_ARGUMENT = shlex.split(
    "--backend CUDA1 --ctx 1024 --ngl 12 --n-cpu-moe 3 --threads 5 --threads-batch 6 --batch 256 --ubatch 64 "
    "--flash-attn on --cache-type-k q8_0 --cache-type-v q4_0 --swa-full on --no-mmap --mlock "
    "--repack off --split-mode row --cpu-range 0-3,8 --prio high --poll 0 --numa distribute "
    "--speculative off --model-draft off --seed 4294967295"
)


def test_version_is_printed() -> None:
    done = llmtui("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"llmtui {__version__}\n", "")


def test_help_names_every_exit_code_with_its_sentence() -> None:
    done = llmtui("--help")
    assert done.returncode == 0 and done.stderr == ""
    for code in ExitCode:
        assert f" {code.value} {code.meaning} " in f"{' '.join(done.stdout.split())} "


def test_help_in_chinese_fits_into_a_terminal_of_80_columns() -> None:
    done = llmtui("--help", LC_ALL="zh_CN.UTF-8", COLUMNS="80")
    assert done.stdout.startswith("用法：") and "\n示例：\n" in done.stdout
    assert max(map(cells, done.stdout.splitlines())) <= 80
    for option in ("--ctx", "--no-mmap", "--fail-below"):
        assert option in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ctx", "-4"], "参数 -c/--ctx：-4 小于 0。"),
        (["--no-such-thing"], "无法识别的参数：--no-such-thing。"),
        (["--bench", "--devices"], "参数 --devices：不能与 --bench 同时使用。"),
        (["--bench", "--temp", "1"], "--temp 用于对话，基准测试里没有对话：请去掉。"),
    ],
)
def test_bad_usage_is_told_in_the_language_in_use_argparses_own_words_included(arguments: list[str], said: str) -> None:
    done = llmtui(*arguments, LC_ALL="zh_CN.UTF-8")
    assert done.returncode == ExitCode.USAGE
    assert done.stderr == f"llmtui: {said}\n参见 llmtui --help。\n"


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_answers_that_need_nothing_import_nothing(argument: str) -> None:
    code = (
        f"import sys\nfrom tui.cli.main import main\nmain([{argument!r}])\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = "textual llama_cpp msgspec platformdirs asyncio psutil numpy pathlib shutil lzma"
    for heavy in names.split():
        assert f"'{heavy}'" not in done.stderr, heavy


def test_the_bench_needs_neither_textual_nor_llama_cpp_in_its_own_process() -> None:
    code = (
        "import sys\nfrom tui.cli.main import main\n"
        f"code = main(['--bench', {str(DENSE)!r}, '-p', '8', '-n', '0', '-r', '1'])\n"
        "print(code, sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.startswith("0 [") and "'msgspec'" in done.stderr
    assert "'textual'" not in done.stderr and "'llama_cpp'" not in done.stderr


def test_what_is_written_here_for_speed_is_what_it_stands_for() -> None:
    assert types.MOST == records.MOST
    assert msgspec.convert({"temperature": types.HOTTEST}, SamplingValues).temperature == types.HOTTEST
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"temperature": types.HOTTEST + 0.01}, SamplingValues)
    assert (*FORMATS, *PICTURES) == OUTPUTS
    assert compare.MIN_REPETITIONS == MIN_REPETITIONS


def test_every_load_setting_has_an_argument_and_arrives_under_its_name() -> None:
    fields = load_fields(parser().parse_args(EVERY_LOAD_ARGUMENT))
    assert set(fields) == set(ChosenLoad.__struct_fields__)
    merged, problems = merge_load(ChosenLoad(), {}, fields)
    assert problems == []
    assert merged == ChosenLoad(
        backend="CUDA1", n_ctx=1024, n_gpu_layers=12, n_cpu_moe=3, n_threads=5, n_threads_batch=6, n_batch=256,
        n_ubatch=64, flash_attn="on", type_k="q8_0", type_v="q4_0", swa_full="on", use_mmap=False, use_mlock=True,
        repack="off", split_mode="row", cpu_range="0-3,8", priority="high", poll=0, numa="distribute",
        speculative="off", model_draft="off", seed=2**32 - 1,
    )  # fmt: skip


def test_what_is_not_given_is_left_to_the_settings() -> None:
    assert load_fields(parser().parse_args([])) == {}


def test_without_a_terminal_the_app_is_refused_and_the_bench_named() -> None:
    done = llmtui(DENSE)
    assert done.returncode == ExitCode.USAGE and done.stdout == ""
    assert "terminal" in done.stderr and "--bench" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--no-such-thing"], "--no-such-thing"),
        (["--ctx", "-4"], "-4 is not 0 or more"),
        (["--threads", "many"], "'many' is not a whole number"),
        (["--ubatch", "0"], "0 is not 1 or more"),
        (["--cpu-range", "0-"], "'0-' is not one of all, performance, 0-7,16"),
        (["--cache-type-k", "q9_9"], "'q9_9' is not one of f32, f16, bf16, q8_0"),
        (["--seed", "4294967296"], "4294967296 is too large"),
        (["--bench", "--devices"], "not allowed with"),
        (["--json"], "--bench"),
        (["--temp", "hot"], "'hot' is not a number from 0 to 5"),
        (["--temp", "nan"], "'nan' is not a number from 0 to 5"),
        (["--bench", "-p", "0", "-n", "0"], "nothing to measure"),
        (["--bench", "--settings", "nowhere.toml"], "nowhere.toml"),
        (["--import", "talk.json", "--continue"], "not allowed with"),
    ],
)
def test_bad_usage_is_refused_in_two_lines(arguments: list[str], said: str) -> None:
    done = llmtui(*arguments)
    assert done.returncode == ExitCode.USAGE and done.stdout == ""
    assert said in done.stderr and "llmtui --help" in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("--tempp", "--temp"),
        ("--devcies", "--devices"),
        ("--cache-typ-k", "--cache-type-k"),
        ("--ctx-size=4096", "--ctx"),
        ("--n-gpu-layers", "--ngl"),
        ("--temperature", "--temp"),
        ("--system-prompt", "--system"),
    ],
)
def test_a_misspelt_option_or_one_of_llama_cpp_gets_the_one_that_is_meant(written: str, meant: str) -> None:
    done = llmtui(written, "7")
    assert done.returncode == ExitCode.USAGE
    assert done.stderr == (f"llmtui: unrecognized arguments: {written}.\nDid you mean {meant}? See llmtui --help.\n")


def test_all_that_other_programs_call_ours_is_there() -> None:
    ours = parser()
    assert all(ours.has_option(option) for option in OF_OTHERS.values())
    assert not any(ours.has_option(option) for option in OF_OTHERS)


@pytest.mark.parametrize(
    "arguments", [["-m", "one", "two"], ["two", "--model", "one"], ["two", "-t", "1", "one"]], ids=str
)
def test_models_stand_anywhere(arguments: list[str]) -> None:
    assert sorted(parser().parse_args(arguments).models) == ["one", "two"]


@pytest.mark.parametrize("path", ["nowhere/model.gguf", "~nobody-of-this-name/model.gguf"])
def test_a_model_that_is_not_there_is_said_before_the_app_starts(path: str) -> None:
    with on_terminal(path) as running:
        code, _ = running.end()
    assert code == ExitCode.MODEL
    assert plain(running.seen).splitlines() == [
        f"error: {path}: there is no such file.",
        "Without a path, llmtui lists your models.",
    ]


def test_a_conversation_that_is_not_there_is_said_before_the_app_starts() -> None:
    with on_terminal("--import", "nowhere/talk.json") as running:
        code, _ = running.end()
    assert code == ExitCode.USAGE and "--import nowhere/talk.json: there is no such file." in running.seen


def test_a_path_that_cannot_even_be_looked_at_is_explained_by_the_app() -> None:
    with on_terminal("x" * 300) as running:
        running.read_until("File name too long")


def test_a_home_that_nobody_has_is_no_traceback_in_a_bench() -> None:
    done = llmtui("--bench", "~nobody-of-that-name/model.gguf")
    assert done.returncode == ExitCode.MODEL and "There is no such file." in done.stderr


def test_devices_are_listed_with_their_memory_and_a_missing_gpu_is_said_plainly() -> None:
    table = llmtui("--devices")
    assert table.returncode == 0 and table.stderr == ""
    assert "CPU" in table.stdout and "GiB" in table.stdout
    as_json = llmtui("--devices", "--json")
    devices = json.loads(as_json.stdout)
    assert any(device["kind"] == "cpu" and device["total_bytes"] > 2**28 for device in devices)
    has_gpu = any(device["kind"] in ("gpu", "igpu") for device in devices)
    assert ("found no GPU" in table.stdout) == ("found no GPU" in as_json.stderr) == (not has_gpu)


def test_numbers_of_devices_are_gib_with_one_digit() -> None:
    head, cpu, *_ = llmtui("--devices").stdout.splitlines()
    assert head.split()[:4] == ["NAME", "KIND", "FREE", "GiB"]
    assert re.match(r"CPU +CPU +[\d,]+\.\d +[\d,]+\.\d  ", cpu)


@pytest.mark.parametrize("arguments", [["--locate"], ["--devices"], ["--help"]], ids=str)
def test_a_terminal_gets_colours_around_what_a_pipe_gets(arguments: list[str]) -> None:
    piped = llmtui(*arguments).stdout
    with on_terminal(*arguments) as running:
        running.end()
    assert "\x1b[" in running.seen and "\x1b" not in piped
    figures = re.compile(r"[\d,.]+")
    assert figures.sub("0", plain(running.seen)).splitlines() == figures.sub("0", piped).splitlines()


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", "")])
def test_colours_are_left_out_where_nobody_wants_or_sees_them(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    for arguments in (["--locate"], ["--help"], ["--no-such-thing"]):
        with on_terminal(*arguments) as running:
            running.end()
        assert running.seen and "\x1b" not in running.seen
    assert running.seen.startswith("llmtui: unrecognized arguments")


def test_an_error_on_a_terminal_is_marked_and_its_next_step_is_plain() -> None:
    with on_terminal("--no-such-thing") as running:
        running.end()
    assert running.seen.splitlines() == [
        "\x1b[31merror:\x1b[0m unrecognized arguments: --no-such-thing.",
        "See llmtui --help.",
    ]


def test_locations_are_those_of_this_user(home: Path) -> None:
    places = json.loads(llmtui("--locate", "--json").stdout)
    assert places["your settings"] == str(home / ".config" / "llmtui" / "settings.toml")
    text = llmtui("--locate").stdout
    assert all(path in text for path in places.values()) and "not there yet" in text


def test_a_reader_that_leaves_early_causes_no_noise() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*COMMAND, "--locate"], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (ExitCode.FINE, b"")


@pytest.mark.skipif(not FULL.exists(), reason="there is no full device here")
@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--locate"],
        ["--devices", "--json"],
        ["--bench", DENSE, "-p", "8", "-n", "0", "-r", "1", "-t", "1", "--json"],
        ["--tune", DENSE, "--seconds", "6", "-t", "1", "-c", "512"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_full_disk_under_stdout_is_said_and_is_not_the_code_of_a_slower_run(arguments: list[str | Path]) -> None:
    with FULL.open("w") as full:
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
        )
    assert done.returncode == ExitCode.UNWRITTEN
    assert done.stderr == "llmtui: cannot write to stdout: No space left on device.\n"


@pytest.mark.skipif(not FULL.exists(), reason="there is no full device here")
def test_nor_is_it_when_stderr_is_as_full() -> None:
    with FULL.open("w") as full:
        bench = [*COMMAND, "--bench", str(DENSE), "-p", "8", "-n", "0", "-r", "1"]
        done = subprocess.run(bench, stdout=full, stderr=full, check=False)
    assert done.returncode == ExitCode.UNWRITTEN


def test_a_closed_stdout_is_no_crash() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, "--locate"], stderr=subprocess.PIPE, check=False
    )
    assert (done.returncode, done.stderr) == (ExitCode.FINE, b"")


def test_an_ascii_stream_gets_question_marks_not_a_traceback() -> None:
    done = llmtui("--help", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "?" in done.stdout and done.stderr == ""


@pytest.mark.parametrize("kind", ["dumb", "", "unknown", None])
def test_a_terminal_that_cannot_draw_gets_a_sentence_with_a_next_step(
    kind: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind is None:
        monkeypatch.delenv("TERM", raising=False)
    else:
        monkeypatch.setenv("TERM", kind)
    with on_terminal(DENSE) as running:
        code, _ = running.end()
    assert code == ExitCode.USAGE
    assert "draws on the whole screen" in running.seen and "set TERM" in running.seen and "\x1b" not in running.seen


def test_without_a_terminal_at_either_side_the_app_says_what_to_do() -> None:
    done = llmtui(DENSE)
    assert done.returncode == ExitCode.USAGE and "ssh -t" in done.stderr
    with on_terminal(DENSE, piped_stdout=True) as running:
        code, out = running.end()
    assert (code, out) == (ExitCode.USAGE, "") and "ssh -t" in running.seen


@pytest.mark.skipif(not FULL.exists(), reason="there is no full device here")
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_that_cannot_be_written_is_no_success(option: str) -> None:
    with FULL.open("w") as full:
        done = subprocess.run([*COMMAND, option], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == ExitCode.UNWRITTEN
    assert done.stderr == "llmtui: cannot write to stdout: No space left on device.\n"


def test_ctrl_c_while_the_first_modules_are_imported_prints_nothing() -> None:
    source = """
import sys
class Interrupted:
    def find_spec(name, *_):
        if name == "tui.cli.parser":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted)
from tui.__main__ import main
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.INTERRUPTED, "", "")
