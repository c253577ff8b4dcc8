"""Laying a table read from TOML over a frozen settings record, key by key: a good value replaces the default, a bad one
is reported and leaves it. Knows nothing of which settings there are."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from tui.config.expected import expected
from tui.config.problems import ConfigProblem
from tui.words.later import Later, later

S = TypeVar("S", bound=msgspec.Struct)

_MOST_PROBLEMS = 20
"""Of one table that are told one by one."""
_MOST_RECORDS = 500
"""In a list: more sections of a kind were written by a program gone wrong."""

NOT_IN_FILES = msgspec.Meta(extra={"in_files": False})
"""Of a field that is worked out: as a key of a file it is as unknown as any other."""


def overlay(
    base: S, table: Mapping[str, object], *, file: Path | None = None, prefix: str = "", report_unknown: bool = True
) -> tuple[S, list[ConfigProblem]]:
    """`base` with the values of `table` in it, and what was wrong with the rest.

    Nested records are laid over key by key, dictionaries are merged entry by entry, each record of a list is laid over
    the defaults of its kind, anything else is replaced whole.
    `prefix` is put before the keys that problems name, such as "load.".
    """
    hints = get_type_hints(type(base), include_extras=True)
    hints = {name: hint for name, hint in hints.items() if NOT_IN_FILES not in getattr(hint, "__metadata__", ())}
    changes: dict[str, Any] = {}
    problems: list[ConfigProblem] = []
    n_untold = 0

    for key, value in table.items():
        path = f"{prefix}{key}"
        if key not in hints:
            if report_unknown and len(problems) < _MOST_PROBLEMS:
                problems.append(ConfigProblem(file=file, key=path, message=unknown_key(key, hints)))
            else:
                n_untold += report_unknown
            continue
        default = getattr(base, key)
        if isinstance(default, msgspec.Struct):
            if isinstance(value, Mapping):
                changes[key], nested = overlay(
                    default, value, file=file, prefix=f"{path}.", report_unknown=report_unknown
                )
                problems += nested
            else:
                message = later(
                    "is a section, not a value, so it is ignored. Write {heading} above its keys.", heading=f"[{path}]"
                )
                problems.append(ConfigProblem(file=file, key=path, message=message))
        elif (kind := _kind_of_records(hints[key])) is not None and _is_list_of_tables(value):
            changes[key], bad = _read_records(kind, value, path, file)
            problems += bad
        elif kind is not None and isinstance(value, Mapping):
            message = later(
                "is one section where there may be several, so it is ignored. Write {heading} above its keys.",
                heading=f"[[{path}]]",
            )
            problems.append(ConfigProblem(file=file, key=path, message=message))
        elif isinstance(default, Mapping) and isinstance(value, Mapping):
            changes[key], bad = _merge_entries(default, value, hints[key], path, file)
            problems += bad
        else:
            try:
                changes[key] = msgspec.convert(value, hints[key])
            except msgspec.ValidationError:
                message = later(
                    "is {value}, but must be {expected}. The default {default} is used; correct the value.",
                    value=_toml(value),
                    expected=expected(hints[key], value),
                    default=_toml(default),
                )
                problems.append(ConfigProblem(file=file, key=path, message=message))
    problems += _untold(n_untold, prefix.rstrip("."), file)
    return msgspec.structs.replace(base, **changes), problems


def _untold(n: int, path: str, file: Path | None) -> list[ConfigProblem]:
    """That there are `n` more problems of this kind."""
    message = later("has more mistakes like these ({n}). Correct the file, or start a new one.", n=f"{n:,}")
    return [ConfigProblem(file=file, key=path, message=message)] if n else []


def unknown_key(key: str, known: Collection[str]) -> Later:
    """The sentence about a key that nobody knows, with the nearest one that exists."""
    near = difflib.get_close_matches(key[:60], list(known), n=1)
    if near:
        return later('is unknown, so it is ignored. Did you mean "{name}"?', name=near[0])
    return later("is unknown, so it is ignored. Known here: {names}.", names=", ".join(sorted(known)))


def _merge_entries(
    default: Mapping[str, object], value: Mapping[str, object], hint: Any, path: str, file: Path | None
) -> tuple[dict[str, object], list[ConfigProblem]]:
    merged: dict[str, object] = dict(default)
    problems: list[ConfigProblem] = []
    n_untold = 0
    entry_type = get_args(hint)[1]
    for name, entry in value.items():
        try:
            merged[name] = msgspec.convert(entry, entry_type)
        except msgspec.ValidationError:
            if len(problems) >= _MOST_PROBLEMS:
                n_untold += 1
                continue
            message = later(
                "is {value}, but must be {expected}. It is ignored; correct the value.",
                value=_toml(entry),
                expected=expected(entry_type, entry),
            )
            problems.append(ConfigProblem(file=file, key=f"{path}.{name}", message=message))
    return merged, problems + _untold(n_untold, path, file)


def _kind_of_records(hint: Any) -> type[msgspec.Struct] | None:
    """The record that a field holds any number of; None for a field of another kind."""
    kind = get_args(hint)[0] if get_origin(hint) is tuple else None
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


def _is_list_of_tables(value: object) -> TypeGuard[list[Mapping[str, object]]]:
    return isinstance(value, list) and all(isinstance(entry, Mapping) for entry in value)


def _read_records(
    kind: type[msgspec.Struct], tables: Sequence[Mapping[str, object]], path: str, file: Path | None
) -> tuple[tuple[msgspec.Struct, ...], list[ConfigProblem]]:
    records: list[msgspec.Struct] = []
    problems: list[ConfigProblem] = []
    if len(tables) > _MOST_RECORDS:
        message = later(
            "there are {n} of these sections; those after the first {most} are ignored.",
            n=f"{len(tables):,}",
            most=str(_MOST_RECORDS),
        )
        problems.append(ConfigProblem(file=file, key=path, message=message))
    for number, table in enumerate(tables[:_MOST_RECORDS], start=1):
        record, bad = overlay(kind(), table, file=file, prefix=f"{path}[{number}].")
        records.append(record)
        problems += bad
    return tuple(records), problems


def _toml(value: object) -> str:
    """A value as one would write it in the file, cut short when it is long."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        text = '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    elif isinstance(value, tuple | list):
        text = f"[{', '.join(map(_toml, value))}]"
    else:
        text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
