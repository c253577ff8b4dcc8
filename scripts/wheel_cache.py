"""A cache of wheels that take minutes to build, in the user's cache folder: what a wheel is kept under, one build at a
time, what an unfinished build leaves for the next one to go on with. Standard library only."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_INSTRUCTIONS = re.compile(
    r"^(sse|ssse|avx|amx|fma|f16c|bmi|abm|lzcnt|popcnt|movbe|gfni|aes|vaes|sha|pclmul|vpclmul"
    r"|asimd|sve|sme|dotprod|i8mm|bf16|fphp|crc32|atomics|rv|isa)"
)
_BYTES_PER_JOB = 1 << 30
_UNFINISHED = ".unfinished"


class BuildError(Exception):
    """The build failed; the message has the log's telling lines and the log's place."""


def root() -> Path:
    """llmtui's folder in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "llmtui"


def key(version: str, backend: str, arguments: Sequence[str], cpuinfo: str | None = None) -> str:
    """What a wheel is kept under: its version, backend and machine, and a hash of CMake's arguments, of the CPU's
    instructions (llama.cpp compiles for the machine it is built on) and of the C library."""
    told = [*arguments, *instructions(cpuinfo), *platform.libc_ver()]
    return f"{version}-{backend}-{platform.machine()}-{hashlib.sha256(chr(0).join(told).encode()).hexdigest()[:12]}"


def instructions(cpuinfo: str | None = None) -> list[str]:
    """The instruction sets that /proc/cpuinfo names, sorted; flags that say nothing to a compiler are left out."""
    if cpuinfo is None:
        with contextlib.suppress(OSError):
            cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    for line in (cpuinfo or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features", "isa"):
            return sorted({word for word in value.split() if _INSTRUCTIONS.match(word)})
    return []


def parallel_jobs() -> int:
    """How many compilers may run at a time: one per CPU, and about 1 GiB of free memory for each."""
    cpus = len(os.sched_getaffinity(0))
    free_bytes = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free_bytes = int(next(line.split()[1] for line in lines if line.startswith("MemAvailable"))) * 1024
    return max(1, min(cpus, free_bytes // _BYTES_PER_JOB))


@contextlib.contextmanager
def lock(name: str) -> Iterator[int]:
    """Hold the lock of that name, waiting for whoever has it, in this process or another. Gives its descriptor: a
    process that inherits it holds the lock too."""
    with _lock_file(name) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another make that is at the same work", flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor


@contextlib.contextmanager
def _lock_file(name: str) -> Iterator[int]:
    """Open without a change to it, and without following a link that somebody placed there. The folder is llmtui's
    cache, in which others have no business."""
    folder = root() / "wheels"
    root().mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(exist_ok=True, mode=0o700)
    descriptor = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def log_file(name: str) -> Path:
    """The log of the last build of that key."""
    return root() / "wheels" / f"{name}.log"


def kept(name: str) -> Path | None:
    """The wheel under that key, or None."""
    return next((root() / "wheels" / name).glob("*.whl"), None)


def keep(wheel: Path, name: str) -> Path:
    """Move a finished wheel under that key, all or nothing."""
    entry = root() / "wheels" / name
    entry.mkdir(parents=True, exist_ok=True)
    return wheel.rename(entry / wheel.name)


def verdict(name: str) -> Mapping[str, object]:
    """What is known of the wheel under that key; empty for one that nobody has tested."""
    with contextlib.suppress(OSError, ValueError):
        told = json.loads((root() / "wheels" / name / "verdict.json").read_text(encoding="utf-8"))
        if isinstance(told, dict):
            return told
    return {}


def keep_verdict(name: str, told: Mapping[str, object]) -> None:
    """Note what was found out about the wheel under that key."""
    file = root() / "wheels" / name / "verdict.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    partial.replace(file)


def unfinished(name: str) -> Path:
    """The folder in which a build with that name is at work, made when it is not there. It stays until `finished`, so
    that an interrupted build is gone on with. To be called with the lock of `name` held."""
    folder = root() / "wheels" / f"{name}{_UNFINISHED}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def finished(name: str) -> None:
    """Remove the folder of `unfinished`."""
    shutil.rmtree(root() / "wheels" / f"{name}{_UNFINISHED}", ignore_errors=True)


def sweep(name: str) -> None:
    """Remove what other builds left unfinished, for a version, options or a machine that is not this one; a build that
    is at work right now holds its lock and is left alone."""
    folders = {folder: folder.name.removesuffix(_UNFINISHED) for folder in (root() / "wheels").glob(f"*{_UNFINISHED}")}
    older = (root() / "wheels").glob(".*.building-*")  # of an llmtui that began anew each time
    folders |= {folder: folder.name[1:].partition(".building-")[0] for folder in older}
    for folder, other in folders.items():
        if other == name:
            continue
        with _lock_file(other) as descriptor, contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
