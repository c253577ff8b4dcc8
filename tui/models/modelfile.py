"""One model on disk: finds the parts of a split file, reads their headers, and says in one sentence why a file cannot
be used."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tui.lines import one_line
from tui.models import format
from tui.models.gguf import ArrayMemo, GGUFError, read_header
from tui.models.info import Kind, ModelInfo, from_headers

ModelFileErrorKind = Literal["not_found", "directory", "permission", "unreadable", "missing_part", "broken", "unusable"]

_PART = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})\.gguf$", re.IGNORECASE)
MAX_PARTS = 1000

UNUSABLE: dict[Kind, str] = {
    "mmproj": "An image projector (mmproj) that belongs to a model, not a model itself.",
    "adapter": "A LoRA adapter that belongs to a model, not a model itself.",
    "vocab": "A vocabulary without weights.",
    "embedding": "An embedding model: it cannot chat.",
    "other": "Not a language model.",
}
"""Why files that are whole cannot be chatted with."""


class ModelFileError(Exception):
    """A file that cannot be loaded as a model. `reason` is a sentence for people, made safe for a terminal, as it may
    quote the file; `path` is the file or folder meant."""

    def __init__(self, kind: ModelFileErrorKind, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.kind: ModelFileErrorKind = kind
        self.path = path
        self.reason = one_line(reason)


def part_of(path: Path) -> tuple[int, tuple[Path, ...]]:
    """Which part of how many files `path` is, by its name: its number from 1, and the paths of all parts. A file that
    is not split is part 1 of itself."""
    match = _PART.match(path.name)
    total = int(match["total"]) if match else 0
    if not match or not 1 <= int(match["number"]) <= total <= MAX_PARTS:
        return 1, (path,)
    suffix = path.name[-len(".gguf") :]
    names = (f"{match['stem']}-{number:05d}-of-{match['total']}{suffix}" for number in range(1, total + 1))
    return int(match["number"]), tuple(path.with_name(name) for name in names)


def stem(path: Path) -> str:
    """The name of a file, fit for showing, without its ending and without its number within a split model."""
    match = _PART.match(path.name)
    name: str = match["stem"] if match else path.stem
    return one_line(name.encode("utf-8", "replace").decode())


def missing_part(parts: Sequence[Path], missing: Path) -> ModelFileError:
    """The error for a split model of which `missing` is not there."""
    number = parts.index(missing) + 1
    return ModelFileError(
        "missing_part", missing, f"Part {number} of {len(parts)} is missing ({missing.name}): download it too."
    )


def read_model(parts: Sequence[Path], memo: ArrayMemo | None = None) -> ModelInfo:
    """Read the headers of all parts of a model, the first one first. Raises `ModelFileError`."""
    headers = []
    for part in parts:
        if not _is_text(part):
            raise ModelFileError("unusable", part, "Its path is not UTF-8: rename the file or its folder.")
        try:
            headers.append(read_header(part, memo=memo))
        except GGUFError as error:
            raise ModelFileError("broken", part, _why_broken(part, error)) from error
        except FileNotFoundError as error:
            if len(parts) > 1:
                raise missing_part(parts, part) from error
            raise ModelFileError("not_found", part, "There is no such file.") from error
        except OSError as error:
            raise os_error(part, error) from error
    try:
        return from_headers(headers, stem(parts[0]))
    except GGUFError as error:
        raise ModelFileError("broken", parts[0], _why_broken(parts[0], error)) from error


def _is_text(path: Path) -> bool:
    """Whether a path can be stored, shown and told to the engine."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def os_error(path: Path, error: OSError) -> ModelFileError:
    """Say why the system would not let us read a file or folder."""
    if isinstance(error, PermissionError):
        return ModelFileError("permission", path, "It may not be read: permission denied.")
    if isinstance(error, IsADirectoryError):
        return ModelFileError("directory", path, "It is a folder: give the path of a .gguf file in it.")
    if error.errno == errno.ELOOP:
        return ModelFileError("unreadable", path, "It cannot be read: a symbolic link that points to itself.")
    reason = os.strerror(error.errno) if error.errno else str(error.strerror or error)
    return ModelFileError("unreadable", path, f"It cannot be read: {reason[:1].lower()}{reason[1:]}.")


def _why_broken(path: Path, error: GGUFError) -> str:
    match error.kind:
        case "truncated_data":
            actual, expected = format.size(error.actual_size), format.size(error.expected_size)
            return f"Incomplete: {actual} of {expected} are there. Finish or repeat the download."
        case "truncated":
            return "Incomplete: it ends within its header. Finish or repeat the download."
        case "not_gguf":
            return _instead_of_gguf(path)
        case "big_endian":
            return "Made for big-endian machines. Get the little-endian file, or convert it."
        case "unsupported_version":
            return f"Not readable by llama.cpp: {error.detail}."
        case _:
            return f"Damaged: {error.detail} (at byte {error.offset:,}). Repeat the download."


def _instead_of_gguf(path: Path) -> str:
    """The two things that often stand where a model should."""
    try:
        with path.open("rb") as file:
            start = file.read(64).lstrip().lower()
    except OSError as error:
        return os_error(path, error).reason
    if start.startswith(b"version https://git-lfs"):
        return "A Git LFS pointer, not the model itself: run `git lfs pull`."
    if start.startswith((b"<!doctype", b"<html")):
        return "A web page was saved instead of the model: repeat the download."
    return "Not a GGUF file."
