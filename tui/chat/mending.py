"""Records that come from elsewhere, an imported file or a database that something else has written to, made such that
they can be listed, shown and sent: what no clock shows, no sampler takes or no table holds is left out or bounded."""

from __future__ import annotations

import math
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from tui.base.text import fit_columns, one_line
from tui.chat.conversation import Conversation, MadeWith, Turn, encodable
from tui.config.settings import ChosenLoad, SamplingSettings, SamplingValues
from tui.files.attachment import Attachment
from tui.protocol.records import Effort, PartialSampling, SamplingValue, Timings

MAX_TITLE_COLUMNS = 200
MAX_NAME_CHARS = 4096
"""Of a path: what a system takes."""
MAX_PACE = 240
"""Speeds of one answer."""
MAX_COUNT = 2**53
"""Tokens or bytes: what a table and JavaScript hold exactly."""
_EFFORTS = frozenset(get_args(Effort))
_LAST_MOMENT = 1e11
"""In the year 5138. What is larger counts in a smaller unit than seconds."""
_UNITS = (1e3, 1e6, 1e9)

R = TypeVar("R", bound=msgspec.Struct)


def moment(time: float) -> float:
    """A time in Unix seconds that every clock can show. Milli-, micro- and nanoseconds are told by their size; 0, which
    is shown as unknown, stands for what is no time at all."""
    for divisor in (1.0, *_UNITS):
        if 0 <= time / divisor <= _LAST_MOMENT:
            return time / divisor
    return 0.0


def mended(conversation: Conversation) -> Conversation:
    """The conversation with all values within what the program works with, and its texts as they were."""
    turns = tuple(map(mended_turn, conversation.turns))
    return msgspec.structs.replace(
        conversation,
        title=fit_columns(one_line(encodable(conversation.title[: 40 * MAX_TITLE_COLUMNS])), MAX_TITLE_COLUMNS),
        created_at=moment(conversation.created_at),
        updated_at=moment(conversation.updated_at),
        sampling=_sampling(conversation.sampling),
        max_tokens=_in_range(conversation.max_tokens, SamplingSettings, "max_tokens"),
        thinking_budget=_in_range(conversation.thinking_budget, SamplingSettings, "thinking_budget"),
        preset=fit_columns(one_line(encodable(conversation.preset[: 40 * MAX_TITLE_COLUMNS])), MAX_TITLE_COLUMNS),
        turns=turns,
    )


def mended_turn(turn: Turn) -> Turn:
    """As `mended`, of one turn. Nearly all are as they should be, and a conversation may have ten thousand."""
    made = turn.made_with
    timings = turn.timings and msgspec.structs.astuple(turn.timings)
    figures = (turn.reasoning_s, turn.n_reasoning, turn.swapped_bytes, *turn.speeds, *(timings or ()))
    if made is not None:
        figures = (*figures, made.thinking_budget, made.max_tokens, made.n_ctx, made.pace_s, *made.pace)
    is_plain = made is None or (len(made.pace) <= MAX_PACE and made.effort in _EFFORTS)
    are_times = 0 <= turn.created_at <= _LAST_MOMENT and 0 <= turn.edited_at <= _LAST_MOMENT
    if is_plain and are_times and not turn.files and _are_bounded(figures):
        return turn
    return msgspec.structs.replace(
        turn,
        created_at=moment(turn.created_at),
        edited_at=moment(turn.edited_at),
        made_with=turn.made_with and _made_with(turn.made_with),
        reasoning_s=_bounded(turn.reasoning_s),
        n_reasoning=_bounded(turn.n_reasoning),
        swapped_bytes=_bounded(turn.swapped_bytes),
        speeds=tuple(map(_bounded, turn.speeds)),
        timings=turn.timings and _timings(turn.timings),
        files=tuple(map(mended_file, turn.files)),
    )


def mended_file(file: Attachment) -> Attachment:
    """As `mended`, of a file that a prompt is about."""
    return msgspec.structs.replace(
        file,
        name=one_line(encodable(file.name[:MAX_NAME_CHARS])) or "?",
        path=encodable(file.path[:MAX_NAME_CHARS]),
        encoding=one_line(encodable(file.encoding[:MAX_TITLE_COLUMNS])),
        n_bytes=_bounded(file.n_bytes),
        n_tokens=_bounded(file.n_tokens),
        modified_at=moment(file.modified_at),
    )


def _made_with(made: MadeWith) -> MadeWith:
    return msgspec.structs.replace(
        made,
        effort=one_line(encodable(made.effort[:MAX_TITLE_COLUMNS])),
        thinking_budget=_bounded(made.thinking_budget),
        max_tokens=_bounded(made.max_tokens),
        n_ctx=_bounded(made.n_ctx),
        pace=tuple(map(_bounded, made.pace[:MAX_PACE])),
        pace_s=_bounded(made.pace_s),
    )


def _timings(timings: Timings) -> Timings:
    fields = {name: _bounded(value) for name, value in msgspec.structs.asdict(timings).items()}
    return msgspec.structs.replace(timings, **fields)


def _sampling(sampling: PartialSampling | None) -> PartialSampling | None:
    """What is in the ranges that the settings allow; None when nothing is left."""
    kept: dict[str, Any] = {
        name: value
        for name, value in (sampling.given.items() if sampling else ())
        if _is_allowed(value, ChosenLoad if name == "seed" else SamplingValues, name)
    }
    return msgspec.convert(kept, PartialSampling) if kept else None


N = TypeVar("N", int, float)


def _in_range(value: N | None, record: type[msgspec.Struct], field: str) -> N | None:
    """The value when the record allows it in this field, else None."""
    return value if value is not None and _is_allowed(value, record, field) else None


def _is_allowed(value: SamplingValue, record: type[msgspec.Struct], field: str) -> bool:
    try:
        msgspec.convert(value, get_type_hints(record, include_extras=True)[field])
    except msgspec.ValidationError:
        return False
    return all(map(math.isfinite, value.values() if isinstance(value, dict) else (value,)))


def _are_bounded(figures: tuple[float, ...]) -> bool:
    """Whether `_bounded` would change none of them."""
    return min(figures) >= 0 and max(figures) <= MAX_COUNT and not math.isnan(sum(figures))


def _bounded(value: N) -> N:
    """A count or a duration that can be shown and stored."""
    if isinstance(value, float) and math.isnan(value):
        return type(value)(0)
    return min(max(value, type(value)(0)), type(value)(MAX_COUNT))
