"""A small disk of its own, in memory, that can be filled to the last byte and freed again: what a full disk does."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

Full = Literal["space", "names"]
"""No room for bytes, or for another file."""


class SmallDisk:
    """What is mounted at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fillers = path / "somebody else's"

    def fill(self, full: Full = "space") -> None:
        """Leave no room."""
        self._fillers.mkdir(exist_ok=True)
        with contextlib.suppress(OSError):
            if full == "names":
                for number in range(1 << 20):
                    (self._fillers / f"{number}").touch(exist_ok=False)
        if full == "space":
            with (self._fillers / "bytes").open("ab", buffering=0) as file:
                for size in (1 << 20, 1 << 12):
                    with contextlib.suppress(OSError):
                        while file.write(bytes(size)):
                            pass

    def free(self) -> None:
        """Take back what `fill` took."""
        if self._fillers.is_dir():
            for file in self._fillers.iterdir():
                file.unlink()


@contextlib.contextmanager
def small_disk(path: Path, n_bytes: int = 24 << 20, n_files: int = 400, options: str = "") -> Iterator[SmallDisk]:
    """Mount one at this folder, which is made where it is missing. Raises OSError where that is not allowed."""
    path.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={n_bytes},nr_inodes={n_files},mode=0700{options}", "tmpfs", str(path))
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=False, capture_output=True)


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[None]:
    """Nothing below this folder can be written meanwhile, also by root. Raises OSError where that is not allowed."""
    _mount("--bind", str(path), str(path))
    try:
        _mount("-o", "remount,bind,ro", str(path))
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=False, capture_output=True)


def why_not() -> str:
    """Why nothing can be mounted here; empty where it can."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder)):
                return ""
        except OSError as error:
            return f"a disk of its own cannot be mounted here ({error})"


def _mount(*arguments: str) -> None:
    try:
        done = subprocess.run(["mount", *arguments], check=False, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise OSError("there is no mount command") from error
    if done.returncode:
        raise OSError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}")


def in_a_namespace(argv: list[str]) -> None:
    """Begin again where this process may mount, as root of a name space of its own; returns where that is not needed,
    or not possible."""
    if os.geteuid() != 0 and "LLMTUI_IN_NAMESPACE" not in os.environ:
        with contextlib.suppress(OSError):
            allowed = subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode == 0
            if allowed:
                os.execvpe("unshare", ["unshare", "-rm", *argv], {**os.environ, "LLMTUI_IN_NAMESPACE": "1"})
