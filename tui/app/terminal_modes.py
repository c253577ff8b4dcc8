"""Textual's driver for terminals with an output path of our own: it draws on the terminal whatever stderr leads to,
never waits for it, and gives it back as it was: at the end, when the process is stopped by ctrl+z, and when a signal
ends it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import threading
import tty
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from textual import constants, events
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Size

from tui.app.graphemes import placed
from tui.app.terminal_output import TerminalOutput, is_terminal, terminal_among
from tui.app.widgets.direct_paint import SYNC_END, SYNC_START

LAST_WORDS_S = 0.3
"""How long the end waits for a terminal that does not read."""
BACKGROUND_CHECK_S = 0.5
"""How often a process in the background looks whether it is in the foreground again: `fg` tells it to one that was
stopped only."""
JOIN_S = 1.0
SAVE_S = 1.0
"""How long ctrl+z waits for the disk."""
_KITTY_FLAGS = 0b00000001 | 0b00001000 | 0b00010000
"""Of the keyboard protocol https://sw.kovidgoyal.net/kitty/keyboard-protocol/: escape codes that can be told apart, for
all keys, with their text."""
_CANCEL = "\x18"
"""Ends an escape sequence of which the terminal has read only a part."""
_MOUSE_ON = "\x1b[?1000h\x1b[?1003h\x1b[?1015h\x1b[?1006h"
_MOUSE_OFF = "\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l"
_SIZE = (80, 25)
"""Columns and rows of a terminal that does not tell."""


def _unheard(_number: int, _frame: object) -> None:
    """A signal that is meant for somebody else."""


async def _at_once() -> None:
    """Nothing is to be done before."""


class ModesDriver(LinuxDriver):
    """What a terminal is told besides keys: modes, frames, and whose turn it is."""

    def __init__(
        self, app: App[object], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._screen_fd = terminal_among((1, 2, self.fileno))
        self._encoding = sys.__stdout__.encoding if sys.__stdout__ else "utf-8"
        self._output: TerminalOutput | None = None
        """None before the start, while the process is in the background, and after the end."""
        self._frame: list[str] = []
        """The frame that is being put together."""
        self._loop_thread = threading.get_ident()
        self._is_away = False
        """The terminal is someone else's: the process is stopped, or runs in the background."""
        self._is_lent = False
        """Another program of this job has the terminal."""
        self._was_continued = False
        self._return: asyncio.TimerHandle | None = None
        self.is_told = True
        """Whether the terminal took what it was told at the end: more may be written to it."""
        self.on_gone: Callable[[], None] = lambda: None
        """Called when there is no terminal any more."""
        self._stopping: asyncio.Task[None] | None = None
        self.before_stop: Callable[[], Awaitable[None]] = _at_once
        """Awaited before the process stops, which may be for ever."""
        self.on_stay: Callable[[], None] = lambda: None
        """Called when the process could not be stopped, for nobody is there who could let it go on."""

    # Output -----------------------------------------------------------------------------------------------------------

    def write(self, data: str) -> None:
        """A frame, or a part of one between the marks of synchronized output. It is dropped while the terminal does not
        read; `send` is for what must not be."""
        if threading.get_ident() != self._loop_thread:
            self._loop.call_soon_threadsafe(self.send, data)  # the input thread answers the terminal
        elif data == SYNC_START:
            self._frame = [data]
        elif self._frame:
            self._frame.append(data)
            if data == SYNC_END:
                frame, self._frame = "".join(self._frame), []
                self._show(frame)
        else:
            self._show(data)

    def _show(self, frame: str) -> None:
        if self._output is not None:
            self._output.frame(placed(frame))

    def send(self, data: str) -> bool:
        """Send what is not a frame: a mode, text for the clipboard. False when the terminal takes nothing."""
        return self._output is not None and self._output.send(data)

    def flush(self) -> None:
        """Nothing waits that the terminal would take."""

    def _get_terminal_size(self) -> tuple[int, int]:
        try:
            rows, columns = termios.tcgetwinsize(self._screen_fd)
        except (termios.error, OSError):
            rows = columns = 0
        return columns or _SIZE[0], rows or _SIZE[1]

    # Start and end ----------------------------------------------------------------------------------------------------

    def start_application_mode(self) -> None:
        """Take the terminal: its modes, its other screen, its keys."""
        self._output = TerminalOutput(
            self._screen_fd, on_caught_up=self.repaint, on_gone=lambda: self.on_gone(), encoding=self._encoding
        )
        self._watch_signals()
        # The keyboard protocol has a stack for each of the two screens.
        kitty = "" if constants.DISABLE_KITTY_KEY else f"\x1b[>{_KITTY_FLAGS}u"
        self._set_modes(f"\x1b[?1049h{kitty}")
        self._key_thread = threading.Thread(target=self._run_input_thread, name="textual-input", daemon=True)
        self._key_thread.start()
        self._tell_size()

    def _watch_signals(self) -> None:
        self._loop.add_signal_handler(signal.SIGWINCH, self._resized)
        self._loop.add_signal_handler(signal.SIGTSTP, self.stop_process)
        self._loop.add_signal_handler(signal.SIGCONT, self._continued)

    def _set_modes(self, screen: str) -> None:
        """Make the terminal ours; `screen` goes to the other screen and its keyboard protocol."""
        with contextlib.suppress(termios.error):
            if self.attrs_before is None:
                self.attrs_before = termios.tcgetattr(self.fileno)
            ours: list[Any] = termios.tcgetattr(self.fileno)
            ours[tty.LFLAG] = self._patch_lflag(ours[tty.LFLAG])
            ours[tty.IFLAG] = self._patch_iflag(ours[tty.IFLAG])
            ours[tty.CC][termios.VMIN] = 1
            termios.tcsetattr(self.fileno, termios.TCSANOW, ours)
        mouse = _MOUSE_ON if self._mouse else ""
        # Apple's terminal prints the end of a question that it does not know.
        sync = "" if os.environ.get("TERM_PROGRAM") == "Apple_Terminal" else "\x1b[?2026$p"
        # No cursor, news of the focus, marks around what is pasted, no wrapping of lines; the mouse twice, or iTerm 3.5
        # has none.
        self.send(f"{screen}{mouse}\x1b[?25l\x1b[?1004h{sync}\x1b[?2048$p\x1b[?2004h\x1b[?7l{mouse}")

    def _tell_size(self) -> None:
        size = Size(*self._get_terminal_size())
        self._loop.create_task(self._app._post_message(events.Resize(size, size)))

    def _resized(self) -> None:
        if not self._in_band_window_resize and not self._is_away:
            self._tell_size()

    def disable_input(self) -> None:
        """Hear nothing more from the terminal."""
        if self.exit_event.is_set():
            return
        self._loop.remove_signal_handler(signal.SIGWINCH)
        if self._mouse:
            self.send(_MOUSE_OFF)
        self.exit_event.set()
        if self._key_thread is not None:
            self._key_thread.join(JOIN_S)  # another program on this terminal may have read what woke it
        self.exit_event.clear()
        with contextlib.suppress(termios.error):
            termios.tcflush(self.fileno, termios.TCIFLUSH)

    def stop_application_mode(self) -> None:
        """Give the terminal back as it was, as far as it reads what it is told."""
        if self._output is None:
            return
        self.disable_input()
        self._frame = []
        if self.attrs_before is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)
        output, self._output = self._output, None
        self.is_told = output.finish(self._modes_off(), LAST_WORDS_S)
        output.close()

    def _modes_off(self) -> str:
        resize = "\x1b[?2048l" if self._in_band_window_resize else ""
        mouse = _MOUSE_OFF if self._mouse else ""
        # The keyboard protocol has to go before the other screen.
        return f"{SYNC_END}{mouse}\x1b[?2004l\x1b[?7h{resize}\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1004l"

    def give_back_by_force(self) -> None:
        """As `stop_application_mode`, from another thread, while nobody knows what the event loop does: in one try."""
        output, self._output = self._output, None
        if output is not None:
            if self.attrs_before is not None:
                with contextlib.suppress(termios.error):
                    termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)
            output.finish(self._modes_off(), 0.0)

    def close(self) -> None:
        """The end of the driver."""
        if self._return is not None:
            self._return.cancel()
        for number in (signal.SIGTSTP, signal.SIGCONT):
            self._loop.remove_signal_handler(number)

    def input_ended(self) -> None:
        """The input thread has nothing to read any more."""
        with contextlib.suppress(RuntimeError):  # the loop has ended before
            self._loop.call_soon_threadsafe(self._look_for_terminal)

    def _look_for_terminal(self) -> None:
        if not is_terminal(self.fileno):
            self.on_gone()

    # Painting anew ----------------------------------------------------------------------------------------------------

    def repaint(self) -> None:
        """Paint the whole screen."""
        if self._output is not None and self._app._running:
            self._app.screen.refresh()

    def redraw(self) -> None:
        """Set all modes again and paint the whole screen on an empty one: something else wrote there."""
        if self._output is not None:
            # Neither what was saved of the shell's screen nor the depth of the protocol's stack changes.
            kitty = "" if constants.DISABLE_KITTY_KEY else f"\x1b[={_KITTY_FLAGS}u"
            self._set_modes(f"{_CANCEL}\x1b[?47h{kitty}\x1b[0m\x1b[2J")
            self.repaint()

    # The shell's job control ------------------------------------------------------------------------------------------

    @property
    def _is_in_front(self) -> bool:
        """Whether the terminal is this job's now."""
        try:
            return os.tcgetpgrp(self.fileno) == os.getpgrp()
        except OSError:
            return True  # not the terminal that controls us, so no shell gives it to another

    def stop_process(self) -> None:
        """Give the terminal back and stop, as ctrl+z does to other programs, once what `before_stop` does is done or
        takes too long. What the engine computes meanwhile waits in its pipe. The whole job stops, for whatever started
        us may wait for it to. Where no shell is there to let it go on, the system does not stop it, and we stay."""
        if self._stopping is None:
            self._stopping = self._loop.create_task(self._save_and_stop())

    async def _save_and_stop(self) -> None:
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SAVE_S):
                    await self.before_stop()
        finally:
            self._stopping = None
            self._stop()

    def _stop(self) -> None:
        if self._is_away or self._output is None:
            return
        self._leave_terminal()
        self._was_continued = False
        self._loop.remove_signal_handler(signal.SIGTSTP)  # which lets it do what it does by default
        signal.signal(signal.SIGCONT, self._note_continued)
        os.kill(0, signal.SIGTSTP)
        # Here it stops, and goes on.
        stayed = not self._was_continued
        self._watch_signals()
        self._come_back()
        if stayed:
            self.on_stay()

    def _note_continued(self, _number: int, _frame: object) -> None:
        self._was_continued = True

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Give the terminal to another program of this job until that has ended. Its keys that interrupt and stop are
        meant for it: an interruption does nothing here, and ctrl+z stops both, as `fg` lets both go on."""
        if self._is_away or self._output is None:
            yield
            return
        before = {number: signal.signal(number, _unheard) for number in (signal.SIGINT, signal.SIGQUIT)}
        self._is_lent = True
        self._leave_terminal()
        self._loop.remove_signal_handler(signal.SIGTSTP)  # which lets it do what it does by default
        try:
            yield
        finally:
            self._is_lent = False
            for number, handler in before.items():
                signal.signal(number, handler)
            self._watch_signals()
            self._come_back()

    def _leave_terminal(self) -> None:
        self._is_away = True
        self._app._suspend_signal()
        self.stop_application_mode()
        self.attrs_before = None  # the shell or another program may change them

    def _continued(self) -> None:
        """SIGCONT, which a terminal that hangs up sends too."""
        if self._was_continued:  # as `stop_process` knows already
            self._was_continued = False
            return
        if self._is_lent or not is_terminal(self.fileno):
            return
        if not self._is_away and not self._is_in_front:
            # Stopped by somebody else, and let go on in the background: the terminal is not ours to put in order.
            self._is_away = True
            self.disable_input()
            if self._output is not None:
                self._output.close()
                self._output = None
        if self._is_away:
            self._come_back()
        else:
            self.redraw()

    def _come_back(self) -> None:
        """Take the terminal again, as soon as this job is in the foreground."""
        if self._return is not None:
            self._return.cancel()
            self._return = None
        if not self._is_away or self._app._exit:
            return
        if not self._is_in_front:
            self._return = self._loop.call_later(BACKGROUND_CHECK_S, self._come_back)
            return
        self._is_away = False
        self.start_application_mode()
        self._app._resume_signal()
        self.repaint()
