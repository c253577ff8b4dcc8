"""The sentences about an answer: how it stands while it is made, what it was made with, how it ended, and whether the
model thinks."""

from __future__ import annotations

from collections.abc import Sequence

from tui.app.bindings import Keymap
from tui.app.phrases import hint, seconds, speed
from tui.base import format
from tui.chat.conversation import Conversation, Turn
from tui.protocol.messages import Loaded, Prefill, Started

STOPS = {
    "stop": "complete",
    "length": "token limit reached",
    "context": "context full: raise n_ctx or start anew",
    "cancelled": "stopped",
    "crashed": "broken off",
}
ALWAYS_THINKS = "This model always thinks; it cannot be switched off."
NEVER_THINKS = "This model does not think: the switch has no effect on it."
DEFAULT_EFFORT = "default"
"""Stands for the effort "", which leaves it to the template."""
EFFORTS = {
    DEFAULT_EFFORT: ("As the model does", "no level is asked for"),
    "low": ("Low", "short thoughts, quick answers"),
    "medium": ("Medium", ""),
    "high": ("High", "long thoughts"),
}
"""What can be chosen: label and note."""


def answer_footer(turn: Turn, moves: Sequence[str] = ()) -> str:
    """The line under an answer: tokens, tok/s, time to first token, why it ended, and what the `moves` in its middle
    took."""
    parts = []
    if timings := turn.timings:
        parts.append(f"{timings.n_decode:,} tok")
        if any(turn.speeds):
            parts.append(
                " → ".join(f"{where} {speed(tps)}" for where, tps in zip(turn.backend, turn.speeds, strict=False))
                + " tok/s"
            )
        elif timings.decode_tps:
            parts.append(f"{speed(timings.decode_tps)} tok/s")
        if timings.ttft_s:
            parts.append(f"ttft {seconds(timings.ttft_s)}")
    if turn.backend and not any(turn.speeds):
        parts.append(" → ".join(turn.backend))
    if turn.stop:
        # However it ended then, that is what is wrong with it.
        parts.append("went round in circles" if turn.is_loop else STOPS[turn.stop])
    if turn.swapped_bytes:
        parts.append(f"swapped {format.size(turn.swapped_bytes)}")
    parts += moves
    return " · ".join(parts)


def thinking_label(turn: Turn) -> str:
    """The line that stands for folded thinking."""
    if not turn.reasoning:
        return ""
    if not turn.n_reasoning:
        return "thought"
    if turn.is_thought_cut:
        return f"thought cut after {turn.n_reasoning:,} tokens · {seconds(turn.reasoning_s)}"
    return f"thought for {seconds(turn.reasoning_s)} · {turn.n_reasoning:,} tokens"


def thinking_switched(conversation: Conversation, loaded: Loaded | None) -> str:
    """What was chosen for the open conversation, and that it has no effect where that is so."""
    if loaded is None:
        return f"Thinking is {_on_off(conversation)} in this conversation, for models that can be asked for it."
    if loaded.efforts and conversation.thinking:
        effort = f"{conversation.effort} effort" if conversation.effort else "as much effort as the model likes"
        return f"Thinking is on in this conversation, with {effort}."
    without = "" if loaded.can_switch_thinking else ", but this model has no switch for it and decides by itself"
    return f"Thinking is {_on_off(conversation)} in this conversation{without}."


def thinking_state(loaded: Loaded, conversation: Conversation) -> str:
    """What of it the header shows: what was chosen and has an effect; empty for the usual."""
    if loaded.can_switch_thinking and not conversation.thinking:
        return "thinking off"
    return f"effort {conversation.effort}" if conversation.effort in loaded.efforts and conversation.effort else ""


def _on_off(conversation: Conversation) -> str:
    return "on" if conversation.thinking else "off"


def unknown_sampling(unknown: Sequence[str]) -> str:
    """That a file recommends what llmtui does not have; empty when it does not."""
    if not unknown:
        return ""
    what = " and ".join(filter(None, (", ".join(unknown[:-1]), unknown[-1])))
    return f"This model's file recommends {what}, which llmtui does not have. The rest of what it recommends is used."


def goes_in_circles(keymap: Keymap) -> str:
    """That the answer that is being written repeats itself."""
    return f"The answer goes round in circles. Stop it{hint(keymap, 'stop')}, or see whether it finds a way out."


def went_in_circles(keymap: Keymap) -> str:
    """That an answer repeated itself to its end, and what helps."""
    return (
        f"The answer went round in circles. Answer again{hint(keymap, 'regenerate')}; if that does not help, raise the "
        f"repeat penalty to 1.1 before (“Sampling” in the palette{hint(keymap, 'palette')})."
    )


def prompt_progress(progress: Prefill) -> str:
    """What stands where the answer will come while the prompt is read."""
    share = f"{100 * progress.done / max(progress.total, 1):.0f}%"
    tps = f" · {speed(progress.tps)} tok/s" if progress.tps else ""
    left = f" · {format.about(progress.eta_s)} left" if progress.eta_s >= 1 else ""
    return f"reading the prompt… {share} of {progress.total:,} tokens{tps}{left}"


def prompt_begun(started: Started) -> str:
    """The same before the first part is read."""
    fresh = started.n_prompt - started.n_cached
    return f"reading the prompt… {fresh:,} tokens" + (f", {started.n_cached:,} known" if started.n_cached else "")
