"""How a benchmark of speculation is shown: each text without it and with it. These speeds stand beside no other
benchmark's: what is written is dictated, so that all machines write the same."""

from __future__ import annotations

import json

from tui.base.terminal_style import Line, Toned
from tui.bench.figures import spread_of_speeds
from tui.bench.provenance import provenance
from tui.bench.render import Format, Page, headline, in_blocks, n_of_runs, table_of
from tui.measure.repeated_texts import repeated_texts
from tui.measure.report import Comparison, Report, SpeculationResult
from tui.measure.stats import mean
from tui.words import tr


def _block(report: Report, output: str) -> Page:
    name, size = headline(report)
    about = f"{size} · {report.backend}"
    lines: list[Line] = [f"**{name}** · {about}"] if output == "md" else [Toned(name, "headline"), about]
    if report.settings.speculative == "off":
        lines += ["", tr("Speculation is off: both columns are the same. Leave out --speculative off.")]
    return [*lines, "", *table_of(_rows(report), "<>>>>><", output)]


def _rows(report: Report) -> list[tuple[str, ...]]:
    """A row for each text, below the headings."""
    rows: list[tuple[str, ...]] = [
        (
            tr("text"),
            tr("tokens"),
            tr("plain t/s"),
            tr("ahead t/s"),
            tr("gain"),
            tr("guessed right"),
            tr("runs"),
        )
    ]
    for text in repeated_texts():
        runs = [found for found in report.speculation if found.text == text.name]
        if runs:
            rows.append(
                (
                    tr(text.words),
                    f"{runs[0].n_gen:,}",
                    spread_of_speeds([run.plain_tps for run in runs]),
                    spread_of_speeds([run.ahead_tps for run in runs]),
                    f"{mean([run.gain for run in runs]):.2f} x",
                    tr("{n} of {total}", n=f"{runs[-1].n_accepted:,}", total=f"{runs[-1].n_drafted:,}"),
                    n_of_runs(len(runs), report.repetitions),
                )
            )
    return rows


def as_json(comparison: Comparison) -> str:
    """A list with one object for each run. `text` is what was written, of `n_prompt` and `n_gen` tokens; `speed_plain`
    and `speed_ahead` in tokens per second, `n_drafted` and `n_accepted` tokens."""
    records = [_record(report, found) for report in comparison.reports for found in report.speculation]
    return json.dumps(records, indent=2)


def _record(report: Report, found: SpeculationResult) -> dict[str, object]:
    loaded = report.loaded
    return {
        "text": found.text,
        "n_prompt": found.n_prompt,
        "n_gen": found.n_gen,
        "speed_plain": round(found.plain_tps, 6),
        "speed_ahead": round(found.ahead_tps, 6),
        "gain": round(found.gain, 6),
        "n_drafted": found.n_drafted,
        "n_accepted": found.n_accepted,
        "n_ctx": loaded.n_ctx,
        "n_gpu_layers": loaded.llama.n_gpu_layers,
        "n_threads": loaded.llama.n_threads,
        "flash_attn": int(loaded.llama.flash_attn),
        **provenance(report),
    }


FORMATS: dict[str, Format] = {"table": in_blocks(_block, "table"), "md": in_blocks(_block, "md"), "json": as_json}
"""By the name that `--output` takes."""
