"""Starting the app: reads the user's files, sets up logging, runs Textual until the user leaves."""

from __future__ import annotations

import atexit
import os
import signal
import sys

from tui.app import file_phrases, host_phrases, hub_phrases
from tui.app.app import ENDING, LlmtuiApp
from tui.app.terminal_input import TerminalDriver
from tui.app.terminal_output import is_terminal
from tui.app.theming import ThemeFolder
from tui.base.terminal_style import say, say_error
from tui.config import paths
from tui.config.keymap import resolve
from tui.config.logfile import log_to_file
from tui.config.options import AppOptions
from tui.config.settings import load_settings
from tui.config.state import StateStore
from tui.words import tr


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
    problems += log_to_file(settings.log.level)
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
        if app.goes_on:
            say(tr(host_phrases.GOES_ON))
        if told := hub_phrases.goes_on(app.controller.fetching.all, in_background=app.goes_on):
            say(told)
    return code


def _hear_no_signal() -> None:
    """No thread is waited for any more. What Python does from here on is quick, and takes its handlers away in between:
    a signal would then have the exit code of one that nobody heard."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
