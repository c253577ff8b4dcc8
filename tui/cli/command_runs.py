"""Which module carries a command out, and what its errors are to whoever called it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tui.base.exit_codes import ExitCode
from tui.base.terminal_style import say_error
from tui.cli.named_model import NoSuchModel
from tui.cli.parser import CommandLineError
from tui.config import paths
from tui.hubs.interface import HubError
from tui.models.modelfile import ModelFileError
from tui.words import tr

_NO_SUCH_MODEL = ("not_found", "name", "model")


_THERE = ("ls", "stop", "models")
"""What another machine's llmtui carries out wholly, with `--host`."""


def run_command(name: str, arguments: argparse.Namespace, given_words: Sequence[str], see_help: str) -> int:
    """Carry it out; the exit code. Raises `CommandLineError`."""
    paths.put_in_order()
    try:
        if name in _THERE and arguments.host is not None:
            from tui.cli.far import run_there

            return run_there(arguments, given_words)
        return _run(name, arguments)
    except CommandLineError as error:
        raise CommandLineError(str(error), error.advice or see_help) from error
    except NoSuchModel as error:
        say_error(str(error))
    except ModelFileError as error:
        say_error(tr("{file}: {reason}", file=error.path, reason=error.reason))
    except HubError as error:
        say_error(str(error))
        return ExitCode.MODEL if error.kind in _NO_SUCH_MODEL else ExitCode.HUB
    return ExitCode.MODEL


def _run(name: str, arguments: argparse.Namespace) -> int:
    match name:
        case "ask":
            from tui.cli.ask_arguments import run_ask

            return run_ask(arguments)
        case "attach":
            from tui.cli.background import attach_here

            return attach_here(arguments)
        case "ls":
            from tui.cli.background import ls

            return ls(arguments)
        case "stop":
            from tui.cli.background import stop

            return stop(arguments)
        case "models":
            from tui.cli.list_models import list_models

            return list_models(arguments)
        case "search":
            from tui.cli.search_hubs import search

            return search(arguments)
        case "show":
            from tui.cli.show_model import show

            return show(arguments)
        case "pull":
            from tui.cli.pull_model import pull

            return pull(arguments)
        case _:
            from tui.cli.remove_models import remove

            return remove(arguments)
