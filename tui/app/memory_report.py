"""What a model was planned to take and what it takes, as lines of text for a dialog."""

from __future__ import annotations

from collections.abc import Iterator

from tui.base import format
from tui.planning.formula import MemoryPlan
from tui.planning.report import SYSTEM, ReportLine, report
from tui.protocol.messages import Loaded

_NAME, _FIGURE = 34, 12
_WIDE = _NAME + 3 * _FIGURE


def memory_lines(name: str, plan: MemoryPlan, loaded: Loaded, width: int = _WIDE) -> tuple[str, ...]:
    """A table with a heading for each place, and what its figures mean. The table has 70 columns, or, where `width` is
    less, 36: then the figures stand below their names."""
    where = (
        f"{plan.n_gpu_layers} of {plan.n_layers} layers on {', '.join(loaded.llama.devices)}"
        if loaded.llama.devices
        else "CPU"
    )
    planner = "by llama.cpp itself, in a dry run" if plan.exact else "by the formula, about"
    return (
        f"{name} · {where} · {loaded.n_ctx:,} tokens",
        f"Planned {planner}.",
        *_dispute(plan),
        "",
        *(_table if width >= _WIDE else _narrow_table)(report(plan, loaded)),
        *_notes(loaded),
    )


def _dispute(plan: MemoryPlan) -> Iterator[str]:
    if plan.apart_bytes:
        yield f"The file's header comes to weights and a KV cache that are {format.size(plan.apart_bytes)}"
        yield "apart from that: one of the two is mistaken."


def _table(lines: tuple[ReportLine, ...]) -> Iterator[str]:
    place = None
    for line in lines:
        if line.place != place:
            if place is not None:
                yield ""
            yield f"{line.place:<{_NAME}}{'' if place is not None else _columns(_TITLES)}"
            place = line.place
        yield f"  {line.purpose:<{_NAME - 2}}{_columns(_figures(line))}"


def _narrow_table(lines: tuple[ReportLine, ...]) -> Iterator[str]:
    place = None
    for line in lines:
        if line.place != place:
            yield from ([""] if place is not None else [_columns(_TITLES)])
            yield line.place
            place = line.place
        yield f"  {line.purpose}"
        yield _columns(_figures(line))


_TITLES = ("planned", "actual", "difference")


def _figures(line: ReportLine) -> tuple[str, str, str]:
    planned = "" if line.planned_bytes is None else format.size(line.planned_bytes)
    return planned, format.size(max(line.actual_bytes, 0)), _signed(line.difference_bytes)


def _columns(texts: tuple[str, ...]) -> str:
    return "".join(f"{text:>{_FIGURE}}" for text in texts)


def _signed(n_bytes: int | None) -> str:
    if n_bytes is None:
        return ""
    return f"{'+' if n_bytes > 0 else '-'}{format.size(abs(n_bytes))}" if n_bytes else "0"


def _notes(loaded: Loaded) -> Iterator[str]:
    if loaded.llama.footprint is None:
        yield from ("", "This system does not tell what the engine's process takes.")
        return
    yield ""
    yield (
        f"{SYSTEM}, right after the load: buffers for computing fill with the first long prompt, and the vocabulary is "
        "part of what is planned. Pages of files can be dropped when memory is short; those of repacked weights are "
        "not needed again."
    )
