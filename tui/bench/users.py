"""How a benchmark of many users at once is shown: what all get together and what each of them sees."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from tui.base.format import full_speed
from tui.base.terminal_style import Line, Toned
from tui.bench.figures import spread_of_speeds
from tui.bench.provenance import provenance
from tui.bench.render import Format, Page, headline, in_blocks, n_of_runs, table_of
from tui.measure.report import Comparison, ParallelResult, Report
from tui.measure.stats import mean
from tui.words import tr

_Key = TypeVar("_Key")


def _block(report: Report, output: str) -> Page:
    """The figures of one model, for each length of prompts and answers."""
    name, size = headline(report)
    about = f"{size} · {report.backend}"
    lines: list[Line] = [f"**{name}** · {about}"] if output == "md" else [Toned(name, "headline"), about]
    for (n_prompt, n_gen), found in _grouped(report.parallel, lambda result: (result.n_prompt, result.n_gen)).items():
        said = tr(
            "each user: {n_read} tokens read, {n_written} written", n_read=f"{n_prompt:,}", n_written=f"{n_gen:,}"
        )
        lines += ["", said, ""]
        lines += table_of(_rows(found, report.repetitions), ">>>>><", output)
    return lines


def _grouped(
    results: Iterable[ParallelResult], key: Callable[[ParallelResult], _Key]
) -> dict[_Key, list[ParallelResult]]:
    """Those that are alike together: several rows are measured forwards and then backwards, so that they come apart."""
    groups: dict[_Key, list[ParallelResult]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return groups


def _rows(found: Sequence[ParallelResult], repetitions: int) -> list[tuple[str, ...]]:
    """A row for each number of users, below the headings."""
    groups = _grouped(found, lambda result: result.n_parallel)
    written = [mean([run.decode_tps for run in runs]) for runs in groups.values()]
    rows: list[tuple[str, ...]] = [
        (
            tr("users"),
            tr("read t/s"),
            tr("written t/s"),
            tr("each t/s"),
            tr("against {n}", n=found[0].n_parallel),
            tr("runs"),
        )
    ]
    for (n_parallel, runs), together in zip(groups.items(), written, strict=True):
        n_runs = len(runs)
        rows.append(
            (
                str(n_parallel),
                spread_of_speeds([run.prefill_tps for run in runs]),
                spread_of_speeds([run.decode_tps for run in runs]),
                full_speed(together / n_parallel),
                f"{together / written[0]:.2f} x" if written[0] else "",
                n_of_runs(n_runs, repetitions),
            )
        )
    return rows


def as_json(comparison: Comparison) -> str:
    """A list with one object for each run, under the keys of `llama-batched-bench --output-format jsonl`: `pl` users,
    `pp` and `tg` tokens of each, `t_pp` and `t_tg` seconds, speeds in tokens per second of all together. Keys of our
    own: `llmtui_version`; `build_commit`, `cpu_info`, `gpu_info`, `backends` and `devices`; `model_filename` and
    `model_type`; and `speed_tg_each`, which is what one user sees."""
    records = [_record(report, found) for report in comparison.reports for found in report.parallel]
    return json.dumps(records, indent=2)


def _record(report: Report, found: ParallelResult) -> dict[str, object]:
    loaded = report.loaded
    n_read, n_written = found.n_parallel * found.n_prompt, found.n_parallel * found.n_gen
    took_s = found.prefill_s + found.decode_s
    return {
        "n_kv_max": loaded.n_ctx * report.settings.n_parallel,
        "n_batch": loaded.llama.n_batch,
        "n_ubatch": loaded.llama.n_ubatch,
        "flash_attn": int(loaded.llama.flash_attn),
        "is_pp_shared": 0,
        "n_gpu_layers": loaded.llama.n_gpu_layers,
        "n_threads": loaded.llama.n_threads,
        "n_threads_batch": loaded.llama.n_threads_batch,
        "pp": found.n_prompt,
        "tg": found.n_gen,
        "pl": found.n_parallel,
        "n_kv": n_read + n_written,
        "t_pp": round(found.prefill_s, 6),
        "speed_pp": round(found.prefill_tps, 6),
        "t_tg": round(found.decode_s, 6),
        "speed_tg": round(found.decode_tps, 6),
        "t": round(took_s, 6),
        "speed": round((n_read + n_written) / took_s, 6),
        **provenance(report),
        "speed_tg_each": round(found.decode_tps_each, 6),
    }


FORMATS: dict[str, Format] = {"table": in_blocks(_block, "table"), "md": in_blocks(_block, "md"), "json": as_json}
"""By the name that `--output` takes."""
