"""The search for the fastest load settings of one model: what is tried, what is best so far, how long it may take.
It begins at once, and the chat's model makes room for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.worker import Worker

from tui.app.bindings import Keymap
from tui.app.screens.board_dialog import BoardDialog
from tui.app.widgets.tune_board import TuneBoard, TuneState
from tui.base import format
from tui.engines.interface import EngineError
from tui.measure import tune_words
from tui.measure.tune import TURN_GEN, TURN_PROMPT, TuneOutcome, TuneProgress
from tui.protocol.death import EngineDied, death_sentence
from tui.session.tuning import TuneSearch
from tui.words import mark, tr

STOP, STOPPING = mark("Stop"), mark("stopping…")
MAKING_ROOM = mark("making room…")
REMEMBERED = mark("Remembered for this model on this machine. Closing this loads it with these settings.")


class TuneScreen(BoardDialog[TuneOutcome, TuneState]):
    """Esc stops, and keeps what is sure by then; when it is over, esc or enter leaves, with what was found as result.
    `prepare` takes the chat's model out of the way and gives the search; `keep` remembers what it found."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "tune.tcss"]  # type: ignore[assignment]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "leave", "Close", show=False),
    ]

    def __init__(
        self,
        name: str,
        seconds: float,
        prepare: Callable[[], Awaitable[TuneSearch]],
        keep: Callable[[TuneOutcome], Awaitable[None]],
        keymap: Keymap,
    ) -> None:
        about = (
            tr(
                "Load settings are tried on this machine: threads, repacking, batch sizes, flash attention, and "
                "the placement of layers and experts. It takes {time} at most.",
                time=format.about(seconds),
            ),
            tr(
                "What is clearly faster for a turn of {n_read} tokens read and {n_written} written is remembered "
                "for this model.",
                n_read=TURN_PROMPT,
                n_written=TURN_GEN,
            ),
        )
        board = TuneBoard(TuneState(model=name, about=about, doing=tr(MAKING_ROOM)))
        super().__init__(board, keymap, title=tr("Tune"))
        self._prepare, self._keep = prepare, keep
        self._search: TuneSearch | None = None
        self._outcome: TuneOutcome | None = None
        self._searching: Worker[None] | None = None
        self._is_stopped = False

    def compose_body(self) -> ComposeResult:
        """The board."""
        yield self.board

    def on_mount(self) -> None:
        """Begin."""
        self.key_titles["dialog_close"] = STOP
        self.board.show(self.state)
        self._searching = self._run()

    async def on_unmount(self) -> None:
        """The app ends, or the screen was left while it stops: the search ends too."""
        if self._search is not None:
            self._search.stop()

    def action_leave(self) -> None:
        """Leave when it is over."""
        if self._searching is None:
            self.dismiss(self._outcome)

    def action_dialog_close(self) -> None:
        """Stop what runs; what is sure by then stays. Leave when it is over."""
        if self._searching is None:
            self.dismiss(self._outcome)
        elif not self._is_stopped:
            self._is_stopped = True
            self.change(doing=tr(STOPPING))
            if self._search is not None:
                self._search.stop()

    @work(exclusive=True, group="tune")
    async def _run(self) -> None:
        told: tuple[str, ...] = ()
        try:
            self._search = search = await self._prepare()
            if not self._is_stopped:
                self.change(doing="")
                self._outcome = await search.run(self._progressed)
            told = await self._told(self._outcome)
        except EngineError as error:
            told = (tr("{name}: {reason}", name=self.state.model, reason=error.info.text),)
        except EngineDied as died:
            told = (death_sentence(died.death),)
        finally:
            self._searching = None
            self.key_titles.pop("dialog_close", None)
            if self.is_mounted:
                is_good = self._outcome is not None and self._outcome.is_better
                self.change(doing="", progress=None, told=told, outcome=self._outcome, is_good=is_good)
                self.refresh_bindings()

    async def _told(self, found: TuneOutcome | None) -> tuple[str, ...]:
        if found is None or not any(trial.speeds for trial in found.trials):
            return (tr("Stopped before anything was measured; the settings stay as they are."),)
        await self._keep(found)
        said = [tune_words.verdict(found)]
        if found.is_better:
            said.append(tr(REMEMBERED))
        elif self._is_stopped:
            said[0] = tr("Stopped before anything was clearly faster; the settings stay as they are.")
        return (*said, *filter(None, [tune_words.left_out(found)]))

    def _progressed(self, progress: TuneProgress) -> None:
        if not self._is_stopped:
            self.change(progress=progress, outcome=progress.outcome)
