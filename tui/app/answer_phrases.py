"""The sentences about an answer: how it stands while it is made, what it was made with, how it ended, and whether the
model thinks. Constants are in English, to be translated where they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from tui.app.bindings import Keymap, title_of
from tui.app.phrases import hint, reload_facts
from tui.base import format
from tui.chat.conversation import Conversation, Turn
from tui.protocol.messages import Loaded, Prefill, Started
from tui.session.loads import Reload
from tui.words import mark, tr, trn

STOPS = {
    "stop": mark("complete"),
    "length": mark("token limit reached"),
    "context": mark("context full: raise the context size or start a new conversation"),
    "cancelled": mark("stopped"),
    "crashed": mark("interrupted"),
}
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
ALWAYS_THINKS = mark("This model always thinks; it cannot be switched off.")
NEVER_THINKS = mark("This model does not think: the switch has no effect on it.")
DEFAULT_EFFORT = "default"
"""Stands for the effort "", which leaves it to the template."""
EFFORTS = {
    DEFAULT_EFFORT: (mark("Model default"), mark("no level is asked for"), "d"),
    "minimal": (mark("Minimal"), mark("hardly any thoughts"), "n"),
    "low": (mark("Low"), mark("short thoughts, quick answers"), "l"),
    "medium": (mark("Medium"), "", "m"),
    "high": (mark("High"), mark("long thoughts"), "h"),
    "xhigh": (mark("Extra high"), mark("very long thoughts"), "x"),
    "max": (mark("Maximum"), mark("as long as it takes"), "a"),
}
"""What can be chosen: label, note and key."""


def guessed(n_accepted: int, n_drafted: int) -> str:
    """Of the tokens that were decoded ahead, how many were right."""
    return tr("guessed {n} of {total}", n=f"{n_accepted:,}", total=f"{n_drafted:,}")


def answer_footer(turn: Turn, reloads: Sequence[Reload] = ()) -> str:
    """The line under an answer: tokens, tok/s, time to first token, why it ended, and what the `reloads` in its middle
    took."""
    parts = []
    if timings := turn.timings:
        parts.append(tr("{n} tok", n=f"{timings.n_decode:,}"))
        if any(turn.speeds):
            by_place = (f"{where} {format.speed(tps)}" for where, tps in zip(turn.backend, turn.speeds, strict=False))
            parts.append(f"{' → '.join(by_place)} tok/s")
        elif timings.decode_tps:
            parts.append(f"{format.speed(timings.decode_tps)} tok/s")
        if timings.n_accepted:
            parts.append(guessed(timings.n_accepted, timings.n_drafted))
        if timings.ttft_s:
            parts.append(tr("ttft {time}", time=format.duration(timings.ttft_s)))
    if turn.backend and not any(turn.speeds):
        parts.append(" → ".join(turn.backend))
    if turn.stop:
        # However it ended then, that is what is wrong with it.
        parts.append(tr("repeated itself") if turn.is_loop else tr(STOPS[turn.stop]))
    if turn.is_incomplete:
        parts.append(tr("not in its format to the end"))
    if turn.edited_at:
        parts.append(tr("edited by hand"))
    if turn.swapped_bytes:
        parts.append(tr("swapped {size}", size=format.size(turn.swapped_bytes)))
    for reload in reloads:
        parts += reload_facts(reload)
    return " · ".join(parts)


def so_far(n_tokens: int, seconds: float, step: int) -> str:
    """The line under an answer while it comes: tokens and how long it has been coming; sidebar and status line have
    the speed. `step` counts what was said so far, so that it is seen to go on."""
    return f"{_SPINNER[step % len(_SPINNER)]} {tr('{n} tok', n=f'{n_tokens:,}')} · {format.about(seconds)}"


def thinking_label(turn: Turn) -> str:
    """The line that stands for folded thinking."""
    if not turn.reasoning:
        return ""
    n = turn.n_reasoning
    if not n:
        return tr("thought")
    time = format.duration(turn.reasoning_s)
    if turn.is_thought_cut:
        return trn(
            "thought cut off after {n} token · {time}", "thought cut off after {n} tokens · {time}", n, time=time
        )
    return trn("thought for {time} · {n} token", "thought for {time} · {n} tokens", n, time=time)


def thinking_switched(conversation: Conversation, loaded: Loaded | None) -> str:
    """What was chosen for the open conversation, and that it has no effect where that is so."""
    is_on = conversation.thinking
    if loaded is None:
        if is_on:
            return tr("Thinking is on in this conversation, for models that have a switch for it.")
        return tr("Thinking is off in this conversation, for models that have a switch for it.")
    if loaded.efforts and is_on:
        if not conversation.effort:
            return tr("Thinking is on in this conversation; how much is up to the model.")
        return tr("Thinking is on in this conversation, with {effort} effort.", effort=_effort(conversation.effort))
    if loaded.can_switch_thinking:
        return tr("Thinking is on in this conversation.") if is_on else tr("Thinking is off in this conversation.")
    if is_on:
        return tr("Thinking is on in this conversation, but this model has no switch for it and decides by itself.")
    return tr("Thinking is off in this conversation, but this model has no switch for it and decides by itself.")


def thinking_state(loaded: Loaded, conversation: Conversation) -> str:
    """Whether the next answer begins with a thought; empty for a model that knows none, or decides by itself."""
    if loaded.can_switch_thinking and not conversation.thinking:
        return tr("thinking off")
    if conversation.effort and conversation.effort in loaded.efforts:
        return tr("thinking on, {effort} effort", effort=_effort(conversation.effort))
    return tr("thinking on") if loaded.can_switch_thinking or loaded.always_thinks else ""


def _effort(level: str) -> str:
    """A level as it stands in a sentence."""
    words = {
        "minimal": tr("minimal"),
        "low": tr("low"),
        "medium": tr("medium"),
        "high": tr("high"),
        "xhigh": tr("extra high"),
        "max": tr("maximum"),
    }
    return words.get(level, level)


def unknown_sampling(unknown: Sequence[str]) -> str:
    """That a file recommends what llmtui does not have; empty when it does not."""
    if not unknown:
        return ""
    *others, last = unknown
    names = last
    if others:
        first = reduce(lambda before, name: tr("{first}, {second}", first=before, second=name), others)
        names = tr("{first} and {second}", first=first, second=last)
    return tr(
        "This model's file recommends {names}, which llmtui does not have. Its other recommendations are used.",
        names=names,
    )


def goes_in_circles(keymap: Keymap) -> str:
    """That the answer that is being written repeats itself."""
    return tr(
        "The answer keeps repeating itself. Stop it{key}, or wait to see if it recovers.", key=hint(keymap, "stop")
    )


def went_in_circles(keymap: Keymap) -> str:
    """That an answer repeated itself to its end, and what helps."""
    return tr(
        "The answer kept repeating itself. Answer again{again}; if that does not help, raise the repeat penalty to 1.1 "
        "first (“{action}” in the palette{palette}).",
        action=title_of("sampling"),
        again=hint(keymap, "regenerate"),
        palette=hint(keymap, "palette"),
    )


def prompt_progress(progress: Prefill) -> str:
    """What stands where the answer will come while the prompt is read."""
    share = f"{100 * progress.done / max(progress.total, 1):.0f}"
    parts = [
        trn(
            "reading the prompt… {percent}% of {n} token",
            "reading the prompt… {percent}% of {n} tokens",
            progress.total,
            percent=share,
        )
    ]
    if progress.tps:
        parts.append(f"{format.speed(progress.tps)} tok/s")
    if progress.eta_s >= 1:
        parts.append(tr("{time} left", time=format.about(progress.eta_s)))
    return " · ".join(parts)


def prompt_begun(started: Started) -> str:
    """The same before the first part is read."""
    n = started.n_prompt - started.n_cached
    if not started.n_cached:
        return trn("reading the prompt… {n} token", "reading the prompt… {n} tokens", n)
    return trn(
        "reading the prompt… {n} token, {known} known",
        "reading the prompt… {n} tokens, {known} known",
        n,
        known=f"{started.n_cached:,}",
    )
