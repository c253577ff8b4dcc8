"""Reads the header of a GGUF file (versions 2 and 3, little endian): metadata and the table of tensors, no weights.
Files come from strangers, so every count, length and offset is checked against what the source holds and against
the budget that keeps time and memory small whatever the file claims."""

from __future__ import annotations

import codecs
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from tui.models.arraymemo import ArrayMemo
from tui.models.budget import Budget, OverBudget
from tui.models.quants import TENSOR_TYPES, TensorType
from tui.models.source import ByteSource, BytesSource, FileSource
from tui.words import mark
from tui.words.later import Later, later

GGUFErrorKind = Literal[
    "not_gguf", "unsupported_version", "big_endian", "truncated", "truncated_data", "corrupt", "malformed",
    "unsupported_type", "too_large",
]  # fmt: skip
"""A "malformed" file may be as it was made, but not as llama.cpp takes it; of one that is "too_large" llmtui reads no
more than `tui.models.budget` allows."""
Scalar = bool | int | float | str
_Named = Literal["key", "tensor"]
_TOO_LONG: dict[_Named, str] = {
    "key": mark("a key of {n} bytes, more than {most}"),
    "tensor": mark("the name of a tensor has {n} bytes, more than {most}"),
}
_NO_TEXT: dict[_Named, str] = {
    "key": mark("a key that is not UTF-8"),
    "tensor": mark("the name of a tensor is not UTF-8"),
}

_MOST_COUNTED = 1 << 32
"""More keys or tensors than this are damage."""
MAX_KEY_BYTES = 1 << 16
MAX_TENSOR_NAME_BYTES = 64
"""llama.cpp's GGML_MAX_NAME, the final zero included."""
MOST_TYPES = 1023
"""Numbers of tensor types beyond this are damage: forks of llama.cpp number theirs below 400."""
MOST_DIMENSIONS = 8
"""More are damage; up to so many are written for programs that can have more than llama.cpp's 4."""
MAX_TEXT_BYTES = 4096
"""Of a text, the rest is left out: what is shown or looked at is shorter, and a template is llama.cpp's to read."""
MAX_KEPT_STRINGS = 64
MAX_KEPT_NUMBERS = 1024
"""Arrays up to these lengths are kept: values per layer and lists of tags, never a vocabulary."""

DEFAULT_ALIGNMENT = 32

_CHUNK = 256 << 10
_ARRAY, _STRING = 9, 8
_SCALARS: dict[int, tuple[str, struct.Struct]] = {
    id_: (name, struct.Struct("<" + code))
    for id_, name, code in (
        (0, "u8", "B"),
        (1, "i8", "b"),
        (2, "u16", "H"),
        (3, "i16", "h"),
        (4, "u32", "I"),
        (5, "i32", "i"),
        (6, "f32", "f"),
        (7, "bool", "?"),
        (10, "u64", "Q"),
        (11, "i64", "q"),
        (12, "f64", "d"),
    )
}
_MOST_QUOTED = 64
"""Characters of a name or value that an error repeats."""
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
_TENSOR_REST = [struct.Struct(f"<{n}QIQ") for n in range(5)]
"""Shape, type and offset of a tensor, by the number of its dimensions."""


class GGUFError(Exception):
    """A file that cannot be used, and in `detail` why; people are told the detail where it is a text of the catalogue.
    `offset` is where in the file the trouble was met; for `truncated_data` `expected_size` and `actual_size` tell how
    much of the file is missing, for `unsupported_type` `type_id` is the number of the type. `metadata` is what was read
    before, where all of it was."""

    def __init__(
        self,
        kind: GGUFErrorKind,
        offset: int,
        detail: str | Later,
        *,
        expected_size: int = 0,
        actual_size: int = 0,
        type_id: int = 0,
    ) -> None:
        self.detail = detail if isinstance(detail, Later) else Later(detail)
        super().__init__(f"{self.detail.english} (at byte {offset:,})")
        self.kind: GGUFErrorKind = kind
        self.offset = offset
        self.expected_size = expected_size
        self.actual_size = actual_size
        self.type_id = type_id
        self.metadata: dict[str, Value] | None = None


class ArrayStub(msgspec.Struct, frozen=True, kw_only=True):
    """An array too long to be kept: what it holds and how many."""

    type: str
    count: int


Value = Scalar | tuple[Scalar, ...] | ArrayStub


class TensorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One tensor. `shape` has the length of a row first, as ggml counts; `offset` is relative to the data area."""

    name: str
    shape: tuple[int, ...]
    ggml_type: TensorType
    offset: int
    n_bytes: int

    @property
    def n_elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


class GgufHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What stands before the weights. `file_size` is None where the source does not know it."""

    version: int
    metadata: dict[str, Value]
    tensors: tuple[TensorInfo, ...]
    data_offset: int
    file_size: int | None
    spans: dict[str, tuple[int, int]] = {}
    """Where each entry of the metadata, key included, begins and ends in the file."""

    @property
    def alignment(self) -> int:
        """Tensors begin at multiples of this."""
        value = self.metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        return value if isinstance(value, int) else DEFAULT_ALIGNMENT


def read_header(
    source: ByteSource | Path | bytes,
    *,
    memo: ArrayMemo | None = None,
    check_data: bool = True,
    budget: Budget | None = None,
) -> GgufHeader:
    """Read and check the header of a GGUF file.

    The files of one model share a `budget`; without one the file has its own. `check_data` also demands that the source
    is as long as the tensors say; leave it off for the first bytes of a download. Raises `GGUFError`, and OSError when
    the source cannot be read.
    """
    if isinstance(source, Path):
        with FileSource(source) as file:
            return read_header(file, memo=memo, check_data=check_data, budget=budget)
    if isinstance(source, bytes):
        source = BytesSource(source)
    parser = _HeaderParser(source, memo, budget or Budget())
    try:
        return parser.header(check_data)
    except OverBudget as error:
        raise parser.fail(error.why, "too_large") from error


class _Cursor:
    """Reads a source front to back through a window of it."""

    def __init__(self, source: ByteSource, budget: Budget) -> None:
        self.source = source
        self._budget = budget
        self.end = budget.left("bytes") if source.size is None else min(source.size, budget.left("bytes"))
        self._window = b""
        self._start = 0
        self._at = 0

    @property
    def offset(self) -> int:
        return self._start + self._at

    def fail(self, detail: str | Later, kind: GGUFErrorKind = "corrupt") -> GGUFError:
        return GGUFError(kind, self.offset, detail)

    def need(self, n: int) -> None:
        """See that `n` bytes are ahead, or raise."""
        if n > self.end - self.offset:
            if self.source.size is None or self.source.size > self.end:
                self._budget.take("bytes", self.offset + n)
            raise self.fail("the file ends inside the header", "truncated")

    def window(self, n: int) -> tuple[bytes, int]:
        """A window that holds the next `n` bytes, and where in it they start."""
        if self._at + n > len(self._window):
            self.need(n)
            self._start, self._at = self.offset, 0
            self._window = self.source.read_at(self._start, min(max(n, _CHUNK), self.end - self._start))
            if len(self._window) < n:
                raise self.fail("the file ends inside the header", "truncated")
        return self._window, self._at

    def number(self, form: struct.Struct) -> int:
        value: int = self.numbers(form)[0]
        return value

    def numbers(self, form: struct.Struct) -> tuple[Any, ...]:
        at, size = self._at, form.size
        if at + size > len(self._window):
            at = self.window(size)[1]
        self._at = at + size
        return form.unpack_from(self._window, at)

    def string(self, limit: int, what: _Named) -> bytes:
        n = self.number(_U64)
        if n > limit:
            raise self.fail(later(_TOO_LONG[what], n=f"{n:,}", most=f"{limit:,}"))
        return self._take_bytes(n)

    def start_of_string(self, n_kept: int) -> bytes:
        """The first bytes of a string, the rest of which is passed over."""
        n = self.number(_U64)
        self.need(n)
        kept = self._take_bytes(min(n, n_kept))
        self.skip(n - len(kept))
        return kept

    def _take_bytes(self, n: int) -> bytes:
        self._budget.take("text", n)
        if self._at + n > len(self._window):
            self.window(n)
        self._at += n
        return self._window[self._at - n : self._at]

    def skip(self, n: int) -> None:
        self.need(n)
        self._at += n
        if self._at > len(self._window):
            self._start, self._window, self._at = self.offset, b"", 0

    def skip_strings(self, count: int) -> None:
        """Walk over `count` strings. The one hot loop: Qwen's vocabulary and merges have 303,000."""
        unpack, n = _U64.unpack_from, count
        while n:
            window, at = self.window(8)
            last = len(window) - 8
            for left in range(n, 0, -1):  # noqa: B007
                if at > last:
                    break
                at += 8 + unpack(window, at)[0]
            else:
                left = 0
            n = left
            self.skip(at - self._at)


class _HeaderParser:
    """The grammar of the header over a cursor."""

    def __init__(self, source: ByteSource, memo: ArrayMemo | None, budget: Budget) -> None:
        self._in = _Cursor(source, budget)
        self._memo = memo
        self._budget = budget
        self.fail = self._in.fail

    def header(self, check_data: bool) -> GgufHeader:
        version = self._version()
        n_tensors, n_keys = self._in.number(_U64), self._in.number(_U64)
        if max(n_tensors, n_keys) > _MOST_COUNTED:
            detail = later(
                "{tensors} tensors and {keys} keys are more than any model has",
                tensors=f"{n_tensors:,}",
                keys=f"{n_keys:,}",
            )
            raise self._in.fail(detail)
        self._budget.take("tensors", n_tensors)
        self._budget.take("keys", n_keys)
        metadata, spans = self._metadata(n_keys)
        alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
            raise self._in.fail(later("general.alignment is {n}, not a power of two", n=_quoted(alignment)))
        try:
            tensors = self._tensors(n_tensors, alignment)
        except GGUFError as error:
            error.metadata = metadata
            raise
        data_offset = aligned(self._in.offset, alignment) if tensors else self._in.offset
        self._budget.take("bytes", self._in.offset)
        size = self._in.source.size
        if check_data and size is not None and tensors:
            expected = data_offset + tensors[-1].offset + tensors[-1].n_bytes
            if size < expected:
                raise GGUFError(
                    "truncated_data",
                    size,
                    f"the file has {size:,} of {expected:,} bytes",
                    expected_size=expected,
                    actual_size=size,
                )
        return GgufHeader(
            version=version,
            metadata=metadata,
            tensors=tensors,
            data_offset=data_offset,
            file_size=size,
            spans=spans,
        )

    def _version(self) -> int:
        magic = self._in.source.read_at(0, 4)
        if magic != b"GGUF":
            kind: GGUFErrorKind = "truncated" if not magic or b"GGUF".startswith(magic) else "not_gguf"
            raise self._in.fail(f"the file starts with {magic!r}, not with GGUF", kind)
        self._in.skip(4)
        version = self._in.number(_U32)
        if version & 0xFFFF == 0 and version:
            raise self._in.fail("a big-endian file, made for another kind of machine", "big_endian")
        if version not in (2, 3):
            detail = later("GGUF version {version}; versions 2 and 3 can be read", version=str(version))
            raise self._in.fail(detail, "unsupported_version")
        return version

    def _metadata(self, n_keys: int) -> tuple[dict[str, Value], dict[str, tuple[int, int]]]:
        found: dict[str, Value] = {}
        spans: dict[str, tuple[int, int]] = {}
        for _ in range(n_keys):
            start = self._in.offset
            key = self._text(MAX_KEY_BYTES, "key")
            if not key:
                raise self._in.fail(later("an empty key"))
            if key in found:
                raise self._in.fail(later("the key {key} occurs twice", key=_quoted(key)))
            kind = self._in.number(_U32)
            found[key] = self._array(key) if kind == _ARRAY else self._reader(key, kind)()
            spans[key] = start, self._in.offset
        return found, spans

    def _text(self, limit: int, what: _Named) -> str:
        """Text that names something, so it must be right."""
        try:
            return self._in.string(limit, what).decode()
        except UnicodeDecodeError as error:
            raise self._in.fail(later(_NO_TEXT[what])) from error

    def _value_text(self) -> str:
        """A value is for people to read: broken UTF-8 in a description is no reason to refuse a model."""
        raw = self._in.start_of_string(MAX_TEXT_BYTES)
        # What is cut may end within a letter.
        return codecs.utf_8_decode(raw, "replace", len(raw) < MAX_TEXT_BYTES)[0]

    def _reader(self, key: str, kind: int) -> Callable[[], Scalar]:
        if kind == _STRING:
            return self._value_text
        if kind not in _SCALARS:
            detail = later("the value of {key} has the unknown type {type}", key=_quoted(key), type=str(kind))
            raise self._in.fail(detail)
        form = _SCALARS[kind][1]
        return lambda: self._in.number(form)

    def _array(self, key: str) -> Value:
        kind, count = self._in.number(_U32), self._in.number(_U64)
        read = self._reader(key, kind)
        if kind == _STRING:
            self._in.need(8 * count)
            if count > MAX_KEPT_STRINGS:
                self._skip_strings(count)
                return ArrayStub(type="string", count=count)
            self._budget.take("values", count)
            return tuple(read() for _ in range(count))
        name, form = _SCALARS[kind]
        self._in.need(form.size * count)
        if count > MAX_KEPT_NUMBERS:
            self._in.skip(form.size * count)
            return ArrayStub(type=name, count=count)
        self._budget.take("values", count)
        return self._in.numbers(struct.Struct(f"<{count}{form.format[1:]}"))

    def _skip_strings(self, count: int) -> None:
        start, source = self._in.offset, self._in.source
        known = self._memo.length(count, source, start) if self._memo else None
        if known is not None:
            self._in.skip(known)
            return
        self._budget.take("strings", count)
        self._in.skip_strings(count)
        if self._memo:
            self._memo.remember(count, source, start, self._in.offset - start)

    def _tensors(self, n_tensors: int, alignment: int) -> tuple[TensorInfo, ...]:
        found: list[TensorInfo] = []
        names: set[str] = set()
        expected = 0
        for _ in range(n_tensors):
            tensor = self._tensor()
            if tensor.name in names:
                raise self._in.fail(later("the tensor {tensor} occurs twice", tensor=_quoted(tensor.name)))
            # llama.cpp refuses gaps and overlaps too, so nothing is lost by it.
            if tensor.offset != expected:
                detail = later(
                    "the tensor {tensor} is at {offset}, not at {expected}",
                    tensor=repr(tensor.name),
                    offset=f"{tensor.offset:,}",
                    expected=f"{expected:,}",
                )
                raise self._in.fail(detail)
            expected = aligned(expected + tensor.n_bytes, alignment)
            names.add(tensor.name)
            found.append(tensor)
        return tuple(found)

    def _tensor(self) -> TensorInfo:
        name = self._text(MAX_TENSOR_NAME_BYTES - 1, "tensor")
        n_dims = self._in.number(_U32)
        if n_dims > 4:
            damaged: GGUFErrorKind = "malformed" if n_dims <= MOST_DIMENSIONS else "corrupt"
            detail = later("the tensor {tensor} has {n} dimensions, more than 4", tensor=repr(name), n=str(n_dims))
            raise self._in.fail(detail, damaged)
        *shape, type_id, offset = self._in.numbers(_TENSOR_REST[n_dims])
        kind = TENSOR_TYPES.get(type_id)
        if kind is None:
            detail = later("the tensor {tensor} has the unknown type {type}", tensor=repr(name), type=str(type_id))
            what: GGUFErrorKind = "unsupported_type" if type_id <= MOST_TYPES else "corrupt"
            raise GGUFError(what, self._in.offset, detail, type_id=type_id)
        n_elements = math.prod(shape)
        if n_elements >= 1 << 63 or max(shape, default=0) >= 1 << 63:
            raise self._in.fail(later("the tensor {tensor} is impossibly large", tensor=repr(name)))
        if (shape[0] if shape else 1) % kind.block_size:
            detail = later("the rows of {tensor} are no whole blocks of {type}", tensor=repr(name), type=kind.name)
            raise self._in.fail(detail, "malformed")
        n_bytes = n_elements // kind.block_size * kind.block_bytes
        return TensorInfo(name=name, shape=tuple(shape), ggml_type=kind, offset=offset, n_bytes=n_bytes)


def _quoted(value: object) -> str:
    """A name or value from the file as an error may repeat it."""
    text = repr(value)
    return text if len(text) <= _MOST_QUOTED + 2 else f"{text[:_MOST_QUOTED]}…"


def aligned(n: int, alignment: int) -> int:
    """`n` rounded up to a multiple of `alignment`."""
    return -(-n // alignment) * alignment
