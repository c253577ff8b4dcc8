"""What the arguments of `llmtui ask` ask for."""

from __future__ import annotations

import argparse
from pathlib import Path

from tui.ask.command import ask
from tui.cli.chat_arguments import shared_options, system_prompt
from tui.cli.named_model import model_files
from tui.config.options import AskOptions


def run_ask(arguments: argparse.Namespace) -> int:
    """Ask; the exit code. Raises `CommandLineError`, and `NoSuchModel`."""
    settings_file = Path(arguments.settings) if arguments.settings else None
    named = [arguments.model] if arguments.model else []
    if arguments.host is not None:
        from tui.cli.far import far_of

        far_of(arguments)
    return ask(
        AskOptions(
            question=" ".join(arguments.models),
            files=tuple(arguments.files),
            model=None if arguments.host is not None else next(iter(model_files(named, settings_file)), None),
            **shared_options(arguments, settings_file),
            continue_last=arguments.continue_last,
            system_prompt=system_prompt(arguments.system),
            temperature=arguments.temperature,
            max_tokens=arguments.max_tokens,
            think=arguments.think,
            keep=arguments.keep,
            stays_loaded=arguments.stays_loaded,
            as_json=arguments.json,
            host=arguments.host or "",
            named=(arguments.model or "") if arguments.host is not None else "",
        )
    )
