"""A comparison as plain records under llama-bench's keys, one for each test, in the formats that programs read."""

from __future__ import annotations

import json

from tui import __version__
from tui.bench import endtoend
from tui.measure.report import Comparison, Report, Result


def as_json(comparison: Comparison) -> str:
    """A list with one object for each test, as `llama-bench -o json` prints it and under its keys; `n_batch` and
    `n_ubatch`, `n_gpu_layers`, `flash_attn` (1 or 0) and `devices` are what was really used. Keys of our own:

    `llmtui_version`; `n_cores`, `n_cpus`, `ram_bytes` and `os` of the machine; `n_ctx`, `n_threads_batch`, `use_mmap`,
    `use_mlock` and `load_s` (seconds) of the load; `repetitions`, the number asked for: `samples_ns` holds fewer when
    the run was interrupted. With `--e2e`, `end_to_end` holds what an answer took as a user gets it.
    """
    return json.dumps(records(comparison), indent=2)


def records(comparison: Comparison) -> list[dict[str, object]]:
    """One for each test of each report."""
    return [_record(report, result) for report in comparison.reports for result in report.results]


def _record(report: Report, result: Result) -> dict[str, object]:
    loaded, machine, settings = report.loaded, report.machine, report.settings
    return {
        "llmtui_version": __version__,
        "build_commit": report.hello.build_commit,
        "cpu_info": machine.cpu,
        "gpu_info": ", ".join(filter(None, map(report.describe, loaded.devices))),
        "backends": report.backend,
        "n_cores": machine.n_cores,
        "n_cpus": machine.n_cpus,
        "ram_bytes": machine.ram_bytes,
        "os": machine.os,
        "model_filename": loaded.path,
        "model_type": loaded.description,
        "model_size": loaded.size_bytes,
        "model_n_params": loaded.n_params,
        "n_ctx": loaded.n_ctx,
        "n_batch": loaded.n_batch,
        "n_ubatch": loaded.n_ubatch,
        "n_threads": loaded.n_threads,
        "n_threads_batch": loaded.n_threads_batch,
        "type_k": loaded.type_k,
        "type_v": loaded.type_v,
        "n_gpu_layers": loaded.n_gpu_layers,
        "n_cpu_moe": settings.n_cpu_moe,
        "flash_attn": int(loaded.flash_attn),
        "devices": "/".join(loaded.devices) or "none",
        "use_mmap": settings.use_mmap,
        "use_mlock": settings.use_mlock,
        "load_s": round(loaded.load_s, 3),
        "n_prompt": result.test.n_prompt,
        "n_gen": result.test.n_gen,
        "n_depth": result.test.n_depth,
        "repetitions": report.repetitions,
        "test_time": result.test_time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "avg_ns": round(result.avg_ns),
        "stddev_ns": round(result.stddev_ns),
        "avg_ts": round(result.avg_ts, 6),
        "stddev_ts": round(result.stddev_ts, 6),
        "samples_ns": result.samples_ns,
        "samples_ts": [round(ts, 6) for ts in result.samples_ts],
        **endtoend.record(report),
    }
