"""How a benchmark's report is shown: for eyes on a terminal, as a Markdown table in a pipe, as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tui import __version__
from tui.bench.report import Report, Result
from tui.models import format

_ASCII = str.maketrans({"±": "+-", "·": "-", "…": "..."})


def terminal(report: Report) -> str:
    """The figures under a headline, and below them what they were measured with; at most about 80 columns."""
    loaded = report.loaded
    headline = f"{Path(loaded.path).name}\n{loaded.description} · {_size(report)} · {_params(report)} parameters"
    rows = [("backend", "threads", "test", "tokens/s", "", "runs")]
    rows += [
        (
            report.backend,
            str(loaded.n_threads_batch if result.test.n_prompt else loaded.n_threads),
            result.test.name,
            _ts(result),
            f"{100 * result.stddev_ts / result.avg_ts:.1f}%",
            _runs(report, result),
        )
        for result in report.results
    ]
    table = _columns(rows, "<><>><")
    return "\n".join([headline, "", *table, "", *_facts(report)])


def markdown(report: Report) -> str:
    """A Markdown table with llama-bench's columns, and the facts as a list."""
    loaded = report.loaded
    gpu = report.backend != "CPU"
    head = ["model", "size", "params", "backend", *(["ngl"] if gpu else []), "threads", "test", "t/s"]
    rows = [tuple(head)]
    for result in report.results:
        cells = [loaded.description, _size(report), _params(report), report.backend]
        cells += [str(loaded.n_gpu_layers)] if gpu else []
        cells += [str(loaded.n_threads_batch if result.test.n_prompt else loaded.n_threads)]
        rows.append((*cells, result.test.name, _ts(result)))
    sides = "<>><" + (">" if gpu else "") + "><>"
    lines = [f"| {line} |" for line in _columns(rows, sides, " | ")]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    rule = [f"{'-' * (w + 1)}{':' if side == '>' else '-'}" for w, side in zip(widths, sides, strict=True)]
    lines.insert(1, f"|{'|'.join(rule)}|")
    unfinished = [f"- {result.test.name}: {_runs(report, result)}" for result in _unfinished(report)]
    return "\n".join([*lines, "", *(f"- {line}" for line in _facts(report)), *unfinished])


def as_json(report: Report) -> str:
    """A list with one object for each test, as `llama-bench -o json` prints it and under its keys; `n_batch` and
    `n_ubatch`, `n_gpu_layers`, `flash_attn` (1 or 0) and `devices` are what was really used. Keys of our own:

    `llmtui_version`; `n_cores`, `n_cpus`, `ram_bytes` and `os` of the machine; `n_ctx`, `n_threads_batch`, `use_mmap`,
    `use_mlock` and `load_s` (seconds) of the load; `repetitions`, the number asked for: `samples_ns` holds fewer when
    the run was interrupted.
    """
    return json.dumps([_record(report, result) for result in report.results], indent=2)


def for_encoding(text: str, encoding: str | None) -> str:
    """`text`, its few signs beyond ASCII replaced when the encoding of a stream lacks them."""
    try:
        "".join(map(chr, _ASCII)).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return text.translate(_ASCII)
    return text


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
    }


def _facts(report: Report) -> list[str]:
    """What the figures were measured with, one line each."""
    loaded, machine, settings = report.loaded, report.machine, report.settings
    devices = ", ".join(f"{name} {report.describe(name)}".strip() for name in loaded.devices)
    where = f"{devices}, {loaded.n_gpu_layers} of {loaded.n_layers} layers" if devices else "the CPU alone"
    experts = f", experts of {settings.n_cpu_moe} layers on the CPU" if devices and settings.n_cpu_moe else ""
    used = [
        f"ctx {loaded.n_ctx:,}",
        f"batch {loaded.n_batch}/{loaded.n_ubatch}",
        f"flash attention {'on' if loaded.flash_attn else 'off'}",
        f"KV {loaded.type_k}/{loaded.type_v}",
        *(["no mmap"] if not settings.use_mmap else []),
        *(["mlock"] if settings.use_mlock else []),
    ]
    cores = f"{machine.n_cores} core{'s' if machine.n_cores != 1 else ''}"
    package = report.hello.llama_cpp.partition(" · ")[0]
    started = f"{report.results[0].test_time:%Y-%m-%d %H:%M} UTC, " if report.results else ""
    return [
        f"measured  {started}llmtui {__version__}, mean ± standard deviation of {report.repetitions} runs",
        f"device    {where}{experts}",
        f"settings  {', '.join(used)}",
        f"machine   {machine.cpu}, {cores}, {format.size(machine.ram_bytes)} RAM, {machine.os}",
        f"engine    {package}, llama.cpp {report.hello.build_commit or 'of unknown commit'}",
    ]


def _unfinished(report: Report) -> list[Result]:
    return [result for result in report.results if len(result.samples_ns) < report.repetitions]


def _runs(report: Report, result: Result) -> str:
    n = len(result.samples_ns)
    return str(n) if n == report.repetitions else f"{n} of {report.repetitions} runs"


def _ts(result: Result) -> str:
    return f"{result.avg_ts:.2f} ± {result.stddev_ts:.2f}"


def _size(report: Report) -> str:
    return format.size(report.loaded.size_bytes)


def _params(report: Report) -> str:
    return format.params(report.loaded.n_params)


def _columns(rows: Sequence[tuple[str, ...]], sides: str, gap: str = "   ") -> list[str]:
    """Rows with every column as wide as its widest cell, `sides` saying where each is aligned: "<" or ">"."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(sides))]
    return [
        gap.join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)).rstrip()
        for row in rows
    ]
