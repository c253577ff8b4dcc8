"""What a model was planned to take and what it takes, as lines of text for a dialog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tui.app.widgets.row_list import column
from tui.base import format
from tui.base.text import one_line
from tui.planning.formula import MemoryPlan
from tui.planning.report import ReportLine, report
from tui.protocol.messages import Loaded
from tui.words import tr, trn

_NAME, _FIGURE = 34, 12
_WIDE = _NAME + 3 * _FIGURE


def memory_lines(name: str, plan: MemoryPlan, loaded: Loaded, width: int = _WIDE) -> tuple[str, ...]:
    """A table with a heading for each place, and what its figures mean. The table has 70 columns, or, where `width` is
    less, 36: then the figures stand below their names."""
    where = (
        tr(
            "{n_gpu_layers} of {n_layers} layers on {devices}",
            n_gpu_layers=plan.n_gpu_layers,
            n_layers=plan.n_layers,
            devices=", ".join(loaded.llama.devices),
        )
        if loaded.llama.devices
        else "CPU"
    )
    by_llama_cpp = tr("Planned by llama.cpp itself, in a dry run.")
    return (
        f"{name} · {where} · {trn('{n} token', '{n} tokens', loaded.n_ctx)}",
        *(
            [tr("with the draft model {name}", name=one_line(Path(loaded.llama.draft).name))]
            if loaded.llama.draft
            else []
        ),
        by_llama_cpp if plan.exact else tr("Estimated by the formula."),
        *_dispute(plan),
        "",
        *(_table if width >= _WIDE else _narrow_table)(report(plan, loaded)),
        *_notes(plan, loaded),
    )


def _with_draft(loaded: Loaded) -> Iterator[str]:
    if loaded.llama.draft:
        yield tr("with the draft model {name}", name=one_line(Path(loaded.llama.draft).name))


def _dispute(plan: MemoryPlan) -> Iterator[str]:
    if plan.apart_bytes:
        yield tr(
            "By the file's header, weights and KV cache differ from that by {size}: one of the two is wrong.",
            size=format.size(plan.apart_bytes),
        )


def _table(lines: tuple[ReportLine, ...]) -> Iterator[str]:
    place = None
    for line in lines:
        if line.place != place:
            if place is not None:
                yield ""
            yield f"{column(line.place, _NAME)}{'' if place is not None else _columns(_titles())}".rstrip()
            place = line.place
        yield f"  {column(line.purpose, _NAME - 2)}{_columns(_figures(line))}"


def _narrow_table(lines: tuple[ReportLine, ...]) -> Iterator[str]:
    place = None
    for line in lines:
        if line.place != place:
            yield from ([""] if place is not None else [_columns(_titles())])
            yield line.place
            place = line.place
        yield f"  {tr(line.purpose)}"
        yield _columns(_figures(line))


def _titles() -> tuple[str, str, str]:
    return tr("planned"), tr("actual"), tr("difference")


def _figures(line: ReportLine) -> tuple[str, str, str]:
    planned = "" if line.planned_bytes is None else format.size(line.planned_bytes)
    return planned, format.size(max(line.actual_bytes, 0)), _signed(line.difference_bytes)


def _columns(texts: tuple[str, ...]) -> str:
    return "".join(column(text, _FIGURE, right=True) for text in texts)


def _signed(n_bytes: int | None) -> str:
    if n_bytes is None:
        return ""
    return f"{'+' if n_bytes > 0 else '-'}{format.size(abs(n_bytes))}" if n_bytes else "0"


def _notes(plan: MemoryPlan, loaded: Loaded) -> Iterator[str]:
    if plan.checkpoint_bytes:
        yield ""
        yield tr(
            "Checkpoints for going back in the conversation take more RAM as it grows: {size} each, and at most "
            "an eighth of free memory together.",
            size=format.size(plan.checkpoint_bytes),
        )
    if loaded.llama.footprint is None:
        yield from ("", tr("This system does not report how much memory the engine's process takes."))
        return
    yield ""
    yield tr(
        "The system's figures are those right after the load: compute buffers fill with the first long prompt, and the "
        "plan includes the vocabulary. Pages of files can be dropped when memory is short; those of repacked weights "
        "are not needed again."
    )
