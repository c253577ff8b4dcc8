"""The full-screen monitor: what the engine and the machine do now, and did in the last minutes. Changes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from textual.app import ComposeResult
from textual.screen import Screen

from tui.app.bindings import Keymap, bind
from tui.app.screens.live_figures import LiveFigures
from tui.app.widgets.key_bar import KeyBar
from tui.app.widgets.monitor_board import MonitorBoard
from tui.app.widgets.monitor_panels import MOST_ANSWERS, Past
from tui.app.widgets.readings import Figures
from tui.chat.conversation import Turn
from tui.config import paths
from tui.config.load import engine_settings
from tui.measure.history import History, HistoryError
from tui.measure.known_roofline import known_roofline
from tui.measure.report import Roofline
from tui.protocol.messages import Loaded
from tui.session import events
from tui.session.interface import Session

_log = logging.getLogger("llmtui")


class MonitorScreen(Screen[None]):
    """Follows the session while it is open."""

    DEFAULT_CSS = "MonitorScreen { layout: vertical; background: $background; }"
    AUTO_FOCUS = ""

    def __init__(
        self,
        controller: Session,
        keymap: Keymap,
        figures: Figures | None = None,
        on_uncovered: Callable[[], None] = lambda: None,
    ) -> None:
        """`figures` are those that are known already; `on_uncovered` is called when a dialog over it was closed."""
        super().__init__()
        self._controller = controller
        self.board = MonitorBoard()
        self._live = LiveFigures(controller, (self.board,), figures)
        self.board.figures = self._live.now
        self._on_uncovered = on_uncovered
        self._end: Callable[[], None] = lambda: None
        """Ends the listening."""
        self._roofline: Roofline | None = None
        self._roofline_of: Loaded | None = None
        bind(self, keymap, "monitor")

    def compose(self) -> ComposeResult:
        """The board, and the keys."""
        yield self.board
        yield KeyBar()

    def on_mount(self) -> None:
        """Listen from now on."""
        self._end = self._controller.listen(self.hear)
        self._look_back()

    def on_unmount(self) -> None:
        """Listen no more."""
        self._end()

    def on_screen_resume(self) -> None:
        """What waited for a dialog to be closed may be asked."""
        self._on_uncovered()

    def hear(self, event: events.AnySessionEvent) -> None:
        """Show what is different."""
        if isinstance(event, events.MachineRead | events.AnswerEnded | events.SpeedReset | events.ModelLoaded):
            self._look_back()
        self._live.hear(event)

    def action_monitor_close(self) -> None:
        """Back to the conversation, or, without one, to the shell."""
        if len(self.app.screen_stack) > 2:  # with Textual's own, which is the first
            self.dismiss(None)
        else:
            self.app.exit(0)

    def _look_back(self) -> None:
        """Have the board show the past as it is now, with its next figures."""
        controller, loaded = self._controller, self._controller.engine.loaded
        if loaded is not self._roofline_of:
            self._roofline_of, self._roofline = loaded, None
            if loaded is not None:
                self.run_worker(self._find_roofline(loaded), group="roofline", exclusive=True)
        self.board.past = Past(
            readings=controller.machine.readings,
            answers=_last_answers(controller.conversation.turns, controller.model.name),
            model=controller.model.name if loaded is not None else "",
            roofline=self._roofline,
        )

    async def _find_roofline(self, loaded: Loaded) -> None:
        """From the bandwidth that a benchmark on this machine has measured, if one has."""
        model, info = self._controller.model, self._controller.model.info
        if info is None:
            return
        settings, _ = engine_settings(model.choice, model.devices)
        history = History(paths.bench_file())
        try:
            found = await asyncio.to_thread(known_roofline, history, info, loaded, settings)
        except HistoryError as error:
            _log.info("No roofline: %s", error)
            return
        if loaded is self._roofline_of:
            self._roofline = found
            self._look_back()


def _last_answers(turns: tuple[Turn, ...], model: str) -> tuple[Turn, ...]:
    """Those of this model, the newest first."""
    found: list[Turn] = []
    for turn in reversed(turns):
        if turn.timings is not None and turn.model == model:
            found.append(turn)
            if len(found) == MOST_ANSWERS:
                break
    return tuple(found)
