"""Frames on a pipe: a four-byte little-endian length, then one MessagePack-encoded struct. Knows no message."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

LENGTH = struct.Struct("<I")
MAX_FRAME_BYTES = 256 << 20
"""Far above any conversation; a larger length means that the stream is out of step."""

_encoder = msgspec.msgpack.Encoder()


class WireError(Exception):
    """The byte stream is not a sequence of frames. Nothing after it can be trusted."""


def encode(message: msgspec.Struct) -> bytes:
    """One frame, ready to be written."""
    body = _encoder.encode(message)
    return LENGTH.pack(len(body)) + body


def _checked(length: int) -> int:
    if length > MAX_FRAME_BYTES:
        raise WireError(f"frame of {length} bytes, at most {MAX_FRAME_BYTES} are allowed")
    return length


class FrameDecoder:
    """Cuts a byte stream, in whatever pieces it arrives, into the bodies of its frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Every frame body that `data` completes. Raises `WireError` when the stream is out of step."""
        self._buffer += data
        start, end = 0, len(self._buffer)
        try:
            while end - start >= LENGTH.size:
                length = _checked(LENGTH.unpack_from(self._buffer, start)[0])
                if end - start < LENGTH.size + length:
                    return
                body = bytes(self._buffer[start + LENGTH.size : start + LENGTH.size + length])
                start += LENGTH.size + length
                yield body
        finally:
            del self._buffer[:start]


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next frame's body from a blocking stream; None at its end, also inside a frame."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    length = _checked(LENGTH.unpack(head)[0])
    body = stream.read(length)
    return body if len(body) == length else None
