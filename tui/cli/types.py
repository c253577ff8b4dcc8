"""Types of arguments on the command line: each reads what was written, or says what is wrong with it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import TypeVar, get_args

from tui.config.loadtable import LOAD_ROWS
from tui.words import tr

MOST_USERS = 256
"""llama.cpp's LLAMA_MAX_SEQ."""
MOST = 2**31 - 1
"""`tui.protocol.records.MOST`, without importing it."""
HOTTEST = 5.0
"""The highest temperature that `tui.config.settings.SamplingValues` takes, without importing it."""
_T = TypeVar("_T")


def at_least(least: int, most: int = MOST) -> Callable[[str], int]:
    """An argument type: a whole number from `least` on."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(tr("{value} is not a whole number", value=repr(text))) from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                tr("{value} is not {least} or more", value=value, least=least)
                if value < least
                else tr("{value} is too large", value=value)
            )
        return value

    return number


def load_value(name: str) -> Callable[[str], object]:
    """An argument type: a value that the record of load settings allows for this one. It is looked up when there is a
    value to be read, because `--help` does not wait for that."""

    def value(text: str) -> object:
        import msgspec

        from tui.config.load import type_of

        hint = type_of(name)
        kind = msgspec.inspect.type_info(hint)
        if isinstance(kind, msgspec.inspect.IntType):
            return at_least(kind.ge or 0, kind.le or MOST)(text)
        values = ""
        if isinstance(kind, msgspec.inspect.LiteralType) and text not in kind.values:
            values = ", ".join(get_args(hint))
        elif isinstance(kind, msgspec.inspect.StrType) and kind.pattern and not re.search(kind.pattern, text):
            values = ", ".join((*LOAD_ROWS[name].offered, *LOAD_ROWS[name].examples))
        if values:
            raise argparse.ArgumentTypeError(tr("{value} is not one of {values}", value=repr(text), values=values))
        try:
            return msgspec.convert(text, hint, strict=False)
        except msgspec.ValidationError as error:
            raise argparse.ArgumentTypeError(f"{text!r}: {error}".replace("`", "")) from None

    return value


def temperature(text: str) -> float:
    """An argument type: a temperature for sampling."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= HOTTEST:
        raise argparse.ArgumentTypeError(
            tr("{value} is not a number from 0 to {most}", value=repr(text), most=f"{HOTTEST:g}")
        )
    return value


def sampling_value(name: str) -> Callable[[str], object]:
    """An argument type: a number that the settings allow for this value of sampling. Looked up when there is one to be
    read, as for `load_value`."""

    def value(text: str) -> object:
        from typing import get_type_hints

        import msgspec

        from tui.config.expected import expected
        from tui.config.settings import SamplingValues

        hint = get_type_hints(SamplingValues, include_extras=True)[name]
        try:
            return msgspec.convert(text, hint, strict=False)
        except msgspec.ValidationError:
            raise argparse.ArgumentTypeError(
                tr("{value} is not {expected}", value=repr(text), expected=expected(hint))
            ) from None

    return value


def bias(text: str) -> tuple[str, float]:
    """An argument type: the text of a token, and what is added to its logit."""
    from tui.config.biastext import BiasError, checked_biases

    token, _, number = text.rpartition("=")
    try:
        return next(iter(checked_biases({token: float(number)}).items()))
    except (ValueError, BiasError):
        example = '" delve=-100"'
        raise argparse.ArgumentTypeError(
            tr(
                "{value} is not a token and a number from -100 to 100, such as {example}",
                value=repr(text),
                example=example,
            )
        ) from None


def percent(text: str) -> float:
    """An argument type: from 0 to 100, with or without a percent sign."""
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(tr("{value} is not a percentage from 0 to 100", value=repr(text)))
    return value


def list_of(kind: Callable[[str], _T]) -> Callable[[str], tuple[_T, ...]]:
    """An argument type: values with commas between them."""

    def values(text: str) -> tuple[_T, ...]:
        return tuple(kind(part.strip()) for part in text.split(",") if part.strip())

    return values


def users(text: str) -> int:
    """An argument type: as many sequences as llama.cpp can tell apart."""
    value = at_least(1)(text)
    if value > MOST_USERS:
        raise argparse.ArgumentTypeError(
            tr("{value} is more than the {most} that llama.cpp can do", value=value, most=MOST_USERS)
        )
    return value


def pair(text: str) -> tuple[int, int]:
    """An argument type: two numbers with a comma between them."""
    numbers = list_of(at_least(1))(text)
    if len(numbers) != 2:
        raise argparse.ArgumentTypeError(tr("{value} is not two numbers such as 512,128", value=repr(text)))
    return numbers[0], numbers[1]


_RATE = re.compile(r"(\d+(?:\.\d+)?) ?([kmg]?)(?:i?b)?(?:/s)?", re.IGNORECASE)


def hub_name(text: str) -> str:
    """An argument type: `tui.hubs.records.HubName`, by its name or what people shorten it to."""
    from tui.hubs.known_hubs import HUBS  # `--help` does not wait for it

    known = {called: name for name, hub in HUBS.items() for called in (name, hub.short)}
    if (found := known.get(text.casefold().replace(" ", ""))) is None:
        values = ", ".join(f"{name} ({hub.short})" for name, hub in HUBS.items())
        raise argparse.ArgumentTypeError(tr("{value} is not one of {values}", value=repr(text), values=values))
    return found


def byte_rate(text: str) -> int:
    """An argument type: bytes a second, "500K", "5M", "1.5G" in binary units as curl has them; 0 for no limit."""
    found = _RATE.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(tr("{value} is not a number of bytes such as 500K or 5M", value=repr(text)))
    value = int(float(found[1]) * 1024 ** " kmg".index(found[2].lower() or " "))
    if value > MOST * 1024:
        raise argparse.ArgumentTypeError(tr("{value} is too large", value=text))
    return value
