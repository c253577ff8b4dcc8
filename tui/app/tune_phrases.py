"""Sentences of the app about the search for the fastest load settings."""

from __future__ import annotations

from pathlib import Path

from tui.app.bindings import Keymap, title_of
from tui.app.phrases import hint
from tui.base import format
from tui.config.state import TunedLoad
from tui.measure.stats import RelativeDifference
from tui.measure.tune_words import gain_of, label_of
from tui.words import tr


def offered(name: str, seconds: float, keymap: Keymap) -> str:
    """That it can be done for the model that has just answered."""
    return tr(
        "“{action}” in the palette{key} may find faster load settings for {name}, in {time} at most.",
        action=title_of("tune"),
        key=hint(keymap, "palette"),
        name=name,
        time=format.about(seconds),
    )


def tuned_line(found: tuple[Path, TunedLoad] | None, path: Path) -> str:
    """What of the settings of the model at `path` was measured to be faster, and for which model; empty for nothing."""
    if found is None or not found[1].load:
        return ""
    source, tuned = found
    settings = label_of(dict(tuned.load))
    if source != path:
        return tr(
            "Taken from {model}, a model of the same kind that was tuned here: {settings}.",
            model=source.name,
            settings=settings,
        )
    if not tuned.percent:
        return tr("Tuned here: {settings}.", settings=settings)
    gain = gain_of(RelativeDifference(percent=tuned.percent, low=tuned.low, high=tuned.high))
    return tr("Tuned here: {settings}: {gain}.", settings=settings, gain=gain)
