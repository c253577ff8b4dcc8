"""What a field of a record takes, in words, for somebody who wrote something else."""

from __future__ import annotations

from typing import Any, get_args

from msgspec import inspect

from tui.words.later import Later, later

_UNBOUNDED = 2**31 - 1
"""A limit that is only there because llama.cpp counts with 32 bits is worth a word only to who is beyond it."""


def expected(hint: Any, written: object = None) -> Later:
    """What a field with this type takes, for somebody who wrote `written`: "a whole number of 1 or more", "a number
    from 0 to 5", "true or false"."""
    kind = inspect.type_info(hint)
    types = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        return _number(kind, written)
    if isinstance(kind, inspect.LiteralType):
        return later("one of {values}", values=", ".join(f'"{value}"' for value in get_args(hint)))
    if any(isinstance(one, inspect.BoolType) for one in types):
        return later("true or false")
    if isinstance(kind, inspect.StrType):
        if kind.max_length is not None and isinstance(written, str):
            return later("a text of at most {n} characters", n=f"{kind.max_length:,}")
        return later('a text in quotes, such as "…"')
    if isinstance(kind, inspect.VarTupleType):
        return later('a list of texts, such as ["…", "…"], none of them empty')
    if isinstance(kind, inspect.UnionType):
        return later('a text or a list of texts, such as ["…", "…"]')
    return later("a section")


def _number(kind: inspect.IntType | inspect.FloatType, written: object) -> Later:
    whole = isinstance(kind, inspect.IntType)
    least = kind.ge if kind.ge is not None else kind.gt
    if least is None:
        return later("a whole number") if whole else later("a number")
    low = _shown(least)
    is_beyond = isinstance(written, int | float) and kind.le is not None and written > kind.le
    if kind.le is None or (kind.le >= _UNBOUNDED and not is_beyond):
        if whole:
            return later("a whole number of {least} or more", least=low)
        return later("a number of {least} or more", least=low)
    high = _shown(kind.le)
    if kind.gt is not None:
        return later("a number above {least}, at most {most}", least=low, most=high)
    if whole:
        return later("a whole number from {least} to {most}", least=low, most=high)
    return later("a number from {least} to {most}", least=low, most=high)


def _shown(limit: float) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"
