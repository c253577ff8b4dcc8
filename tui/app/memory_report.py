"""What a model was planned to take and what it takes, as lines of text for a dialog."""

from __future__ import annotations

from collections.abc import Iterator

from tui.engine.messages import Loaded
from tui.engine.planner import Plan
from tui.memory.report import SYSTEM, Line, report
from tui.models import format

_NAME, _FIGURE = 34, 12


def memory_lines(name: str, plan: Plan, loaded: Loaded) -> tuple[str, ...]:
    """A table of at most 70 columns with a heading for each place, and what its figures mean."""
    where = f"{plan.n_gpu_layers} of {plan.n_layers} layers on {', '.join(loaded.devices)}" if loaded.devices else "CPU"
    planner = "by llama.cpp itself, in a dry run" if plan.exact else "by the formula, about"
    return (
        f"{name} · {where} · {loaded.n_ctx:,} tokens",
        f"Planned {planner}.",
        *_dispute(plan),
        "",
        *_table(report(plan, loaded)),
        *_notes(loaded),
    )


def _dispute(plan: Plan) -> Iterator[str]:
    if plan.apart_bytes:
        yield f"The file's header comes to weights and a KV cache that are {format.size(plan.apart_bytes)}"
        yield "apart from that: one of the two is mistaken."


def _table(lines: tuple[Line, ...]) -> Iterator[str]:
    place = None
    for line in lines:
        if line.place != place:
            titles = ("planned", "actual", "difference")
            if place is not None:
                yield ""
            yield f"{line.place:<{_NAME}}" + "".join(f"{title:>{_FIGURE}}" for title in titles if place is None)
            place = line.place
        planned = "" if line.planned_bytes is None else format.size(line.planned_bytes)
        figures = (planned, format.size(max(line.actual_bytes, 0)), _signed(line.difference_bytes))
        yield f"  {line.purpose:<{_NAME - 2}}" + "".join(f"{figure:>{_FIGURE}}" for figure in figures)


def _signed(n_bytes: int | None) -> str:
    if n_bytes is None:
        return ""
    return f"{'+' if n_bytes > 0 else '-'}{format.size(abs(n_bytes))}" if n_bytes else "0"


def _notes(loaded: Loaded) -> Iterator[str]:
    if loaded.footprint is None:
        yield from ("", "This system does not tell what the engine's process takes.")
        return
    yield ""
    yield f"{SYSTEM}, right after the load: buffers for computing fill with the first long"
    yield "prompt, and the vocabulary is part of what is planned. Pages of files can be dropped"
    yield "when memory is short; those of repacked weights are not needed again."
