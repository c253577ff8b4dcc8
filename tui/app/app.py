"""The Textual app: what is above the screens. Owns settings, keys, themes and the controller; everything about a
conversation is the main screen's."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Set
from pathlib import Path
from types import FrameType
from typing import ClassVar

from textual import events
from textual.app import App, ScreenStackError
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.notifications import Notification, SeverityLevel
from textual.screen import ModalScreen
from textual.widgets._toast import ToastRack

from tui.app import file_phrases, phrases
from tui.app.answer_notice import AnswerNotice
from tui.app.bindings import Keymap, bind, title_of
from tui.app.copier import Copier
from tui.app.key_order import KeyOrder
from tui.app.new_session import new_session
from tui.app.notices import Notices, show_newest
from tui.app.screens.flows import ACTS, at_work
from tui.app.screens.main import MainScreen
from tui.app.stylesheet import ThriftyStylesheet
from tui.app.terminal_input import TerminalDriver
from tui.app.terminal_output import is_terminal
from tui.app.theming import ThemeFolder, forget_others, register, usual_theme
from tui.base import ending
from tui.base.beat import beats
from tui.base.text import clean
from tui.chat.store import Store, StoreError
from tui.config import paths
from tui.config.actions import BY_ID
from tui.config.keymap import display_keys
from tui.config.options import AppOptions
from tui.config.problems import ConfigProblem
from tui.config.settings import Settings
from tui.config.state import StateStore
from tui.config.themes import choose_theme
from tui.session.events import AnySessionEvent, SavingFailed
from tui.session.interface import Session
from tui.words import tr

QUIT_QUESTION = "quit-question"
THEME_CHECK_S = 2.0
TERMINAL_CHECK_S = 2.0
INTERRUPT_S = 0.7
"""How long a signal waits for the engine to end what it does; then the engine is ended, whatever it does."""
RETRY_S = 1.0
"""How long leaving waits for another try to save what could not be saved before."""
SAVE_S = 5.0
"""How long a signal waits for a slow disk."""
END_S = 0.6
"""How long the process may take to end when all is saved."""
ENDING = (*ending.ASKED, *ending.OTHERS)
"""Signals that end the app in good order. Ctrl-C and ctrl+\\ are keys here."""
HUNG_UP = 128 + signal.SIGHUP


class LlmtuiApp(App[int], inherit_bindings=False):
    """llmtui. Start it with `run`; the result is the exit code."""

    TITLE = "llmtui"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False  # ours is opened by the action "palette", whose key can be changed
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "interrupt", show=False, system=True)]

    def __init__(
        self,
        options: AppOptions,
        settings: Settings,
        keymap: Keymap,
        themes: ThemeFolder,
        state: StateStore,
        problems: list[ConfigProblem],
    ) -> None:
        super().__init__()
        self.stylesheet = ThriftyStylesheet(variables=self.stylesheet._variables)
        self.options, self.settings, self.keymap, self.themes = options, settings, keymap, themes
        self.problems = problems
        """What is wrong with the user's files, for the screen that shows it."""
        self.unsaved: StoreError | None = None
        """Why conversations could not be saved at the end, if so: what waited is lost then."""
        self.goes_on = False
        """Something runs in the background that was left there."""
        self._leaving: asyncio.Task[None] | None = None
        self._notifications: Notices = Notices()
        self._keys = KeyOrder(self, super().on_event, self._is_ready_for_keys, self._dialogs_coming)
        self.animation_level = "full" if settings.ui.animations else "none"
        self.store = Store(paths.database_file(), self._store_trouble)
        self.controller: Session = new_session(settings, state, self.store, options)
        self.copier = Copier(self, settings.ui)
        self.controller.listen(self._hear)
        notice = AnswerNotice(
            settings.ui,
            conversation=lambda: self.controller.conversation,
            is_looked_at=lambda: self.app_focus,
            send=self.copier.write_to_terminal,
        )
        self.controller.listen(notice.hear)
        bind(self, keymap, "app")
        configured = usual_theme(settings, os.environ, self.console.color_system)
        settings_file = options.settings_file or paths.user_settings_file()
        self._themes_wanted: tuple[str, ...] = (options.theme, state.state.theme, configured)
        self.problems += self._take_theme(settings_file)

    def get_driver_class(self) -> type[Driver]:
        """Ours where Textual would take its own for terminals."""
        chosen = super().get_driver_class()
        return TerminalDriver if chosen is LinuxDriver else chosen

    def on_mount(self) -> None:
        if isinstance(self._driver, TerminalDriver):
            self.run_worker(self._watch_terminal(self._driver), group="terminal")
        self.run_worker(self._watch_themes(), group="themes")
        if self.problems:
            self.notify(file_phrases.first_problem(self.problems), severity="warning", timeout=10, markup=False)
        self.watch(self, "app_focus", self._look, init=False)
        if self.options.monitor:
            from tui.app.screens.monitor import MonitorScreen

            self.controller.monitoring.start(watch_others=True)
            self.push_screen(MonitorScreen(self.controller, self.keymap))
        else:
            self.push_screen(MainScreen(self.controller, self.keymap, self.settings, self.options, self.copier))

    def _look(self, is_seen: bool) -> None:
        """Somebody looks from now on, as far as the terminal tells, or nobody does: then hardly anything wakes."""
        self.controller.monitoring.look(is_seen)
        self.store.look(is_seen)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Paste):
            self.app_focus = True  # who pastes looks, whatever the terminal said; keys are taken so by Textual
        if isinstance(event, events.InputEvent | events.Paste) and not event.is_forwarded:
            await self._keys.take(event)
        else:
            await super().on_event(event)

    def _is_ready_for_keys(self) -> bool:
        """Whether the main screen has come: what is typed before that is for its prompt."""
        return self.options.monitor or any(
            isinstance(screen, MainScreen) and screen.is_shown for screen in self.screen_stack
        )

    @property
    def keys_are_done(self) -> bool:
        """Whether every key so far has acted."""
        return self._keys.is_done

    def _dialogs_coming(self) -> Set[object]:
        """What may open a dialog in a moment, or close the one that is open, or fill it."""
        return at_work(self.screen, ("dialog",) if isinstance(self.screen, MainScreen) else ACTS)

    @property
    def main(self) -> MainScreen:
        """The main screen, under whatever dialog is open."""
        return next(screen for screen in self.screen_stack if isinstance(screen, MainScreen))

    async def on_unmount(self) -> None:
        try:
            await self.controller.close()
        except StoreError as error:
            self.unsaved = error

    def _build_driver(self, headless: bool, inline: bool, mouse: bool, size: tuple[int, int] | None) -> Driver:
        """Textual's, which is told what to do when the terminal goes (the connection broke, its window was closed) and
        when a signal comes: before the terminal is ours, for none may leave it as only the app wants it."""
        driver = super()._build_driver(headless, inline, mouse, size)
        if isinstance(driver, TerminalDriver):
            driver.on_gone = lambda: self.leave(HUNG_UP)
            driver.before_stop = self.controller.save_now
            driver.on_stay = lambda: self.notify(tr(phrases.NO_SHELL), timeout=5, markup=False)
            loop = asyncio.get_running_loop()

            def end(number: int, _frame: FrameType | None) -> None:
                code = 0 if number == signal.SIGTERM else 128 + number
                if self._leaving is None:
                    self._end_within(SAVE_S + END_S, code)  # even if the event loop does not come to it
                with contextlib.suppress(RuntimeError):  # the loop has ended: so does the process
                    loop.call_soon_threadsafe(self.leave, code)

            for number in ENDING:
                signal.signal(number, end)
        return driver

    def _handle_exception(self, error: Exception) -> None:
        """Once the end has begun, a fault is for the log: the screens are going, and what still works for them finds
        its widgets gone."""
        if self._exit:
            logging.getLogger("llmtui").error("While llmtui ended", exc_info=error)
        else:
            super()._handle_exception(error)

    def leave(self, code: int) -> None:
        """Save all, end the engine, and go, without a question and whatever the terminal does."""
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave(code))

    async def _leave(self, code: int) -> None:
        log = logging.getLogger("llmtui")
        try:
            async with asyncio.timeout(SAVE_S):
                await self.controller.close(patience_s=INTERRUPT_S)
        except StoreError as error:
            self.unsaved = error
            log.warning("Left without saving all: %s", error)
        except TimeoutError:
            log.warning("Left without saving all: it took more than %g s", SAVE_S)
        except Exception:
            log.exception("Left without saving all")
        finally:
            # What Textual and Python put in order after that must not keep the process for long.
            self._end_within(END_S, code)
            self.exit(code, return_code=code)

    def _end_within(self, seconds: float, code: int) -> None:
        """End the process then, whatever it does. The terminal is given back, if it was not before."""

        def end() -> None:
            try:
                if isinstance(self._driver, TerminalDriver):
                    self._driver.give_back_by_force()
            finally:
                os._exit(code)

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """Whatever a notice quotes, names of files for example, the terminal gets nothing that it would obey."""
        super().notify(clean(message), title=title, severity=severity, timeout=timeout, markup=markup)

    def _refresh_notifications(self) -> None:
        """One notice at a time, in place of all of them."""
        with contextlib.suppress(ScreenStackError, NoMatches):  # no screen yet, or one without a place for them
            self.call_later(show_newest, self.screen.get_child_by_type(ToastRack), self._notifications)

    def _unnotify(self, notification: Notification, refresh: bool = True) -> None:
        """The one that was pushed aside comes back."""
        super()._unnotify(notification, refresh=True)

    def _store_trouble(self, error: StoreError | None) -> None:
        if error is None:
            self.notify(tr("Conversations are saved again."), markup=False)
        else:
            is_lost = error.is_retried or error.kind == "rejected"
            title = tr("Not saved") if is_lost else tr("Conversations")
            self.notify(str(error), title=title, severity="error", timeout=15, markup=False)

    def _hear(self, event: AnySessionEvent) -> None:
        """A session elsewhere has a store of its own."""
        if isinstance(event, SavingFailed):
            self._store_trouble(event.error.error if event.error is not None else None)

    async def _watch_terminal(self, driver: TerminalDriver) -> None:
        """Without a controlling terminal there is no SIGHUP, and what is closed may not end the input."""
        async for _ in beats(TERMINAL_CHECK_S):
            if not is_terminal(driver.fileno):
                self.leave(HUNG_UP)

    async def _watch_themes(self) -> None:
        async for _ in beats(THEME_CHECK_S, self.controller.monitoring.seen):
            self._reload_themes()

    def _reload_themes(self) -> None:
        if not self.themes.has_changed():
            return
        for problem in self.themes.read():
            self.notify(str(problem), title=tr("Theme"), severity="warning", timeout=15, markup=False)
        if self.theme != self._theme_taken:  # the user chose it meanwhile
            self._themes_wanted = (self.theme, *self._themes_wanted)
        self._take_theme()
        self.refresh_css(animate=False)

    def _take_theme(self, file: Path | None = None) -> list[ConfigProblem]:
        """Use the most wanted theme of those there are. One that is broken for a while, as it may be while it is
        edited, comes back: it is wanted still. A wish for one that is not there is a problem of `file`."""
        register(self, self.themes.specs)
        spec, problems = choose_theme(self.themes.specs, *self._themes_wanted, file=file)
        if spec is not None:
            self.theme = spec.name
            forget_others(self, self.themes.specs)  # the one in use until now, Textual's own at first
        self._theme_taken = self.theme
        return problems

    def copy_to_clipboard(self, text: str) -> None:
        """Cut and copy of Textual's own widgets go the same way as ours."""
        self.run_worker(self.copier.copy(text), group="copy")

    # Actions of the scope "app" ---------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dialogs do not pile up: while one is open, only what concerns the terminal works from here, and the rest of
        a notice that was cut. The monitor has help besides."""
        if action in BY_ID and BY_ID[action].scope == "app" and not isinstance(self.screen, MainScreen):
            is_help = action == "help" and not isinstance(self.screen, ModalScreen)
            return is_help or action in ("quit", "redraw", "suspend", "notices")
        return super().check_action(action, parameters)

    def action_palette(self) -> None:
        from tui.app.screens.palette import PaletteScreen

        below, recent = self.screen, self.controller.state.state.actions
        palette = PaletteScreen(
            self.keymap,
            recent=recent,
            is_live=lambda action: hasattr(self if action.scope == "app" else below, f"action_{action.id}"),
        )
        self.push_screen(palette, self._run_from_palette)

    async def _run_from_palette(self, action_id: str | None) -> None:
        from tui.app.screens.palette import with_newest

        if action_id is not None:
            self.controller.change_remembered(lambda state: {"actions": with_newest(state.actions, action_id)})
            await self.run_action(action_id if BY_ID[action_id].scope == "app" else f"screen.{action_id}")

    async def action_interrupt(self) -> None:
        """Ctrl-C: copy what is marked, else stop what runs, else say how to leave."""
        if (marked := self.screen.get_selected_text()) is not None:
            await self.copier.copy(marked)
        elif self.controller.phase in ("answering", "loading"):
            self.controller.interrupt()
        else:
            keys = display_keys(self.keymap.get("quit", ()), limit=1)
            told = (
                tr("{key} quits.", key=keys)
                if keys
                else tr("Quit with “{action}” in the palette.", action=title_of("quit"))
            )
            self.notify(told, timeout=3, markup=False)

    async def action_quit(self) -> None:
        from tui.app.screens.confirm import ConfirmScreen

        if any(screen.id == QUIT_QUESTION for screen in self.screen_stack):
            return
        controller = self.controller
        if controller.n_unsaved:  # there may be room by now
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_S):
                    await controller.save_now()
                    await self.store.flush()
        if controller.n_unsaved:
            detail = file_phrases.unsaved(controller.n_unsaved, self.keymap)
            question = ConfirmScreen(
                tr("Quit without saving?"), self.keymap, detail=detail, yes=tr("Quit anyway"), no=tr("Stay")
            )
        elif controller.outlives and controller.is_busy:
            await self._ask_what_goes_on()
            return
        elif self.settings.ui.confirm_quit and controller.is_writing:
            question = ConfirmScreen(tr("An answer is being written. Stop it and quit?"), self.keymap)
        else:
            self._quit()
            return
        question.id = QUIT_QUESTION
        self.push_screen(question, lambda sure: self._quit() if sure else None)

    def _quit(self) -> None:
        """End all, here and in the background."""
        self.controller.leaves_running = False
        self.exit(0)

    async def _ask_what_goes_on(self) -> None:
        from tui.app.screens.leaving import END, STAY, leaving

        question = leaving(self.controller, self.keymap)
        question.id = QUIT_QUESTION

        def answered(choice: str | None) -> None:
            if choice == STAY:
                self.goes_on = True
                self.exit(0)
            elif choice == END:
                self._quit()

        self.push_screen(question, answered)

    def action_redraw(self) -> None:
        if isinstance(self._driver, TerminalDriver):
            self._driver.redraw()
        else:
            self.screen.refresh()

    def action_suspend(self) -> None:
        if isinstance(self._driver, TerminalDriver):
            self._driver.stop_process()
        else:
            self.notify(tr(phrases.NO_SHELL), timeout=5, markup=False)

    def action_help(self) -> None:
        from tui.app.screens.help import HelpScreen

        self.push_screen(HelpScreen(self.keymap))

    async def action_log_view(self) -> None:
        from tui.app.screens.log_view import LogScreen

        self.push_screen(LogScreen(tuple(await self.controller.engine_log()), self.keymap, copy=self.copier.copy))

    def action_notices(self) -> None:
        from tui.app.screens.log_view import LogScreen

        lines = self._notifications.past
        self.push_screen(LogScreen(lines, self.keymap, title=tr("Notices"), copy=self.copier.copy))

    def action_show_problems(self) -> None:
        from tui.app.screens.log_view import LogScreen

        lines = file_phrases.problems(self.problems)
        self.push_screen(LogScreen(lines, self.keymap, title=tr("Problems"), from_start=True, copy=self.copier.copy))
