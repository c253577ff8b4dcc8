"""The driver's input thread on a real pseudo-terminal: what arrives as keys, and that it sleeps otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import platform
import pty
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual import events
from textual.app import App
from textual.message import Message

from tui.app.terminal_input import TerminalDriver

SELECT = {"x86_64": "270", "aarch64": "72"}.get(platform.machine())
"""The number of the system call that waits for files (pselect6)."""


class Typing:
    """The driver's thread at one end of a terminal, and a hand at the other."""

    def __init__(self, hand: int, here: int) -> None:
        self.hand = hand
        self.messages: list[Message] = []
        self.n_ends = 0
        """How often the thread has found that nothing more comes."""
        self.driver = asyncio.run(self._make())
        self.driver.fileno = here
        self.driver.process_message = self.messages.append  # type: ignore[method-assign,assignment]
        self.driver.input_ended = self._note_end  # type: ignore[method-assign]
        self.thread = threading.Thread(target=self.driver.run_input_thread, daemon=True)

    @staticmethod
    async def _make() -> TerminalDriver:
        return TerminalDriver(App())  # which wants a running loop

    def _note_end(self) -> None:
        self.n_ends += 1

    def type(self, data: bytes) -> None:
        os.write(self.hand, data)

    def keys(self, n: int) -> list[str]:
        """The first `n` keys that arrived, by name or as the character."""
        wait_for(lambda: len(self._keys()) >= n, lambda: f"{n} keys were expected and {self._keys()} came")
        return self._keys()

    def _keys(self) -> list[str]:
        return [one.character or one.key for one in list(self.messages) if isinstance(one, events.Key)]

    def is_all_read(self) -> bool:
        """Whether the thread has read all that was typed."""
        return fcntl.ioctl(self.driver.fileno, termios.FIONREAD, b"\0" * 4) == b"\0" * 4

    def sleeps(self) -> bool:
        """Whether the thread waits for files, without a limit: it does nothing until something comes from them."""
        call = Path(f"/proc/self/task/{self.thread.native_id}/syscall").read_text().split()
        return call[0] == SELECT and call[5] == "0x0"


def wait_for(condition: Callable[[], object], otherwise: Callable[[], str] = lambda: "waited in vain") -> None:
    """Wait until `condition()` holds, looking at it every few milliseconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.002)


@pytest.fixture
def typing() -> Iterator[Typing]:
    hand, here = pty.openpty()
    tty.setraw(here, termios.TCSANOW)
    one = Typing(hand, here)
    one.thread.start()
    yield one
    one.driver.exit_event.set()
    one.thread.join(10)
    ended = not one.thread.is_alive()
    for fd in (hand, here):
        with contextlib.suppress(OSError):
            os.close(fd)
    assert ended, "the thread did not end"


def test_letters_sequences_and_characters_in_pieces_become_keys(typing: Typing) -> None:
    typing.type(b"a\x1b[A")
    assert typing.keys(2) == ["a", "up"]
    for byte in "你".encode():
        typing.type(bytes([byte]))
        wait_for(typing.is_all_read)
    typing.type(b"b")
    assert typing.keys(4) == ["a", "up", "你", "b"]


def test_bytes_that_are_not_utf_8_are_shown_and_end_nothing(typing: Typing) -> None:
    typing.type(b"a\xff\xe4b")
    assert typing.keys(4) == ["a", "\ufffd", "\ufffd", "b"]
    typing.type(b"c")
    assert typing.keys(5)[-1] == "c"


def test_an_escape_alone_is_a_key_without_waiting_for_more(typing: Typing) -> None:
    typing.type(b"\x1b")
    assert typing.keys(1) == ["\x1b"]


def test_a_terminal_that_another_program_made_non_blocking_is_read_on(typing: Typing) -> None:
    os.set_blocking(typing.driver.fileno, False)
    assert typing.driver._read() == b""
    typing.type(b"a")
    assert typing.keys(1) == ["a"]


@pytest.mark.skipif(SELECT is None, reason="not known here by which number a thread waits for files")
def test_while_nothing_is_typed_the_thread_sleeps(typing: Typing) -> None:
    wait_for(typing.sleeps)
    typing.type(b"a")
    typing.keys(1)
    wait_for(typing.sleeps)


@pytest.mark.skipif(SELECT is None, reason="not known here by which number a thread waits for files")
def test_the_end_of_the_input_is_waited_out_without_work(typing: Typing) -> None:
    os.close(typing.hand)
    wait_for(lambda: typing.n_ends)
    wait_for(typing.sleeps)
    assert typing.thread.is_alive()
    assert typing.n_ends == 1
