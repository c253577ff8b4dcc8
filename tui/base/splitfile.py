"""The names of split model files: "name-00001-of-00003.gguf". No file is looked at."""

from __future__ import annotations

import re
from pathlib import Path

PART = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})\.gguf$", re.IGNORECASE)
MAX_PARTS = 1000


def part_of(path: Path) -> tuple[int, tuple[Path, ...]]:
    """Which part of how many files `path` is, by its name: its number from 1, and the paths of all parts. A file that
    is not split is part 1 of itself."""
    number, total = place_of(path.name)
    if not total:
        return 1, (path,)
    return number, tuple(path.with_name(name_of(path.name, number)) for number in range(1, total + 1))


def first_part(name: str) -> str:
    """The name of the first part of the model that a file of this name belongs to."""
    return name_of(name, 1) if place_of(name)[1] else name


def place_of(name: str) -> tuple[int, int]:
    """Which part of how many a file is by its name; (1, 0) for one that is not split."""
    match = PART.match(name)
    if not match or not 1 <= int(match["number"]) <= int(match["total"]) <= MAX_PARTS:
        return 1, 0
    return int(match["number"]), int(match["total"])


def name_of(name: str, number: int) -> str:
    """The name of another part of the same model."""
    match = PART.match(name)
    return f"{name[: match.start('number')]}{number:05d}{name[match.end('number') :]}" if match else name
