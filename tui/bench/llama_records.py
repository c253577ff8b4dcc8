"""A comparison as plain records under llama-bench's keys, one for each test, in the formats that programs read. What
could not be measured has no record: programs expect figures; the command says it on stderr."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping

from tui import __version__
from tui.base.text import one_line
from tui.bench import endtoend
from tui.machine.cpus import chosen_cpus
from tui.measure import roofline
from tui.measure.report import BenchResult, Comparison, Report, described, recorded_commit
from tui.protocol.records import poll_of

TABLE = "llama_bench"
"""Name of the table that SQL creates and fills: llama-bench's."""

_Value = str | int | float | bool | None


def as_json(comparison: Comparison) -> str:
    """A list with one object for each test, as `llama-bench -o json` prints it: its keys in its order, then ours.

    `n_batch` and `n_ubatch`, `n_gpu_layers`, `flash_attn` (1 or 0), `devices` and `load_mode` are what was really
    used; `build_number` is 0, because llama.cpp's sources do not know theirs. Keys of our own, null where unknown:

    `llmtui_version`; `gpu_driver`, `n_cores`, `n_cpus`, `ram_bytes` and `os` of the machine; `model_name`, `quant`,
    `n_params_active` and `file_bytes` of the model; `n_ctx`, `n_threads_batch`, `use_mmap`, `use_mlock`, `swa_full`
    (whether sliding windows have a full cache, as llama-bench's never have), `cpu_range`, `priority`, `numa`,
    `repacked` (the kinds of memory that hold weights in the CPU's own order, where `repack` allows it: "CPU_REPACK",
    "AMX"), `load_s` (seconds) and `memory_bytes` of the load; `repetitions`, the number asked for (fewer samples when
    the run was interrupted); `j_per_token`; `roofline_ts` (tokens per second), with tests that only generate; `marks`,
    why repetitions are not to be trusted; `samples_ns` and `samples_ts`.
    With `--e2e`, `end_to_end` holds what an answer took as a user gets it.
    """
    return json.dumps(records(comparison), indent=2)


def as_jsonl(comparison: Comparison) -> str:
    """The objects of `as_json`, one a line."""
    return "\n".join(json.dumps(record) for record in records(comparison))


def as_csv(comparison: Comparison) -> str:
    """A line of keys, then one for each test, every value quoted, as llama-bench does it; without the samples.
    What a spreadsheet would take for a formula has an apostrophe before it."""
    lines = io.StringIO()
    rows = [_flat(record) for record in records(comparison)]
    writer = csv.writer(lines, quoting=csv.QUOTE_ALL, lineterminator="\n")
    for row in rows:
        writer.writerow(_cell(value) for value in row.values())
    return f"{','.join(rows[0])}\n{lines.getvalue()}".rstrip("\n") if rows else ""


def _cell(value: _Value) -> str | float:
    if isinstance(value, str):
        return f"'{value}" if value.lstrip().startswith(_FORMULA) else value
    return "" if value is None else value


_FORMULA = tuple("=+-@|＝＋－＠")


def as_sql(comparison: Comparison) -> str:
    """Statements that create llama-bench's table, with our columns too, and insert a row for each test; without the
    samples."""
    rows = [_flat(record) for record in records(comparison)]
    if not rows:
        return ""
    columns = ",\n".join(f"  {name} {_sql_type(name, rows)}" for name in rows[0])
    inserts = (
        f"INSERT INTO {TABLE} ({', '.join(row)}) VALUES ({', '.join(map(_sql_literal, row.values()))});" for row in rows
    )
    return "\n".join((f"CREATE TABLE IF NOT EXISTS {TABLE} (\n{columns}\n);\n", *inserts))


def records(comparison: Comparison) -> list[dict[str, object]]:
    """One for each test of each report."""
    return [_record(report, result) for report in comparison.reports for result in report.results]


def _record(report: Report, result: BenchResult) -> dict[str, object]:
    loaded, settings = report.loaded, report.settings
    on_cpu = not loaded.llama.devices
    return {
        "build_commit": recorded_commit(report.hello),
        "build_number": 0,
        "cpu_info": report.machine.cpu,
        "gpu_info": report.gpu_info,
        "backends": report.backend,
        "model_filename": loaded.path,
        "model_type": described(report),
        "model_size": loaded.size_bytes,
        "model_n_params": loaded.n_params,
        "n_batch": loaded.llama.n_batch,
        "n_ubatch": loaded.llama.n_ubatch,
        "n_threads": loaded.llama.n_threads,
        "cpu_mask": _mask(settings.cpu_range),
        "cpu_strict": False,
        "poll": poll_of(settings),
        "type_k": loaded.llama.type_k,
        "type_v": loaded.llama.type_v,
        "n_gpu_layers": loaded.llama.n_gpu_layers,
        "n_cpu_moe": settings.n_cpu_moe,
        "split_mode": settings.split_mode,
        "main_gpu": 0,
        "no_kv_offload": on_cpu,
        "flash_attn": int(loaded.llama.flash_attn),
        "devices": "/".join(loaded.llama.devices) or "none",
        "tensor_split": "0.00",
        "tensor_buft_overrides": "none",
        "load_mode": report.load_mode,
        "lazy_mode": "auto",
        "embeddings": False,
        "no_op_offload": int(on_cpu),
        "no_host": False,
        "repack": settings.repack != "off",
        **_UNTOUCHED_FIT,
        "n_prompt": result.test.n_prompt,
        "n_gen": result.test.n_gen,
        "n_depth": result.test.n_depth,
        "test_time": result.test_time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "avg_ns": round(result.avg_ns),
        "stddev_ns": round(result.stddev_ns),
        "avg_ts": round(result.avg_ts, 6),
        "stddev_ts": round(result.stddev_ts, 6),
        **_ours(report, result),
        "samples_ns": result.samples_ns,
        "samples_ts": [round(ts, 6) for ts in result.samples_ts],
        **endtoend.record(report),
    }


_UNTOUCHED_FIT = {"fit_target": 0, "fit_min_ctx": 0}
"""What llmtui leaves as llama.cpp has it."""


def _mask(cpu_range: str) -> str:
    """CPUs as llama-bench names them, a bit for each; none for all."""
    return hex(sum(1 << cpu for cpu in chosen_cpus(cpu_range) or ()))


def _ours(report: Report, result: BenchResult) -> dict[str, object]:
    machine, model, loaded, settings = report.machine, report.model, report.loaded, report.settings
    top = roofline.limit(report, result)
    return {
        "use_mmap": settings.use_mmap,
        "use_direct_io": False,
        "llmtui_version": __version__,
        "gpu_driver": machine.gpu_driver,
        "n_cores": machine.n_cores,
        "n_cpus": machine.n_cpus,
        "ram_bytes": machine.ram_bytes,
        "os": machine.os,
        "model_name": model.name,
        "quant": model.quant,
        "n_params_active": model.n_params_active,
        "file_bytes": model.file_bytes,
        "n_ctx": loaded.n_ctx,
        "n_threads_batch": loaded.llama.n_threads_batch,
        "use_mlock": settings.use_mlock,
        "swa_full": loaded.llama.swa_full,
        "cpu_range": settings.cpu_range,
        "priority": settings.priority,
        "numa": settings.numa,
        "repacked": ",".join(loaded.llama.repacked),
        "load_s": round(loaded.load_s, 3),
        "memory_bytes": report.memory_bytes,
        "repetitions": report.repetitions,
        "j_per_token": result.j_per_token,
        "roofline_ts": top.tps if top else None,
        "marks": result.all_marks,
    }


def _flat(record: Mapping[str, object]) -> dict[str, _Value]:
    """What fits into one cell each, as llama-bench writes it: truth as 1 or 0, several words with commas."""
    flat: dict[str, _Value] = {}
    for key, value in record.items():
        match value:
            case bool():
                flat[key] = int(value)
            case str():
                flat[key] = one_line(value)
            case None | int() | float():
                flat[key] = value
            case tuple() if key == "marks":
                flat[key] = ",".join(value)
    return flat


def _sql_type(name: str, rows: list[dict[str, _Value]]) -> str:
    values = [row[name] for row in rows]
    if name in _REAL or any(isinstance(value, float) for value in values):
        return "REAL"
    return "TEXT" if any(isinstance(value, str) for value in values) else "INTEGER"


_REAL = ("avg_ts", "stddev_ts", "load_s", "j_per_token", "roofline_ts")


def _sql_literal(value: _Value) -> str:
    if value is None:
        return "NULL"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)
