"""How a benchmark's report is shown: for eyes on a terminal, as a Markdown table in a pipe, as JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tui import __version__
from tui.bench import endtoend
from tui.bench.records import as_json
from tui.engine.messages import LoadSettings
from tui.measure.report import Comparison, ModelFacts, Refused, Report, Result
from tui.models import format

Format = Callable[[Comparison], str]

_ASCII = str.maketrans({"±": "+-", "·": "-", "…": "..."})


def table(comparison: Comparison) -> str:
    """For eyes, in 80 columns: the figures of one model under a headline, or a row for each model and backend."""
    if len(comparison.reports) == 1 and not comparison.refused:
        return _single(comparison.reports[0])
    rows = [_ROW_HEAD, *map(_row, comparison.reports)]
    lines = columns(rows, "<>>>>>>", "  ")
    lines += map(refusal, comparison.refused)
    lines += [
        f"{row_name(report.model, report.loaded.path)} on {backend_of(report.settings)}: {more}"
        for report in comparison.reports
        if (more := endtoend.sentence(report))
    ]
    return "\n".join([*lines, "", *_common_facts(comparison)])


_ROW_HEAD = ("model", "size", "on", "pp t/s", "tg t/s", "memory", "J/token")


def _row(report: Report) -> tuple[str, ...]:
    prefill, decode = report.prefill, report.decode
    joules = decode.j_per_token if decode else None
    return (
        row_name(report.model, report.loaded.path),
        format.size(report.model.file_bytes),
        backend_of(report.settings),
        f"{prefill.avg_ts:.1f}" if prefill else "",
        f"{decode.avg_ts:.2f}" if decode else "",
        format.size(report.memory_bytes) if report.memory_bytes is not None else "n/a",
        f"{joules:.2f}" if joules is not None else "n/a",
    )


def row_name(model: ModelFacts | None, path: str) -> str:
    """How a model is called in a table."""
    return f"{model.name} {model.quant}" if model else Path(path).name


def refusal(row: Refused) -> str:
    """Which model could not be measured where, and why."""
    return f"{row_name(row.model, row.path)} on {row.backend}: {row.reason}"


def headline(report: Report) -> tuple[str, str]:
    """The model's file, and what is in it."""
    what = f"{report.loaded.description} · {_size(report)} · {_params(report)} parameters"
    return Path(report.loaded.path).name, what


def _common_facts(comparison: Comparison) -> list[str]:
    return facts(comparison.reports[0]) if comparison.reports else []


def backend_of(settings: LoadSettings) -> str:
    """Where a load is to be: "CPU" or the devices."""
    return "+".join(settings.devices) or "CPU"


def _single(report: Report) -> str:
    """The figures under a headline, and below them what they were measured with; at most about 80 columns."""
    loaded = report.loaded
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
    more = [endtoend.sentence(report)] if report.end_to_end else []
    return "\n".join([*headline(report), "", *columns(rows, "<><>><"), *more, "", *facts(report)])


def markdown(comparison: Comparison) -> str:
    """A Markdown table with llama-bench's columns, and the facts as a list."""
    gpu = any(report.backend != "CPU" for report in comparison.reports)
    head = ["model", "size", "params", "backend", *(["ngl"] if gpu else []), "threads", "test", "t/s"]
    rows = [tuple(head)]
    for report in comparison.reports:
        loaded = report.loaded
        for result in report.results:
            cells = [loaded.description, _size(report), _params(report), report.backend]
            cells += [str(loaded.n_gpu_layers)] if gpu else []
            cells += [str(loaded.n_threads_batch if result.test.n_prompt else loaded.n_threads)]
            rows.append((*cells, result.test.name, _ts(result)))
    sides = "<>><" + (">" if gpu else "") + "><>"
    unfinished = [
        f"- {result.test.name}: {_runs(report, result)}"
        for report in comparison.reports
        for result in _unfinished(report)
    ]
    refused = [f"- {refusal(row)}" for row in comparison.refused]
    common = [f"- {line}" for line in _common_facts(comparison)]
    more = [
        f"- {row_name(report.model, report.loaded.path)} on {report.backend}: {sentence}"
        for report in comparison.reports
        if (sentence := endtoend.sentence(report))
    ]
    return "\n".join([table_of(rows, sides, "md"), "", *more, *common, *unfinished, *refused])


def table_of(rows: Sequence[tuple[str, ...]], sides: str, output: str) -> str:
    """Rows, the first of them the headings, as a Markdown table for `output` "md", else in plain columns; `sides` says
    where each column is aligned: "<" or ">"."""
    if output != "md":
        return "\n".join(columns(rows, sides, "  "))
    lines = [f"| {line} |" for line in _padded(rows, sides, " | ")]
    rule = [f"{'-' * (w + 1)}{':' if side == '>' else '-'}" for w, side in zip(_widths(rows), sides, strict=True)]
    return "\n".join([lines[0], f"|{'|'.join(rule)}|", *lines[1:]])


def for_encoding(text: str, encoding: str | None) -> str:
    """`text`, its few signs beyond ASCII replaced when the encoding of a stream lacks them."""
    try:
        "".join(map(chr, _ASCII)).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return text.translate(_ASCII)
    return text


def facts(report: Report) -> list[str]:
    """What the figures were measured with, one line each."""
    loaded, machine, settings = report.loaded, report.machine, report.settings
    devices = ", ".join(f"{name} {report.describe(name)}".strip() for name in loaded.devices)
    where = f"{devices}, {loaded.n_gpu_layers} of {loaded.n_layers} layers" if devices else "the CPU alone"
    experts = f", experts of {settings.n_cpu_moe} layers on the CPU" if devices and settings.n_cpu_moe else ""
    used = [
        f"ctx {f'{settings.n_parallel} x ' if settings.n_parallel > 1 else ''}{loaded.n_ctx:,}",
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


def columns(rows: Sequence[tuple[str, ...]], sides: str, gap: str = "   ") -> list[str]:
    """Rows with every column as wide as its widest cell, `sides` saying where each is aligned: "<" or ">"."""
    return [line.rstrip() for line in _padded(rows, sides, gap)]


def _padded(rows: Sequence[tuple[str, ...]], sides: str, gap: str) -> list[str]:
    return [
        gap.join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, _widths(rows), strict=True))
        for row in rows
    ]


def _widths(rows: Sequence[tuple[str, ...]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


FORMATS: dict[str, Format] = {"table": table, "md": markdown, "json": as_json}
"""By the name that `--output` takes."""
