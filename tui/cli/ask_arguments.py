"""What the arguments of `llmtui ask` ask for."""

from __future__ import annotations

import argparse
from pathlib import Path

from tui.ask.command import ask
from tui.base.format import listed
from tui.cli.chat_arguments import shared_options, system_prompt, text_of_file
from tui.cli.named_model import model_files
from tui.cli.parser import CommandLineError
from tui.config import paths
from tui.config.options import AskOptions
from tui.config.presets import Preset, read_preset, read_presets
from tui.config.samplingtable import SAMPLING_TABLE
from tui.protocol.records import AnswerFormat
from tui.shell.trouble import say
from tui.words import tr


def run_ask(arguments: argparse.Namespace) -> int:
    """Ask; the exit code. Raises `CommandLineError`, and `NoSuchModel`."""
    settings_file = Path(arguments.settings) if arguments.settings else None
    if arguments.host is not None:
        from tui.cli.far import far_of

        far_of(arguments)
    preset = _preset(arguments.preset)
    wanted = arguments.model or (preset.model if preset else "")
    named = [wanted] if wanted else []
    return ask(
        AskOptions(
            question=" ".join(arguments.models),
            files=tuple(arguments.files),
            model=None if arguments.host is not None else next(iter(model_files(named, settings_file)), None),
            **shared_options(arguments, settings_file),
            continue_last=arguments.continue_last,
            system_prompt=system_prompt(arguments.system),
            temperature=arguments.temperature,
            sampling=_sampling(arguments),
            preset=preset,
            answer_format=_answer_format(arguments),
            max_tokens=arguments.max_tokens,
            think=arguments.think,
            keep=arguments.keep,
            stays_loaded=arguments.stays_loaded,
            as_json=arguments.json,
            host=arguments.host or "",
            named=wanted if arguments.host is not None else "",
        )
    )


def _sampling(arguments: argparse.Namespace) -> dict[str, object]:
    """The values that were given, by the names of `SamplingValues`."""
    named = ((row.name, getattr(arguments, row.name)) for row in SAMPLING_TABLE if row.option)
    given = {name: value for name, value in named if value is not None}
    if "logit_bias" in given:
        given["logit_bias"] = dict(given["logit_bias"])
    return given


def _answer_format(arguments: argparse.Namespace) -> AnswerFormat | None:
    """What the files say that the answer must keep to. Raises `CommandLineError`."""
    if arguments.schema is not None:
        return AnswerFormat(kind="json_schema", text=text_of_file(arguments.schema, "--schema"))
    if arguments.grammar is not None:
        return AnswerFormat(kind="gbnf", text=text_of_file(arguments.grammar, "--grammar"))
    return None


def _preset(name: str | None) -> Preset | None:
    """The preset that was named; one that gives nothing for an empty name. Raises `CommandLineError`."""
    if name is None:
        return None
    if not name:
        return Preset(name="")
    folder = paths.presets_dir()
    preset, problems = read_preset(folder, name)
    for problem in problems:
        say(str(problem))
    if preset is None:
        there = [one.name for one in read_presets(folder)[0]]
        told = tr("--preset {name}: there is no such preset in {folder}.", name=name, folder=folder)
        if there:
            told += "\n" + tr("There are: {names}.", names=listed(*there))
        raise CommandLineError(told)
    return preset
