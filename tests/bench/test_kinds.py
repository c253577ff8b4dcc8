"""The benchmarks beside llama-bench's tests: end to end, the quick score, LocalScore, many users at once."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean

import msgspec
import pytest

from tests.conftest import DENSE, MOE, TINY, until
from tests.engine.model_files import N_VOCAB, with_vocabulary
from tests.models.gguf_files import Shape
from tests.running import llmtui, on_terminal
from tui.base.exit_codes import ExitCode
from tui.config import paths
from tui.config.state import StateStore
from tui.engines.interface import Engine
from tui.measure.bench_plan import BenchJob, BenchPlan, ParallelTest, context_for_users, plan_tests
from tui.measure.endtoend import end_to_end
from tui.measure.report import BenchResult, Test
from tui.measure.runner import Progress, Runner
from tui.measure.score import LOCALSCORE_TESTS, QUICK_TEST, Score, localscore, quick_score
from tui.measure.timeleft import TimedRun, TimeLeft
from tui.models.library import inspect
from tui.protocol.messages import Event, Started
from tui.protocol.records import LoadSettings

SMALL = ("-p", "32", "-n", "8", "-r", "2", "-t", "1")
PAIRS = "1024+16 4096+256 2048+256 2048+768 1024+1024 1280+3072 384+1152 64+1024 16+1536"
"""LocalScore's, as its makers list them."""


def took(test: Test, *runs: tuple[float, float, float]) -> BenchResult:
    """A result whose runs took so many seconds: the prompt, until the first token, all."""
    prefill, first, whole = zip(*runs, strict=True)
    return BenchResult(
        test=test,
        test_time=datetime(2026, 1, 1, tzinfo=UTC),
        samples_ns=tuple(round(s * 1e9) for s in whole),
        prefill_ns=tuple(round(s * 1e9) for s in prefill),
        ttft_ns=tuple(round(s * 1e9) for s in first),
    )


# End to end -----------------------------------------------------------------------------------------------------------


def test_end_to_end_is_a_line_of_its_own_below_the_tests() -> None:
    done = llmtui("--bench", DENSE, *SMALL, "--e2e", "-o", "table")
    assert done.returncode == ExitCode.FINE and done.stderr == ""
    lines = done.stdout.splitlines()
    (line,) = (line for line in lines if line.startswith("end to end: "))
    assert re.fullmatch(
        r"end to end: 5\d\d read, 256 written: first token after [\d.]+ ± [\d.]+ s, [\d,.]+ ± [\d,.]+ tok/s", line
    )
    assert lines.index(line) > max(i for i, text in enumerate(lines) if "tg8" in text)


def test_records_have_end_to_end_beside_the_keys_of_llama_bench() -> None:
    records = json.loads(llmtui("--bench", DENSE, *SMALL, "--e2e", "--json").stdout)
    assert [(record["n_prompt"], record["n_gen"]) for record in records] == [(32, 0), (0, 8)]
    for record in records:
        found = record["end_to_end"]
        assert found["n_gen"] == 256 and len(found["samples_ttft_s"]) == len(found["samples_decode_ts"]) == 2
        assert found["avg_ttft_s"] == pytest.approx(mean(found["samples_ttft_s"]), abs=1e-5)
        assert found["avg_decode_ts"] == pytest.approx(mean(found["samples_decode_ts"]), rel=1e-5)
    assert all("end_to_end" not in record for record in json.loads(llmtui("--bench", DENSE, *SMALL, "--json").stdout))


async def test_the_prompt_has_the_wanted_length_and_the_answer_goes_on_past_its_end(tiny: Engine) -> None:
    events: list[Event] = []
    for _ in range(2):
        found = await end_to_end(tiny, 200, 64, events.append)
        assert 190 <= found.n_prompt <= 200 and found.n_gen == 64
        assert found.ttft_s > 0 and found.decode_tps > 0
    assert [event.n_cached for event in events if isinstance(event, Started)] == [0, 0]


# Quick score ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def library(home: Path) -> Path:
    """A home with one model in its library."""
    folder = home / ".local" / "share" / "llmtui" / "models"
    folder.mkdir(parents=True)
    return Path(shutil.copy(DENSE, folder))


def test_without_options_there_is_one_number_with_its_definition_and_its_parts(library: Path) -> None:
    done = llmtui("--bench")
    assert done.returncode == ExitCode.FINE
    assert "the smallest model here" in done.stderr
    name, number, definition, *_ = filter(None, done.stdout.splitlines())
    assert name.startswith(library.name) and re.fullmatch(r"\*\*llmtui quick score: [\d,.]+\*\*", number)
    assert definition == ("= 100 x cube root of (pp256 / 100 tok/s) x (tg32 / 10 tok/s) x (1 s / time to first token)")
    for part in ("pp256", "tg32", "time to first token"):
        assert re.search(rf"\| {part} +\| +[\d,.]+ \| +(± [\d,.]+)? +\|", done.stdout)  # a slow machine has one run
    assert "- device    the CPU alone" in done.stdout and "LocalScore" not in done.stdout


def test_how_it_is_loaded_and_shown_leaves_it_the_quick_score(library: Path) -> None:
    score = json.loads(llmtui("--bench", "-t", "1", "-ub", "64", "--json").stdout)
    (test,) = score["tests"]
    assert (test["n_prompt"], test["n_gen"], test["n_ubatch"]) == (256, 32, 64)
    assert test["model_filename"] == str(library) and 1 <= len(test["samples_ns"]) <= 5
    pp, tg, ttft = (mean(test[f"samples_{part}"]) for part in ("prefill_ts", "decode_ts", "ttft_s"))
    assert score["name"] == "llmtui quick score"
    assert score["value"] == pytest.approx(100 * (pp / 100 * tg / 10 / ttft) ** (1 / 3), rel=1e-3)
    assert (score["prefill_ts"], score["decode_ts"]) == pytest.approx((pp, tg), rel=1e-5)


def test_an_option_about_tests_asks_for_the_tests(library: Path) -> None:
    records = json.loads(llmtui("--bench", "-r", "1", "-t", "1", "--json").stdout)
    assert [(record["n_prompt"], record["n_gen"]) for record in records] == [(512, 0), (0, 128)]


def test_it_can_be_asked_for_with_a_model_and_fewer_runs() -> None:
    (test,) = json.loads(llmtui("--quick", MOE, "-r", "1", "-t", "1", "--json").stdout)["tests"]
    assert test["model_filename"] == str(MOE) and len(test["samples_ns"]) == 1


def points(score: Score | None) -> float:
    assert score is not None
    return score.value


def test_the_quick_score_is_100_at_its_reference_speeds_and_twice_that_at_twice_the_speed() -> None:
    reference = took(QUICK_TEST, (2.56, 1.0, 5.76), (2.56, 1.0, 5.76))
    assert points(quick_score([reference])) == pytest.approx(100)
    assert points(quick_score([took(QUICK_TEST, (1.28, 0.5, 2.88))])) == pytest.approx(200)
    assert quick_score([]) is None and quick_score([took(Test(n_prompt=512, n_gen=32), (1, 1, 2))]) is None


async def test_no_repetition_begins_that_would_not_be_over_in_time(engine: Engine) -> None:
    jobs = (BenchJob(model=inspect(DENSE), settings=TINY),)
    tests = plan_tests([16], [4])
    told: list[Progress] = []
    plan = BenchPlan(jobs=jobs, tests=tests, repetitions=5, warm_up=Test(n_prompt=8, n_gen=1), budget_s=1e-6)
    (report,) = (await Runner(engine, plan, told.append).run()).reports
    assert [len(result.samples_ns) for result in report.results] == [1, 1]
    steps = [(progress.test.name if progress.test else progress.what, progress.repetition) for progress in told]
    assert steps[-3:] == [("pp8+tg1", 0), ("pp16", 1), ("tg4", 1)]


# LocalScore -----------------------------------------------------------------------------------------------------------


SMALLEST = Shape(n_embd=32, n_layers=1, n_head=1, n_head_kv=1, head=32, n_ff=32, n_vocab=N_VOCAB, kind="Q8_0")
"""A layer of nearly nothing: LocalScore's tests read and write twenty thousand tokens."""


def test_localscore_runs_its_nine_tests_in_order_and_gives_its_number(tmp_path: Path) -> None:
    model = with_vocabulary(SMALLEST, tmp_path / "smallest.gguf")
    score = json.loads(llmtui("--localscore", model, "-t", "1", "--json").stdout)
    tests = score["tests"]
    assert " ".join(f"{test['n_prompt']}+{test['n_gen']}" for test in tests) == PAIRS
    assert {(test["n_ctx"], test["flash_attn"], test["type_k"], len(test["samples_ns"])) for test in tests} == {
        (4352, 0, "f16", 1)
    }
    pp, tg, ttft_s = (
        mean(test[f"samples_{part}"][0] for test in tests) for part in ("prefill_ts", "decode_ts", "ttft_s")
    )
    assert score["name"] == "LocalScore"
    assert score["value"] == pytest.approx(10 * (pp * tg * 1000 / (1000 * ttft_s)) ** (1 / 3), rel=1e-3)


def test_an_interrupted_localscore_keeps_its_rows_and_has_no_number() -> None:
    with on_terminal("--localscore", DENSE, "-t", "1", "-r", "20", "-o", "table") as running:
        running.read_until("pp4096+tg256 run 2")
        assert re.search(r"pp4096\+tg256 run 1 · [\d.]+ (s|min|h) left", running.seen)
        running.process.send_signal(signal.SIGINT)
        code, _ = running.end()
    assert code == ExitCode.INTERRUPTED
    report = running.seen.rpartition("\x1b[K")[2]
    assert "No LocalScore: it is over all 9 tests, of which 2 are done." in report
    assert re.search(r"^pp1024\+tg16 +[\d,.]+ +[\d,.]+ +[\d,.]+", report, re.MULTILINE)
    assert "LocalScore: " not in report.replace("No LocalScore: ", "")


def test_localscore_is_ten_times_the_cube_root_of_the_means_over_tests() -> None:
    """100 tokens read and 10 written per second, the first after half a second, in each test."""
    results = [took(t, (t.n_prompt / 100, 0.5, t.n_prompt / 100 + t.n_gen / 10)) for t in LOCALSCORE_TESTS]
    assert points(localscore(results)) == pytest.approx(10 * (100 * 10 * 1000 / 500) ** (1 / 3))
    twice = [took(t, *[(t.n_prompt / 100, 0.5, t.n_prompt / 100 + t.n_gen / 10)] * 2) for t in LOCALSCORE_TESTS[:1]]
    assert points(localscore([*twice, *results[1:]])) == pytest.approx(points(localscore(results)))
    assert localscore(results[:8]) is None


def test_time_left_is_told_once_the_speeds_are_known() -> None:
    short, long = (TimedRun.of(Test(n_prompt=n, n_gen=n // 10)) for n in (100, 1000))
    left = TimeLeft([short, short, long])
    left.did(short)
    assert left.seconds is None
    left.measured(short, 100, 1.0, 2.0)
    assert left.seconds == pytest.approx(10.0 + 20.0)
    left.measured(long, 1000, 10.0, 20.0)
    assert left.seconds == 0


def test_a_step_for_more_users_is_no_faster_than_the_slowest_so_far() -> None:
    one, two, four = (ParallelTest(n_parallel=n, n_prompt=10, n_gen=5).run() for n in (1, 2, 4))
    left = TimeLeft([one, two, two, four])
    left.measured(one, 10, 1.0, 5.0)
    assert left.seconds == pytest.approx((20 + 20 + 40) * 0.1 + 15 * 1.0)
    left.measured(two, 20, 2.0, 10.0)
    assert left.seconds == pytest.approx((20 + 40) * 0.1 + 10 * 2.0)


async def test_what_failed_takes_no_more_time(engine: Engine) -> None:
    bad, good = (
        BenchJob(model=inspect(DENSE), settings=settings)
        for settings in (msgspec.structs.replace(TINY, devices=("Vulkan9",)), TINY)
    )
    told: list[Progress] = []
    runner = Runner(engine, BenchPlan(jobs=(bad, good), tests=plan_tests([16], [4]), repetitions=2), told.append)
    await runner.run()
    assert [failure.job for failure in runner.failures] == [0]
    # Of six runs of the other one, five are over when the last one begins, and it is short.
    assert told[-1].job == 1 and told[-1].fraction == pytest.approx(5 / 6)


async def test_time_left_is_told_of_answers_and_of_many_users_too(engine: Engine) -> None:
    users = tuple(ParallelTest(n_parallel=n, n_prompt=8, n_gen=4) for n in (1, 2))
    settings = LoadSettings(n_ctx=1024, n_threads=1, n_parallel=2)
    jobs = (BenchJob(model=inspect(DENSE), settings=settings),)
    told: list[Progress] = []
    await Runner(engine, BenchPlan(jobs=jobs, tests=(), repetitions=2, parallel=users), told.append).run()
    left = [progress.left_s for progress in told if progress.what]
    # A warm-up of each is not timed; the first run is.
    assert left[:2] == [None, None] and all(seconds is not None and seconds > 0 for seconds in left[2:])


# Speculation ---------------------------------------------------------------------------------------------------------


def test_texts_are_written_with_speculation_and_without_and_nothing_of_it_is_kept(home: Path) -> None:
    records = json.loads(llmtui("--bench", "--spec", DENSE, "-t", "1", "-r", "2", "--json").stdout)
    assert [record["text"] for record in records] == [name for name in ("edit", "summary", "story") for _ in range(2)]
    for record in records:
        assert record["n_gen"] > 100 and record["n_drafted"] >= record["n_accepted"]
        assert record["gain"] == pytest.approx(record["speed_ahead"] / record["speed_plain"], rel=1e-3)
    assert llmtui("--bench", "--history").stdout.count("qwen3") == 0
    off = llmtui("--spec", DENSE, "-t", "1", "-r", "1", "--speculative", "off", "-o", "table").stdout
    assert "Speculation is off" in off and "code edited" in off and off.count("0 of 0") == 3


# Many users at once ---------------------------------------------------------------------------------------------------


def test_many_users_are_records_under_the_keys_of_llama_batched_bench() -> None:
    arguments = ("--parallel", "1,2,4", "-p", "24", "-n", "8", "-r", "2", "-t", "1")
    records = json.loads(llmtui("--bench", DENSE, *arguments, "--json").stdout)
    assert [(record["pl"], record["pp"], record["tg"]) for record in records] == [
        (n, 24, 8) for n in (1, 1, 2, 2, 4, 4)
    ]
    for record in records:
        users = record["pl"]
        assert record["n_kv_max"] == 4 * 256 and record["n_kv"] == users * 32 and record["is_pp_shared"] == 0
        assert record["speed_pp"] == pytest.approx(users * 24 / record["t_pp"], rel=1e-2)
        assert record["speed_tg"] == pytest.approx(users * 8 / record["t_tg"], rel=1e-2)
        assert record["speed_tg_each"] == pytest.approx(record["speed_tg"] / users)


def test_a_table_says_what_all_get_and_what_each_sees() -> None:
    done = llmtui("--parallel", "1,3", MOE, DENSE, "-n", "8", "-r", "2", "-t", "1", "-o", "table")
    assert done.returncode == ExitCode.FINE and done.stderr == ""
    assert done.stdout.count("each user: 128 tokens read, 8 written") == 2
    for model in (MOE, DENSE):
        lines = done.stdout.partition(model.name)[2].splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("users"))
        head, one, three, *rest = lines[at:]
        assert "against 1" in head
        assert one.split()[0] == "1" and one.split()[-3:] == ["1.00", "x", "2"]
        # The first model is measured again after the second: its runs are still one row for each number of users.
        users, _, _, _, together, _, _, each, *_, runs = three.split()
        assert (users, runs, rest[0]) == ("3", "2", "")
        assert float(each.replace(",", "")) == pytest.approx(float(together.replace(",", "")) / 3, rel=0.02)
    assert "ctx 3 x 256" in done.stdout


def test_the_memory_of_all_users_is_asked_for_before_the_load() -> None:
    done = llmtui("--parallel", "256", DENSE, "-p", "1000000")
    assert (done.returncode, done.stdout) == (ExitCode.MODEL, "")
    assert "not measured. Does not fit: " in done.stderr


def test_nothing_of_it_is_remembered(home: Path) -> None:
    llmtui("--parallel", "1,2", DENSE, "-p", "8", "-n", "2", "-t", "1")
    state = StateStore()
    state.read()
    assert state.state.loads == {} and not paths.state_file().exists()


def test_the_context_has_a_part_for_each_user_all_as_large_as_the_largest() -> None:
    tests = [ParallelTest(n_parallel=n, n_prompt=p, n_gen=g) for n, p, g in ((1, 200, 100), (4, 100, 100))]
    assert context_for_users(tests) == 4 * 512


async def test_an_interrupted_run_keeps_the_users_that_are_done(engine: Engine) -> None:
    tests = (ParallelTest(n_parallel=1, n_prompt=8, n_gen=2), ParallelTest(n_parallel=2, n_prompt=8, n_gen=4000))
    settings = LoadSettings(n_ctx=context_for_users(tests), n_threads=1, n_parallel=2)
    plan = BenchPlan(jobs=(BenchJob(model=inspect(DENSE), settings=settings),), tests=(), repetitions=1, parallel=tests)
    told: list[Progress] = []
    runner = Runner(engine, plan, told.append)
    running = asyncio.create_task(runner.run())
    await until(lambda: told and (told[-1].what, told[-1].repetition) == ("2 users", 1))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    (report,) = runner.comparison.reports
    assert [(found.n_parallel, found.n_gen) for found in report.parallel] == [(1, 2)]


# Usage ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--quick", "-p", "8"), "--quick has tests of its own: leave out -p."),
        (("--quick", "--localscore"), "not allowed with"),
        (("--quick", DENSE, MOE), "leave out a second MODEL"),
        (("--localscore", "--e2e", "-d", "8"), "leave out -d, --e2e"),
        (("--localscore", "--backends", "cpu"), "leave out --backends"),
        (("--parallel", "1,2", "-pg", "8,8"), "leave out -pg"),
        (("--parallel", "0"), "0 is not 1 or more"),
        (("--parallel", "300"), "more than the 256"),
        (("--parallel", "2", "-p", "0"), "give -p a number of tokens"),
        (("--parallel", "2", DENSE, "--compare", "last"), "--parallel has tests of its own: leave out --compare."),
        (("--tune", DENSE, "--compare", "last"), "leave out --compare"),
        (
            ("--bench", "--seconds", "9"),
            "--seconds needs --tune, which is missing.\nWrite: llmtui --tune --seconds 9\n",
        ),
        (("--quick", "--temp", "0.5", "--continue"), "--continue, --temp are for the chat"),
    ],
)
def test_what_does_not_go_together_is_bad_usage(arguments: tuple[str | Path, ...], said: str) -> None:
    done = llmtui(*arguments)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert said in done.stderr


@pytest.mark.parametrize(
    "arguments", [("-o", "chart"), ("--e2e",), ("--compare", "last", "--fail-below", "5"), ("--all",)]
)
def test_what_only_a_benchmark_has_starts_one(arguments: tuple[str, ...]) -> None:
    done = llmtui(*arguments)
    assert (done.returncode, done.stdout) == (ExitCode.MODEL, "")
    assert "there is no chat model on this machine" in done.stderr
