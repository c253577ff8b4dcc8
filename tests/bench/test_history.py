"""`--history`, `--compare`, `--fail-below` and `--no-history` from outside, with the real engine."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import DENSE, MOE
from tests.homes import FOLDERS
from tests.models.gguf_files import Shape
from tests.running import llmtui
from tui.base.exit_codes import ExitCode
from tui.config import paths
from tui.measure.history import History

SMALL = ("-p", "16", "-n", "4", "-r", "3", "-t", "1")


def history() -> list[dict[str, object]]:
    kept: list[dict[str, object]] = json.loads(llmtui("--bench", "--history", "--json").stdout)
    return kept


def n_kept() -> int:
    return len(History(paths.bench_file()).list())


@pytest.fixture(scope="module")
def one_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What `--output json` prints for the dense model, and the history that has this one run."""
    home = tmp_path_factory.mktemp("measured")
    elsewhere = {name: str(home / folder) for name, folder in FOLDERS.items()}
    done = llmtui("--bench", DENSE, *SMALL, "--json", **elsewhere)
    (kept,) = home.rglob("bench.sqlite")
    return done.stdout, kept


@pytest.fixture
def after_one_run(home: Path, one_run: tuple[str, Path]) -> None:
    """The dense model was measured before, in this home."""
    paths.bench_file().parent.mkdir(parents=True)
    shutil.copy(one_run[1], paths.bench_file())


@pytest.fixture
def scores(tmp_path: Path, one_run: tuple[str, Path]) -> Callable[[float], Path]:
    """Writes a file of what `--output json` printed for the dense model, its mean speeds multiplied. All repetitions
    are as fast as the mean, so that a large loss is significant however busy the machine is."""

    def write(factor: float) -> Path:
        records = json.loads(one_run[0])
        for record in records:
            record["samples_ts"] = [record["avg_ts"] * factor] * len(record["samples_ts"])
        path = tmp_path / "scores.json"
        path.write_text(json.dumps(records))
        return path

    return write


def test_every_run_is_kept_and_listed_the_last_one_first() -> None:
    assert history() == []
    llmtui("--bench", DENSE, *SMALL)
    llmtui("--bench", DENSE, MOE, *SMALL, "-n", "0", "--json")
    newest, middle, oldest = history()
    assert (newest["id"], newest["quant"], newest["tests"]) == (3, "Q8_0", ["pp16"])
    assert newest["model_path"] == str(MOE) and middle["model_path"] == oldest["model_path"] == str(DENSE)
    assert oldest["tests"] == ["pp16", "tg4"] and oldest["backend"] == "CPU"
    table = llmtui("--bench", "--history", "-o", "table")
    assert table.returncode == ExitCode.FINE
    head, *rows = table.stdout.splitlines()
    assert head.split()[:2] == ["id", "date"] and [row.split()[0] for row in rows] == ["3", "2", "1"]
    assert re.search(r"CPU +pp16 [\d,.]+ +tg4 [\d,.]+$", rows[-1])
    markdown = llmtui("--history").stdout.splitlines()
    assert markdown == llmtui("--bench", "--history").stdout.splitlines()
    assert markdown[1].startswith("|---:|") and len(markdown) == 5


def test_an_empty_history_is_said_on_stderr() -> None:
    done = llmtui("--bench", "--history")
    assert (done.returncode, done.stdout) == (ExitCode.FINE, "") and "no benchmarks yet" in done.stderr


def test_no_history_keeps_the_run_out() -> None:
    llmtui("--bench", DENSE, *SMALL, "--no-history")
    assert not paths.bench_file().exists()


@pytest.mark.usefixtures("after_one_run")
def test_the_history_is_where_locate_says() -> None:
    assert Path(json.loads(llmtui("--locate", "--json").stdout)["benchmarks"]) == paths.bench_file()
    (kept,) = History(paths.bench_file()).list()
    report = History(paths.bench_file()).get(kept.id)
    assert report is not None and [len(result.samples_ns) for result in report.results] == [3, 3]


def test_compared_with_the_last_run_a_table_says_what_changed_and_what_differs() -> None:
    first = llmtui("--bench", DENSE, *SMALL, "--compare", "last", "--fail-below", "5")
    assert first.returncode == ExitCode.FINE and "no earlier run of this model" in first.stderr
    llmtui("--bench", MOE, *SMALL)
    second = llmtui("--bench", DENSE, *SMALL, "-c", "512", "--compare", "last", "-o", "table")
    assert (second.returncode, second.stderr) == (ExitCode.FINE, "")
    report, _, changes = second.stdout.partition("compared with run 1 of ")
    assert DENSE.name in report
    row = r"^{} +[\d,.]+ +[\d,.]+ +[+-][\d.]+% +\S+ +\S+  (faster|slower|no difference seen)$"
    assert all(re.search(row.format(test), changes, re.MULTILINE) for test in ("pp16", "tg4"))
    assert "- context: 256, now 512" in changes and "threads" not in changes


@pytest.mark.usefixtures("after_one_run")
def test_a_run_is_named_by_its_id_and_in_a_pipe_the_table_is_markdown() -> None:
    llmtui("--bench", DENSE, *SMALL)
    done = llmtui("--bench", DENSE, *SMALL, "-n", "8", "--compare", "1")
    assert done.returncode == ExitCode.FINE and "compared with run 1 of " in done.stdout
    assert "| pp16 |" in done.stdout.partition("compared with")[2]
    assert "- tg8: only measured now" in done.stdout


@pytest.mark.usefixtures("after_one_run")
def test_json_stays_clean_and_the_changes_go_to_stderr() -> None:
    done = llmtui("--bench", DENSE, *SMALL, "--json", "--compare", "last")
    assert len(json.loads(done.stdout)) == 2
    assert "compared with run 1" in done.stderr and "verdict" in done.stderr


def test_a_loss_larger_than_allowed_is_exit_code_1_and_said(scores: Callable[[float], Path]) -> None:
    done = llmtui("--bench", DENSE, *SMALL, "--compare", scores(1000), "--fail-below", "5%")
    assert (done.returncode, int(ExitCode.SLOWER)) == (1, 1)
    assert "slower" in done.stdout and re.search(r"pp16 is 99.\d% slower than in scores.json", done.stderr)
    assert n_kept() == 1, "a run that failed is kept too"


def test_a_gain_and_an_allowed_loss_are_fine(scores: Callable[[float], Path]) -> None:
    gain = llmtui("--bench", DENSE, *SMALL, "--compare", scores(0.001), "--fail-below", "5")
    assert (gain.returncode, gain.stderr) == (ExitCode.FINE, "") and re.search(r"\+\d{4,}\.\d%", gain.stdout)
    allowed = llmtui("--bench", DENSE, *SMALL, "--compare", scores(1000), "--fail-below", "100")
    assert (allowed.returncode, allowed.stderr) == (ExitCode.FINE, "") and "slower" in allowed.stdout


def test_a_file_without_the_model_or_its_tests_guards_nothing_and_is_exit_code_2(
    scores: Callable[[float], Path],
) -> None:
    path = scores(1)
    for arguments in ((MOE, *SMALL), (DENSE, "-p", "8", "-n", "0", "-r", "3")):
        done = llmtui("--bench", *arguments, "--compare", path, "--fail-below", "5")
        assert (
            done.returncode == ExitCode.USAGE and "scores.json has no run of it with any of these tests" in done.stderr
        )
        assert "t/s" in done.stdout, "the figures are printed"


def test_a_guard_does_not_pass_on_too_few_runs() -> None:
    llmtui("--bench", DENSE, *SMALL, "-r", "2")
    done = llmtui("--bench", DENSE, *SMALL, "--compare", "last", "--fail-below", "100")
    assert done.returncode == ExitCode.UNDECIDED and "too few runs" in done.stdout
    assert re.search(r"pp16 ran 2 times in run 1 of .* and 3 now; --fail-below cannot tell", done.stderr)


def test_a_guard_does_not_pass_over_what_was_refused(home: Path) -> None:
    folder = home / ".local" / "share" / "llmtui" / "models"
    huge = Shape(16384, 200, 128, 8, 128, 65536, kind="F32").write(folder / "huge.gguf")
    dense = Path(shutil.copy(DENSE, folder))
    guard = (*SMALL, "--compare", "last", "--fail-below", "100")
    llmtui("--bench", dense, *SMALL)
    named = llmtui("--bench", dense, huge, *guard)
    assert named.returncode == ExitCode.UNDECIDED and "| tg4 " in named.stdout
    assert "Test Qwen3 Q4_K_M on CPU was not measured: --fail-below cannot tell." in named.stderr
    every = llmtui("--bench", "--all", *guard)
    assert every.returncode == ExitCode.FINE and "Does not fit: " in every.stdout, "--all means all that fit"
    alone = llmtui("--bench", huge, "--backends", "cpu,cpu", *guard)
    assert alone.returncode == ExitCode.MODEL and "nothing could be measured" in alone.stderr


def test_what_cannot_be_compared_with_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    table.write_text("| model | t/s |\n")
    empty = tmp_path / "empty.json"
    empty.write_text("[]")
    other = tmp_path / "other.json"
    other.write_text('[{"speed": 3}]')
    for what, said in (
        ("7", "there is no such run"),
        ("nowhere.json", "No such file"),
        (table, "not what --output json prints"),
        (empty, "it is empty"),
        (other, "model_filename"),
    ):
        done = llmtui("--bench", DENSE, *SMALL, "--compare", what)
        assert (done.returncode, done.stdout) == (ExitCode.USAGE, "") and said in done.stderr
    assert n_kept() == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--bench", "--fail-below", "5"), "--compare last"),
        (("--bench", "--compare", "last", "--fail-below", "much"), "'much' is not a percentage"),
        (("--bench", "--compare", "last", "--fail-below", "-3"), "not a percentage"),
        (("--bench", DENSE, "-r", "2", "--compare", "last", "--fail-below", "5"), "add -r 3, or more"),
        (("--localscore", DENSE, "--compare", "last", "--fail-below", "5"), "add -r 3, or more"),
        (("--bench", "--history", DENSE), "give no models"),
        (("--bench", "--history", "--compare", "last"), "measures nothing"),
        (("--bench", "--history", "-o", "sql"), "--history has no sql"),
        (("-r", "3", "-p", "8"), "-p, -r need --bench, which is missing.\nWrite: llmtui --bench -r 3 -p 8\n"),
        (("--no-history", "my model.gguf"), "Write: llmtui --bench --no-history 'my model.gguf'\n"),
    ],
)
def test_bad_usage_is_exit_code_2_with_a_sentence(arguments: tuple[str | Path, ...], said: str) -> None:
    done = llmtui(*arguments)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "") and said in done.stderr


def test_figures_are_printed_even_when_they_cannot_be_kept(home: Path) -> None:
    obstacle = home / ".local" / "share" / "llmtui"
    obstacle.parent.mkdir(parents=True)
    obstacle.write_text("in the way")
    done = llmtui("--bench", DENSE, *SMALL, "--json")
    assert done.returncode == ExitCode.FINE and len(json.loads(done.stdout)) == 2
    assert "not kept: the benchmark history failed" in done.stderr and str(obstacle) in done.stderr


def test_a_damaged_history_is_set_aside_and_said() -> None:
    paths.bench_file().parent.mkdir(parents=True)
    paths.bench_file().write_bytes(b"not a database at all" * 100)
    listed = llmtui("--history")
    assert listed.returncode == ExitCode.USAGE and "damaged file" in listed.stderr
    done = llmtui("--bench", DENSE, *SMALL, "--json")
    assert done.returncode == ExitCode.FINE and len(json.loads(done.stdout)) == 2
    assert "bench.sqlite.corrupt-" in done.stderr and n_kept() == 1


def test_a_guard_whose_history_cannot_be_read_does_not_pass() -> None:
    paths.bench_file().parent.mkdir(parents=True)
    paths.bench_file().write_bytes(b"not a database at all" * 100)
    done = llmtui("--bench", DENSE, *SMALL, "--compare", "last", "--fail-below", "5")
    assert done.returncode == ExitCode.USAGE and "pp16" in done.stdout
    assert "is compared with nothing" in done.stderr and "damaged file" in done.stderr
