"""A cache of wheels that take minutes to build, in the user's cache folder: what a wheel is kept under, one build at a
time, progress on the terminal, all or nothing on disk. Standard library only."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_STEP = re.compile(r"^\s*\[\s*(?:(\d+)/(\d+)|(\d+)%)\]")
_INSTRUCTIONS = re.compile(
    r"^(sse|ssse|avx|amx|fma|f16c|bmi|abm|lzcnt|popcnt|movbe|gfni|aes|vaes|sha|pclmul|vpclmul"
    r"|asimd|sve|sme|dotprod|i8mm|bf16|fphp|crc32|atomics|rv|isa)"
)
_FAILURE = re.compile(r"(\berror:|\bCMake Error|FAILED:|fatal error|ERROR:|No space left|Killed)", re.IGNORECASE)
_BYTES_PER_JOB = 1 << 30


class BuildError(Exception):
    """The build failed; the message has the log's telling lines and the log's place."""


def root() -> Path:
    """llmtui's folder in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "llmtui"


def key(version: str, backend: str, arguments: Sequence[str], cpuinfo: str | None = None) -> str:
    """What a wheel is kept under: its version, backend and machine, and a hash of CMake's arguments, of the CPU's
    instructions (llama.cpp compiles for the machine it is built on) and of the C library."""
    if cpuinfo is None:
        with contextlib.suppress(OSError):
            cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    told = [*arguments, *instructions(cpuinfo or platform.processor()), *platform.libc_ver()]
    return f"{version}-{backend}-{platform.machine()}-{hashlib.sha256(chr(0).join(told).encode()).hexdigest()[:12]}"


def instructions(cpuinfo: str) -> list[str]:
    """The instruction sets that /proc/cpuinfo names, sorted; flags that say nothing to a compiler are left out."""
    for line in cpuinfo.splitlines():
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
def lock(name: str) -> Iterator[None]:
    """Hold the lock of that name, waiting for whoever has it, in this process or another."""
    folder = root() / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another make that is at the same work", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def log_file(name: str) -> Path:
    """The log of the last build of that key."""
    return root() / "wheels" / f"{name}.log"


def wheel(name: str, command: Sequence[str], environment: Mapping[str, str]) -> Path:
    """The wheel kept under the key `name`; when there is none, `command` builds one into the folder it runs in.

    The log stays beside the cache entry. Raises `BuildError`; then, and when interrupted, nothing but the log is left.
    """
    entry = root() / "wheels" / name
    with lock(name):
        kept = next(entry.glob("*.whl"), None)
        if kept is not None:
            print(f"Using the wheel in {entry}", flush=True)
            return kept
        # The lock is ours: folders of this prefix were left by a process that was killed. A new name each time, because
        # the compilers of that process may still be at work in the old one.
        prefix = f".{name}.building-"
        for left in entry.parent.glob(f"{prefix}*"):
            shutil.rmtree(left, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(dir=entry.parent, prefix=prefix))
        try:
            (scratch / "wheel").mkdir()
            (scratch / "tmp").mkdir()
            log = log_file(name)
            _build(command, scratch, environment, log)
            if next((scratch / "wheel").glob("*.whl"), None) is None:
                raise BuildError(f"The build ended well but gave no wheel; the log is {log}")
            (scratch / "wheel").rename(entry)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return next(entry.glob("*.whl"))


def _build(command: Sequence[str], scratch: Path, environment: Mapping[str, str], log: Path) -> None:
    """Run the build in a session of its own, so that stopping it stops its compilers too."""
    print(f"Building, which takes some minutes; the log is {log}", flush=True)
    process = subprocess.Popen(
        command,
        cwd=scratch / "wheel",
        env={**environment, "TMPDIR": str(scratch / "tmp")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    progress, unwritten = _Progress(), list[OSError]()
    reader = threading.Thread(target=_read, args=(process, log, progress, unwritten), daemon=True)
    reader.start()
    try:
        while reader.is_alive():
            reader.join(timeout=1.0)
            progress.show()
        code = process.wait()
    except BaseException:
        _stop(process)
        reader.join(timeout=5.0)
        raise
    finally:
        progress.end()
    if code != 0 and unwritten:
        raise BuildError(f"The build failed, and its log {log} could not be written: {unwritten[0].strerror}.")
    if code != 0:
        raise BuildError(f"The build failed; the log is {log}. It ends with:\n{_telling_lines(log)}")


def _read(process: subprocess.Popen[str], log: Path, progress: _Progress, unwritten: list[OSError]) -> None:
    """Keep the log, or what prevents that in `unwritten`. All is read in any case: a build waits while nobody reads."""
    assert process.stdout is not None
    try:
        with log.open("w", encoding="utf-8") as file:
            for line in process.stdout:
                file.write(line)
                progress.read(line)
    except OSError as error:
        unwritten.append(error)
        for line in process.stdout:
            progress.read(line)


def _stop(process: subprocess.Popen[str]) -> None:
    """End the whole session: politely first, then whatever has not listened."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5.0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _telling_lines(log: Path) -> str:
    """The last errors in a log, or its end when no line looks like one."""
    lines = [line.strip()[:300] for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
    errors = [line for line in lines if _FAILURE.search(line) and not line.startswith("--")]
    return "\n".join(f"  {line}" for line in (errors[-6:] or lines[-6:]))


class _Progress:
    """Tells the latest step and the time gone by: one changing line on a terminal, else a line now and then."""

    _EVERY_S = 30.0

    def __init__(self) -> None:
        self._started = self._said = time.monotonic()
        self._step = "getting the sources"
        self._changing = sys.stdout.isatty()

    def read(self, line: str) -> None:
        match = _STEP.match(line)
        if match:
            done, total, percent = match.groups()
            self._step = f"[{done:>{len(total)}}/{total}]" if total else f"[{percent:>3}%]"
        elif "Configuring CMake" in line:
            self._step = "configuring"

    def show(self) -> None:
        now = time.monotonic()
        if not self._changing and now - self._said < self._EVERY_S:
            return
        self._said = now
        minutes, seconds = divmod(int(now - self._started), 60)
        text = f"  {self._step}  {minutes}:{seconds:02d} min"
        print(f"\r{text:<60}" if self._changing else text, end="" if self._changing else "\n", flush=True)

    def end(self) -> None:
        if self._changing:
            print(flush=True)
