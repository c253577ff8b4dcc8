"""Tells a person who looks at another window that a long answer is done: by a notification of the terminal, or its
bell. Only over a terminal that has said that it lost the focus: one that never speaks of it gets nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Literal

from tui.base.text import fit_columns, one_line
from tui.chat.conversation import Conversation, Turn
from tui.config.settings import UiSettings
from tui.session import events
from tui.words import tr

Way = Literal["osc9", "osc777", "bell"]

_BELL = "\a"
_ST = "\x1b\\"
_LONGEST = 120
"""Cells of what a notification says."""
_OSC9 = ("iterm.app", "wezterm", "ghostty", "xterm-kitty", "xterm-ghostty", "iterm2")
_OSC777 = ("foot", "foot-extra", "rxvt-unicode", "rxvt-unicode-256color", "ptyxis")
"""What terminals that show notifications call themselves, in TERM, TERM_PROGRAM or LC_TERMINAL."""


class AnswerNotice:
    """Follows the session."""

    def __init__(
        self,
        settings: UiSettings,
        *,
        conversation: Callable[[], Conversation],
        is_looked_at: Callable[[], bool],
        send: Callable[[str], object],
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`conversation` is the open one. `is_looked_at` is False once the terminal has said that it has not the focus;
        `send` sends to it past the screen."""
        self._settings, self._conversation, self._is_looked_at = settings, conversation, is_looked_at
        self._send, self._environ, self._clock = send, environ, clock
        self._began = 0.0

    def hear(self, event: events.AnySessionEvent) -> None:
        """Tell of the end of an answer that took long."""
        match event:
            case events.AnswerBegan():
                self._began = self._clock()
            case events.AnswerEnded(turn=turn) if turn.stop != "cancelled":
                took = self._clock() - self._began
                if self._began and took >= self._settings.notify_after and not self._is_looked_at():
                    self._tell(turn)

    def _tell(self, turn: Turn) -> None:
        if (way := chosen_way(self._settings.notify, self._environ)) is not None:
            self._send(written(way, _sentence(turn, self._conversation()), self._environ))


def chosen_way(wanted: str, environ: Mapping[str, str]) -> Way | None:
    """How to tell on this terminal; None for not at all."""
    match wanted:
        case "osc9" | "osc777" | "bell":
            return wanted
        case "auto":
            names = {environ.get(name, "").casefold() for name in ("TERM", "TERM_PROGRAM", "LC_TERMINAL")}
            if "TMUX" in environ or environ.get("TERM", "").startswith("screen"):
                return "bell"  # what is around it, and whether it lets anything through, is not known
            return "osc9" if not names.isdisjoint(_OSC9) else "osc777" if not names.isdisjoint(_OSC777) else "bell"
        case _:
            return None


def written(way: Way, text: str, environ: Mapping[str, str]) -> str:
    """What is sent. tmux passes a notification on where it may (`allow-passthrough`), and screen as it is; both make of
    a bell a mark on the window."""
    if way == "bell":
        return _BELL
    # A semicolon separates, and a number first means something else to some.
    text = text.replace(";", ",")
    command = f"\x1b]9;llmtui: {text}{_ST}" if way == "osc9" else f"\x1b]777;notify;llmtui;{text}{_ST}"
    if "TMUX" in environ:
        return "\x1bPtmux;" + command.replace("\x1b", "\x1b\x1b") + _ST
    return f"\x1bP{command.removesuffix(_ST)}\a{_ST}" if environ.get("TERM", "").startswith("screen") else command


def _sentence(turn: Turn, conversation: Conversation) -> str:
    title = conversation.title or turn.model
    if turn.stop == "crashed":
        told = tr("The answer was broken off: {title}", title=title)
    else:
        told = tr("The answer is done: {title}", title=title)
    return fit_columns(one_line(told), _LONGEST)
