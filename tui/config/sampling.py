"""Which values the next token is chosen with, and where each comes from: the one place that knows the order built-in <
model file < user's settings < conversation."""

from __future__ import annotations

from typing import Literal

import msgspec

from tui.config.settings import Settings
from tui.protocol.records import PartialSampling, Sampling, SamplingValue

Source = Literal["built-in", "model", "settings", "conversation"]
"""llmtui itself, the file of the model, the user's own settings.toml, or the open conversation."""


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """Values for an answer."""

    sampling: Sampling
    sources: dict[str, Source]
    """Of each field of `sampling`."""


def resolve(
    settings: Settings,
    *,
    thinking: bool,
    recommended: PartialSampling | None = None,
    own: PartialSampling | None = None,
) -> Resolved:
    """The values for an answer with or without `thinking`. What the model's file has `recommended` holds for both; what
    the user wrote into settings.toml goes before that, even where it is the default, and the conversation's `own`
    before all."""
    mode = "thinking" if thinking else "plain"
    values: dict[str, SamplingValue] = msgspec.structs.asdict(getattr(settings.sampling, mode))
    sources: dict[str, Source] = dict.fromkeys(Sampling.__struct_fields__, "built-in")
    keys = {key.split(".")[2] for key in settings.written if key.startswith(f"sampling.{mode}.")}
    written = keys & values.keys()
    for name in written:
        sources[name] = "settings"
    for name, value in recommended.given.items() if recommended else ():
        if name not in written:
            values[name], sources[name] = value, "model"
    for name, value in own.given.items() if own else ():
        values[name], sources[name] = value, "conversation"
    return Resolved(sampling=msgspec.convert(values, Sampling), sources=sources)
