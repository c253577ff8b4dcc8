"""The process that fetches: works through the shelf, and tells how far it is on its standard output. Whatever comes on
its standard input means that something was put on the shelf; when that ends, the front end is gone, and so is this.

Started by `tui.downloads.local`; part files outlive its end at any moment.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from typing import BinaryIO

import psutil

from tui.config import paths
from tui.downloads.frames import Told
from tui.downloads.queue import Queue
from tui.downloads.records import Download
from tui.downloads.shelf import Shelf
from tui.protocol.wire import WireError, encode, read_frame

IDLE_S = 20.0
"""With nothing to do for so long it ends; whoever orders something starts another."""
_NICE = 10
_LOWEST = 7


def main() -> None:
    """Take the pipes over, step back behind all that a person waits for, and work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    commands, events = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    os.nice(_NICE)
    with contextlib.suppress(OSError, psutil.Error, AttributeError):
        psutil.Process().ionice(psutil.IOPRIO_CLASS_BE, _LOWEST)

    def tell(downloads: tuple[Download, ...]) -> None:
        try:
            events.write(encode(Told(downloads)))
            events.flush()
        except BrokenPipeError:
            os._exit(0)

    queue = Queue(Shelf(paths.downloads_dir()), tell)
    threading.Thread(target=_listen, args=(commands, queue), name="commands", daemon=True).start()
    queue.run(IDLE_S)


def _listen(commands: BinaryIO, queue: Queue) -> None:
    with contextlib.suppress(WireError):
        while read_frame(commands) is not None:
            queue.wake()
    os._exit(0)


if __name__ == "__main__":
    main()
