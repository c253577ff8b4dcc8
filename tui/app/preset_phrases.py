"""The words about presets and formats of answers."""

from __future__ import annotations

from tui.base.text import one_line
from tui.config.presets import Preset
from tui.protocol.records import AnswerFormat
from tui.words import mark, tr

NO_PRESET = mark("No preset")
_LONGEST = 60


def format_name(wanted: AnswerFormat | None) -> str:
    """What an answer keeps to, in a word or two; empty for nothing."""
    if wanted is None:
        return ""
    return tr("JSON schema") if wanted.kind == "json_schema" else tr("grammar")


def summary(preset: Preset) -> str:
    """What a preset gives, in one line."""
    parts = []
    if preset.system_prompt:
        parts.append(f"“{one_line(preset.system_prompt[: 2 * _LONGEST])[:_LONGEST]}”")
    if preset.thinking is not None:
        parts.append(tr("thinking on") if preset.thinking else tr("thinking off"))
    if preset.answer_format is not None:
        parts.append(format_name(preset.answer_format))
    if preset.sampling is not None and (given := preset.sampling.given):
        temperature = given.pop("temperature", None)
        if temperature is not None:
            parts.append(tr("temperature {value}", value=f"{temperature:g}"))
        if given:
            parts.append(tr("sampling"))
    if preset.max_tokens:
        parts.append(tr("{n} tokens at most", n=f"{preset.max_tokens:,}"))
    if preset.model:
        parts.append(one_line(preset.model[:_LONGEST]))
    return " · ".join(parts)
