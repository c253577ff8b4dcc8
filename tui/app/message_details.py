"""All that is known of one message, in words: what it was made with and how, how fast it came."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tui.app.answer_phrases import STOPS, guessed
from tui.app.widgets.braille import braille_graph
from tui.base import format
from tui.chat.conversation import MadeWith, Turn
from tui.chat.mending import moment
from tui.models.detail_words import DetailGroup, DetailRow
from tui.protocol.records import Sampling, Timings
from tui.words import tr, trc, trn

_GRAPH_COLUMNS = 24
_OFF = {
    "min_p": 0.0, "typical_p": 1.0, "repeat_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0,
    "dry_multiplier": 0.0, "xtc_probability": 0.0,
}  # fmt: skip
"""Values with which a sampler does nothing: it is not told of then."""


def message_details(turn: Turn, n_siblings: int = 1, number: int = 1) -> tuple[DetailGroup, ...]:
    """Groups of what is known. It is `number` of `n_siblings`, from 1."""
    found = [(tr("Message"), _message(turn, n_siblings, number))]
    if turn.timings is not None:
        found.append((tr("Speed"), _speed(turn, turn.timings)))
    if turn.made_with is not None:
        found.append((tr("Settings"), _settings(turn.made_with)))
    return tuple(
        DetailGroup(title=title, rows=tuple(DetailRow(label=label, value=value) for label, value in rows if value))
        for title, rows in found
    )


Rows = Sequence[tuple[str, str]]


def _message(turn: Turn, n_siblings: int, number: int) -> Rows:
    stop = ""
    if turn.role == "assistant":
        stop = tr("repeated itself") if turn.is_loop else tr(STOPS[turn.stop]) if turn.stop else ""
    return (
        (tr("From"), turn.model or (tr("You") if turn.role == "user" else "")),
        (tr("Written"), _time(turn.created_at)),
        (tr("Edited by hand"), _time(turn.edited_at) if turn.edited_at else ""),
        (tr("Branch"), f"{number}/{n_siblings}" if n_siblings > 1 else ""),
        (tr("Length"), "" if turn.is_streaming else trn("{n} character", "{n} characters", len(turn.text))),
        (tr("Thoughts"), trn("{n} character", "{n} characters", len(turn.reasoning)) if turn.reasoning else ""),
        (tr("End"), stop),
        (tr("Error"), turn.error or ""),
        (tr("Computed on"), " → ".join(turn.backend)),
        (tr("Swapped out"), format.size(turn.swapped_bytes) if turn.swapped_bytes else ""),
    )


def _speed(turn: Turn, timings: Timings) -> Rows:
    read = trn("{n} token", "{n} tokens", timings.n_prefill)
    if timings.prefill_tps:
        read = f"{read}, {format.speed(timings.prefill_tps)} tok/s"
    thought = ""
    if timings.n_thinking:
        thought = f"{trn('{n} token', '{n} tokens', timings.n_thinking)}, {format.duration(timings.thinking_s)}"
    written = f"{trn('{n} token', '{n} tokens', timings.n_decode)}, {format.duration(timings.decode_s)}"
    by_place = " → ".join(
        f"{where} {format.speed(tps)} tok/s" for where, tps in zip(turn.backend, turn.speeds, strict=False) if tps
    )
    made = turn.made_with
    return (
        (tr("Prompt"), trn("{n} token", "{n} tokens", timings.n_prompt)),
        (tr("of it kept"), trn("{n} token", "{n} tokens", timings.n_cached) if timings.n_cached else ""),
        (tr("of it read"), read),
        (tr("First token after"), format.duration(timings.ttft_s) if timings.ttft_s else ""),
        (tr("Thought"), thought),
        (tr("Written in all"), written),
        (tr("Decode"), f"{format.speed(timings.decode_tps)} tok/s" if timings.decode_tps else ""),
        (tr("By place"), by_place),
        (tr("Over time"), _pace(made) if made is not None else ""),
        (tr("Speculation"), guessed(timings.n_accepted, timings.n_drafted) if timings.n_drafted else ""),
    )


def _pace(made: MadeWith) -> str:
    """A graph, the beginning at the left, and the range of the speeds."""
    if len(made.pace) < 2:
        return ""
    n_columns = min(_GRAPH_COLUMNS, (len(made.pace) + 1) // 2)
    step = len(made.pace) / (2 * n_columns)
    speeds = [made.pace[min(len(made.pace) - 1, int(place * step))] for place in range(2 * n_columns)]
    (graph,) = braille_graph(speeds, n_columns, 1)
    least, most = format.speed(min(made.pace)), format.speed(max(made.pace))
    return tr("{graph} {least} to {most} tok/s", graph=graph, least=least, most=most)


def _settings(made: MadeWith) -> Rows:
    sampling = made.sampling
    values = [
        (name, _value(sampling, name)) for name in Sampling.__struct_fields__ if name not in ("seed", "logit_bias")
    ]
    return (
        (tr("Seed"), str(sampling.seed) if sampling.seed >= 0 else tr("unknown")),
        *values,
        ("logit_bias", ", ".join(f"{text} {bias:+g}" for text, bias in sampling.logit_bias.items())),
        (tr("Thinking"), (made.effort or trc("switch", "on")) if made.thinking else tr("off")),
        ("thinking_budget", f"{made.thinking_budget:,}" if made.thinking_budget else ""),
        ("max_tokens", f"{made.max_tokens:,}" if made.max_tokens else ""),
        (tr("Context"), trn("{n} token", "{n} tokens", made.n_ctx) if made.n_ctx else ""),
    )


def _value(sampling: Sampling, name: str) -> str:
    value = getattr(sampling, name)
    family, _, rest = name.partition("_")
    is_off = value == _OFF.get(name)
    if family == "dry" and rest != "multiplier":
        is_off = sampling.dry_multiplier == 0
    elif family == "xtc" and rest != "probability":
        is_off = sampling.xtc_probability == 0
    elif name == "penalty_last_n":
        is_off = (sampling.repeat_penalty, sampling.presence_penalty, sampling.frequency_penalty) == (1.0, 0.0, 0.0)
    return "" if is_off else f"{value:g}"


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment(at)))
