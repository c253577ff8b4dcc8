"""Reads the header of a GGUF file (versions 2 and 3, little endian): metadata and the table of tensors, no weights.
Files come from strangers, so every count, length and offset is checked against what the source holds and against
limits that keep time and memory small whatever the file claims."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from tui.models.quants import TENSOR_TYPES, TensorType
from tui.models.source import ByteSource, BytesSource, FileSource

GGUFErrorKind = Literal[
    "not_gguf", "unsupported_version", "big_endian", "truncated", "truncated_data", "corrupt", "malformed",
    "unsupported_type",
]  # fmt: skip
"""A "malformed" file may be as it was made, but not as llama.cpp takes it."""
Scalar = bool | int | float | str

MAX_HEADER_BYTES = 256 << 20
MAX_KEYS = 1 << 16
MAX_TENSORS = 1 << 18
MAX_KEY_BYTES = 1 << 16
MAX_TENSOR_NAME_BYTES = 64
"""llama.cpp's GGML_MAX_NAME, the final zero included."""
MOST_TYPES = 1023
"""Numbers of tensor types beyond this are damage: forks of llama.cpp number theirs below 400."""
MOST_DIMENSIONS = 8
"""More are damage; up to so many are written for programs that can have more than llama.cpp's 4."""
MAX_STRING_BYTES = 16 << 20
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
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
_TENSOR_REST = [struct.Struct(f"<{n}QIQ") for n in range(5)]
"""Shape, type and offset of a tensor, by the number of its dimensions."""


class GGUFError(Exception):
    """A file that cannot be used. `offset` is where in the file the trouble was met; for `truncated_data`
    `expected_size` and `actual_size` tell how much of the file is missing, for `unsupported_type` `type_id` is the
    number of the type. `metadata` is what was read before, where all of it was."""

    def __init__(
        self,
        kind: GGUFErrorKind,
        offset: int,
        detail: str,
        *,
        expected_size: int = 0,
        actual_size: int = 0,
        type_id: int = 0,
    ) -> None:
        super().__init__(f"{detail} (at byte {offset:,})")
        self.kind: GGUFErrorKind = kind
        self.offset = offset
        self.detail = detail
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


class Header(msgspec.Struct, frozen=True, kw_only=True):
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


class ArrayMemo:
    """Remembers long string arrays, so that reading many files with one vocabulary compares bytes instead of walking
    over 300,000 strings in each: an array of equal bytes and equal count has an equal length."""

    def __init__(self, max_bytes: int = 64 << 20) -> None:
        self._known: dict[int, list[bytes]] = {}
        self._room = max_bytes

    def length(self, count: int, source: ByteSource, offset: int) -> int | None:
        """Bytes of the array of `count` strings at `offset` if it equals a known one, else None."""
        known = self._known.get(count, [])
        if not known:
            return None
        data = source.read_at(offset, max(map(len, known)))
        return next((len(array) for array in known if data.startswith(array)), None)

    def remember(self, count: int, source: ByteSource, offset: int, length: int) -> None:
        """Keep the array just walked over, as far as there is room."""
        if length <= self._room:
            self._room -= length
            self._known.setdefault(count, []).append(source.read_at(offset, length))


def read_header(source: ByteSource | Path | bytes, *, memo: ArrayMemo | None = None, check_data: bool = True) -> Header:
    """Read and check the header of a GGUF file.

    `check_data` also demands that the source is as long as the tensors say; leave it off for the first bytes of a
    download. Raises `GGUFError`, and OSError when the source cannot be read.
    """
    if isinstance(source, Path):
        with FileSource(source) as file:
            return read_header(file, memo=memo, check_data=check_data)
    if isinstance(source, bytes):
        source = BytesSource(source)
    return _Parser(source, memo).header(check_data)


class _Cursor:
    """Reads a source front to back through a window of it."""

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self.end = MAX_HEADER_BYTES if source.size is None else min(source.size, MAX_HEADER_BYTES)
        self._window = b""
        self._start = 0
        self._at = 0

    @property
    def offset(self) -> int:
        return self._start + self._at

    def fail(self, detail: str, kind: GGUFErrorKind = "corrupt") -> GGUFError:
        return GGUFError(kind, self.offset, detail)

    def need(self, n: int) -> None:
        """See that `n` bytes are ahead, or raise."""
        if n > self.end - self.offset:
            if self.end == MAX_HEADER_BYTES:
                raise self.fail(f"the header would be larger than {MAX_HEADER_BYTES >> 20} MiB")
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
        window, at = self.window(form.size)
        self._at += form.size
        value: int = form.unpack_from(window, at)[0]
        return value

    def numbers(self, form: struct.Struct) -> tuple[int, ...]:
        window, at = self.window(form.size)
        self._at += form.size
        return form.unpack_from(window, at)

    def string(self, limit: int, what: str) -> bytes:
        n = self.number(_U64)
        if n > limit:
            raise self.fail(f"{what} of {n:,} bytes, more than {limit:,}")
        window, at = self.window(n)
        self._at += n
        return window[at : at + n]

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


class _Parser:
    """The grammar of the header over a cursor."""

    def __init__(self, source: ByteSource, memo: ArrayMemo | None) -> None:
        self._in = _Cursor(source)
        self._memo = memo

    def header(self, check_data: bool) -> Header:
        version = self._version()
        n_tensors, n_keys = self._in.number(_U64), self._in.number(_U64)
        if n_tensors > MAX_TENSORS or n_keys > MAX_KEYS:
            raise self._in.fail(f"{n_tensors:,} tensors and {n_keys:,} keys are more than any model has")
        metadata, spans = self._metadata(n_keys)
        alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
            raise self._in.fail(f"general.alignment is {alignment}, not a power of two")
        try:
            tensors = self._tensors(n_tensors, alignment)
        except GGUFError as error:
            error.metadata = metadata
            raise
        data_offset = aligned(self._in.offset, alignment) if tensors else self._in.offset
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
        return Header(
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
            raise self._in.fail(f"GGUF version {version}; versions 2 and 3 can be read", "unsupported_version")
        return version

    def _metadata(self, n_keys: int) -> tuple[dict[str, Value], dict[str, tuple[int, int]]]:
        found: dict[str, Value] = {}
        spans: dict[str, tuple[int, int]] = {}
        for _ in range(n_keys):
            start = self._in.offset
            key = self._text(MAX_KEY_BYTES, "a key")
            if not key or key in found:
                raise self._in.fail(f"the key {key!r} occurs twice" if key else "an empty key")
            kind = self._in.number(_U32)
            found[key] = self._array(key) if kind == _ARRAY else self._reader(key, kind)()
            spans[key] = start, self._in.offset
        return found, spans

    def _text(self, limit: int, what: str) -> str:
        """Text that names something, so it must be right."""
        try:
            return self._in.string(limit, what).decode()
        except UnicodeDecodeError as error:
            raise self._in.fail(f"{what} that is not UTF-8") from error

    def _value_text(self) -> str:
        """A value is for people to read: broken UTF-8 in a description is no reason to refuse a model."""
        return self._in.string(MAX_STRING_BYTES, "a text").decode("utf-8", "replace")

    def _reader(self, key: str, kind: int) -> Callable[[], Scalar]:
        if kind == _STRING:
            return self._value_text
        if kind not in _SCALARS:
            raise self._in.fail(f"the value of {key!r} has the unknown type {kind}")
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
        else:
            name, form = _SCALARS[kind]
            self._in.need(form.size * count)
            if count > MAX_KEPT_NUMBERS:
                self._in.skip(form.size * count)
                return ArrayStub(type=name, count=count)
        return tuple(read() for _ in range(count))

    def _skip_strings(self, count: int) -> None:
        start, source = self._in.offset, self._in.source
        known = self._memo.length(count, source, start) if self._memo else None
        if known is not None:
            self._in.skip(known)
            return
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
                raise self._in.fail(f"the tensor {tensor.name!r} occurs twice")
            # llama.cpp refuses gaps and overlaps too, so nothing is lost by it.
            if tensor.offset != expected:
                raise self._in.fail(f"the tensor {tensor.name!r} is at {tensor.offset:,} and not at {expected:,}")
            expected = aligned(expected + tensor.n_bytes, alignment)
            names.add(tensor.name)
            found.append(tensor)
        return tuple(found)

    def _tensor(self) -> TensorInfo:
        name = self._text(MAX_TENSOR_NAME_BYTES - 1, "a tensor's name")
        n_dims = self._in.number(_U32)
        if n_dims > 4:
            damaged: GGUFErrorKind = "malformed" if n_dims <= MOST_DIMENSIONS else "corrupt"
            raise self._in.fail(f"the tensor {name!r} has {n_dims} dimensions, more than 4", damaged)
        *shape, type_id, offset = self._in.numbers(_TENSOR_REST[n_dims])
        kind = TENSOR_TYPES.get(type_id)
        if kind is None:
            detail = f"the tensor {name!r} has the unknown type {type_id}"
            what: GGUFErrorKind = "unsupported_type" if type_id <= MOST_TYPES else "corrupt"
            raise GGUFError(what, self._in.offset, detail, type_id=type_id)
        n_elements = math.prod(shape)
        if n_elements >= 1 << 63 or max(shape, default=0) >= 1 << 63:
            raise self._in.fail(f"the tensor {name!r} is impossibly large")
        if (shape[0] if shape else 1) % kind.block_size:
            raise self._in.fail(f"the rows of {name!r} are no whole blocks of {kind.name}", "malformed")
        n_bytes = n_elements // kind.block_size * kind.block_bytes
        return TensorInfo(name=name, shape=tuple(shape), ggml_type=kind, offset=offset, n_bytes=n_bytes)


def aligned(n: int, alignment: int) -> int:
    """`n` rounded up to a multiple of `alignment`."""
    return -(-n // alignment) * alignment
