"""The driver's input thread on a real pseudo-terminal: what arrives as keys, how soon, and that it sleeps otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import termios
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual import events
from textual.app import App
from textual.message import Message

from tui.app.terminal_input import TerminalDriver


class Typing:
    """The driver's thread at one end of a terminal, and a hand at the other."""

    def __init__(self, hand: int, here: int) -> None:
        self.hand = hand
        self.messages: list[tuple[float, Message]] = []
        self.driver = asyncio.run(self._make())
        self.driver.fileno = here
        self.driver.process_message = self._note  # type: ignore[method-assign]
        self.thread = threading.Thread(target=self.driver.run_input_thread, daemon=True)

    @staticmethod
    async def _make() -> TerminalDriver:
        return TerminalDriver(App())  # which wants a running loop

    def _note(self, message: Message) -> None:
        self.messages.append((time.monotonic(), message))

    def type(self, data: bytes) -> float:
        """Type; the time at which it was done."""
        os.write(self.hand, data)
        return time.monotonic()

    def keys(self, n: int, within_s: float = 10.0) -> list[str]:
        """The first `n` keys that arrived, by name or as the character."""
        deadline = time.monotonic() + within_s
        while len(found := self._keys()) < n:
            assert time.monotonic() < deadline, f"{n} keys were expected and {found} came"
            time.sleep(0.002)
        return found

    def _keys(self) -> list[str]:
        return [one.character or one.key for _, one in list(self.messages) if isinstance(one, events.Key)]

    def n_waits(self) -> int:
        """How often the thread has gone to sleep since it began."""
        status = Path(f"/proc/self/task/{self.thread.native_id}/status").read_text()
        return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])


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
        time.sleep(0.01)
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


def test_while_nothing_is_typed_the_thread_sleeps(typing: Typing) -> None:
    typing.type(b"a")
    typing.keys(1)
    time.sleep(0.2)
    before = typing.n_waits()
    time.sleep(0.8)
    assert typing.n_waits() == before


def test_the_end_of_the_input_is_waited_out_without_work(typing: Typing) -> None:
    os.close(typing.hand)
    time.sleep(0.2)
    before = typing.n_waits()
    time.sleep(0.5)
    assert typing.thread.is_alive()
    assert typing.n_waits() == before
