"""`llmtui bridge`, which nobody types: on the far side of an ssh connection it hands frames between its own stdin and
stdout and the host of that machine. Before them comes a mark, as a shell's greeting may stand before it, and one frame
that says who is there."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading

import msgspec

from tui import __version__
from tui.base.exit_codes import ExitCode
from tui.host import client
from tui.host.meeting import HostProblem
from tui.host.messages import HOST_PROTOCOL
from tui.protocol.wire import encode

MARK = b"\x01llmtui bridge\x02"
"""What comes before it is not ours."""
_PIECE = 1 << 16


class Bridged(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The first frame. Its fields stay as they are in every version."""

    version: str
    """Of llmtui on this machine."""
    protocol: int = HOST_PROTOCOL
    is_there: bool = True
    """There is a host, whose own frames follow; nothing follows otherwise."""
    problem: str = ""
    """Why there is none."""


def bridge(*, is_made: bool) -> int:
    """Serve the line until one side ends. With `is_made` a host is started where there is none. The exit code."""
    out = _own_stdout()
    try:
        connection = asyncio.run(client.connection(is_made=is_made))
    except (HostProblem, OSError) as error:
        _write(out, MARK + encode(Bridged(version=__version__, is_there=False, problem=str(error))))
        return ExitCode.ENGINE
    if connection is None:
        _write(out, MARK + encode(Bridged(version=__version__, is_there=False)))
        return ExitCode.FINE
    _write(out, MARK + encode(Bridged(version=__version__)))
    connection.setblocking(True)
    with connection:
        threading.Thread(target=_send, args=(connection,), daemon=True).start()
        try:
            while data := connection.recv(_PIECE):
                _write(out, data)
        except OSError:  # either side is gone
            return ExitCode.FINE
    return ExitCode.FINE


def _send(connection: socket.socket) -> None:
    """What comes on stdin, to its end: then the other machine is gone, and so is this."""
    try:
        while data := os.read(0, _PIECE):
            connection.sendall(data)
    except OSError:
        pass  # the host is gone, which the other thread sees
    finally:
        _close(connection)


def _close(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _own_stdout() -> int:
    """Moved out of the way: a stray word on it must not break a frame."""
    sys.stdout.flush()
    out = os.dup(1)
    os.dup2(2, 1)
    return out


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
