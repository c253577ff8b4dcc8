"""One model on disk: finds the parts of a split file, reads their headers, and says in one sentence why a file cannot
be used."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tui.base import format
from tui.base.oserrors import english_reason
from tui.base.splitfile import MAX_PARTS, PART, name_of, place_of
from tui.base.text import one_line
from tui.models.budget import Budget
from tui.models.cursor import GGUFError
from tui.models.gguf import GgufHeader, read_header
from tui.models.headermemo import HeaderMemo
from tui.models.info import ModelInfo, from_headers
from tui.models.metadata import Metadata
from tui.models.purpose import Kind, kind_without_tensors, why_not
from tui.models.quants import WITHDRAWN
from tui.models.source import FileSource
from tui.words.later import Later, later

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
    """A file that cannot be loaded as a model, and why, in a sentence; `path` is the file or folder meant, `purpose`
    what it is for where that is not to chat."""

    def __init__(self, kind: ModelFileErrorKind, path: Path, why: Later, purpose: Kind | None = None) -> None:
        super().__init__(f"{path}: {why.english}")
        self.purpose = purpose
        self.kind: ModelFileErrorKind = kind
        self.path = path
        self.why = why

    @property
    def reason(self) -> str:
        """The sentence in the language in use, made safe for a terminal, as it may quote the file."""
        return one_line(str(self.why)[:_MOST_OF_A_REASON])


def stem(path: Path) -> str:
    """The name of a file, fit for showing, without its ending and without its number within a split model."""
    match = PART.match(path.name)
    name: str = match["stem"] if match else path.stem
    return one_line(name.encode("utf-8", "replace").decode())


def file_title(path: Path) -> str:
    """What a model is called after its file: as `stem`, but one that is just called "model", as all of Jan's are, has
    the name of its folder."""
    folder = path.absolute().parent.name
    return stem(Path(f"{folder}.gguf")) if folder and stem(path).casefold() == "model" else stem(path)


def missing_part(parts: Sequence[Path], missing: Path) -> ModelFileError:
    """The error for a split model of which `missing` is not there."""
    why = later(
        "Part {number} of {total} is missing ({file}): download it too.",
        number=str(parts.index(missing) + 1),
        total=str(len(parts)),
        file=missing.name,
    )
    return ModelFileError("missing_part", missing, why)


def read_model(parts: Sequence[Path], memo: HeaderMemo | None = None) -> ModelInfo:
    """Read the headers of all parts of a model, the first one first. Raises `ModelFileError`."""
    headers = read_headers(parts, memo)
    try:
        return from_headers(headers, file_title(parts[0]), memo)
    except GGUFError as error:
        raise broken(parts[0], error) from error


def broken(path: Path, error: GGUFError) -> ModelFileError:
    """The error for a file whose header is not as it has to be."""
    return ModelFileError(_kind(error), path, _why_broken(path, error))


def read_headers(parts: Sequence[Path], memo: HeaderMemo | None = None) -> list[GgufHeader]:
    """The headers of all parts of a model, the first one first. Raises `ModelFileError`."""
    headers: list[GgufHeader] = []
    budget = Budget()
    for part in parts:
        if not _is_text(part):
            raise ModelFileError("unusable", part, later("Its path is not UTF-8: rename the file or its folder."))
        if _is_coming(part):
            why = later(
                "Incomplete: aria2 has not finished it ({file} is still there). Finish the download.",
                file=f"{part.name}.aria2",
            )
            raise ModelFileError("missing_part", part, why)
        try:
            headers.append(read_header(part, memo=memo, budget=budget))
        except GGUFError as error:
            _require_chat_architecture(part, error)
            why = _why_broken(part, error)
            if len(parts) > 1:
                number, total = str(parts.index(part) + 1), str(len(parts))
                why = later("Part {number} of {total}: {reason}", number=number, total=total, reason=why)
            raise ModelFileError(_kind(error), part, why) from error
        except FileNotFoundError as error:
            if len(parts) > 1:
                raise missing_part(parts, part) from error
            raise ModelFileError("not_found", part, later("There is no such file.")) from error
        except OSError as error:
            raise os_error(part, error) from error
    _check_numbers(parts, headers)
    return headers


def require_chat_model(info: ModelInfo, path: Path) -> None:
    """Raises `ModelFileError` with the reason when a file is whole and no chat model."""
    if why := why_not(info.kind, info.arch):
        raise ModelFileError("unusable", path, why, info.kind)


def _require_chat_architecture(path: Path, error: GGUFError) -> None:
    """As `require_chat_model`, for a file whose tensors could not be read: it may be written for another program, which
    takes what llama.cpp does not."""
    meta = Metadata(error.metadata or {})
    kind = kind_without_tensors(meta)
    if error.kind in ("unsupported_type", "malformed", "corrupt") and (why := why_not(kind, meta.arch)):
        raise ModelFileError("unusable", path, why, kind) from error


def _check_numbers(parts: Sequence[Path], headers: Sequence[GgufHeader]) -> None:
    """See that each part is the one which its name says, by the numbers in the files, where they have any."""
    n_parts = headers[0].metadata.get("split.count", 0)
    for number, (part, header) in enumerate(zip(parts, headers, strict=True), start=1):
        index, count = (header.metadata.get(f"split.{key}") for key in ("no", "count"))
        if not isinstance(index, int) or not isinstance(n_parts, int) or n_parts < 2:
            continue
        total = count if isinstance(count, int) and count > 0 else n_parts
        if not 0 <= index < total <= MAX_PARTS:
            why = later(
                "Damaged: it says that it is part {number} of {total}. Repeat the download.",
                number=f"{index + 1:,}",
                total=f"{total:,}",
            )
            raise ModelFileError("broken", part, why)
        if (index + 1, total) != (number, len(parts)):
            why = later(
                "Part {number} of {total} of a split model, under another name: rename it to {name}.",
                number=str(index + 1),
                total=str(total),
                name=_name_of_part(part, index + 1, total),
            )
            raise ModelFileError("renamed_part", part, why)


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
        return ModelFileError("permission", path, later("It may not be read: permission denied."))
    if isinstance(error, IsADirectoryError):
        return ModelFileError("directory", path, later("It is a folder: give the path of a .gguf file in it."))
    if error.errno == errno.ELOOP:
        return ModelFileError("unreadable", path, later("It cannot be read: a symbolic link that points to itself."))
    why = later("It cannot be read: {reason}.", reason=Later(english_reason(error)))
    return ModelFileError("unreadable", path, why)


def _kind(error: GGUFError) -> ModelFileErrorKind:
    whole = ("unsupported_type", "malformed", "big_endian", "unsupported_version", "too_large")
    return "unsupported" if error.kind in whole else "broken"


def _why_broken(path: Path, error: GGUFError) -> Later:
    detail = error.detail
    match error.kind:
        case "truncated_data":
            return _cut_off(error.actual_size, error.expected_size)
        case "truncated":
            return later("Incomplete: it ends within its header. Finish or repeat the download.")
        case "not_gguf":
            return _instead_of_gguf(path)
        case "big_endian":
            return later("Made for big-endian machines. Get the little-endian file, or convert it.")
        case "unsupported_type":
            return _unsupported_type(error.type_id)
        case "malformed":
            return later("Not made as llama.cpp needs it: {detail}. Get another file of this model.", detail=detail)
        case "too_large":
            return later(
                "Larger than the header of any model: {detail}. Get another file of this model.", detail=detail
            )
        case "unsupported_version":
            return later("Not readable by llama.cpp: {detail}.", detail=detail)
        case _:
            return later(
                "Damaged: {detail} (at byte {offset}). Repeat the download.", detail=detail, offset=f"{error.offset:,}"
            )


def _cut_off(n_bytes: int, n_expected: int) -> Later:
    actual, expected = format.size(n_bytes), format.size(n_expected)
    if actual == expected:
        return later(
            "Incomplete: {n} of {expected} bytes are there. Finish or repeat the download.",
            n=f"{n_bytes:,}",
            expected=f"{n_expected:,}",
        )
    return later(
        "Incomplete: {actual} of {expected} are there. Finish or repeat the download.", actual=actual, expected=expected
    )


def _unsupported_type(type_id: int) -> Later:
    if name := WITHDRAWN.get(type_id):
        return later(
            "Its tensors are of a type that llama.cpp no longer reads ({name}): get another file of this model.",
            name=name,
        )
    return later(
        "Its tensors are of a type that this llama.cpp does not know ({type}), made for a fork of it or for a newer "
        "one: get another file of this model.",
        type=str(type_id),
    )


def _instead_of_gguf(path: Path) -> Later:
    """What often stands where a model should."""
    try:
        with FileSource(path) as file:
            start = file.read_at(0, 64).lstrip().lower()
    except OSError as error:
        return os_error(path, error).why
    if start.startswith(b"version https://git-lfs"):
        return later("A Git LFS pointer, not the model itself: run `git lfs pull`.")
    if start.startswith((b"<!doctype", b"<html")):
        return later("A web page was saved instead of the model: repeat the download.")
    if start[:4] in (b"tjgg", b"lmgg", b"fmgg", b"algg"):
        return later(
            "A GGML file, the format before GGUF, which llama.cpp no longer reads: get a GGUF file of this model."
        )
    if not start.strip(b"\0"):
        return later("Blank where a model should begin: finish or repeat the download.")
    return later("Not a GGUF file.")
