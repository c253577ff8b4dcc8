"""Runs a command and everything that it starts as one: none of it outlives the process that asked for it, however that
ends. As a program (`build_session.py COMMAND...`, started by `Session`) it is the supervisor. Standard library only."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE_S = 5.0
"""Time to end in order, such as for ninja to remove what its compilers have half-written."""


class Session:
    """A command at work in a session of its own."""

    def __init__(
        self, command: Sequence[str], *, folder: Path, environment: Mapping[str, str], held: Sequence[int] = ()
    ) -> None:
        """`held` are file descriptors, such as of a lock, that stay open until the last of its processes is gone."""
        self._process = subprocess.Popen(
            [sys.executable, __file__, *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=held,
            start_new_session=True,
        )

    @property
    def output(self) -> IO[str]:
        """What the command says, to be read to its end."""
        assert self._process.stdout is not None
        return self._process.stdout

    def wait(self) -> int:
        """The command's exit code, once it has ended."""
        return self._process.wait()

    def stop(self) -> None:
        """End all of it; gives when nothing is left."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _supervise(command: Sequence[str]) -> int:
    """Run the command until it ends or the end of stdin says that nobody waits for it any more."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # what is ignored outright would be ignored by the command too
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    ending = threading.Event()
    threading.Thread(target=_end_with_stdin, args=(ending,), daemon=True).start()
    code = process.wait()
    if ending.is_set():
        threading.Event().wait()  # the other thread exits for both, once nothing is left
    return code if code >= 0 else 128 - code


def _end_with_stdin(ending: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    ending.set()
    os.killpg(0, signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE_S
    while any(_others()) and time.monotonic() < deadline:
        time.sleep(0.05)
    while any(_others()):
        for pid in _others():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    os._exit(128 + signal.SIGTERM)


def _others() -> Iterator[int]:
    """The processes of this session that live, this one apart; ninja's compilers have groups of their own."""
    session = os.getsid(0)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if int(fields[3]) == session and fields[0] != "Z":
                    yield int(folder.name)


if __name__ == "__main__":
    sys.exit(_supervise(sys.argv[1:]))
