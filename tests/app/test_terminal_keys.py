"""What the characters of a terminal mean: pastes and keys, however they are cut into pieces on the way."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual.message import Message

from tui.app import terminal_keys
from tui.app.terminal_keys import TerminalKeys
from tui.base.text import pasted

BEGIN, END = "\x1b[200~", "\x1b[201~"


def fed(*pieces: str) -> list[Message]:
    keys = TerminalKeys()
    return [event for piece in pieces for event in keys.feed(piece)]


def names(*pieces: str) -> list[str]:
    """Keys by name, pastes as their text in brackets."""
    return [
        event.key if isinstance(event, events.Key) else f"[{event.text}]"
        for event in fed(*pieces)
        if isinstance(event, events.Key | events.Paste)
    ]


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    places = sorted({cut % (len(text) + 1) for cut in cuts} | {0, len(text)})
    return [text[begin:end] for begin, end in pairwise(places)]


@pytest.mark.parametrize(
    "sequence",
    ["\x1b\r", "\x1b\n", "\x1b[13;3u", "\x1b[13;3;13u", "\x1b[27;3;13~"],
    ids=["ESC CR", "ESC LF", "CSI u", "CSI u with its text", "modifyOtherKeys"],
)
def test_alt_enter_is_known_however_it_is_sent(sequence: str) -> None:
    assert names(f"a{sequence}b") == ["a", "alt+enter", "b"]


@pytest.mark.parametrize("sequence", ["\x1b[13;2u", "\x1b[27;2;13~"])
def test_shift_enter_is_known_however_it_is_sent(sequence: str) -> None:
    assert names(sequence) == ["shift+enter"]


def test_a_letter_behind_an_escape_is_that_letter_with_alt_at_once() -> None:
    assert names("\x1bxyz") == ["alt+x", "y", "z"]
    assert names("\x1bb\x1bf") == ["ctrl+left", "ctrl+right"]  # as shells have it


@pytest.mark.parametrize("sequence", ["\x1b[?62;22c", "\x1b[99999999999;3u", "\x1b[1;2y", "\x1b[13;3:1u"])
def test_a_sequence_that_nobody_knows_is_no_text(sequence: str) -> None:
    assert names(f"a{sequence}b") == ["a", "b"]


def test_keys_of_the_linux_console_and_of_the_mouse_are_still_known() -> None:
    assert names("\x1b[[A\x1bOP\x1b[15~") == ["f1", "f1", "f5"]
    assert [type(event) for event in fed("\x1b[<0;3;4M\x1b[<0;3;4m")] == [events.MouseDown, events.MouseUp]


TEXT = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("\x00\x1b\x11\r\n\x7f\x9b[201~")), max_size=60)
CUTS = st.lists(st.integers(0, 200), max_size=8)


@given(TEXT.filter(lambda text: END not in text and END not in f"{text}{END}"[:-1] and BEGIN not in text), CUTS)
def test_a_paste_is_its_text_wherever_it_is_cut(text: str, cuts: list[int]) -> None:
    whole = f"a{BEGIN}{text}{END}b"
    shown = pasted(text)
    assert names(*pieces_of(whole, cuts)) == ["a", *([f"[{shown}]"] if shown else []), "b"]


@given(st.text(max_size=40), CUTS)
def test_keys_are_the_same_wherever_they_are_cut(text: str, cuts: list[int]) -> None:
    assert names(*pieces_of(text, cuts)) == names(text)


class Clock:
    """Time as the test wants it."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(terminal_keys, "get_time", clock)
    monkeypatch.setattr("textual._parser.get_time", clock)
    return clock


def written(event: Message) -> str:
    """The text of a paste, or a key's name."""
    if isinstance(event, events.Paste):
        return event.text
    assert isinstance(event, events.Key)
    return event.key


def ticked(keys: TerminalKeys, clock: Clock) -> list[str]:
    """Let the time pass that the keys wait for."""
    clock.now += (keys.patience_s or 0) + 0.001
    return [written(event) for event in keys.tick()]


def typed(keys: TerminalKeys, text: str) -> list[str]:
    return [written(event) for event in keys.feed(text)]


def test_a_paste_whose_end_is_lost_is_shown_and_then_keys_are_keys_again(clock: Clock) -> None:
    keys = TerminalKeys()
    assert typed(keys, f"{BEGIN}one\rtwo") == []
    assert ticked(keys, clock) == ["one\ntwo"]
    assert keys.patience_s is None
    assert typed(keys, "x") == ["x"]
    assert typed(keys, f"{BEGIN}more{END}") == ["more"]


def test_a_line_that_stands_still_in_a_paste_does_not_make_keys_of_the_rest(clock: Clock) -> None:
    keys = TerminalKeys()
    typed(keys, f"{BEGIN}one \r")
    assert ticked(keys, clock) == ["one "]
    assert typed(keys, "\nand then \x11 the rest of it") == []
    assert typed(keys, f" to its end{END}q") == ["\nand then \u2411 the rest of it to its end", "q"]


@pytest.mark.parametrize("cut", range(1, len(END)))
def test_an_end_that_is_cut_in_two_by_a_silence_is_the_end(clock: Clock, cut: int) -> None:
    keys = TerminalKeys()
    typed(keys, f"{BEGIN}one{END[:cut]}")
    assert ticked(keys, clock) == ["one"]
    assert typed(keys, f"{END[cut:]}x") == ["x"]
    assert keys.patience_s is None


def test_the_mouse_tells_that_the_end_was_lost(clock: Clock) -> None:
    keys = TerminalKeys()
    typed(keys, f"{BEGIN}one")
    [paste, *_] = keys.feed("\x1b[<35;3;4M\x1b[<35;3;5M")
    assert isinstance(paste, events.Paste) and paste.text == "one"
    assert typed(keys, "x") == ["x"]


def test_an_escape_alone_is_due_soon_and_a_sequence_that_is_cut_is_waited_for(clock: Clock) -> None:
    keys = TerminalKeys()
    typed(keys, "\x1b")
    assert keys.patience_s is not None and keys.patience_s < 0.2
    assert ticked(keys, clock) == ["escape"]
    typed(keys, "\x1b[1;5")
    clock.now += 0.5
    assert list(keys.tick()) == []
    assert typed(keys, "A") == ["ctrl+up"]
