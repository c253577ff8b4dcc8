"""`llmtui --bench` from outside, with the real engine and the tiny models: figures, clean streams, every exit code."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import statistics
from pathlib import Path

import msgspec
import psutil
import pytest

from tests.conftest import DENSE, MOE, TINY
from tests.engine.asking import ask, user
from tests.engine.model_files import N_VOCAB, with_vocabulary
from tests.engine.preloaded import Processor
from tests.models.gguf_files import Shape
from tests.patience import PATIENCE_S
from tests.running import llmtui, on_terminal, plain
from tui.base.exit_codes import ExitCode
from tui.bench.progress import describe
from tui.config import paths
from tui.config.settings import ChosenLoad
from tui.config.state import StateStore
from tui.engines.interface import Engine
from tui.measure.bench_plan import BenchJob, BenchPlan, context_for, plan_tests, visits
from tui.measure.history import History
from tui.measure.report import Test
from tui.measure.runner import Progress, Runner
from tui.measure.stats import deviation, mean
from tui.models.library import inspect
from tui.shell.encoding import for_encoding

SMALL = ("-p", "32", "-n", "8", "-r", "3", "-t", "1")
ENDLESS = ("-p", "0", "-n", "64", "-r", "1000000", "-t", "1")


def test_a_pipe_gets_a_markdown_table_and_nothing_but_the_report() -> None:
    done = llmtui("--bench", DENSE, *SMALL)
    assert done.returncode == ExitCode.FINE and done.stderr == ""
    head, rule, prompt, gen, *rest = done.stdout.splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")] == [
        *("model", "size", "params", "backend", "threads", "test", "t/s")
    ]
    assert set(rule) == set("|-:") and prompt.startswith("| qwen3 1.0M Q8_0 |")
    assert re.search(r"\| CPU +\| +1 \| pp32 +\| +[\d.]+ ± [\d.]+ \|$", prompt)
    assert re.search(r"\| CPU +\| +1 \| tg8 +\| +[\d.]+ ± [\d.]+ \|$", gen)
    assert "- device    the CPU alone" in rest
    assert any("ctx 256, batch 256/256, flash attention on, KV f16/f16" in line for line in rest)


@pytest.mark.parametrize("output", ["table", "csv", "sql"])
def test_the_name_of_a_file_is_no_command_to_the_terminal(tmp_path: Path, output: str) -> None:
    evil = tmp_path / "a\x1b[2J\x9b31m\u202ename.gguf"
    missing = llmtui("--bench", evil)
    shutil.copy(DENSE, evil)
    done = llmtui("--bench", evil, "-p", "16", "-n", "0", "-r", "1", "-t", "1", "-o", output)
    assert (missing.returncode, done.returncode) == (ExitCode.MODEL, ExitCode.FINE)
    assert "name.gguf: There is no such file." in missing.stderr and "name.gguf" in done.stdout
    for said in (missing.stderr, done.stdout, done.stderr):
        assert not {"\x1b", "\x9b", "\u202e"} & set(said)


def test_json_has_llama_benchs_keys_and_figures_that_follow_from_the_samples() -> None:
    done = llmtui("--bench", DENSE, *SMALL, "--json")
    assert done.returncode == ExitCode.FINE and done.stderr == ""
    prompt, gen = json.loads(done.stdout)
    assert (prompt["n_prompt"], prompt["n_gen"], gen["n_prompt"], gen["n_gen"]) == (32, 0, 0, 8)
    for record in (prompt, gen):
        n_tokens = record["n_prompt"] + record["n_gen"]
        assert len(record["samples_ns"]) == record["repetitions"] == 3
        assert record["samples_ts"] == pytest.approx([n_tokens * 1e9 / ns for ns in record["samples_ns"]], rel=1e-5)
        assert record["avg_ts"] == pytest.approx(statistics.mean(record["samples_ts"]), rel=1e-5)
        assert record["stddev_ts"] == pytest.approx(statistics.stdev(record["samples_ts"]), rel=1e-3)
        assert record["model_filename"] == str(DENSE) and record["n_threads"] == 1 and record["devices"] == "none"
        assert record["build_commit"] and record["cpu_info"] and record["n_ctx"] == 256


def test_settings_of_the_command_line_reach_llama_cpp_and_the_report() -> None:
    arguments = (
        *("-c", "1024", "-b", "128", "-ub", "64", "-fa", "on", "-ctk", "q8_0", "-ctv", "q8_0", "--no-mmap"),
        *("--repack", "off"),
    )
    (record,) = json.loads(
        llmtui("--bench", MOE, "-p", "32", "-n", "0", "-r", "1", "-t", "1", *arguments, "--json").stdout
    )
    expected = {
        "n_ctx": 1024, "n_batch": 128, "n_ubatch": 64, "flash_attn": 1, "type_k": "q8_0", "type_v": "q8_0",
        "use_mmap": False, "repack": False, "repacked": "",
    }  # fmt: skip
    assert expected.items() <= record.items()


def test_depth_is_in_the_context_but_not_in_the_count() -> None:
    (record,) = json.loads(
        llmtui("--bench", DENSE, "-p", "0", "-n", "8", "-d", "300", "-r", "1", "-t", "1", "--json").stdout
    )
    assert (record["n_depth"], record["n_ctx"]) == (300, 512)
    assert record["samples_ts"][0] == pytest.approx(8e9 / record["samples_ns"][0], rel=1e-5)


def test_a_terminal_gets_a_progress_line_and_an_aligned_table() -> None:
    with on_terminal("--bench", DENSE, *SMALL) as running:
        code, _ = running.end()
    assert code == ExitCode.FINE
    assert "loading" in running.seen and "pp32 warm-up" in running.seen and "tg8 run 3" in running.seen
    coloured = running.seen.rpartition("\x1b[K")[2]
    report = plain(coloured).splitlines()
    assert coloured.startswith(f"\x1b[1m{DENSE.name}\x1b[0m\r\n") and coloured.count("\x1b[1m") == 1
    assert report[0] == DENSE.name
    assert report[1].startswith("qwen3 Q8_0 · 1.1 MiB · 1.0M parameters")
    assert re.search(r"^CPU +1 +pp32 +[\d,.]+ ± [\d,.]+ +[\d.]+% +3$", "\n".join(report), re.MULTILINE)


def test_progress_on_a_terminal_leaves_a_piped_stdout_clean() -> None:
    with on_terminal("--bench", DENSE, *SMALL, "--json", piped_stdout=True) as running:
        code, out = running.end()
    assert code == ExitCode.FINE and "tg8 run 3" in running.seen
    assert [record["n_gen"] for record in json.loads(out)] == [0, 8]


# What goes wrong ------------------------------------------------------------------------------------------------------


def test_ctrl_c_stops_at_once_and_shows_what_was_measured() -> None:
    with on_terminal("--bench", DENSE, *ENDLESS, "--json", piped_stdout=True) as running:
        running.read_until("run 3")
        engine = running.engine()
        running.process.send_signal(signal.SIGINT)
        code, out = running.end()
    assert code == ExitCode.INTERRUPTED and "interrupted" in running.seen
    (record,) = json.loads(out)
    assert 2 <= len(record["samples_ns"]) < record["repetitions"]
    assert not engine.is_running()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGXCPU])
def test_a_signal_stops_it_and_what_was_measured_is_shown_and_kept(number: signal.Signals) -> None:
    with on_terminal("--bench", DENSE, *ENDLESS, "--json", piped_stdout=True) as running:
        running.read_until("run 3")
        running.process.send_signal(number)
        running.process.send_signal(number)
        code, out = running.end()
    assert code == ExitCode.INTERRUPTED
    (record,) = json.loads(out)
    assert len(record["samples_ns"]) >= 2
    assert len(History(paths.bench_file()).list()) == 1


def test_a_terminal_that_is_closed_does_not_keep_what_was_measured_from_being_kept() -> None:
    with on_terminal("--bench", DENSE, *ENDLESS) as running:
        running.read_until("run 3")
        os.close(running.terminal)
        running.process.send_signal(signal.SIGHUP)
        running.process.wait(timeout=PATIENCE_S)
        running.terminal = os.open(os.devnull, os.O_RDWR)
    assert len(History(paths.bench_file()).list()) == 1


def test_an_interrupted_table_says_how_many_runs_it_is_of() -> None:
    with on_terminal("--bench", DENSE, *ENDLESS) as running:
        running.read_until("run 3")
        running.process.send_signal(signal.SIGINT)
        code, _ = running.end()
    assert code == ExitCode.INTERRUPTED and "of 1000000 runs" in running.seen


def test_a_killed_engine_is_reported_with_the_cause_and_what_to_try() -> None:
    with on_terminal("--bench", DENSE, *ENDLESS, "--json", piped_stdout=True) as running:
        running.read_until("run 3")
        running.engine().kill()
        code, out = running.end()
    assert code == ExitCode.ENGINE and len(json.loads(out)) == 1
    assert "the engine stopped (SIGKILL) while measuring" in running.seen and "Try a smaller --ctx" in running.seen


@pytest.mark.parametrize("repack", ["on", "off"])
def test_code_that_crashes_on_this_processor_is_reported_with_what_was_not_in_use(tmp_path: Path, repack: str) -> None:
    model = with_vocabulary(Shape(n_vocab=N_VOCAB), tmp_path / "model.gguf")
    load = ("--backend", "cpu", "--repack", repack)
    (found,) = json.loads(llmtui("--bench", model, "-p", "8", "-n", "0", "-r", "1", *load, "--json").stdout)
    processor = Processor(tmp_path, signal.SIGILL, "always")
    processor.fail()
    done = llmtui("--bench", model, *SMALL, *load, "--json", **processor.environment)
    assert (done.returncode, done.stdout) == (ExitCode.ENGINE, "")
    assert "the engine stopped (SIGILL) while loading the model" in done.stderr
    assert "crashed" in done.stderr and "make run" in done.stderr and "--backend cpu" not in done.stderr
    assert ("Try --repack off" in done.stderr) == bool(found["repacked"])


def test_when_the_bench_is_killed_its_engine_goes_too() -> None:
    with on_terminal("--bench", DENSE, *ENDLESS) as running:
        running.read_until("run 1")
        engine = running.engine()
        running.process.kill()
    _, alive = psutil.wait_procs([engine], timeout=PATIENCE_S)
    assert alive == []


@pytest.mark.parametrize("path", ["nowhere.gguf", "~nobody-of-this-name/model.gguf"])
def test_a_wrong_path_is_exit_code_3(path: str) -> None:
    done = llmtui("--bench", path)
    assert (done.returncode, done.stdout) == (ExitCode.MODEL, "")
    assert done.stderr.lower().startswith(f"llmtui: {path}: there is no such file")


@pytest.mark.parametrize(("source", "n_bytes", "said"), [(DENSE, 500_000, "Incomplete"), (__file__, 500, "Not a GGUF")])
def test_a_broken_file_is_exit_code_3_and_the_reason(
    tmp_path: Path, source: str | Path, n_bytes: int, said: str
) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(Path(source).read_bytes()[:n_bytes])
    done = llmtui("--bench", path)
    assert (done.returncode, done.stdout) == (ExitCode.MODEL, "")
    assert "broken.gguf" in done.stderr and said in done.stderr


def test_settings_that_llama_cpp_would_refuse_are_exit_code_3_with_the_reason() -> None:
    done = llmtui("--bench", DENSE, "-fa", "off", "-ctv", "q4_0")
    assert (done.returncode, done.stdout) == (ExitCode.MODEL, "")
    assert "A V cache in q4_0 needs flash attention" in done.stderr


def test_an_unknown_backend_is_bad_usage_and_the_known_ones_are_named() -> None:
    done = llmtui("--bench", DENSE, "--backend", "Vulkan9")
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert "Vulkan9" in done.stderr and "auto, cpu" in done.stderr


def test_a_context_too_small_for_the_tests_is_bad_usage() -> None:
    done = llmtui("--bench", DENSE, "-p", "600", "--ctx", "512")
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert "these tests need 600" in done.stderr


def test_without_any_model_it_says_where_to_put_one(home: Path) -> None:
    done = llmtui("--bench")
    assert (done.returncode, done.stdout) == (ExitCode.MODEL, "")
    assert str(home / ".local" / "share" / "llmtui" / "models") in done.stderr


def test_a_gpu_backend_is_named_with_its_device_and_layers() -> None:
    """On llvmpipe, a Vulkan device in software, where the machine has it: the real path of a GPU, slowly."""
    visible = {"GGML_VK_VISIBLE_DEVICES": "0"}
    devices = json.loads(llmtui("--devices", "--json", **visible).stdout)
    name = next((device["name"] for device in devices if device["name"].startswith("Vulkan")), None)
    if name is None:
        pytest.skip("llama.cpp has no Vulkan device here")
    small = ("-p", "4", "-n", "0", "-r", "1", "--backend", name.lower())
    (record,) = json.loads(llmtui("--bench", DENSE, *small, "--json", **visible).stdout)
    assert (record["backends"], record["devices"], record["n_gpu_layers"]) == ("Vulkan", name, 5)
    assert record["gpu_info"]
    assert "| ngl |" in llmtui("--bench", DENSE, *small, **visible).stdout


# Which model, and with which settings ---------------------------------------------------------------------------------


def test_without_a_name_the_model_used_last_is_taken() -> None:
    StateStore().remember_load(MOE, ChosenLoad())
    done = llmtui("--bench", *SMALL, "--json")
    assert json.loads(done.stdout)[0]["model_filename"] == str(MOE)
    assert f"{MOE}: the model used last" in done.stderr


def test_when_the_model_used_last_is_gone_the_smallest_is_taken(home: Path) -> None:
    folder = home / ".local" / "share" / "llmtui" / "models"
    folder.mkdir(parents=True)
    for model in (DENSE, MOE):
        shutil.copy(model, folder)
    StateStore().remember_load(folder / "deleted.gguf", ChosenLoad())
    done = llmtui("--bench", *SMALL, "--json")
    smallest = min((DENSE, MOE), key=lambda model: model.stat().st_size)
    assert json.loads(done.stdout)[0]["model_filename"] == str(folder / smallest.name)
    assert "the smallest model here" in done.stderr


def test_settings_of_the_users_file_count_but_not_those_remembered_by_the_app(home: Path) -> None:
    config = home / ".config" / "llmtui"
    config.mkdir(parents=True)
    (config / "settings.toml").write_text('[load]\nn_ubatch = 32\nbackend = "Vulkan9"\n')
    StateStore().remember_load(DENSE, ChosenLoad(n_ubatch=16, type_k="q8_0"))
    done = llmtui("--bench", DENSE, *SMALL, "--json")
    record = json.loads(done.stdout)[0]
    assert (record["n_ubatch"], record["type_k"]) == (32, "f16")
    assert 'no device "Vulkan9"' in done.stderr


# Parts ----------------------------------------------------------------------------------------------------------------


def plan_of(*models: Path, repetitions: int) -> BenchPlan:
    jobs = tuple(BenchJob(model=inspect(model), settings=TINY) for model in models)
    return BenchPlan(jobs=jobs, tests=plan_tests([16], [4]), repetitions=repetitions)


async def test_the_runner_tells_every_step_and_measures_each_repetition(engine: Engine) -> None:
    told: list[Progress] = []
    runner = Runner(engine, plan_of(DENSE, repetitions=2), told.append)
    (report,) = (await runner.run()).reports
    steps = [(progress.test.name, progress.repetition) for progress in told if progress.test]
    assert steps == [(name, repetition) for name in ("pp16", "tg4") for repetition in (0, 1, 2)]
    assert [len(result.samples_ns) for result in report.results] == [2, 2]
    assert all(ns > 0 for result in report.results for ns in result.samples_ns)
    assert report.loaded.n_ctx == TINY.n_ctx and report.backend == "CPU"
    assert runner.report_of(0) == report and runner.failures == []


async def test_several_jobs_are_measured_there_and_back_each_in_a_process_of_its_own(engine: Engine) -> None:
    told: list[Progress] = []
    runner = Runner(engine, plan_of(DENSE, MOE, repetitions=3), told.append)
    dense, moe = (await runner.run()).reports
    order = [progress.job for progress in told if progress.test and progress.repetition]
    assert order == [0] * 4 + [1] * 6 + [0] * 2
    assert [len(result.samples_ns) for report in (dense, moe) for result in report.results] == [3, 3, 3, 3]
    assert dense.hello.pid != moe.hello.pid and moe.model.n_expert == 8
    fractions = [progress.fraction for progress in told if progress.test]
    assert fractions == sorted(fractions)


async def test_a_job_that_fails_does_not_end_the_others(engine: Engine, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(DENSE.read_bytes())
    plan = plan_of(broken, MOE, repetitions=1)
    broken.write_bytes(DENSE.read_bytes()[:600_000])
    runner = Runner(engine, plan)
    (report,) = (await runner.run()).reports
    assert report.model.is_moe and [failure.job for failure in runner.failures] == [0]


def test_the_last_of_several_jobs_is_not_loaded_twice_and_none_is_measured_less() -> None:
    assert visits(3, 5) == [(0, 3), (1, 3), (2, 5), (1, 2), (0, 2)]
    assert visits(1, 5) == [(0, 5)] and visits(2, 1) == [(0, 1), (1, 1)]


async def test_the_engine_is_as_good_for_chat_after_a_benchmark(engine: Engine) -> None:
    await Runner(engine, plan_of(DENSE, repetitions=1)).run()
    reply = await ask(engine, user("Count to 3"), thinking=False)
    assert reply.text.startswith("1, 2") and reply.started.n_cached == 0


def test_the_context_is_as_large_as_the_largest_test_in_steps_of_256() -> None:
    assert context_for(plan_tests([512], [128])) == 512
    assert context_for(plan_tests([512], [128], [1])) == 768
    assert context_for(plan_tests([0], [128])) == 256


def test_mean_and_deviation_are_those_of_the_statistics_module() -> None:
    samples = (3.0, 4.5, 1.25, 9.0)
    assert mean(samples) == pytest.approx(statistics.mean(samples))
    assert deviation(samples) == pytest.approx(statistics.stdev(samples))
    assert deviation((3.0,)) == 0.0 and mean(()) == 0.0


def test_tests_are_named_as_llama_bench_names_them() -> None:
    names = [test.name for test in (*plan_tests([512, 64], [128], [0, 4096], [(512, 128)]), Test(n_gen=32))]
    at_start = ["pp512", "pp64", "tg128", "pp512+tg128"]
    assert names == [*at_start, *(f"{name} @ d4096" for name in at_start), "tg32"]


def test_signs_beyond_ascii_are_replaced_where_the_stream_lacks_them() -> None:
    assert for_encoding("1.5 ± 0.1 · x", "utf-8") == "1.5 ± 0.1 · x"
    assert for_encoding("1.5 ± 0.1 · x", "ascii") == "1.5 +- 0.1 - x"
    assert for_encoding("1.5 ± 0.1", None) == "1.5 +- 0.1"


def test_a_progress_line_is_never_wider_than_a_small_terminal() -> None:
    test = Test(n_prompt=131072, n_depth=131072)
    progress = Progress(fraction=1.0, test=test, repetition=100, last_ts=123456.789)
    assert len(describe(progress)) < 80
    line = describe(msgspec.structs.replace(progress, left_s=36_000.0))
    assert len(line) < 80 and "10.0 h left" in line
