"""What `--output` prints for programs, read by the standard library, and llama-bench's keys in it."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tests.conftest import DENSE, MOE
from tests.measure.reports import HELLO, PP, TG, report, result
from tests.running import llmtui
from tui.base.exit_codes import ExitCode
from tui.base.terminal_style import plain
from tui.bench.llama_records import as_csv, as_json, as_jsonl, as_sql, records
from tui.bench.render import facts
from tui.measure.compare import ComparedRun, differences
from tui.measure.report import Comparison, Roofline
from tui.protocol.records import Buffer, LoadSettings

LLAMA_BENCH = (
    *("build_commit", "build_number", "cpu_info", "gpu_info", "backends", "model_filename", "model_type", "model_size"),
    *("model_n_params", "n_batch", "n_ubatch", "n_threads", "cpu_mask", "cpu_strict", "poll", "type_k", "type_v"),
    *("n_gpu_layers", "n_cpu_moe", "split_mode", "main_gpu", "no_kv_offload", "flash_attn", "devices", "tensor_split"),
    *("tensor_buft_overrides", "load_mode", "lazy_mode", "embeddings", "no_op_offload", "no_host", "repack"),
    *("fit_target", "fit_min_ctx", "n_prompt", "n_gen", "n_depth", "test_time", "avg_ns", "stddev_ns", "avg_ts"),
    "stddev_ts",
)
"""The fields of llama-bench's `test::get_fields`, in its order, of the llama.cpp in llama-cpp-python 0.3.36."""
OLDER = {"use_mmap", "use_direct_io"}
"""Fields of earlier versions, which scripts may still read."""
SMALL = ("-p", "16", "-n", "4", "-r", "2", "-t", "1")


@pytest.fixture
def awkward(tmp_path: Path) -> Path:
    """A model whose name needs quoting in every format."""
    return Path(shutil.copy(DENSE, tmp_path / 'it\'s a "tiny", model.gguf'))


def printed(model: Path, output: str) -> str:
    done = llmtui("--bench", model, *SMALL, "-o", output)
    assert (done.returncode, done.stderr) == (ExitCode.FINE, "")
    return done.stdout


def check(rows: Sequence[dict[str, object]], model: Path) -> None:
    for row in rows:
        assert tuple(row)[: len(LLAMA_BENCH)] == LLAMA_BENCH and set(row) >= OLDER
        assert (row["model_filename"], row["devices"], row["type_k"]) == (str(model), "none", "f16")
    assert [(int(str(row["n_prompt"])), int(str(row["n_gen"]))) for row in rows] == [(16, 0), (0, 4)]
    assert all(float(str(row["avg_ts"])) > 0 for row in rows)


def test_json_has_every_key_of_llama_bench_first_and_samples_last(awkward: Path) -> None:
    rows = json.loads(printed(awkward, "json"))
    check(rows, awkward)
    assert all(tuple(row)[-2:] == ("samples_ns", "samples_ts") for row in rows)
    assert (rows[0]["cpu_strict"], rows[0]["no_kv_offload"], rows[0]["no_op_offload"]) == (False, True, 1)


def test_what_a_spreadsheet_or_a_terminal_would_obey_is_defused() -> None:
    hostile = "=HYPERLINK(1)\x1b[2J\u202e"
    comparison = Comparison(reports=(report({PP: (100.0, 101.0)}, name=hostile),))

    (row,) = csv.DictReader(as_csv(comparison).splitlines())
    assert row["model_name"] == "'=HYPERLINK(1) [2J" and float(row["avg_ts"]) > 0
    for text in (as_csv(comparison), as_sql(comparison), as_json(comparison), as_jsonl(comparison)):
        assert "\x1b" not in text and "\u202e" not in text
    with sqlite3.connect(":memory:") as database:
        database.executescript(as_sql(comparison))
        assert database.execute("SELECT model_name FROM llama_bench").fetchone() == ("=HYPERLINK(1) [2J",)


def test_jsonl_has_the_records_of_json_one_a_line(awkward: Path) -> None:
    check([json.loads(line) for line in printed(awkward, "jsonl").splitlines()], awkward)


def test_csv_is_read_by_the_standard_library(awkward: Path) -> None:
    text = printed(awkward, "csv")
    rows = list(csv.DictReader(text.splitlines()))
    check(rows, awkward)
    assert (rows[0]["cpu_strict"], rows[0]["repack"]) == ("0", "1"), "truth is written as llama-bench does"
    assert text.startswith("build_commit,build_number,") and text.splitlines()[1].startswith('"')


def test_whether_sliding_windows_had_a_full_cache_is_recorded_and_compared() -> None:
    small = report({PP: (1.0, 1.0)})
    llama = msgspec.structs.replace(small.loaded.llama, swa_full=True)
    full = msgspec.structs.replace(small, loaded=msgspec.structs.replace(small.loaded, llama=llama))
    assert [row["swa_full"] for row in records(Comparison(reports=(full, small)))] == [True, False]
    assert "full SWA cache: 0, now 1" in differences(ComparedRun.of(small), full)
    assert any("full SWA cache" in plain(line) for line in facts(full))


def test_repacking_is_recorded_as_llama_bench_does_and_the_kind_of_memory_beside_it() -> None:
    amx = Buffer(device="AMX", purpose="weights", n_bytes=1 << 30)
    on = report({PP: (1.0, 1.0)}, settings=LoadSettings(repack="auto"), buffers=(amx,))
    off = report({PP: (1.0, 1.0)}, settings=LoadSettings(repack="off"))
    rows = records(Comparison(reports=(on, off)))
    assert [(row["repack"], row["repacked"]) for row in rows] == [(True, "AMX"), (False, "")]
    written = list(csv.DictReader(as_csv(Comparison(reports=(on, off))).splitlines()))
    assert [(row["repack"], row["repacked"]) for row in written] == [("1", "AMX"), ("0", "")]
    assert any("repacked (AMX)" in plain(line) for line in facts(on))
    assert any("repack off" in plain(line) for line in facts(off))


def test_sql_fills_llama_benchs_table_as_often_as_it_is_run(awkward: Path) -> None:
    script = printed(awkward, "sql")
    with sqlite3.connect(":memory:") as database:
        database.row_factory = sqlite3.Row
        database.executescript(script)
        check([dict(row) for row in database.execute("SELECT * FROM llama_bench")], awkward)
        database.executescript(script)
        kinds = database.execute("SELECT DISTINCT typeof(avg_ts), typeof(n_prompt), typeof(os) FROM llama_bench")
        assert [tuple(row) for row in kinds] == [("real", "integer", "text")]
        assert database.execute("SELECT count(*) FROM llama_bench").fetchone()[0] == 4


def test_active_parameters_of_a_mixture_of_experts_are_told() -> None:
    for row in json.loads(printed(MOE, "json")):
        assert row["n_params_active"] < row["model_n_params"] and row["quant"] == "Q8_0"
        assert row["memory_bytes"] > 0


def test_a_table_names_a_mixture_of_experts_by_its_parameters() -> None:
    cells = [cell.strip() for cell in printed(MOE, "md").splitlines()[2].split("|")]
    words = r"qwen3moe [\d.]+[KMB] \([\d.]+[KMB]\) Q8_0"
    assert re.fullmatch(words, cells[1])
    assert {re.fullmatch(words, row["model_type"]) is not None for row in json.loads(printed(MOE, "json"))} == {True}


def test_energy_marks_and_roofline_are_told_where_there_are_any() -> None:
    measured = msgspec.structs.replace(result(TG, (20.0, 21.0), ((), ("swapped", "hot"))), read_bytes={"CPU": 4})
    rich = report(results=(measured,), roofline=Roofline(tps=31.5, read_bytes={"CPU": 4}, bandwidth={"CPU": 126.0}))
    comparison = Comparison(reports=(rich, report()))
    marked, prefill, decode = records(comparison)
    assert (marked["marks"], marked["roofline_ts"], marked["j_per_token"]) == (("swapped", "hot"), 31.5, None)
    assert (prefill["marks"], prefill["roofline_ts"], decode["roofline_ts"]) == ((), None, None)
    assert next(csv.DictReader(as_csv(comparison).splitlines()))["marks"] == "swapped,hot"
    with sqlite3.connect(":memory:") as database:
        database.executescript(as_sql(comparison))
        told = database.execute("SELECT marks, roofline_ts, j_per_token FROM llama_bench").fetchall()
    assert told == [("swapped,hot", 31.5, None), ("", None, None), ("", None, None)]


def test_each_test_that_generates_has_the_roofline_of_what_it_reads() -> None:
    deep = msgspec.structs.replace(TG, n_depth=4096)
    results = [msgspec.structs.replace(result(t, (9.0,)), read_bytes={"CPU": n}) for t, n in ((TG, 4), (deep, 8))]
    both = report(
        results=(*results, result(PP, (99.0,))),
        roofline=Roofline(tps=25.0, read_bytes={"CPU": 4}, bandwidth={"CPU": 100.0}),
    )
    assert [record["roofline_ts"] for record in records(Comparison(reports=(both,)))] == [25.0, 12.5, None]


def test_a_llama_cpp_that_was_built_outside_a_repository_tells_no_commit() -> None:
    nameless = report(hello=msgspec.structs.replace(HELLO, build_commit=""))
    assert {record["build_commit"] for record in records(Comparison(reports=(nameless,)))} == {"unknown"}
    assert "llama.cpp of unknown commit" in plain(facts(nameless)[-1])
    assert differences(report(), nameless) == ()


def test_a_comparison_without_figures_is_empty_in_every_format() -> None:
    nothing = Comparison()
    assert (as_json(nothing), as_jsonl(nothing), as_csv(nothing), as_sql(nothing)) == ("[]", "", "", "")


@pytest.mark.parametrize(("output", "stdout"), [("json", "[]\n"), ("csv", "")])
def test_what_cannot_be_measured_is_said_on_stderr_and_no_record(output: str, stdout: str) -> None:
    done = llmtui("--bench", DENSE, MOE, *SMALL, "-fa", "off", "-ctv", "q4_0", "-o", output)
    assert (done.returncode, done.stdout) == (ExitCode.MODEL, stdout)
    assert done.stderr.count("Q8_0 on CPU: ") == 2 and "V cache" in done.stderr
