"""How long a scan of the library takes, cold and from the cache: 1,000 sparse files with the vocabulary of Qwen3, some
of them one content in two folders, some of them Ollama's. The first list is to take 1.5 s cold, 0.15 s from the cache.

usage: python tests/performance/library_scan.py HEADER.gguf [--files 1000]

HEADER.gguf is any model file with a large vocabulary; its header is copied, its weights become a hole in the file.
"Cold" means without our cache: the files are in the page cache of the system, as after copying them. "Unchanged" is the
look at folders and files that the open picker takes every two seconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tui.models.folders import Folder
from tui.models.gguf import read_header
from tui.models.library import Library, scan

_OLLAMAS = 10
"""One file of so many is in Ollama's store."""
_COPIES = 50
"""One file of so many is there twice."""


def make_library(header_from: Path, folder: Path, n_files: int) -> tuple[Folder, ...]:
    """Fill `folder` with sparse copies of a model, all of one vocabulary and each of a size of its own."""
    header = read_header(header_from)
    with header_from.open("rb") as file:
        start = file.read(header.data_offset)
    own, other, ollama = folder / "own", folder / "other", folder / "ollama"
    for number in range(n_files):
        if number % _OLLAMAS == 1:
            digest = f"{number:064x}"
            path = ollama / "blobs" / f"sha256-{digest}"
            manifest = ollama / "manifests" / "registry.ollama.ai" / "library" / f"model{number}" / "latest"
            manifest.parent.mkdir(parents=True)
            layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"}
            manifest.write_text(json.dumps({"layers": [layer]}))
        else:
            path = own / f"author{number % 40}" / f"model-{number:04d}.gguf"
        paths = [path, other / path.name] if number % _COPIES == 0 else [path]
        for one in paths:
            one.parent.mkdir(parents=True, exist_ok=True)
            with one.open("wb") as file:
                file.write(start)
                file.truncate((header.file_size or header.data_offset) + number)
    return Folder(path=own), Folder(path=other), Folder(path=ollama, source="ollama")


def timed(work: Callable[[], Library]) -> tuple[float, Library]:
    """Seconds of one scan, and what it found."""
    started = time.perf_counter()
    library = work()
    return time.perf_counter() - started, library


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("header", type=Path)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        cache_file = Path(temporary, "library.msgpack")
        folders = make_library(options.header, Path(temporary, "models"), options.files)
        one = min(_seconds_for_header(options.header) for _ in range(options.repeats))
        cold: list[float] = []
        cached: list[float] = []
        unchanged: list[float] = []
        for _ in range(options.repeats):
            cache_file.unlink(missing_ok=True)
            seconds, library = timed(lambda: scan(folders, cache_file))
            found = len(library.models), library.other[:3], library.broken[:3]
            assert found == (options.files, (), ()), found
            cold.append(seconds)
            seconds, library = timed(lambda: scan(folders, cache_file))
            cached.append(seconds)
            started = time.perf_counter()
            assert library.is_up_to_date
            unchanged.append(time.perf_counter() - started)
    print(f"one header  {one * 1000:7.1f} ms")
    for name, times in (("cold", cold), ("cached", cached), ("unchanged", unchanged)):
        print(f"{name:<9} {options.files} files {statistics.median(times):7.3f} s (best {min(times):.3f} s)")


def _seconds_for_header(path: Path) -> float:
    started = time.perf_counter()
    read_header(path)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
