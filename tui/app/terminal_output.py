"""What goes to the terminal, without ever waiting for it.

A terminal may stop reading: its window is frozen, the line is slow, the console is paused. Textual's writer then blocks
after thirty pieces, and the event loop with it: nothing is saved any more, and no signal is heard. Here the loop writes
what the terminal takes at once; what it does not take waits, a bounded amount of it. Beyond that, whole frames are
dropped, and the screen is painted anew as soon as the terminal has read the rest. No frame is cut in two, for half an
escape sequence would garble what follows.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import termios
import time
from collections import deque
from collections.abc import Callable

FRAMES_BYTES = 1 << 16
"""Frames that may wait for the terminal; with more of them waiting the next ones are dropped."""
MOST_BYTES = 4 << 20
"""All that may wait for the terminal, text for its clipboard included."""
RETRY_S = 0.05
"""How often a terminal is tried that the event loop cannot watch, as macOS' /dev/tty."""
_CANCEL = b"\x18"
"""Ends an escape sequence of which the terminal may have read only a part (CAN)."""


def is_terminal(fd: int) -> bool:
    """Whether this descriptor is open and a terminal."""
    try:
        return os.isatty(fd)
    except OSError:
        return False


def terminal_among(fds: tuple[int, ...]) -> int:
    """The first of these descriptors that is a terminal, else the first."""
    return next((fd for fd in fds if is_terminal(fd)), fds[0])


def reopen(fd: int) -> tuple[int, bool]:
    """A descriptor of our own for the terminal that `fd` is, on which writing never blocks, and whether it shares its
    mode with `fd`. The mode belongs to what was opened: changing it on `fd` would change it for the shell too, and is
    done only where the terminal cannot be opened again, as after `su` to another user."""
    flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK
    wanted = os.fstat(fd)
    for name in (_name(fd), "/dev/tty"):
        with contextlib.suppress(OSError):
            ours = os.open(name, flags)
            if name == "/dev/tty" or os.fstat(ours).st_rdev == wanted.st_rdev:
                return ours, False
            os.close(ours)  # of that name there is another one here, as in a container
    ours = os.dup(fd)
    os.set_blocking(ours, False)
    return ours, True


def _name(fd: int) -> str:
    try:
        return os.ttyname(fd)
    except OSError:
        return os.devnull


class TerminalOutput:
    """The way to one terminal. All of it on the event loop."""

    def __init__(
        self, fd: int, *, on_caught_up: Callable[[], None], on_gone: Callable[[], None], encoding: str = "utf-8"
    ) -> None:
        """`on_caught_up` is called when frames were dropped and the terminal has read what was before them: the screen
        is to be painted anew. `on_gone` is called when there is no terminal any more."""
        self._loop = asyncio.get_running_loop()
        self._fd, self._is_shared = reopen(fd)
        self._encoding = encoding
        self._on_caught_up, self._on_gone = on_caught_up, on_gone
        self._waiting: deque[tuple[bytes, bool]] = deque()
        """Pieces that the terminal has not taken, and whether they are frames."""
        self._n_waiting = 0
        self._n_sent = 0
        """Bytes of the first piece that the terminal has."""
        self.is_behind = False
        """Frames were dropped, and the screen was not painted anew yet."""
        self._is_watched = False
        self._retry: asyncio.TimerHandle | None = None
        self._is_open = True

    def frame(self, text: str) -> None:
        """Show a change of the screen, unless the terminal is behind: it will get all of the screen later."""
        if self.is_behind or not self._is_open:
            return
        if self._n_waiting > FRAMES_BYTES:
            self._drop_frames()
        else:
            self._put(text, is_frame=True)

    def send(self, text: str) -> bool:
        """Send what is not a frame and must not be dropped, such as a mode of the terminal. False when so much waits
        already that it could not be kept."""
        if not self._is_open or self._n_waiting + len(text) > MOST_BYTES:
            return False
        self._put(text, is_frame=False)
        return True

    def finish(self, text: str, within_s: float) -> bool:
        """Send the last text, waiting so long at most: at the end, and before the process is stopped. What a terminal
        that does not read has not got by then gives way to this text. False when not even that could be sent."""
        if not self._is_open:
            return False
        if self._waiting:
            self._drop_frames()
        self.is_behind = False
        self._put(text, is_frame=False)
        end = time.monotonic() + within_s
        while self._write() and (left := end - time.monotonic()) > 0:
            select.select([], [self._fd], [], left)
        if self._waiting:
            with contextlib.suppress(termios.error):
                termios.tcflush(self._fd, termios.TCOFLUSH)
            self._waiting.clear()
            self._n_waiting = self._n_sent = 0
            self._put(_CANCEL.decode() + text, is_frame=False)
        return self._is_open and not self._waiting

    def close(self) -> None:
        """Send nothing more."""
        if not self._is_open:
            return
        self._is_open = False
        self._unwatch()
        if self._is_shared:
            with contextlib.suppress(OSError):
                os.set_blocking(self._fd, True)
        os.close(self._fd)
        self._waiting.clear()

    def _put(self, text: str, *, is_frame: bool) -> None:
        data = text.encode(self._encoding, "replace")
        if not self._waiting:
            try:
                n = os.write(self._fd, data)
            except BlockingIOError:
                n = 0
            except OSError:
                self._lose()
                return
            if n == len(data):
                return
            self._n_sent = n
            self._watch()
        self._waiting.append((data, is_frame))
        self._n_waiting += len(data)

    def _drop_frames(self) -> None:
        """Of the frames that wait, only the one goes on of which the terminal has a part."""
        begun = [self._waiting.popleft()] if self._n_sent else []
        self._waiting = deque([*begun, *(piece for piece in self._waiting if not piece[1])])
        self._n_waiting = sum(len(data) for data, _ in self._waiting)
        self.is_behind = True
        if not self._waiting:
            self._watch()  # for when it takes anything again

    def _write(self) -> bool:
        """Write what the terminal takes; whether something is left."""
        while self._waiting and self._is_open:
            data, _ = self._waiting[0]
            try:
                n = os.write(self._fd, memoryview(data)[self._n_sent :])
            except BlockingIOError:
                return True
            except OSError:
                self._lose()
                return False
            self._n_sent += n
            if self._n_sent >= len(data):
                self._waiting.popleft()
                self._n_waiting -= len(data)
                self._n_sent = 0
        return False

    def _lose(self) -> None:
        self.close()
        self._on_gone()

    # When the terminal reads again ------------------------------------------------------------------------------------

    def _watch(self) -> None:
        if self._is_watched or not self._is_open:
            return
        self._is_watched = True
        try:
            self._loop.add_writer(self._fd, self._go_on)
        except (OSError, ValueError):
            self._retry = self._loop.call_later(RETRY_S, self._go_on)

    def _unwatch(self) -> None:
        if not self._is_watched:
            return
        self._is_watched = False
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        else:
            self._loop.remove_writer(self._fd)

    def _go_on(self) -> None:
        if self._write():
            if self._retry is not None:
                self._retry = self._loop.call_later(RETRY_S, self._go_on)
            return
        self._unwatch()
        if self.is_behind and self._is_open:
            self.is_behind = False
            self._on_caught_up()
