"""What the next answer of a conversation is made with, put together from settings, model and conversation."""

from __future__ import annotations

import msgspec

from tui.chat.conversation import Conversation
from tui.config.sampling import Source, resolve
from tui.config.settings import Settings
from tui.models.info import ModelInfo
from tui.protocol.messages import Loaded
from tui.protocol.records import AnswerFormat, Effort, Sampling, SamplingValue


class AnswerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer is asked for."""

    sampling: Sampling
    thinking: bool
    effort: Effort
    max_tokens: int
    """0 is no limit."""
    thinking_budget: int
    """0 is none."""
    answer_format: AnswerFormat | None


def answer_settings(
    conversation: Conversation, settings: Settings, loaded: Loaded | None, info: ModelInfo | None
) -> AnswerSettings:
    """Those of the next answer of a conversation by the model that is `loaded`, whose header is `info`."""
    defaults = settings.sampling
    return AnswerSettings(
        sampling=resolve(
            settings,
            thinking=thinks(conversation, loaded),
            recommended=info.sampling if info else None,
            own=conversation.sampling,
        ).sampling,
        thinking=conversation.thinking,
        effort=conversation.effort,
        answer_format=conversation.answer_format,
        max_tokens=defaults.max_tokens if conversation.max_tokens is None else conversation.max_tokens,
        thinking_budget=(
            defaults.thinking_budget if conversation.thinking_budget is None else conversation.thinking_budget
        ),
    )


def default_values(
    conversation: Conversation, settings: Settings, loaded: Loaded | None, info: ModelInfo | None
) -> dict[str, tuple[SamplingValue, Source]]:
    """What the next answer would be made with if the conversation had nothing of its own, and where it comes from: the
    fields of `Sampling`, "max_tokens" and "thinking_budget"."""
    thinking = thinks(conversation, loaded)
    found = resolve(settings, thinking=thinking, recommended=info.sampling if info else None)
    values: dict[str, tuple[SamplingValue, Source]] = {
        name: (getattr(found.sampling, name), source) for name, source in found.sources.items()
    }
    for name in ("max_tokens", "thinking_budget"):
        source: Source = "settings" if f"sampling.{name}" in settings.written else "built-in"
        values[name] = getattr(settings.sampling, name), source
    return values


def own_values(conversation: Conversation) -> dict[str, SamplingValue]:
    """What a conversation has of its own, by the names of `default_values`."""
    values: dict[str, SamplingValue] = dict(conversation.sampling.given) if conversation.sampling else {}
    for name in ("max_tokens", "thinking_budget"):
        if (value := getattr(conversation, name)) is not None:
            values[name] = value
    return values


def thinks(conversation: Conversation, loaded: Loaded | None) -> bool:
    """Whether the next answer comes with thinking, as far as that can be told before it is there."""
    if loaded is None:
        return conversation.thinking
    return loaded.always_thinks or (loaded.can_think and conversation.thinking)
