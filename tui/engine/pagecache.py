"""Bringing a model file into the page cache with progress, before llama.cpp maps it. Its own mapping faults the whole
file in inside one system call, which on a cold disk takes minutes without progress and cannot be cancelled."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from tui.machine.available import available_bytes

CHUNK = 16 << 20
_POPULATE_READ = 22
"""`MADV_POPULATE_READ`: read a mapping's pages in now. Linux 5.14 and newer."""

_libc = ctypes.CDLL(None, use_errno=True)


def read_ahead(paths: Sequence[Path], on_progress: Callable[[float], bool]) -> bool:
    """Read what is not cached yet of `paths`, in order. `on_progress` gets the fraction done (0 to 1) and returns False
    to cancel; the result is False when it did. Does nothing when the files would not fit into free memory."""
    total = sum(path.stat().st_size for path in paths)
    if total == 0 or total > available_bytes():
        return True
    done = 0
    buffer = memoryview(bytearray(CHUNK))
    for path in paths:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            resident = _resident_chunks(file.fileno(), size)
            for index, offset in enumerate(range(0, size, CHUNK)):
                if not resident[index]:
                    _read_chunk(file.fileno(), offset, min(CHUNK, size - offset), buffer)
                    if not on_progress(done / total):
                        return False
                done += min(CHUNK, size - offset)
    return on_progress(1.0)


def _read_chunk(fd: int, offset: int, length: int, buffer: memoryview) -> None:
    if _read_in_huge_pages(fd, offset, length):
        return
    got = 0
    while got < length:
        n = os.preadv(fd, [buffer[: length - got]], offset + got)
        if n == 0:
            return
        got += n


def _read_in_huge_pages(fd: int, offset: int, length: int) -> bool:
    """Read through a mapping that asks for huge pages. File systems that have them (XFS; ext4 since Linux 6.16) then
    cache the part in pages of 2 MiB, and llama.cpp's own mapping gets these: decode on a CPU, which reads all weights
    for each token, is 6% faster (SmolLM2; docs/performance.md). Elsewhere it is read all the same. False, without
    having read all, where the kernel knows no such thing or the file cannot be read, whose reason only `read` tells."""
    try:
        with mmap.mmap(fd, length, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ, offset=offset) as view:
            view.madvise(mmap.MADV_HUGEPAGE)
            view.madvise(_POPULATE_READ)
    except (AttributeError, OSError, ValueError):  # no such constant; no such advice, or an error; a file that shrank
        return False
    return True


def _resident_chunks(fd: int, size: int) -> list[bool]:
    """For each chunk of the file, whether all its pages are in the page cache; all False where that cannot be asked."""
    chunks = -(-size // CHUNK)
    unknown = [False] * chunks
    if not hasattr(_libc, "mincore") or size == 0:
        return unknown
    page = mmap.PAGESIZE
    with contextlib.closing(mmap.mmap(fd, size, access=mmap.ACCESS_COPY)) as view:
        anchor = ctypes.c_char.from_buffer(view)
        flags = (ctypes.c_ubyte * (-(-size // page)))()
        failed = _libc.mincore(ctypes.c_void_p(ctypes.addressof(anchor)), ctypes.c_size_t(size), flags)
        del anchor
    if failed:
        return unknown
    pages = bytes(flags)
    per_chunk = CHUNK // page
    return [0 not in pages[i * per_chunk : (i + 1) * per_chunk] for i in range(chunks)]
