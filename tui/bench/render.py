"""How a benchmark's report is shown: for eyes on a terminal, as a Markdown table in a pipe, as JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from tui import __version__
from tui.base import format
from tui.base.columns import pad, padded, table, widths
from tui.base.format import listed
from tui.base.stdout import put
from tui.base.terminal_style import Line, Piece, Tone, Toned, page, plain, takes_colours
from tui.base.text import cells, one_line
from tui.bench import endtoend
from tui.bench.figures import speed_and_deviation
from tui.bench.llama_records import as_csv, as_json, as_jsonl, as_sql
from tui.config.loadtable import LOAD_ROWS, value_words
from tui.measure import forecast_words, roofline
from tui.measure.report import (
    BenchResult,
    Comparison,
    RefusedJob,
    Report,
    engine_build,
    marks_told,
    model_type,
    row_label,
    row_name,
)
from tui.protocol.records import LoadValues
from tui.shell.encoding import for_encoding
from tui.words import tr, trn

Page = list[Line]
"""A report for eyes."""
Format = Callable[[Comparison], Page | str]
"""Programs get a text."""

_GIB = 1 << 30


def for_eyes(comparison: Comparison) -> Page:
    """In 80 columns: the figures of one model under a headline, or a row for each model and backend."""
    if len(comparison.reports) == 1 and not comparison.refused:
        return _single(comparison.reports[0])
    rows = _rows(comparison.reports)
    return [
        *table(rows, "<>><>>>>"[: len(rows[0])], "  ", head="headline"),
        *(Toned(refusal(row), "bad") for row in comparison.refused),
        *(
            tr("{model}: {reason}", model=_row_of(report), reason=more)
            for report in comparison.reports
            for more in _sentences(report)
        ),
        "",
        *_common_facts(comparison),
    ]


def _rows(reports: Sequence[Report]) -> list[tuple[str, ...]]:
    """A heading and a row for each; energy only where some platform told it, so that the rest has 80 columns."""
    joules = [report.decode.j_per_token if report.decode else None for report in reports]
    tells = any(value is not None for value in joules)
    head = (tr("model"), tr("params"), "GiB", tr("on"), "pp t/s", "tg t/s", tr("takes GiB"))
    rows = [(*head, *([tr("J/token")] if tells else []))]
    for report, value in zip(reports, joules, strict=True):
        prefill, decode, memory = report.prefill, report.decode, report.memory_bytes
        figures = (
            row_name(report.model, report.loaded.path),
            format.n_params(report.model.n_params, report.model.n_params_active),
            f"{report.model.file_bytes / _GIB:.1f}",
            _place(report),
            format.full_speed(prefill.avg_ts) if prefill else "",
            format.full_speed(decode.avg_ts) if decode else "",
            f"{memory / _GIB:.1f}" if memory is not None else "n/a",
        )
        rows.append((*figures, *([f"{value:.2f}" if value is not None else "n/a"] if tells else [])))
    return rows


def _place(report: Report) -> str:
    """ "CPU", or the devices with how many layers are there: "Vulkan0 41/65"."""
    loaded = report.loaded
    return format.place(loaded.llama.devices, loaded.llama.n_gpu_layers, loaded.llama.n_layers)


def _row_of(report: Report) -> str:
    return row_label(row_name(report.model, report.loaded.path), format.backend(report.settings.devices))


def _sentences(report: Report) -> list[str]:
    """What there is to say about one row beside its figures."""
    speed = roofline.sentence(report) if report.roofline else ""
    return [text for text in (endtoend.sentence(report), speed, *forecast_words.after(report)) if text]


def refusal(row: RefusedJob) -> str:
    """Which model could not be measured where, and why."""
    return tr("{model}: {reason}", model=row_label(row_name(row.model, row.path), row.backend), reason=row.reason)


def headline(report: Report) -> tuple[str, str]:
    """The model's file, and what is in it."""
    count = tr("{count} parameters", count=_params(report))
    return Path(report.loaded.path).name, f"{report.model.arch} {report.model.quant} · {_size(report)} · {count}"


def _common_facts(comparison: Comparison) -> Page:
    return facts(comparison.reports[0]) if comparison.reports else []


def _single(report: Report) -> Page:
    """The figures under a headline, and below them what they were measured with; at most about 80 columns."""
    loaded = report.loaded
    rows = [(tr("backend"), tr("threads"), tr("test"), "tok/s", "", tr("runs"))]
    rows += [
        (
            report.backend,
            str(loaded.llama.n_threads_batch if result.test.n_prompt else loaded.llama.n_threads),
            result.test.name,
            speed_and_deviation(result.avg_ts, result.stddev_ts),
            f"{100 * result.stddev_ts / result.avg_ts:.1f}%",
            _runs(report, result),
        )
        for result in report.results
    ]
    name, about = headline(report)
    return [Toned(name, "headline"), about, "", *table(rows, "<><>><"), *_sentences(report), "", *facts(report)]


def markdown(comparison: Comparison) -> str:
    """A Markdown table with llama-bench's columns, and the facts as a list."""
    gpu = any(report.backend != "CPU" for report in comparison.reports)
    head = ["model", "size", "params", "backend", *(["ngl"] if gpu else []), "threads", "test", "t/s"]
    rows = [tuple(head)]
    for report in comparison.reports:
        loaded = report.loaded
        for result in report.results:
            row = [model_type(report), _size(report), _params(report), report.backend]
            row += [str(loaded.llama.n_gpu_layers)] if gpu else []
            row += [str(loaded.llama.n_threads_batch if result.test.n_prompt else loaded.llama.n_threads)]
            rows.append((*row, result.test.name, _ts(result)))
    sides = "<>><" + (">" if gpu else "") + "><>"
    unfinished = [
        tr("- {test}: {runs}", test=result.test.name, runs=_runs(report, result))
        for report in comparison.reports
        for result in _unfinished(report)
    ]
    refused = [f"- {refusal(row)}" for row in comparison.refused]
    facts = [f"- {plain(line)}" for line in _common_facts(comparison)]
    return page([*table_of(rows, sides, "md"), "", *facts, *unfinished, *refused])


def table_of(rows: Sequence[Sequence[Piece]], sides: str, output: str, *, head: Tone = "quiet") -> Page:
    """Rows, the first of them the headings, as a Markdown table for `output` "md", else in columns under headings of
    the tone `head`; `sides` says where each column is aligned: "<" or ">"."""
    if output != "md":
        return [*table(rows, sides, "  ", head=head)]
    cells = [tuple(plain(cell).replace("\\", "\\\\").replace("|", "\\|") for cell in row) for row in rows]
    lines = [f"| {line} |" for line in padded(cells, sides, " | ")]
    rule = [f"{'-' * (w + 1)}{':' if side == '>' else '-'}" for w, side in zip(widths(cells), sides, strict=True)]
    return [lines[0], f"|{'|'.join(rule)}|", *lines[1:]]


def show(lines: Page, stream: TextIO) -> None:
    """Print a page."""
    shown = for_encoding(page(lines, colours=takes_colours(stream)), stream.encoding)
    if stream is sys.stdout:
        put(shown)
    else:
        print(shown, file=stream)


def facts(report: Report) -> Page:
    """What the figures were measured with, one line each."""
    loaded, machine, settings = report.loaded, report.machine, report.settings
    devices = listed(*(f"{name} {report.describe(name)}".strip() for name in loaded.llama.devices))
    where = tr("the CPU alone")
    if devices:
        where = tr(
            "{devices}, {n} of {total} layers",
            devices=devices,
            n=loaded.llama.n_gpu_layers,
            total=loaded.llama.n_layers,
        )
        if settings.n_cpu_moe:
            experts = trn("experts of {n} layer on the CPU", "experts of {n} layers on the CPU", settings.n_cpu_moe)
            where = listed(where, experts)
    used = [
        tr(
            "ctx {n}", n=f"{settings.n_parallel} x {loaded.n_ctx:,}" if settings.n_parallel > 1 else f"{loaded.n_ctx:,}"
        ),
        tr("batch {sizes}", sizes=f"{loaded.llama.n_batch}/{loaded.llama.n_ubatch}"),
        tr("flash attention on") if loaded.llama.flash_attn else tr("flash attention off"),
        f"KV {loaded.llama.type_k}/{loaded.llama.type_v}",
        *([tr("no mmap")] if not settings.use_mmap else []),
        *(["mlock"] if settings.use_mlock else []),
        *([tr("full SWA cache")] if loaded.llama.swa_full else []),
        *([tr("repacked ({kinds})", kinds=listed(*loaded.llama.repacked))] if loaded.llama.repacked else []),
        *([tr("repack off")] if settings.repack == "off" else []),
        *([tr("draft model {name}", name=one_line(Path(loaded.llama.draft).name))] if loaded.llama.draft else []),
        *(
            tr("{setting} {value}", setting=tr(LOAD_ROWS[name].words), value=value_words(getattr(settings, name)))
            for name in ("split_mode", "cpu_range", "priority", "poll", "numa")
            if getattr(settings, name) != getattr(LoadValues(), name)
        ),
    ]
    package = report.hello.llama_cpp.partition(" · ")[0]
    started = [f"{report.results[0].test_time:%Y-%m-%d %H:%M} UTC"] if report.results else []
    runs = tr("one run")
    if report.repetitions > 1:
        runs = tr("mean ± standard deviation of {n} runs", n=report.repetitions)
    beware = [str(warning) for warning in report.warnings]
    beware += [
        tr("{test}: {reasons}", test=result.test.name, reasons=marks_told(result.all_marks))
        for result in report.results
        if result.all_marks
    ]
    told = [
        (tr("measured"), listed(*started, f"llmtui {__version__}", runs)),
        (tr("device"), where),
        (tr("settings"), listed(*used)),
        (tr("machine"), tr("{machine}, {system}", machine=machine.summary, system=machine.os)),
        (tr("engine"), listed(package, engine_build(report.hello))),
        *((tr("beware"), sentence) for sentence in beware),
    ]
    beware_of = tr("beware")
    wide = max(cells(label) for label, _ in told)
    return [(Toned(pad(label, wide), "tight" if label == beware_of else "quiet"), f"  {text}") for label, text in told]


def _unfinished(report: Report) -> list[BenchResult]:
    return [result for result in report.results if len(result.samples_ns) < report.repetitions]


def _runs(report: Report, result: BenchResult) -> str:
    return n_of_runs(len(result.samples_ns), report.repetitions)


def in_blocks(block: Callable[[Report, str], Page], output: str) -> Format:
    """A page of one block for each model, made for this `output`, "table" or "md", with what holds for all below."""

    def show(comparison: Comparison) -> Page:
        below: Page = [Toned(refusal(row), "bad") for row in comparison.refused]
        below += facts(comparison.reports[0]) if comparison.reports else []
        if output == "md":
            below = [f"- {plain(line)}" for line in below]
        return [*(line for report in comparison.reports for line in (*block(report, output), "")), *below]

    return show


def n_of_runs(n: int, n_wanted: int) -> str:
    """How many runs there were, and of how many where some are missing."""
    return str(n) if n == n_wanted else tr("{n} of {total} runs", n=n, total=n_wanted)


def _ts(result: BenchResult) -> str:
    """As llama-bench writes it, so that its rows can stand beside ours."""
    return f"{result.avg_ts:.2f} ± {result.stddev_ts:.2f}"


def _size(report: Report) -> str:
    return format.size(report.loaded.size_bytes)


def _params(report: Report) -> str:
    return format.params(report.loaded.n_params)


def default_format(stream: TextIO) -> str:
    """The format when none is named: the table on a terminal, Markdown in a pipe."""
    return "table" if stream.isatty() else "md"


FORMATS: dict[str, Format] = {
    "table": for_eyes,
    "md": markdown,
    "csv": as_csv,
    "json": as_json,
    "jsonl": as_jsonl,
    "sql": as_sql,
}
"""By the name that `--output` takes."""
