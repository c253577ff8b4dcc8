"""What a child process says and when it ends, as callbacks: its output in pieces, its log in lines. Without a task
or a stream object between the pipe and whoever listens."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
from collections.abc import Callable
from typing import cast

PIPE_BYTES = 1 << 20
"""What the process may say while nobody reads, as while the front end is stopped by ctrl+z: several long answers. Linux
gives 64 KiB otherwise, and no more than this without privileges."""
MOST_OF_A_LINE = 4096
"""Bytes of a line of the log, which may quote texts of any length from a model's file; the rest is left out."""
LAST_WORDS_S = 0.02
"""How long the pipes of a process that has ended are still read."""


class Pipes(asyncio.SubprocessProtocol):
    """Of one process, from its start to its end, or until `close`."""

    def __init__(
        self, on_output: Callable[[bytes], None], on_line: Callable[[str], None], on_exit: Callable[[], None]
    ) -> None:
        self._on_output, self._on_line, self._on_exit = on_output, on_line, on_exit
        self._partial = b""
        self._is_open = True
        self.is_over = False
        """The process has ended, and that was told."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The process has started."""
        output = cast(asyncio.SubprocessTransport, transport).get_pipe_transport(1)
        if output is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError, ValueError):  # ValueError: the process has ended already
                fcntl.fcntl(output.get_extra_info("pipe"), fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def close(self) -> None:
        """Nothing is to be heard of this process any more: no exit either."""
        self._is_open = False

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if not self._is_open:
            return
        if fd == 1:
            self._on_output(data)
            return
        *lines, partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._on_line(line[:MOST_OF_A_LINE].decode("utf-8", "replace"))
        self._partial = partial[:MOST_OF_A_LINE]

    def process_exited(self) -> None:
        asyncio.get_running_loop().call_later(LAST_WORDS_S, self._end)

    def _end(self) -> None:
        if not self._is_open:
            return
        if self._partial:
            self._on_line(self._partial.decode("utf-8", "replace"))
        self.is_over = True
        self._on_exit()
