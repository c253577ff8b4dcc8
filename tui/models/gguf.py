"""Reads the header of a GGUF file (versions 2 and 3, little endian): metadata and the table of tensors, no weights.
Files come from strangers, so every count, length and offset is checked against what the source holds and against
the budget that keeps time and memory small whatever the file claims."""

from __future__ import annotations

import codecs
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tui.models.budget import Budget, OverBudget
from tui.models.cursor import NO_TEXT, U32, U64, Cursor, GGUFError, GGUFErrorKind, Named
from tui.models.quants import TENSOR_TYPES, TensorType
from tui.models.source import ByteSource, BytesSource, FileSource
from tui.words.later import later

if TYPE_CHECKING:
    from tui.models.headermemo import HeaderMemo

Scalar = bool | int | float | str
_TOO_MANY = 1 << 63
"""Numbers of a tensor, which llama.cpp counts in 64 bits with a sign."""
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
_TENSOR_REST = [struct.Struct(f"<{n}QIQ") for n in range(5)]
"""Shape, type and offset of a tensor, by the number of its dimensions."""
_LONGEST_ROW = U64.size + MAX_TENSOR_NAME_BYTES + U32.size + _TENSOR_REST[4].size
"""Bytes of the table of tensors that one takes at most."""


class ArrayStub(msgspec.Struct, frozen=True, kw_only=True):
    """An array too long to be kept: what it holds and how many."""

    type: str
    count: int


Value = Scalar | tuple[Scalar, ...] | ArrayStub


class TensorInfo(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
    memo: HeaderMemo | None = None,
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


class _HeaderParser:
    """The grammar of the header over a cursor."""

    def __init__(self, source: ByteSource, memo: HeaderMemo | None, budget: Budget) -> None:
        self._in = Cursor(source, budget)
        self._memo = memo
        self._budget = budget
        self.fail = self._in.fail

    def header(self, check_data: bool) -> GgufHeader:
        version = self._version()
        n_tensors, n_keys = self._in.number(U64), self._in.number(U64)
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
        version = self._in.number(U32)
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
            kind = self._in.number(U32)
            found[key] = self._array(key) if kind == _ARRAY else self._reader(key, kind)()
            spans[key] = start, self._in.offset
        return found, spans

    def _text(self, limit: int, what: Named) -> str:
        """Text that names something, so it must be right."""
        return self._decoded(self._in.string(limit, what), what)

    def _decoded(self, raw: bytes, what: Named) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise self._in.fail(later(NO_TEXT[what])) from error

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
        kind, count = self._in.number(U32), self._in.number(U64)
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
        start, source = self._in.offset, self._in.source
        if self._memo and (known := self._memo.table(n_tensors, alignment, source, start)):
            self._in.skip(known.n_bytes)
            return known.tensors
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
        tensors = tuple(found)
        if self._memo:
            self._memo.remember_table(tensors, alignment, source, start, self._in.offset - start)
        return tensors

    def _row(self) -> tuple[str, tuple[int, ...]]:
        """Name of the next tensor, and its shape, type and offset."""
        window, at = self._in.ahead(_LONGEST_ROW)
        if at + _LONGEST_ROW <= len(window):  # as it is but at the end of a file without weights: nothing to be checked
            n_name = U64.unpack_from(window, at)[0]
            if n_name < MAX_TENSOR_NAME_BYTES:
                end = at + 8 + n_name
                n_dims = U32.unpack_from(window, end)[0]
                if n_dims <= 4:
                    form = _TENSOR_REST[n_dims]
                    numbers = form.unpack_from(window, end + 4)
                    self._in.pass_over(12 + n_name + form.size)
                    return self._decoded(window[at + 8 : end], "tensor"), numbers
        name = self._text(MAX_TENSOR_NAME_BYTES - 1, "tensor")
        n_dims = self._in.number(U32)
        if n_dims > 4:
            damaged: GGUFErrorKind = "malformed" if n_dims <= MOST_DIMENSIONS else "corrupt"
            detail = later("the tensor {tensor} has {n} dimensions, more than 4", tensor=repr(name), n=str(n_dims))
            raise self._in.fail(detail, damaged)
        return name, self._in.numbers(_TENSOR_REST[n_dims])

    def _tensor(self) -> TensorInfo:
        name, (*shape, type_id, offset) = self._row()
        kind = TENSOR_TYPES.get(type_id)
        if kind is None:
            detail = later("the tensor {tensor} has the unknown type {type}", tensor=repr(name), type=str(type_id))
            what: GGUFErrorKind = "unsupported_type" if type_id <= MOST_TYPES else "corrupt"
            raise GGUFError(what, self._in.offset, detail, type_id=type_id)
        n_elements = math.prod(shape)
        if n_elements >= _TOO_MANY or (not n_elements and max(shape) >= _TOO_MANY):
            raise self._in.fail(later("the tensor {tensor} is impossibly large", tensor=repr(name)))
        if (shape[0] if shape else 1) % kind.block_size:
            detail = later("the rows of {tensor} are not whole blocks of {type}", tensor=repr(name), type=kind.name)
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
