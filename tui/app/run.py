"""Starting the app: reads the user's files, sets up logging, runs Textual until the user leaves."""

from __future__ import annotations

import atexit
import contextlib
import logging
import logging.handlers
import os
import signal
import sys
from io import TextIOWrapper
from pathlib import Path

from tui.app import file_phrases, hub_phrases
from tui.app.app import ENDING, LlmtuiApp
from tui.app.terminal_input import TerminalDriver
from tui.app.terminal_output import is_terminal
from tui.app.theming import ThemeFolder
from tui.base import private
from tui.base.oserrors import kept_reason
from tui.base.terminal_style import say, say_error
from tui.base.text import clean
from tui.config import paths
from tui.config.keymap import resolve
from tui.config.options import AppOptions
from tui.config.problems import ConfigProblem
from tui.config.settings import load_settings
from tui.config.state import StateStore
from tui.words.later import later

LOG_BYTES = 2 << 20


def make_app(options: AppOptions) -> LlmtuiApp:
    """The app with everything read that it starts from. Problems in the user's files never keep it from starting."""
    paths.put_in_order()
    settings_file = options.settings_file or paths.user_settings_file()
    settings, problems = load_settings(options.settings_file, software_vulkan=options.software_vulkan)
    keymap, found = resolve(settings.keys, file=settings_file)
    problems += found
    themes, state = ThemeFolder(), StateStore()
    problems += themes.read()
    problems += state.read()
    problems += _log_to_file(settings.log.level)
    return LlmtuiApp(options, settings, keymap, themes, state, problems)


def run(options: AppOptions) -> int:
    """Run the app; the process's exit code."""
    for stale in ("COLUMNS", "LINES"):
        # Some shells export the size that the terminal had when they started; Textual would believe it.
        os.environ.pop(stale, None)
    app = make_app(options)
    app.run(mouse=app.settings.ui.mouse)
    code = app.return_code or 0
    for number in ENDING:  # the event loop that they were given to has ended, and all is in order
        signal.signal(number, lambda *_: os._exit(code))
    atexit.register(_hear_no_signal)
    driver = app._driver
    # Where the terminal does not read, it would wait for it; it is in the log.
    if not isinstance(driver, TerminalDriver) or driver.is_told or not is_terminal(sys.stderr.fileno()):
        for sentence in file_phrases.not_saved(app.unsaved, app.controller.draft_lost, app.controller.state_lost):
            say_error(sentence)
        if told := hub_phrases.goes_on(app.controller.fetching.all):
            say(told)
    return code


def _hear_no_signal() -> None:
    """No thread is waited for any more. What Python does from here on is quick, and takes its handlers away in between:
    a signal would then have the exit code of one that nobody heard."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def _log_to_file(level: str) -> list[ConfigProblem]:
    """Send our log and llama.cpp's to a rotating file; without one when it cannot be written."""
    logger = logging.getLogger("llmtui")
    logger.propagate = False
    logger.setLevel(level.upper())
    if logger.handlers:
        return []
    file = paths.log_file()
    try:
        private.folder(file.parent)
        handler = _PrivateLog(file, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    except OSError as error:
        logger.addHandler(logging.NullHandler())
        return [
            ConfigProblem(
                file=file,
                key="",
                message=later("cannot be written ({reason}): no log is kept.", reason=kept_reason(error)),
            )
        ]
    handler.setFormatter(_Harmless("%(asctime)s %(levelname).1s %(name)s %(message)s"))
    logger.addHandler(handler)
    return []


class _PrivateLog(logging.handlers.RotatingFileHandler):
    """A log that only its owner can read, in a file that nobody else has placed. A line for which the disk has no room
    is left out silently: what matters more says that the disk is full."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Start again with the next line: a file that could not be closed is closed for good."""
        stream, self.stream = self.stream, None
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.close()

    def close(self) -> None:
        """The end, whatever the disk takes."""
        with contextlib.suppress(OSError, ValueError):
            super().close()

    def _open(self) -> TextIOWrapper:
        descriptor = private.open_file(Path(self.baseFilename), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        return open(descriptor, "a", encoding="utf-8", errors="replace")  # noqa: PTH123


class _Harmless(logging.Formatter):
    """Nothing that a terminal would obey when somebody looks at the log: it quotes models, files and drivers."""

    def format(self, record: logging.LogRecord) -> str:
        return clean(super().format(record))
