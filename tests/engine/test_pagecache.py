"""Model files are read ahead once, with progress, in huge pages where the system has them; memory comes in them too."""

from __future__ import annotations

import mmap
import os
import platform
import re
from pathlib import Path

import pytest

from tests.conftest import DENSE
from tui.engine.pagecache import CHUNK, read_ahead
from tui.engines.interface import Engine
from tui.protocol.records import LoadSettings

HUGE = 2 << 20
SIZE = 2 * CHUNK + HUGE


def cold_file(path: Path) -> Path:
    """A file of which nothing is in the page cache."""
    with path.open("wb") as file:
        file.write(os.urandom(1 << 20) * (SIZE >> 20))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path


def in_huge_pages(path: Path, *, ask: bool = False) -> int:
    """Bytes of a file that a mapping of it gets in huge pages; `ask` for them when it is read."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ) as view:
        if ask:
            view.madvise(mmap.MADV_HUGEPAGE)
        assert len(view[:: mmap.PAGESIZE]) == SIZE // mmap.PAGESIZE  # faults all of it in
        of_path = re.escape(str(path)) + r"\n(?:[A-Z]\w+: .*\n)*?FilePmdMapped: +(\d+) kB"
        return sum(int(found) << 10 for found in re.findall(of_path, Path("/proc/self/smaps").read_text()))


def test_a_file_is_read_in_steps_and_only_once(tmp_path: Path) -> None:
    path = cold_file(tmp_path / "model.gguf")
    told: list[float] = []

    def goes_on(fraction: float) -> bool:
        told.append(fraction)
        return True

    assert read_ahead([path], goes_on)
    if told == [1.0]:
        pytest.skip("this file system lies in memory")
    assert len(told) == 4 and told == sorted(told) and told[-1] == 1.0
    told.clear()
    assert read_ahead([path], goes_on)
    assert told == [1.0]


def test_it_lies_in_huge_pages_where_the_file_system_has_them(tmp_path: Path) -> None:
    if not in_huge_pages(cold_file(tmp_path / "probe"), ask=True):
        pytest.skip("this file system or kernel has no huge pages for files")
    path = cold_file(tmp_path / "model.gguf")
    assert read_ahead([path], lambda fraction: True)
    assert in_huge_pages(path) >= SIZE // 2  # where memory is scarce, some may be small


def programs_get_huge_pages() -> bool:
    """Whether the kernel has them for who asks, and the C library can be told to ask."""
    enabled = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    library, version = platform.libc_ver()
    can_ask = library == "glibc" and tuple(int(part) for part in version.split(".")[:2]) >= (2, 35)
    return can_ask and enabled.exists() and "[never]" not in enabled.read_text()


def anonymous_huge_pages(pid: int | None) -> int:
    """Bytes of a process's own memory that lie in huge pages."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(rollup.split("AnonHugePages:")[1].split()[0]) << 10


@pytest.mark.skipif(not programs_get_huge_pages(), reason="no huge pages for programs here")
async def test_what_llama_cpp_allocates_lies_in_huge_pages(engine: Engine) -> None:
    await engine.load(DENSE, LoadSettings(n_ctx=32768, n_threads=1))  # a KV cache of 32 MiB
    assert anonymous_huge_pages(engine.pid) >= 16 << 20
