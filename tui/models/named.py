"""Which model of the library a person means by a name: all of it or a part, in letters and with separators of any kind.
What to do where several have it, or none, is for whoever asks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

import msgspec

from tui.base.text import one_line
from tui.models.library import BrokenFile, Library, OtherFile
from tui.models.modelfile import file_title

_SEPARATORS = re.compile(r"[\s_-]+")
_MOST_NEAR = 3
_CLOSE = 0.7
"""How much alike a name is that may have been meant, of 1."""


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the library and what it may be called."""

    path: Path
    names: tuple[str, ...]
    """The first is that of the file, without its ending, or its store's; texts are safe for a terminal."""


def named(library: Library) -> tuple[list[Named], list[Named]]:
    """All chat models, and the files that are none: whoever names one of those is to learn why."""
    models = []
    for model in library.models:
        files = [place.name or file_title(place.path) for place in model.places]
        names = dict.fromkeys((*files, model.info.name, f"{model.info.name} {model.info.quant}"))
        models.append(Named(path=model.path, names=tuple(names)))
    others: list[OtherFile | BrokenFile] = [*library.other, *library.broken]
    return models, [Named(path=file.path, names=(file.store_name or file_title(file.path),)) for file in others]


def find(written: str, files: Sequence[Named]) -> list[Named]:
    """Those that are called so; where there are none, those whose name has it as whole words, then as a part of it,
    then all its words anywhere."""
    wanted = _plain(written)
    words = wanted.split("-")
    ways: tuple[Callable[[str], bool], ...] = (
        lambda name: name == wanted,
        lambda name: f"-{wanted}-" in f"-{name}-",
        lambda name: wanted in name,
        lambda name: all(word in name for word in words),
    )
    for is_meant in ways if wanted else ():
        if found := [file for file in files if any(is_meant(_plain(name)) for name in file.names)]:
            return found
    return []


def near(written: str, files: Iterable[Named]) -> list[Named]:
    """Those whose name, or what it begins with, may have been meant by one that none has, the likeliest first."""
    by_name: dict[str, list[Named]] = {}
    for file in files:
        for name in map(_plain, file.names):
            for end in (*(found.start() for found in re.finditer("-", name)), len(name)):
                by_name.setdefault(name[:end], []).append(file)
    close = get_close_matches(_plain(written), by_name, n=2 * _MOST_NEAR, cutoff=_CLOSE)
    return list(dict.fromkeys(file for name in close for file in by_name[name]))[:_MOST_NEAR]


def labels(files: Sequence[Named]) -> list[str]:
    """What to write for each: its file's name, or its path where several files have that name."""
    stems = [file.names[0] for file in files]
    return [one_line(str(file.path)) if stems.count(file.names[0]) > 1 else file.names[0] for file in files]


def _plain(name: str) -> str:
    """A name in small letters, with one kind of separator and without the ending of a file."""
    text = name.casefold().removesuffix(".gguf")
    return _SEPARATORS.sub("-", text).strip("-")
