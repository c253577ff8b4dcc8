"""What a search for the fastest settings shows while it runs and when it is over: what is tried now, what is best so
far, and all that was tried. Gets records, decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from tui.app.widgets.board import Board, cut, progress, wrapped
from tui.app.widgets.lines import Row
from tui.app.widgets.row_list import column
from tui.base import format
from tui.measure import tune_words
from tui.measure.stats import mean
from tui.measure.tune import Trial, TuneOutcome, TuneProgress
from tui.words import tr

_FIGURE = 9
_ROOMY = 60
"""Columns from which there is room for both speeds."""


class TuneState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is shown."""

    model: str = ""
    doing: str = ""
    """What is done besides trying; empty while it tries, and when it is over."""
    progress: TuneProgress | None = None
    """While it runs."""
    outcome: TuneOutcome | None = None
    """So far."""
    told: tuple[str, ...] = ()
    """What came of it, when it is over."""
    is_good: bool = False
    """Something faster was found."""
    about: tuple[str, ...] = ()
    """What this is, for as long as nothing was measured."""


class TuneBoard(Board[TuneState]):
    """What came of it, or how far it is, stays on top; what was tried can be moved."""

    def top_rows(self, width: int) -> Iterator[Row]:
        """The model, and what came of it or how far it is."""
        state = self.state
        yield ((cut(state.model, width), "title"),)
        for number, line in enumerate(state.told):
            style = "" if number else "strong+good" if state.is_good else "strong"
            yield from wrapped(line, width, style)
        if state.doing:
            yield ((cut(state.doing, width), ""),)
        elif state.progress is not None:
            yield from _progress_rows(state.progress, width)

    def rows_below(self, width: int) -> Iterator[Row]:
        """All that was tried, the fastest first."""
        outcome = self.state.outcome
        if outcome is None or not outcome.trials:
            for line in self.state.about:
                yield from wrapped(line, width, "muted")
            return
        titles = _columns(width, "pp t/s", "tg t/s", tr("gain"))
        n_name = max(12, min(48, width - len(titles) * _FIGURE - 2))
        yield ((column(tr("settings"), n_name) + _aligned(titles), "muted"),)
        now = self.state.progress.choice if self.state.progress is not None and not self.state.told else None
        for trial in sorted(outcome.trials, key=lambda trial: -trial.speed):
            yield from _trial_rows(outcome, trial, n_name, width, is_now=trial.choice == now)


def _progress_rows(now: TuneProgress, width: int) -> Iterator[Row]:
    outcome = now.outcome
    left = tr("{time} left at most", time=format.about(now.left_s))
    yield progress(now.fraction, f"  {left}", width)
    trying = tr("now: {settings}", settings=tune_words.label(outcome.start, now.choice))
    stage = tr(tune_words.STAGES[now.stage])
    yield ((cut(trying, width), ""), (cut(f"  {stage}", max(0, width - len(trying))), "muted"))
    leader = outcome.leader
    if leader is None:
        yield ((cut(tr("best so far: the settings as they are"), width), "muted"),)
        return
    percent = f"{outcome.percent_of(leader) or 0:.0f}"
    best = {"settings": tune_words.label(outcome.start, leader.choice), "percent": percent}
    if outcome.is_better:
        yield ((cut(tr("best so far: {settings}, {percent}% faster", **best), width), "good"),)
    else:
        yield ((cut(tr("best so far: {settings}, about {percent}% faster, not yet sure", **best), width), ""),)


def _columns(width: int, *figures: str) -> tuple[str, ...]:
    """Those that there is room for: the last, which says most, in any case."""
    return figures if width >= _ROOMY else figures[-1:]


def _aligned(figures: Sequence[str]) -> str:
    return "".join(column(text, _FIGURE, right=True) for text in figures)


def _trial_rows(outcome: TuneOutcome, trial: Trial, n_name: int, width: int, *, is_now: bool) -> Iterator[Row]:
    name = cut(tune_words.label(outcome.start, trial.choice), n_name - 1)
    style = "good" if trial.outcome == "best" else "key" if is_now else "" if trial.speed else "muted"
    figures: Sequence[str] = ("", "", "")
    if trial.speed:
        percent = outcome.percent_of(trial)
        gain = "" if trial.outcome == "start" or percent is None else f"{percent:+.0f}%"
        speeds = (format.full_speed(mean(values)) for values in (trial.prefill_tps, trial.decode_tps))
        figures = (*speeds, gain)
    said = tune_words.outcome_of(trial)
    shown = _columns(width, *figures)
    room = width - n_name - len(shown) * _FIGURE - 2
    yield (
        (column(name, n_name), style),
        (_aligned(shown), style),
        (f"  {cut(said, room)}" if room > 3 else "", "muted"),
    )
