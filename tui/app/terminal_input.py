"""Textual's driver for terminals, with an input thread of our own.

Textual's thread looks ten times a second whether the app ends or a lone Escape has waited long enough, and each time it
takes a core from llama.cpp's threads; it also ends the app at a byte that is not UTF-8. This one sleeps until there is
something to do, and shows such a byte as "\ufffd". `terminal_keys` says what the bytes mean.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import selectors
import threading

from textual._parser import ParseError
from textual.app import App

from tui.app.terminal_keys import TerminalKeys
from tui.app.terminal_modes import ModesDriver

CHUNK = 4096
"""Bytes that are read at once."""


class _LoudEvent(threading.Event):
    """An event that also makes a file descriptor readable, so that a thread can wait for it and for others. A process
    has one, and nothing closes it."""

    def __init__(self) -> None:
        super().__init__()
        self.fileno, self._other_end = os.pipe()
        os.set_blocking(self.fileno, False)

    def set(self) -> None:
        super().set()
        os.write(self._other_end, b"!")

    def clear(self) -> None:
        super().clear()
        with contextlib.suppress(BlockingIOError):  # it was not set
            os.read(self.fileno, CHUNK)


class TerminalDriver(ModesDriver):
    """For a terminal on Linux or macOS."""

    def __init__(
        self, app: App[object], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self.exit_event: _LoudEvent = _LoudEvent()

    def run_input_thread(self) -> None:
        """Wait for input and dispatch events, until `exit_event` is set. The end of the input is left to the app, which
        looks whether its terminal is still there."""
        keys = TerminalKeys(self._debug)
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:  # which takes files too
            selector.register(self.exit_event.fileno, selectors.EVENT_READ)
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                for key, _ in selector.select(keys.patience_s):
                    if key.fd != self.fileno:
                        continue
                    data = self._read()
                    if data is None:
                        selector.unregister(self.fileno)
                        self.input_ended()
                    elif text := decode(data):  # nothing yet of a character that is not complete
                        for event in keys.feed(text):
                            self.process_message(event)
                for event in keys.tick():
                    self.process_message(event)
        with contextlib.suppress(EOFError, ParseError):
            keys.end()

    def _read(self) -> bytes | None:
        """What was typed; None at the end of the input."""
        try:
            return os.read(self.fileno, CHUNK) or None
        except BlockingIOError:  # another program on this terminal was quicker
            return b""
        except OSError:
            return None
