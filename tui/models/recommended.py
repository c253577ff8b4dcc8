"""What the maker of a model recommends for choosing tokens, as its file says it: the keys `general.sampling.*`. The
values come from strangers: what has the wrong type or no place in its range counts as missing."""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping
from typing import Any, get_type_hints

import msgspec

from tui.config.settings import SamplingValues
from tui.models.gguf import Value
from tui.protocol.records import PartialSampling
from tui.words import mark

_PREFIX = "general.sampling."
_KEYS = {
    "temp": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "xtc_probability": "xtc_probability",
    "xtc_threshold": "xtc_threshold",
    "penalty_repeat": "repeat_penalty",
    "penalty_last_n": "penalty_last_n",
}
"""llama.cpp's names, and ours."""
_OFF: dict[str, dict[str, float]] = {
    "penalties": {"repeat_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0},
    "dry": {"dry_multiplier": 0.0},
    "topk": {"top_k": 0},
    "typp": {"typical_p": 1.0},
    "topp": {"top_p": 1.0},
    "minp": {"min_p": 0.0},
    "xtc": {"xtc_probability": 0.0},
    "temperature": {"temperature": 1.0},
}
"""The samplers that there are here, in the order in which they are used, and the values with which one does nothing."""
_ALIASES = {"temp": "temperature", "nucleus": "topp", "typicalp": "typp", "typ": "typp", "typical": "typp"}


def recommended(values: Mapping[str, Value]) -> PartialSampling:
    """The values that a file's metadata name. A sampler that the file leaves out of its sequence is switched off."""
    found: dict[str, float] = {}
    for key, name in _KEYS.items():
        value = _fitting(name, values.get(_PREFIX + key))
        if value is not None:
            found[name] = value
    if sequence := _sequence(values):
        for sampler, off in _OFF.items():
            found |= {} if sampler in sequence else off
    return msgspec.convert(found, PartialSampling)


def unknown(values: Mapping[str, Value]) -> tuple[str, ...]:
    """What the file asks for, with an effect in llama.cpp, and llmtui does not have. For `tr` where it is shown."""
    found = []
    sequence = _sequence(values)
    if values.get(f"{_PREFIX}mirostat") in (1, 2):
        found.append("Mirostat")
    if "infill" in sequence:
        found.append(mark("the infill sampler"))
    ours = [name for name in sequence if name in _OFF]
    if ours != [name for name in _OFF if name in ours]:
        found.append(mark("another order of samplers"))
    return tuple(found)


def _sequence(values: Mapping[str, Value]) -> list[str]:
    """The samplers in the order that the file wants; empty where it wants none or names none that there is."""
    text = values.get(f"{_PREFIX}sequence")
    names = text.casefold().replace("_", "").replace("-", "").split(";") if isinstance(text, str) else []
    named = [_ALIASES.get(name.strip(), name.strip()) for name in names]
    return named if any(name in _OFF for name in named) else []


def _fitting(name: str, value: Value | None) -> float | None:
    """The value, if it is one that a user could write for the setting of that name."""
    number = _number(value)
    if name == "top_k" and number == -1:  # as others write "all"
        number = 0
    if number is None:
        return None
    try:
        fitting: float = msgspec.convert(number, _hints()[name])
    except msgspec.ValidationError:
        return None
    return fitting


@functools.cache
def _hints() -> dict[str, Any]:
    """What a user could write, by setting; to put them together takes a millisecond."""
    return get_type_hints(SamplingValues, include_extras=True)


def _number(value: object) -> float | None:
    """A number that is one; of 32 bits as it was written, which is not 0.15000000596046448."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    if isinstance(value, int):
        return value
    for digits in range(1, 10):
        short = float(f"{value:.{digits}g}")
        if _is_same_in_32_bits(short, value):
            return short
    return value


def _is_same_in_32_bits(one: float, other: float) -> bool:
    try:
        return struct.pack("<f", one) == struct.pack("<f", other)
    except OverflowError:
        return False
