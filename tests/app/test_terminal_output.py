"""The way to the terminal, on a real pseudo-terminal: nothing waits for it, no frame is cut, and what terminals measure
differently moves nothing."""

from __future__ import annotations

import os
import pty
import re
import select
import tty
from collections.abc import AsyncIterator
from typing import NamedTuple

import pyte
import pytest
import pytest_asyncio
from wcwidth import wcwidth

from tests.conftest import until
from tui.app.graphemes import placed
from tui.app.terminal_output import FRAMES_BYTES, MOST_BYTES, TerminalOutput, reopen


class Line(NamedTuple):
    """A terminal, the way to it, and what the way has told."""

    hand: int
    here: int
    output: TerminalOutput
    told: list[str]

    def take(self) -> str:
        """Read what is there."""
        data = b""
        while select.select([self.hand], [], [], 0.05)[0] and (more := os.read(self.hand, 1 << 16)):
            data += more
        return data.decode()


@pytest_asyncio.fixture
async def line() -> AsyncIterator[Line]:
    hand, here = pty.openpty()
    tty.setraw(here)
    told: list[str] = []
    output = TerminalOutput(here, on_caught_up=lambda: told.append("caught up"), on_gone=lambda: told.append("gone"))
    yield Line(hand, here, output, told)
    output.close()
    for fd in (hand, here):
        try:
            os.close(fd)
        except OSError:
            assert "gone" in told


def frame(number: int) -> str:
    return f"\x1b[{number};1H<{'x' * 4000}>"


async def test_frames_are_dropped_whole_and_the_screen_is_asked_for_once(line: Line) -> None:
    for number in range(200):
        line.output.frame(frame(number))
        line.output.send(f"\x1b[{number}m")
    assert line.output.is_behind
    line.output.frame("not this one")
    shown = ""

    def has_caught_up() -> bool:
        nonlocal shown
        shown += line.take()
        return bool(line.told)

    await until(has_caught_up)
    shown += line.take()
    assert (line.told, line.output.is_behind) == (["caught up"], False)
    frames = re.findall(r"\x1b\[(\d+);1H<x{4000}>", shown)
    assert 0 < len(frames) < 200 and [int(number) for number in frames] == list(range(len(frames)))
    assert re.findall(r"\x1b\[(\d+)m", shown) == [str(number) for number in range(200)]  # what is no frame is kept
    assert re.sub(r"\x1b\[\d+;1H<x{4000}>|\x1b\[\d+m", "", shown) == ""
    line.output.frame("the screen")
    assert line.take() == "the screen"


async def test_what_waits_is_bounded(line: Line) -> None:
    for number in range(1000):
        line.output.frame(frame(number))
    assert line.output._n_waiting <= FRAMES_BYTES + len(frame(0))
    piece = "y" * 100_000
    n_kept = sum(line.output.send(piece) for _ in range(100))
    assert 0 < n_kept <= MOST_BYTES // len(piece)


async def test_the_last_words_take_the_place_of_what_a_terminal_does_not_read(line: Line) -> None:
    for number in range(200):
        line.output.frame(frame(number))
    line.output.send("z" * 300_000)
    line.output.finish("\x1b[?1049l", 0.0)
    assert line.take().endswith("\x18\x1b[?1049l")


async def test_a_terminal_that_goes_is_told_and_nothing_is_raised(line: Line) -> None:
    os.close(line.hand)
    line.output.frame("x")
    await until(lambda: line.told == ["gone"])
    line.output.frame("x")
    assert not line.output.send("x")


async def test_the_mode_of_what_others_have_open_is_not_touched(line: Line) -> None:
    assert os.get_blocking(line.here)
    ours, is_shared = reopen(line.here)
    assert not os.get_blocking(ours) and not is_shared
    os.close(ours)


# Emoji that are sequences


class Parts(pyte.Screen):
    """A terminal that goes by characters; what has no width of its own adds none."""

    def draw(self, data: str) -> None:
        super().draw("".join(char for char in data if wcwidth(char) > 0))


class Whole(Parts):
    """A terminal that gives a sequence two cells."""

    def draw(self, data: str) -> None:
        super().draw(re.sub("🇩🇪|.\ufe0f\u20e3|👩\u200d👩\u200d👧|👍🏽|.\ufe0f", "[]", data))


@pytest.mark.parametrize("kind", [Parts, Whole])
@pytest.mark.parametrize("emoji", ["⚠️", "1️⃣", "👩‍👩‍👧", "👍🏽", "🇩🇪", "❤️👩‍👩‍👧🇩🇪1️⃣"])
def test_what_stands_behind_an_emoji_stays_in_its_column(kind: type[pyte.Screen], emoji: str) -> None:
    screen = kind(40, 3)
    stream = pyte.Stream(screen)
    stream.feed("\x1b[1;1H" + "#" * 40 + "\x1b[2;1H" + "#" * 40)
    width = 8 if emoji.startswith("❤") else 2
    stream.feed(placed(f"\x1b[1;1Ha {emoji} b{' ' * (20 - width - 5)}\x1b[34m│\x1b[0m side"))
    assert [x for x in range(40) if screen.buffer[0][x].data == "│"] == [19]
    assert screen.buffer[0][3 + width].data == "b"
    assert "#" not in "".join(screen.buffer[0][x].data for x in range(20))


@pytest.mark.parametrize("kind", [Parts, Whole])
def test_at_the_end_of_what_a_frame_paints_nothing_spills_over(kind: type[pyte.Screen]) -> None:
    screen = kind(40, 2)
    stream = pyte.Stream(screen)
    stream.feed("\x1b[1;10H│")
    stream.feed(placed("\x1b[1;1Habcdef 👩‍👩‍👧"))
    assert screen.buffer[0][9].data == "│" and screen.buffer[0][7].data.startswith(("👩", "["))


def test_other_text_is_not_touched() -> None:
    for frame in ("\x1b[1;1Hplain", "\x1b[1;1H│ 你好 🚀 é", "no move ⚠️"):
        assert placed(frame) == frame
