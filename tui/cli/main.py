"""The `llmtui` command: its arguments, what each asks for, and its behaviour towards pipes and signals. Everything
that takes time to import, Textual and the settings included, is imported when it is known to be needed."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from tui import words
from tui.base.exit_codes import ExitCode
from tui.base.stdout import CannotWrite, flush
from tui.base.terminal_style import CANNOT_DRAW, say_error
from tui.cli.belonging import check, is_bench
from tui.cli.commands import COMMANDS, meant_command
from tui.cli.parser import CommandLine, CommandLineError, parser
from tui.config.language import first_language
from tui.words import mark, tr


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, `sys.argv` by default; the process's exit code."""
    _prepare_streams()
    os.umask(0o077)  # whatever is made from now on says what a person does
    try:
        code = _run(argv)
        flush()
    except CommandLineError as error:
        say_error(f"{error}\n{error.advice or _see_help()}")
        return ExitCode.USAGE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        _into_nothing(sys.stdout)
        return ExitCode.FINE
    except CannotWrite as error:
        _into_nothing(sys.stdout)
        with contextlib.suppress(OSError):
            say_error(tr("cannot write to stdout: {reason}.", reason=error))
        _can_be_told()
        return ExitCode.UNWRITTEN
    except OSError:
        if _can_be_told():
            raise
        return ExitCode.UNWRITTEN
    return code


def _can_be_told() -> bool:
    """Whether stderr takes what is said there: it may lead to the same full disk as stdout, and a traceback that nobody
    sees must not end with the exit code of a benchmark that was slower."""
    try:
        sys.stderr.flush()
    except OSError:
        _into_nothing(sys.stderr)
        return False
    return True


def _into_nothing(stream: TextIO) -> None:
    """What was not written is dropped: Python flushes its streams once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _prepare_streams() -> None:
    """A stream of another encoding gets question marks, not a traceback; one that was closed swallows what it gets."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123 - open until the end
        else:
            stream.reconfigure(errors="replace")


def _find_home() -> str:
    """Have HOME say where the home folder is, and no folder of the XDG specification be a relative one, which it
    forbids: libraries make of those whatever they like. What to say where nobody knows the home folder, as in a
    container for a user whom it does not know; else nothing."""
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        if not os.path.isabs(os.environ.get(name, "")):  # noqa: PTH117 - pathlib costs 10 ms here
            os.environ.pop(name, None)
    if os.path.isabs(os.environ.get("HOME", "")):  # noqa: PTH117
        return ""
    os.environ.pop("HOME", None)
    home = os.path.expanduser("~")  # noqa: PTH111 - what the system knows
    if not os.path.isabs(home):  # noqa: PTH117
        return mark(
            "cannot find your home folder: HOME is not set, and the system has no entry for this user. "
            "Set HOME to a folder that you can write to."
        )
    os.environ["HOME"] = home
    return ""


def _run(argv: Sequence[str] | None) -> int:
    homeless = _find_home()
    words.use(words.language_of(os.environ) if homeless else first_language(os.environ))
    given_words = list(sys.argv[1:] if argv is None else argv)
    if given_words in (["bridge"], ["bridge", "--start"]):  # over ssh: nobody types it
        from tui.host.bridge import bridge

        return bridge(is_made=len(given_words) > 1)
    name = given_words[0] if given_words and given_words[0] in COMMANDS else ""
    try:
        return _carry_out(name, given_words, homeless)
    except CommandLineError as error:
        meant = "" if name else _meant(given_words)
        advice = meant if meant and error.advice in ("", _see_help()) else error.advice
        raise CommandLineError(str(error), advice) from error


def _see_help() -> str:
    return tr("See {command} --help.", command="llmtui")


def _meant(given_words: Sequence[str]) -> str:
    """What to write instead, where the first word is nearly a command; else nothing."""
    meant = meant_command(given_words[0]) if given_words and not given_words[0].startswith("-") else ""
    return tr("Did you mean {name}?", name=f"llmtui {meant}") if meant else ""


def _carry_out(name: str, given_words: Sequence[str], homeless: str) -> int:
    command = _parser_of(name)
    try:
        arguments = command.parse_args(given_words[1:] if name else given_words)
    except SystemExit:  # --help and --version have printed what was asked for
        return ExitCode.FINE
    if homeless:
        raise CommandLineError(tr(homeless))
    if arguments.settings:
        words.use(first_language(os.environ, arguments.settings))
    if arguments.settings and not os.path.isfile(arguments.settings):  # noqa: PTH113 - pathlib costs 10 ms here
        raise CommandLineError(tr("{path}: there is no such file.", path=f"--settings {arguments.settings}"))
    if name:
        from tui.cli.command_runs import run_command

        return run_command(name, arguments, given_words, command.see_help)
    if arguments.host is not None and (arguments.locate or arguments.devices or is_bench(command.given(arguments))):
        from tui.cli.far import run_there

        return run_there(arguments, given_words)
    if arguments.locate:
        from tui.cli.info import print_locations

        return print_locations(as_json=arguments.json)
    if arguments.devices:
        from pathlib import Path

        from tui.cli.info import print_devices

        settings_file = Path(arguments.settings) if arguments.settings else None
        return print_devices(settings_file, as_json=arguments.json, software_vulkan=arguments.software_vulkan)
    given = command.given(arguments)
    check(given, given_words)
    if not is_bench(given):
        return _app(arguments, given_words)
    from tui.cli.bench_arguments import run_bench
    from tui.cli.named_model import NoSuchModel

    try:
        return run_bench(arguments, given)
    except NoSuchModel as error:
        say_error(str(error))
        return ExitCode.MODEL


def _parser_of(name: str) -> CommandLine:
    if not name:
        return parser()
    from tui.cli.command_parsers import command_parser

    return command_parser(name)


def _app(arguments: argparse.Namespace, given_words: Sequence[str]) -> int:
    if arguments.json:
        raise CommandLineError(tr("--json needs --bench, --history, --devices or --locate."))
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandLineError(
            tr("the app needs a terminal, and input or output is not one. Use ssh -t, or --bench, which needs none.")
        )
    if (kind := os.environ.get("TERM", "")) in CANNOT_DRAW:
        raise CommandLineError(
            tr(
                "the app draws on the whole screen, and TERM={kind} says that this terminal cannot. "
                "If it can, set TERM, for example to xterm-256color; --bench needs nothing of it.",
                kind=kind,
            )
            if kind
            else tr(
                "the app draws on the whole screen, and TERM does not say whether this terminal can. "
                "If it can, set TERM, for example to xterm-256color; --bench needs nothing of it."
            )
        )
    if arguments.host is not None:
        from tui.cli.far_app import app_there

        return app_there(arguments, given_words)
    from pathlib import Path

    from tui.base.userpath import user_path
    from tui.cli.chat_arguments import shared_options, system_prompt
    from tui.cli.named_model import NoSuchModel, is_missing, model_files
    from tui.config.options import AppOptions

    if arguments.monitor and arguments.models:
        raise CommandLineError(tr("--monitor loads no model: leave out MODEL."))
    if len(arguments.models) > 1:
        raise CommandLineError(tr("the app loads one model. Name one, or measure several with --bench."))
    settings_file = Path(arguments.settings) if arguments.settings else None
    try:
        model = next(iter(model_files(arguments.models, settings_file)), None)
    except NoSuchModel as error:
        say_error(str(error))
        return ExitCode.MODEL
    if model is not None and is_missing(model):
        say_error(tr("{path}: there is no such file.\nWithout a path, llmtui lists your models.", path=model))
        return ExitCode.MODEL
    import_file = user_path(arguments.import_file) if arguments.import_file else None
    if import_file is not None and is_missing(import_file):
        raise CommandLineError(tr("{path}: there is no such file.", path=f"--import {arguments.import_file}"))
    for name in arguments.files:
        if is_missing(user_path(name)):
            raise CommandLineError(tr("{path}: there is no such file.", path=f"-f {name}"))
    from tui.app.run import run

    return run(
        AppOptions(
            model=model,
            **shared_options(arguments, settings_file),
            theme=arguments.theme,
            continue_last=arguments.continue_last,
            import_file=import_file,
            files=tuple(arguments.files),
            system_prompt=system_prompt(arguments.system),
            temperature=arguments.temperature,
            background=arguments.background,
            separate=arguments.separate,
            monitor=arguments.monitor,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
