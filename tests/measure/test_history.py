"""The history of benchmarks: what is kept, what is found again, and what survives damage, full disks and company."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.chat.test_store_full_disk import files_cannot_grow_beyond
from tests.measure.reports import PP, TG, report
from tests.patience import PATIENCE_S
from tui.measure.history import MIGRATIONS, History, HistoryError
from tui.measure.report import Comparison, ParallelResult, Report, Roofline, Test


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "data" / "bench.sqlite")


def add(history: History, *reports: Report) -> tuple[int, ...]:
    return history.add(Comparison(reports=reports))


def test_a_report_comes_back_whole(history: History) -> None:
    rich = report(
        parallel=(ParallelResult(n_parallel=4, n_prompt=128, n_gen=64, prefill_s=1.0, decode_s=2.0),),
        roofline=Roofline(tps=31.5, read_bytes={"CPU": 2_400_000_000}, bandwidth={"CPU": 8e10}),
        warnings=("The governor is powersave.",),
    )
    assert add(history, report(), rich) == (1, 2)
    assert history.get(2) == rich and history.get(1) == report()
    assert history.get(3) is None


def test_the_list_tells_what_one_searches_by_the_newest_first(history: History) -> None:
    add(history, report(path="model.gguf"), report({TG: (20.0, 22.0)}, name="Qwen3 8B"))
    newest, oldest = history.list()
    assert (newest.id, newest.model_name, newest.pp_name, newest.tg_name, newest.tests) == (
        *(2, "Qwen3 8B", None, "tg128"),
        ("tg128",),
    )
    assert newest.tg_ts == pytest.approx(21.0)
    assert (oldest.quant, oldest.backend, oldest.n_gpu_layers, oldest.build) == ("Q4_K_M", "CPU", 0, "0c1e570")
    assert oldest.time == report().results[0].test_time and oldest.machine == "AMD EPYC 9R14"
    assert oldest.model_path == str(Path("model.gguf").absolute())
    assert history.list(limit=1) == (newest,)


def test_the_last_run_of_a_report_has_its_model_its_backend_and_all_of_its_tests(history: History) -> None:
    deep = Test(n_gen=128, n_depth=4096)
    ids = add(
        history,
        report({PP: (1.0,), TG: (1.0,), deep: (1.0,)}),
        report({PP: (1.0,)}),
        report(devices=("Vulkan0",)),
        report(quant="Q8_0"),
        report(name="Qwen3 8B"),
    )
    found = history.last(report({TG: (1.0,), PP: (1.0,)}))
    assert found is not None and found.id == ids[0]
    assert (only_pp := history.last(report({PP: (1.0,)}))) is not None and only_pp.id == ids[1]
    assert (before := history.last(report({PP: (1.0,)}), before=ids[1])) is not None and before.id == ids[0]
    assert history.last(report(), before=ids[0]) is None
    assert history.last(report({Test(n_prompt=7): (1.0,)})) is None


def test_a_deleted_run_is_gone_and_its_id_is_not_used_again(history: History) -> None:
    add(history, report(), report())
    assert history.delete(2) and not history.delete(2)
    assert add(history, report()) == (3,)
    assert [kept.id for kept in history.list()] == [3, 1]


def test_what_has_no_results_is_not_kept(history: History) -> None:
    assert add(history, report({})) == () and not history.path.exists()


def test_before_anything_was_kept_nothing_is_found_and_no_file_made(history: History) -> None:
    assert history.list() == () and history.get(1) is None and history.last(report()) is None
    assert not history.delete(1) and not history.path.parent.exists()


def test_two_processes_that_write_at_once_lose_nothing(history: History, tmp_path: Path) -> None:
    comparison = tmp_path / "comparison.json"
    comparison.write_bytes(msgspec.json.encode(Comparison(reports=(report(),))))
    code = (
        "import sys, msgspec\nfrom pathlib import Path\n"
        "from tui.measure.history import History\nfrom tui.measure.report import Comparison\n"
        "comparison = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Comparison)\n"
        "history = History(Path(sys.argv[2]), busy_timeout_s=60)\n"
        "for _ in range(20):\n    history.add(comparison)\n"
    )
    command = [sys.executable, "-c", code, str(comparison), str(history.path)]
    writers = [subprocess.Popen(command) for _ in range(2)]
    assert [writer.wait(timeout=PATIENCE_S) for writer in writers] == [0, 0]
    assert [kept.id for kept in history.list(limit=100)] == list(range(40, 0, -1))


def test_while_another_program_holds_it_the_history_says_so(history: History) -> None:
    add(history, report())
    with sqlite3.connect(history.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(HistoryError, match="Another program holds it") as caught:
            add(History(history.path, busy_timeout_s=0.01), report())
        assert caught.value.kind == "locked"
        assert [kept.id for kept in history.list()] == [1], "reading waits for nobody"


@pytest.mark.parametrize("damage", ["header", "middle", "everything"])
def test_a_damaged_file_is_set_aside_by_the_next_run_that_is_kept(history: History, damage: str) -> None:
    add(history, *[report()] * 20)
    good = history.path.read_bytes()
    history.path.write_bytes(
        {
            "header": os.urandom(200) + good[200:],
            "middle": good[:4096] + os.urandom(len(good) - 4096),
            "everything": b"not a database at all" * 500,
        }[damage]
    )
    assert add(history, report()) == (1,)
    assert history.set_aside is not None and history.set_aside.name.startswith("bench.sqlite.corrupt-")
    assert [kept.id for kept in history.list()] == [1]


def test_reading_a_damaged_file_says_what_will_happen_and_changes_nothing(history: History) -> None:
    history.path.parent.mkdir()
    history.path.write_bytes(b"not a database at all" * 500)
    with pytest.raises(HistoryError, match="sets the damaged file aside") as caught:
        history.list()
    assert caught.value.kind == "corrupt" and history.path.read_bytes().startswith(b"not a database")


def test_a_history_of_a_newer_llmtui_is_left_alone(history: History) -> None:
    add(history, report())
    with sqlite3.connect(history.path) as other:
        other.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    for read_or_write in (history.list, lambda: add(history, report())):
        with pytest.raises(HistoryError, match="update llmtui") as caught:
            read_or_write()
        assert caught.value.kind == "newer_schema"


def test_a_report_that_a_newer_llmtui_wrote_in_another_form_is_none(history: History) -> None:
    add(history, report())
    with sqlite3.connect(history.path) as other:
        other.execute("""UPDATE runs SET report = '{"machine": 7}'""")
    assert history.get(1) is None and len(history.list()) == 1


def test_a_full_disk_is_told_and_what_was_kept_is_still_there(history: History) -> None:
    add(history, report())
    huge = report(warnings=("x" * 300_000,))
    with files_cannot_grow_beyond(100_000), pytest.raises(HistoryError):
        add(history, huge)
    assert [kept.id for kept in history.list()] == [1]
    assert history.get(1) == report()


def test_a_folder_that_cannot_be_made_is_told_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    history = History(tmp_path / "data" / "bench.sqlite")
    with pytest.raises(HistoryError, match="Check the folder") as caught:
        add(history, report())
    assert str(tmp_path / "data") in str(caught.value)


def test_where_nothing_can_be_written_beside_the_file_it_is_read_all_the_same(history: History) -> None:
    """A folder in the way of SQLite's own file does what a read-only folder does, to root as well."""
    add(history, report())
    history.path.with_name("bench.sqlite-shm").mkdir()
    assert [kept.id for kept in history.list()] == [1] and history.get(1) == report()


@pytest.mark.parametrize(
    "damage",
    [
        ("tests", "[" * 200_000),
        ("tests", "{}"),
        ("time", "yesterday"),
        ("pp_ts", float("inf")),
        ("model_name", b"\xff\xfe"),
        ("report", "[" * 200_000),
        ("report", b"\xff"),
    ],
    ids=lambda damage: f"{damage[0]} {str(damage[1])[:8]}",
)
def test_a_damaged_row_costs_that_row_alone(history: History, damage: tuple[str, object]) -> None:
    column, value = damage
    add(history, report(name="Good 1"), report(name="Bad"), report(name="Good 2"))
    with sqlite3.connect(history.path) as other:
        as_text = "CAST(? AS TEXT)" if isinstance(value, bytes) else "?"
        other.execute(f"UPDATE runs SET {column} = {as_text} WHERE id = 2", (value,))
    names = [kept.model_name for kept in history.list()]
    assert names[0] == "Good 2" and names[-1] == "Good 1"
    assert history.get(1) == report(name="Good 1")
    history.get(2)
    assert add(history, report(name="Good 3")) == (4,)


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_stands_in_the_place_of_the_history_is_an_error_in_words(history: History, kind: str) -> None:
    history.path.parent.mkdir(parents=True)
    if kind == "folder":
        history.path.mkdir()
    else:
        os.mkfifo(history.path)
    for act in (history.list, lambda: add(history, report())):
        with pytest.raises(HistoryError) as error:
            act()
        assert str(history.path) in str(error.value)


def test_a_report_of_a_load_that_was_kept_flat_is_read_whole(history: History) -> None:
    kept = report(n_gpu_layers=7, devices=("Vulkan0",), type_k="q8_0")
    add(history, kept)
    told = msgspec.json.decode(msgspec.json.encode(kept))
    told["loaded"] |= told["loaded"].pop("llama")
    with sqlite3.connect(history.path) as other:
        other.execute("UPDATE runs SET report = ?", (msgspec.json.encode(told).decode(),))
    assert history.get(1) == kept
