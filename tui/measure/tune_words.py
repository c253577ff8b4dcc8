"""What a search for the fastest settings found, in words. Both front ends say it so."""

from __future__ import annotations

from tui.base import format
from tui.config.loadtable import LOAD_ROWS, value_words
from tui.config.settings import ChosenLoad
from tui.measure.stats import RelativeDifference
from tui.measure.tune import TURN_GEN, TURN_PROMPT, Outcome, Stage, Trial, TuneOutcome
from tui.measure.tune_candidates import changes
from tui.words import mark, tr

_THREADS = ("n_threads", "n_threads_batch")
STAGES: dict[Stage, str] = {
    "threads": mark("threads"),
    "changes": mark("one change at a time"),
    "in turns": mark("the best alternating with the current settings"),
}
_OUTCOMES: dict[Outcome, str] = {
    "best": mark("best"),
    "dropped": mark("dropped"),
    "failed": mark("cannot be loaded"),
    "start": mark("start"),
    "stopped": mark("not over in time"),
    "tried": "",
}


def label(start: ChosenLoad, choice: ChosenLoad) -> str:
    """What `choice` changes: "repack off, threads 8"."""
    return label_of(changes(start, choice)) or tr("the settings as they are")


def label_of(changed: dict[str, object]) -> str:
    """The same of the changes themselves; empty for none. Threads come last: most candidates share them."""
    ordered = sorted(changed.items(), key=lambda item: item[0] in _THREADS)
    return format.listed(
        *(tr("{name} {value}", name=tr(LOAD_ROWS[name].words), value=value_words(value)) for name, value in ordered)
    )


def outcome_of(trial: Trial) -> str:
    """What became of a trial; may be empty."""
    said = tr(_OUTCOMES[trial.outcome])
    if trial.choice.type_k != "f16" and trial.outcome != "start":
        said = tr("{outcome} (costs a little quality)", outcome=said).strip()
    return said


def gain_of(gain: RelativeDifference) -> str:
    """ "12.3% faster (10.1 to 14.5)"."""
    return tr(
        "{percent}% faster ({low} to {high})",
        percent=f"{gain.percent:.1f}",
        low=f"{gain.low:.1f}",
        high=f"{gain.high:.1f}",
    )


def verdict(found: TuneOutcome) -> str:
    """Whether something is surely faster, in one sentence."""
    turn = {"n_read": TURN_PROMPT, "n_written": TURN_GEN}
    if found.is_better and found.gain is not None:
        return tr(
            "{settings}: {gain} for a turn of {n_read} tokens read and {n_written} written.",
            settings=label(found.start, found.best),
            gain=gain_of(found.gain),
            **turn,
        )
    return tr(
        "Nothing is reliably faster than the current settings, for a turn of {n_read} tokens read and "
        "{n_written} written; they stay.",
        **turn,
    )


def left_out(found: TuneOutcome) -> str:
    """What was not tried, and why; empty where all was."""
    said = []
    if found.not_tried:
        left = "; ".join(label(found.start, choice) for choice in found.not_tried)
        said.append(tr("Not tried, as there was no time: {settings}.", settings=left))
    if found.n_too_large:
        said.append(tr("Left out because they would leave too little memory: {n}.", n=found.n_too_large))
    return format.sentences(*said)
