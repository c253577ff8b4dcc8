"""Logit biases in one line, as in settings.toml: `" delve" = -100, "!" = -2.5`. Read and written alike everywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

import msgspec

from tui.base import toml
from tui.base.text import one_line
from tui.config.settings import SamplingValues
from tui.words import tr, trn

MOST_BIASES = 500
"""Each costs a search among the candidates at every token."""


class BiasError(ValueError):
    """What was written is no list of biases; the message says what to write."""


def bias_text(biases: Mapping[str, float]) -> str:
    """As `read_biases` reads them; empty for none."""
    return ", ".join(f"{json.dumps(text, ensure_ascii=False)} = {bias:g}" for text, bias in biases.items())


def read_biases(text: str) -> dict[str, float]:
    """The biases of a line, in braces or without. Raises `BiasError`."""
    inner = text.strip().removeprefix("{").removesuffix("}").strip().rstrip(",")
    try:
        table: Any = toml.parse(f"bias = {{ {inner} }}\n".encode("utf-8", "replace")).get("bias")
    except toml.TomlError:
        raise BiasError(tr("Write it as {example}.", example='" delve" = -100')) from None
    return checked_biases(table)


def checked_biases(table: object) -> dict[str, float]:
    """The table, if it is one of biases. Raises `BiasError`."""
    hint = get_type_hints(SamplingValues, include_extras=True)["logit_bias"]
    try:
        biases: dict[str, float] = msgspec.convert(table, hint)
    except msgspec.ValidationError:
        raise BiasError(tr("From -100 (never) to 100.")) from None
    if len(biases) > MOST_BIASES:
        raise BiasError(tr("Write at most {n} of them.", n=str(MOST_BIASES)))
    return biases


def left_out(texts: Sequence[str]) -> str:
    """That texts with a bias are not one token of a model; empty for none."""
    if not texts:
        return ""
    return trn(
        "{texts} is not one token of this model, so its bias changes nothing.",
        "{texts} are not one token each of this model, so their biases change nothing.",
        len(texts),
        # Written as it is given: a space before a word is a part of its token.
        texts=", ".join(one_line(json.dumps(text[:40], ensure_ascii=False)) for text in texts[:5]),
    )
