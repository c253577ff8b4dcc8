"""A KV cache as a file: how it is laid out, written so that a reader sees the old file or the new one and nothing else,
and read so that only what is whole and goes with the loaded model is taken. Knows neither llama.cpp nor the wire.

    "llmtuiKV" | version | length of the header | header (MessagePack) | states | CRC-32 of all before

Numbers are little-endian and have 32 bits. States are in llama.cpp's own form, which is the machine's: that of what was
read, then those of the places that it can go back to.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import struct
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from tui.base import private
from tui.base.newfile import NewFile
from tui.engine.checkpoints import Checkpoint, Snapshot
from tui.protocol.messages import ContextProblem

MAGIC = b"llmtuiKV"
VERSION = 2
SPARE_DISK_BYTES = 256 << 20
"""Left free on the disk: a cache must not be what fills it."""

_FRAME = struct.Struct("<8sII")
_CHECK = struct.Struct("<I")
_MAX_HEADER = 64 << 20
_CHUNK = 8 << 20
_HEAD_BYTES = 1 << 20


class ContextKey(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that must be the same for a KV cache to be of use."""

    model: str
    """See `model_identity`."""
    build: str
    """Commit of llama.cpp, whose layout may change with any of them; the version of its package where that is not
    known."""
    type_k: str
    type_v: str
    flash_attn: bool
    """Without it the V cache lies transposed."""
    rope: str
    """How positions are encoded: they are in the K cache already."""


class _ContextHeader(msgspec.Struct, frozen=True, kw_only=True):
    key: ContextKey
    tokens: bytes
    """What was evaluated, as 32-bit numbers."""
    n_state: int
    """Bytes of the state."""
    checkpoints: tuple[_KeptPlace, ...] = ()
    """What stands behind it, in this order."""

    @property
    def lengths(self) -> tuple[int, ...]:
        """Bytes of each state."""
        return (self.n_state, *(place.n_state for place in self.checkpoints))


class _KeptPlace(msgspec.Struct, frozen=True, kw_only=True):
    n_past: int
    n_state: int
    is_border: bool


class ContextHead(msgspec.Struct, frozen=True, kw_only=True):
    """What stands before the states of a file: enough to tell whether they are of use. None of it is known to be right
    before the file is `read`."""

    key: ContextKey
    tokens: bytes
    """As 32-bit numbers."""
    places: tuple[int, ...]
    """Tokens of each place that it can go back to."""
    n_bytes: int
    """Of the whole file."""

    @property
    def n_tokens(self) -> int:
        """What was read."""
        return len(self.tokens) // 4


class ContextFileError(Exception):
    """A file could not be written, or is of no use. `problem` says why, `detail` holds the system's words."""

    def __init__(self, problem: ContextProblem, detail: str) -> None:
        super().__init__(f"{problem}: {detail}")
        self.problem: ContextProblem = problem
        self.detail = detail


def model_identity(parts: Sequence[Path]) -> str:
    """What tells a model file from any other: size, time of change and the beginning, which holds the metadata, of each
    of its parts. Reading all of it would take longer than evaluating a prompt. Raises OSError."""
    check, sizes = 0, []
    for part in parts:
        with part.open("rb") as stream:
            found = os.fstat(stream.fileno())
            sizes.append(f"{found.st_size}.{found.st_mtime_ns}")
            check = zlib.crc32(stream.read(_HEAD_BYTES), check)
    return f"{'+'.join(sizes)}.{check:08x}"


def write(path: Path, key: ContextKey, snapshot: Snapshot) -> int:
    """Write what was read in place of what is at `path`; the size of the file. Raises `ContextFileError` "disk", with
    nothing changed."""
    numbers = array("i", snapshot.tokens).tobytes()
    places = tuple(
        _KeptPlace(n_past=kept.n_past, n_state=len(kept.state), is_border=kept.is_border)
        for kept in snapshot.checkpoints
    )
    header = msgspec.msgpack.encode(
        _ContextHeader(key=key, tokens=numbers, n_state=len(snapshot.state), checkpoints=places)
    )
    parts: list[bytes | bytearray] = [_FRAME.pack(MAGIC, VERSION, len(header)), header, snapshot.state]
    parts += [kept.state for kept in snapshot.checkpoints]
    size = sum(map(len, parts)) + _CHECK.size
    try:
        private.folder(path.parent)
        if shutil.disk_usage(path.parent).free < size + SPARE_DISK_BYTES:
            raise ContextFileError("disk", f"{path.parent}: not enough space")
        with NewFile(path.parent) as new:
            check = 0
            for part in parts:
                view = memoryview(part)
                for at in range(0, len(view), _CHUNK):
                    check = zlib.crc32(view[at : at + _CHUNK], check)
                    new.stream.write(view[at : at + _CHUNK])
            new.stream.write(_CHECK.pack(check))
            new.become(path)
            _drop_from_page_cache(new.stream.fileno())
        _sync_folder(path.parent)
    except OSError as error:
        raise ContextFileError("disk", f"{path.parent}: {error.strerror}") from error
    return size


def _drop_from_page_cache(descriptor: int) -> None:
    """The pages of the model, which is mapped, are what should stay in memory."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_head(path: Path) -> ContextHead:
    """What a file says of itself. Raises `ContextFileError`."""
    with _opened(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        header = _read_header(path, stream, size)[2]
    places = tuple(place.n_past for place in header.checkpoints)
    return ContextHead(key=header.key, tokens=header.tokens, places=places, n_bytes=size)


def read(path: Path, key: ContextKey, go_on: Callable[[], None] | None = None) -> Snapshot:
    """What was read, as far as it goes with `key`. Raises `ContextFileError` for everything else; nothing of
    the file is believed before its size and checksum are known to be right. `go_on` is called now and then: what it
    raises ends the reading."""
    with _opened(path) as stream:
        frame, raw, header = _read_header(path, stream, os.fstat(stream.fileno()).st_size)
        _compare(path, header.key, key)
        found = zlib.crc32(raw, zlib.crc32(frame))
        states = []
        for n in header.lengths:
            states.append(bytearray(n))
            found = _fill(stream.fileno(), states[-1], found, go_on)
        check = stream.read(_CHECK.size)
    if check != _CHECK.pack(found):
        raise ContextFileError("damaged", f"{path}: wrong checksum")
    tokens = array("i")
    tokens.frombytes(header.tokens)
    checkpoints = tuple(
        Checkpoint(n_past=place.n_past, state=state, is_border=place.is_border)
        for place, state in zip(header.checkpoints, states[1:], strict=True)
    )
    return Snapshot(tokens=list(tokens), state=states[0], checkpoints=checkpoints)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[io.FileIO]:
    """The file, and what goes wrong with it as `ContextFileError`."""
    try:
        with io.FileIO(private.open_file(path, os.O_RDONLY), "rb") as stream:
            yield stream
    except FileNotFoundError as error:
        raise ContextFileError("missing", str(path)) from error
    except OSError as error:
        raise ContextFileError("disk", f"{path}: {error.strerror}") from error
    except MemoryError as error:
        raise ContextFileError("memory", f"{path}: no memory to read it into") from error


def _read_header(path: Path, stream: io.FileIO, size: int) -> tuple[bytes, bytearray, _ContextHeader]:
    """The frame, the header's bytes, and what they say, which goes with the size of the file."""
    frame = stream.read(_FRAME.size)
    if len(frame) < _FRAME.size:
        raise ContextFileError("damaged", f"{path}: cut short")
    magic, version, n_header = _FRAME.unpack(frame)
    if magic != MAGIC or n_header > min(size, _MAX_HEADER):
        raise ContextFileError("damaged", f"{path}: not a context file")
    if version != VERSION:
        raise ContextFileError("other_build", f"{path}: version {version}")
    raw = bytearray(n_header)
    _fill(stream.fileno(), raw, 0, None)
    header = _decode(path, raw)
    if size != _FRAME.size + n_header + sum(header.lengths) + _CHECK.size:
        raise ContextFileError("damaged", f"{path}: {size} bytes, which is not what its header says")
    return frame, raw, header


def _fill(descriptor: int, data: bytearray, check: int, go_on: Callable[[], None] | None) -> int:
    """Read until `data` is full or the file ends; the checksum, gone on from `check`."""
    view = memoryview(data)
    while view and (got := os.readv(descriptor, [view[:_CHUNK]])):
        check = zlib.crc32(view[:got], check)
        view = view[got:]
        if go_on is not None:
            go_on()
    return check


def _decode(path: Path, raw: bytearray) -> _ContextHeader:
    try:
        header = msgspec.msgpack.decode(raw, type=_ContextHeader)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ContextFileError("damaged", f"{path}: {error}") from error
    n_tokens, rest = divmod(len(header.tokens), 4)
    is_possible = all(0 < place.n_past <= n_tokens for place in header.checkpoints)
    if rest or min(header.lengths) < 0 or not is_possible:
        raise ContextFileError("damaged", f"{path}: impossible header")
    return header


def _compare(path: Path, have: ContextKey, want: ContextKey) -> None:
    if have.model != want.model:
        raise ContextFileError("other_model", str(path))
    if have.build != want.build:
        raise ContextFileError("other_build", f"{path}: {have.build}")
    if have != want:
        raise ContextFileError("other_settings", str(path))
