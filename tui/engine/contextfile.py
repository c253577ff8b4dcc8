"""A KV cache as a file: how it is laid out, written so that a reader sees the old file or the new one and nothing else,
and read so that only what is whole and goes with the loaded model is taken. Knows neither llama.cpp nor the wire.

    "llmtuiKV" | version | length of the header | header (MessagePack) | states | CRC-32 of all before

Numbers are little-endian and have 32 bits. States are in llama.cpp's own form, which is the machine's: that of what was
read, then those of the places that it can go back to.
"""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from array import array
from collections.abc import Sequence
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


def read(path: Path, key: ContextKey) -> Snapshot:
    """What was read, as far as it goes with `key`. Raises `ContextFileError` for everything else; nothing of
    the file is believed before its size and checksum are known to be right."""
    try:
        with open(private.open_file(path, os.O_RDONLY), "rb", buffering=0) as stream:  # noqa: PTH123
            size = os.fstat(stream.fileno()).st_size
            frame = stream.read(_FRAME.size)
            if len(frame) < _FRAME.size:
                raise ContextFileError("damaged", f"{path}: cut short")
            magic, version, n_header = _FRAME.unpack(frame)
            if magic != MAGIC or n_header > min(size, _MAX_HEADER):
                raise ContextFileError("damaged", f"{path}: not a context file")
            if version != VERSION:
                raise ContextFileError("other_build", f"{path}: version {version}")
            raw = _read_all(stream.fileno(), n_header)
            header = _decode(path, raw)
            if size != _FRAME.size + n_header + sum(header.lengths) + _CHECK.size:
                raise ContextFileError("damaged", f"{path}: {size} bytes, which is not what its header says")
            _compare(path, header.key, key)
            states = [_read_all(stream.fileno(), n) for n in header.lengths]
            check = stream.read(_CHECK.size)
    except FileNotFoundError as error:
        raise ContextFileError("missing", str(path)) from error
    except OSError as error:
        raise ContextFileError("disk", f"{path}: {error.strerror}") from error
    except MemoryError as error:
        raise ContextFileError("memory", f"{path}: no memory to read it into") from error
    found = zlib.crc32(raw, zlib.crc32(frame))
    for state in states:
        found = zlib.crc32(state, found)
    if check != _CHECK.pack(found):
        raise ContextFileError("damaged", f"{path}: wrong checksum")
    tokens = array("i")
    tokens.frombytes(header.tokens)
    checkpoints = tuple(
        Checkpoint(n_past=place.n_past, state=state, is_border=place.is_border)
        for place, state in zip(header.checkpoints, states[1:], strict=True)
    )
    return Snapshot(tokens=list(tokens), state=states[0], checkpoints=checkpoints)


def _read_all(descriptor: int, n: int) -> bytearray:
    data = bytearray(n)
    view = memoryview(data)
    while view and (got := os.readv(descriptor, [view])):
        view = view[got:]
    return data


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
