"""One model on disk: finds the parts of a split file, reads their headers, and says in one sentence why a file cannot
be used."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tui.base import format
from tui.base.splitfile import MAX_PARTS, PART, name_of, place_of
from tui.base.text import one_line
from tui.models.arraymemo import ArrayMemo
from tui.models.budget import Budget
from tui.models.gguf import GGUFError, GgufHeader, read_header
from tui.models.info import ModelInfo, from_headers
from tui.models.metadata import Metadata
from tui.models.purpose import Kind, kind_without_tensors, why_not
from tui.models.quants import WITHDRAWN
from tui.models.source import FileSource

ModelFileErrorKind = Literal[
    "not_found", "directory", "permission", "unreadable", "missing_part", "renamed_part", "broken", "unsupported",
    "unusable",
]  # fmt: skip
"""A "broken" file is damaged or cut off, an "unsupported" one is whole and not as this llama.cpp takes it, an
"unusable" one is for something else."""
LASTING: tuple[ModelFileErrorKind, ...] = ("broken", "unsupported")
"""What stays so until the file changes."""

_MOST_OF_A_REASON = 1000
"""Characters. Names of files have up to 255, what is quoted of their contents 64."""


class ModelFileError(Exception):
    """A file that cannot be loaded as a model. `reason` is a sentence for people, made safe for a terminal, as it may
    quote the file; `path` is the file or folder meant, `purpose` what it is for where that is not to chat."""

    def __init__(self, kind: ModelFileErrorKind, path: Path, reason: str, purpose: Kind | None = None) -> None:
        super().__init__(f"{path}: {reason}")
        self.purpose = purpose
        self.kind: ModelFileErrorKind = kind
        self.path = path
        self.reason = one_line(reason[:_MOST_OF_A_REASON])


def stem(path: Path) -> str:
    """The name of a file, fit for showing, without its ending and without its number within a split model."""
    match = PART.match(path.name)
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
    headers, budget = [], Budget()
    for part in parts:
        if not _is_text(part):
            raise ModelFileError("unusable", part, "Its path is not UTF-8: rename the file or its folder.")
        if _is_coming(part):
            reason = f"Incomplete: aria2 has not finished it ({part.name}.aria2 is still there). Finish the download."
            raise ModelFileError("missing_part", part, reason)
        try:
            headers.append(read_header(part, memo=memo, budget=budget))
        except GGUFError as error:
            _require_chat_architecture(part, error)
            where = f"Part {parts.index(part) + 1} of {len(parts)}: " if len(parts) > 1 else ""
            raise ModelFileError(_kind(error), part, f"{where}{_why_broken(part, error)}") from error
        except FileNotFoundError as error:
            if len(parts) > 1:
                raise missing_part(parts, part) from error
            raise ModelFileError("not_found", part, "There is no such file.") from error
        except OSError as error:
            raise os_error(part, error) from error
    _check_numbers(parts, headers)
    try:
        return from_headers(headers, stem(parts[0]))
    except GGUFError as error:
        raise ModelFileError(_kind(error), parts[0], _why_broken(parts[0], error)) from error


def require_chat_model(info: ModelInfo, path: Path) -> None:
    """Raises `ModelFileError` with the reason when a file is whole and no chat model."""
    if reason := why_not(info.kind, info.arch):
        raise ModelFileError("unusable", path, reason, info.kind)


def _require_chat_architecture(path: Path, error: GGUFError) -> None:
    """As `require_chat_model`, for a file whose tensors could not be read: it may be written for another program, which
    takes what llama.cpp does not."""
    meta = Metadata(error.metadata or {})
    kind = kind_without_tensors(meta)
    if error.kind in ("unsupported_type", "malformed", "corrupt") and (reason := why_not(kind, meta.arch)):
        raise ModelFileError("unusable", path, reason, kind) from error


def _check_numbers(parts: Sequence[Path], headers: Sequence[GgufHeader]) -> None:
    """See that each part is the one which its name says, by the numbers in the files, where they have any."""
    n_parts = headers[0].metadata.get("split.count", 0)
    for number, (part, header) in enumerate(zip(parts, headers, strict=True), start=1):
        index, count = (header.metadata.get(f"split.{key}") for key in ("no", "count"))
        if not isinstance(index, int) or not isinstance(n_parts, int) or n_parts < 2:
            continue
        total = count if isinstance(count, int) and count > 0 else n_parts
        if not 0 <= index < total <= MAX_PARTS:
            reason = f"Damaged: it says that it is part {index + 1:,} of {total:,}. Repeat the download."
            raise ModelFileError("broken", part, reason)
        if (index + 1, total) != (number, len(parts)):
            reason = (
                f"Part {index + 1} of {total} of a split model, under another name: "
                f"rename it to {_name_of_part(part, index + 1, total)}."
            )
            raise ModelFileError("renamed_part", part, reason)


def _name_of_part(path: Path, number: int, total: int) -> str:
    """The name that a part should have: that of the other parts beside it, if one series lacks this one."""
    try:
        beside = {other.name for other in path.parent.iterdir()}
    except OSError:
        beside = set()
    series = {name_of(other, number) for other in beside if place_of(other)[1] == total}
    lacking = sorted(series - beside)
    name = lacking[0] if len(lacking) == 1 else f"{stem(path)}-{number:05d}-of-{total:05d}.gguf"
    return one_line(name.encode("utf-8", "replace").decode())


def _is_coming(path: Path) -> bool:
    """Whether aria2 still downloads the file, which it gives its full size at the start."""
    try:
        return path.with_name(f"{path.name}.aria2").exists()
    except OSError:  # such as a name that is too long then
        return False


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


def _kind(error: GGUFError) -> ModelFileErrorKind:
    whole = ("unsupported_type", "malformed", "big_endian", "unsupported_version", "too_large")
    return "unsupported" if error.kind in whole else "broken"


def _why_broken(path: Path, error: GGUFError) -> str:
    match error.kind:
        case "truncated_data":
            actual, expected = format.size(error.actual_size), format.size(error.expected_size)
            if actual == expected:
                actual, expected = f"{error.actual_size:,}", f"{error.expected_size:,} bytes"
            return f"Incomplete: {actual} of {expected} are there. Finish or repeat the download."
        case "truncated":
            return "Incomplete: it ends within its header. Finish or repeat the download."
        case "not_gguf":
            return _instead_of_gguf(path)
        case "big_endian":
            return "Made for big-endian machines. Get the little-endian file, or convert it."
        case "unsupported_type":
            return _unsupported_type(error.type_id)
        case "malformed":
            return f"Not made as llama.cpp needs it: {error.detail}. Get another file of this model."
        case "too_large":
            return f"Larger than the header of any model: {error.detail}. Get another file of this model."
        case "unsupported_version":
            return f"Not readable by llama.cpp: {error.detail}."
        case _:
            return f"Damaged: {error.detail} (at byte {error.offset:,}). Repeat the download."


def _unsupported_type(type_id: int) -> str:
    if name := WITHDRAWN.get(type_id):
        return f"Its tensors are of a type that llama.cpp no longer reads ({name}): get another file of this model."
    return (
        f"Its tensors are of a type that this llama.cpp does not know ({type_id}), made for a fork of it or for a "
        "newer one: get another file of this model."
    )


def _instead_of_gguf(path: Path) -> str:
    """What often stands where a model should."""
    try:
        with FileSource(path) as file:
            start = file.read_at(0, 64).lstrip().lower()
    except OSError as error:
        return os_error(path, error).reason
    if start.startswith(b"version https://git-lfs"):
        return "A Git LFS pointer, not the model itself: run `git lfs pull`."
    if start.startswith((b"<!doctype", b"<html")):
        return "A web page was saved instead of the model: repeat the download."
    if start[:4] in (b"tjgg", b"lmgg", b"fmgg", b"algg"):
        return "A GGML file, the format before GGUF, which llama.cpp no longer reads: get a GGUF file of this model."
    if not start.strip(b"\0"):
        return "Empty where a model should begin: finish or repeat the download."
    return "Not a GGUF file."
