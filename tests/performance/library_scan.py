"""How long a scan of 200 models takes, cold and from the cache: 200 sparse files with the vocabulary of Qwen3.

usage: python tests/performance/library_scan.py HEADER.gguf [--files 200]

HEADER.gguf is any model file with a large vocabulary; its header is copied, its weights become a hole in the file.
"Cold" means without our cache: the files are in the page cache of the system, as after copying them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from tui.models.folders import Folder
from tui.models.gguf import read_header
from tui.models.library import Library, scan


def make_library(header_from: Path, folder: Path, n_files: int) -> None:
    """Fill `folder` with sparse copies of a model, all of one vocabulary."""
    header = read_header(header_from)
    with header_from.open("rb") as file:
        start = file.read(header.data_offset)
    for number in range(n_files):
        with (folder / f"model-{number:03d}.gguf").open("wb") as file:
            file.write(start)
            file.truncate(header.file_size)


def timed(folder: Path, cache_file: Path) -> tuple[float, Library]:
    """Seconds of one scan, and what it found."""
    started = time.perf_counter()
    library = scan([Folder(path=folder)], cache_file)
    return time.perf_counter() - started, library


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("header", type=Path)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, cache_file = Path(temporary, "models"), Path(temporary, "library.msgpack")
        folder.mkdir()
        make_library(options.header, folder, options.files)
        one = min(_seconds_for_header(options.header) for _ in range(options.repeats))
        cold: list[float] = []
        cached: list[float] = []
        for _ in range(options.repeats):
            cache_file.unlink(missing_ok=True)
            seconds, library = timed(folder, cache_file)
            assert len(library.models) == options.files, library.broken
            cold.append(seconds)
            cached.append(timed(folder, cache_file)[0])
    print(f"one header  {one * 1000:7.1f} ms")
    for name, times in (("cold", cold), ("cached", cached)):
        print(f"{name:<8} {options.files} files {statistics.median(times):7.3f} s (best {min(times):.3f} s)")


def _seconds_for_header(path: Path) -> float:
    started = time.perf_counter()
    read_header(path)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
