"""What a terminal sends, as keys, mouse events and pastes: Textual's parser, with the pastes taken out before it.

Textual's parser looks for keys inside a paste too, and cannot tell alt+enter from enter. Here a paste is text from its
first mark to its last one, whatever is between them.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator

from textual import events
from textual._time import get_time
from textual._xterm_parser import BRACKETED_PASTE_END, BRACKETED_PASTE_START, XTermParser
from textual.keys import Keys
from textual.message import Message

from tui.base.text import pasted

PASTE_SILENCE_S = 1.0
"""A paste of which nothing has come for so long, and not its end either, is passed on as far as it has come. What comes
then is a key if it is as short as one, or else more of the paste: a line that stands still sends much at once."""
SEQUENCE_SILENCE_S = 1.0
"""How long the rest of a sequence may take that is surely one, as a line can break it in two. Of an Escape alone it is
not known: that is Textual's ESCDELAY."""
ONE_KEY = 8
"""Characters that one key sends at most, or a few of them pressed at once."""

_LONGEST = 32
"""Characters after which Textual's parser takes a sequence for none."""
_OPEN_SEQUENCE = re.compile(r"\x1b\[[0-?]+[ -/]*\Z")
_OPEN_END = re.compile(r"(?:\r|\x1b|\x1b\[|\x1b\[2|\x1b\[20|\x1b\[201)\Z")
"""What may belong to the line break or the mark that comes next."""
_OTHER_KEY = re.compile(r"\x1b\[27;(\d{1,3});(\d{1,7})~")
"""xterm's modifyOtherKeys: modifiers and code of the key."""
_ENTER_WITH_TEXT = re.compile(r"\x1b\[13;(\d{1,3});[\d:]*u")
_WHOLE = re.compile(r"\x1b\[(?!\[)[0-?]*[ -/]*[@-~]")
"""A control sequence by its grammar (ECMA-48); two brackets begin a function key of Linux' console."""
_FOR_THE_PARSER = re.compile(r"\x1b\[(?:<.*[Mm]|M.*|\?[0-9;]*\$y|-?\d[\d;-]*[Mm])", re.DOTALL)
"""Mouse and mode reports, which it takes when no key is found in them."""
_MOUSE = re.compile(r"(?:\x1b\[<\d+;-?\d+;-?\d+[Mm])+")
"""Nothing else is sent by itself; where it comes inside a paste, the paste's end was lost on the way."""
_OPENS_MORE = "[OPX]^_"
"""What stands behind the Escape of a sequence that is longer than two characters."""
ALT = 2
"""The bit of a sequence's modifiers, which are one more than the sum of their bits."""


class _KeyParser(XTermParser):
    """Textual's, for what is outside of pastes."""

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        if len(sequence) < 2:
            return super()._sequence_to_key_events(sequence, alt)
        if sequence in ("\x1b\r", "\x1b\n"):
            return [events.Key("alt+enter", None)]
        if match := _OTHER_KEY.fullmatch(sequence):
            modifiers, code = int(match[1]), int(match[2])
            if (modifiers - 1) & ALT or code < 0x20 or code == 0x7F:  # else modifiers and name of the key get lost
                sequence = f"\x1b[{code};{modifiers}u"
        elif match := _ENTER_WITH_TEXT.fullmatch(sequence):
            sequence = f"\x1b[13;{match[1]}u"
        try:
            found = list(super()._sequence_to_key_events(sequence, alt))
        except (ValueError, OverflowError):  # numbers that no key has
            found = []
        if found or _FOR_THE_PARSER.fullmatch(sequence):
            return found
        if len(sequence) == 2 and sequence[1] not in _OPENS_MORE:  # a key with alt: nothing more is to come
            return super()._sequence_to_key_events(sequence[1], alt=True)
        # A key or an answer that nobody knows is nothing, rather than letters in what is being written.
        return [events.Key(Keys.Ignore, sequence)] if _WHOLE.fullmatch(sequence) else []


class TerminalKeys:
    """`feed` what was read and pass on what that gives. When `patience_s` has gone by without more, call `tick`."""

    def __init__(self, debug: bool = False) -> None:
        self._parser = _KeyParser(debug)
        self._tail = ""
        """The end of what came, in which a mark may have begun."""
        self._pasted: list[str] | None = None
        """What has come of a paste and was not passed on; None outside of one."""
        self._paste_due = 0.0
        self._is_stalled = False
        """The paste was shown as far as it came, and nothing has come since."""

    @property
    def patience_s(self) -> float | None:
        """Seconds until `tick` is due; None while nothing is waited for."""
        due = self._due()
        return None if due is None else max(0.0, due - get_time())

    def _due(self) -> float | None:
        if self._pasted is not None:
            return None if self._is_stalled else self._paste_due
        due = self._parser._timeout_time
        if due is not None and _OPEN_SEQUENCE.search(self._tail):
            due += SEQUENCE_SILENCE_S
        return due

    def feed(self, text: str) -> Iterator[Message]:
        """The next characters."""
        while text:
            text = yield from (self._outside(text) if self._pasted is None else self._inside(text, self._pasted))

    def _outside(self, text: str) -> Generator[Message, None, str]:
        """Take characters up to the first mark of a paste; gives what is left."""
        joined = self._tail + text
        at = joined.find(BRACKETED_PASTE_START)
        end = len(text) if at < 0 else at + len(BRACKETED_PASTE_START) - len(self._tail)
        self._tail = joined[-_LONGEST:] if at < 0 else ""
        yield from self._parser.feed(text[:end])
        if at >= 0:
            self._pasted, self._is_stalled = [], False
            self._paste_due = get_time() + PASTE_SILENCE_S
        return text[end:]

    def _inside(self, text: str, parts: list[str]) -> Generator[Message, None, str]:
        """Take characters up to the last mark of a paste; gives what is left."""
        joined = self._tail + text
        at = joined.find(BRACKETED_PASTE_END)
        if at < 0 and ((self._is_stalled and len(text) <= ONE_KEY) or _MOUSE.fullmatch(text)):
            if self._tail and self._is_stalled:  # that is not shown yet
                parts.clear()
            else:
                joined = text
            self._tail = ""
            yield from self._end_paste(parts)
            return joined
        self._is_stalled, self._paste_due = False, get_time() + PASTE_SILENCE_S
        if at < 0:
            parts.append(text)
            self._tail = joined[1 - len(BRACKETED_PASTE_END) :]
            return ""
        end = at + len(BRACKETED_PASTE_END) - len(self._tail)
        whole = "".join([*parts, text[:end]]).removesuffix(BRACKETED_PASTE_END)
        self._tail = ""
        yield from self._end_paste([whole])
        return text[end:]

    def _end_paste(self, parts: list[str]) -> Iterator[Message]:
        self._pasted = None
        for _ in self._parser.feed(BRACKETED_PASTE_END):  # it was told of the beginning; its own paste is empty
            pass
        yield from _paste("".join(parts))

    def tick(self) -> Iterator[Message]:
        """What the silence since the last `feed` means, if it is long enough."""
        due = self._due()
        if due is None or get_time() < due:
            return
        if self._pasted is None:
            self._tail = ""
            yield from self._parser.tick()
            return
        so_far = "".join(self._pasted)
        open_end = _OPEN_END.search(so_far)
        kept = open_end[0] if open_end else ""
        self._pasted, self._tail, self._is_stalled = [kept], kept if kept != "\r" else "", True
        yield from _paste(so_far.removesuffix(kept))

    def end(self) -> None:
        """Nothing more comes."""
        for _ in self._parser.feed(""):
            pass


def _paste(text: str) -> Iterator[events.Paste]:
    """One event, unless nothing was pasted."""
    if text := pasted(text.replace(BRACKETED_PASTE_START, "")):
        yield events.Paste(text)
