"""The process of a host: `python -m tui.host.process`, started by `client.start`. Says on stderr why it cannot be one,
and closes that once it listens."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys

from tui import words
from tui.base.ending import ASKED
from tui.base.exit_codes import ExitCode
from tui.base.oserrors import os_reason
from tui.config import paths
from tui.config.language import first_language
from tui.config.logfile import log_to_file
from tui.config.settings import load_settings
from tui.host.meeting import HostProblem, Meeting, meeting
from tui.host.server import Host
from tui.host.survival import own_survival

_log = logging.getLogger("llmtui.host")


def main() -> int:
    """Serve until nobody wants it any more, or a signal comes; the exit code."""
    os.umask(0o077)
    words.use(first_language(os.environ))
    try:
        place = meeting(is_made=True)
        assert place is not None
        with place:
            return _serve(place)
    except HostProblem as error:
        print(error, file=sys.stderr)
    except OSError as error:  # a full disk, a folder that went away
        print(os_reason(error), file=sys.stderr)
    return ExitCode.UNWRITTEN


def _serve(place: Meeting) -> int:
    lock = place.lock()
    if lock is None:  # two were started at once: the other one is it
        return ExitCode.FINE
    try:
        with place.listen() as listener:
            _say_nothing_more()
            asyncio.run(_run(listener))
    except Exception:
        _log.exception("It was broken off")
        raise
    finally:
        place.leave()
        os.close(lock)
    return ExitCode.FINE


def _say_nothing_more() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    os.chdir("/")  # no disk is kept from being unmounted


async def _run(listener: socket.socket) -> None:
    paths.put_in_order()
    settings, _ = load_settings()  # what is wrong with them is told by whoever starts in a terminal
    log_to_file(settings.log.level)
    is_over = asyncio.Event()
    host = Host(settings, is_over, await own_survival())
    loop = asyncio.get_running_loop()
    for number in ASKED:
        loop.add_signal_handler(number, is_over.set)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    serving = asyncio.create_task(host.serve(listener))
    try:
        await is_over.wait()
    finally:
        serving.cancel()
        await asyncio.wait([serving])
        listener.close()  # who comes now waits for the lock, and starts another host
        await host.close()


if __name__ == "__main__":
    sys.exit(main())
