"""What the command line asks of the front ends, as records: the border between arguments and the rest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from tui.config.modelrules import ChatOverrides
from tui.config.presets import Preset
from tui.protocol.records import AnswerFormat


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What all front ends take."""

    load: Mapping[str, object] = {}
    """Field of `ChosenLoad` to the value given on the command line, for `tui.config.load.merge_load`."""
    fit: bool = False
    """Place layers and experts where they are fastest, of all that fits."""
    force: bool = False
    """Load even when too little memory would be left."""
    chat_format: ChatOverrides = ChatOverrides()
    """Chat template and stop strings for every model of this run."""
    settings_file: Path | None = None
    """Take this file in place of the user's `settings.toml`."""
    software_vulkan: bool = False
    """List software Vulkan devices too, whatever the settings say."""


class AppOptions(Options, frozen=True):
    """How the app is to start."""

    model: Path | None = None
    """The model named on the command line, as it was written there."""
    theme: str = ""
    """Name of the theme to use in this run; empty leaves it to state and settings."""
    continue_last: bool = False
    """Open the conversation that was open last."""
    import_file: Path | None = None
    """Open the conversation in this file, which was exported as JSON."""
    files: tuple[str, ...] = ()
    """Files that the first prompt is about, as they were written."""
    system_prompt: str | None = None
    """System prompt of the conversation that is opened, empty for none; None leaves it as it is."""
    temperature: float | None = None
    """Temperature in the conversation that is opened; None leaves it as it is."""
    background: bool | None = None
    """Have the session run in the background, so that it outlives the terminal; None leaves it to the settings."""
    separate: bool = False
    """In the background, begin a session beside those that are there."""
    monitor: bool = False
    """Show the full-screen monitor alone; no engine is started."""


Think = Literal["", "on", "off", "show"]
"""Whether a model thinks before it answers, and "show": and whether that is seen. Empty leaves it to the settings."""


class AskOptions(Options, frozen=True):
    """One question, and what is to be done with the answer."""

    question: str = ""
    """What the command line says; what is piped in follows it, or is all there is."""
    files: tuple[str, ...] = ()
    """Files that the question is about, as they were written."""
    model: Path | None = None
    """The model that was named; None takes one by itself."""
    continue_last: bool = False
    """Ask in the conversation that was used last."""
    system_prompt: str | None = None
    """Empty for none; None leaves it as it is."""
    temperature: float | None = None
    """None leaves it as it is."""
    sampling: Mapping[str, object] = {}
    """Field of `tui.protocol.records.PartialSampling` to the value that was given, the temperature not among them."""
    preset: Preset | None = None
    """The preset to take; None leaves it to the settings. Other options go before it."""
    answer_format: AnswerFormat | None = None
    """What the answer must keep to; None leaves it as it is."""
    max_tokens: int | None = None
    """Of the answer at most, thinking included; None leaves it to the settings."""
    think: Think = ""
    keep: bool = True
    """Save the conversation."""
    stays_loaded: bool = False
    """Leave the model loaded, in the background."""
    as_json: bool = False
    """The answer as one JSON object, at its end."""
    host: str = ""
    """The machine that is to answer, as ssh takes it; empty for this one."""
    named: str = ""
    """The model that was named for that machine, as it was written; `model` is None then."""


BenchKind = Literal["tests", "quick", "localscore", "parallel", "spec", "tune"]
"""llama-bench's tests, the quick score, LocalScore, many users at once, texts with speculation and without, or the
search for the fastest settings."""


class BenchOptions(Options, frozen=True):
    """What is to be measured, and what is to be done with it."""

    kind: BenchKind = "tests"
    models: tuple[Path, ...] = ()
    """As they were written; none takes one by itself."""
    every_model: bool = False
    """All of the library that fit, in place of `models`."""
    backends: tuple[str, ...] = ()
    """Each model on each of these; none takes the one of `load` and the settings."""
    n_prompt: tuple[int, ...] = (512,)
    n_gen: tuple[int, ...] = (128,)
    pairs: tuple[tuple[int, int], ...] = ()
    """Prompt and generation in one test."""
    n_depth: tuple[int, ...] = (0,)
    """Tokens that the context holds before each test."""
    repetitions: int = 5
    end_to_end: bool = False
    """Time an answer as a user gets it, too."""
    n_parallel: tuple[int, ...] = ()
    """For how many users at once, each with `n_prompt` and `n_gen`; for the kind "parallel"."""
    tune_s: float = 0.0
    """Seconds that the search of the kind "tune" may take; 0 leaves it to the settings."""
    output: str = ""
    """A name of `tui.bench.render.FORMATS` or `tui.bench.picture.PICTURES`; empty takes the table on a terminal and
    Markdown in a pipe."""
    baseline: str = ""
    """The row whose speed counts as 1 in charts, as `tui.measure.chart.find_baseline` reads it; empty chooses one."""
    history: bool = False
    """List the runs that were kept, and measure nothing."""
    compare: str = ""
    """What to compare with: "last", the ID of a run, or a file of records; empty for nothing."""
    fail_below: float | None = None
    """How many percent slower a test may be without failing."""
    keep: bool = True
    """Put the run into the history."""
