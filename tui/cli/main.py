"""The `llmtui` command: its arguments, what each asks for, and its behaviour towards pipes and signals. Everything
that takes time to import, Textual and the settings included, is imported when it is known to be needed."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from tui import words
from tui.base.exit_codes import ExitCode
from tui.base.stdout import CannotWrite, flush
from tui.cli.parser import MIN_REPETITIONS, CommandLineError, parser
from tui.config.language import first_language
from tui.config.loadtable import LOAD_ROWS
from tui.words import mark, tr, trn

if TYPE_CHECKING:
    from pathlib import Path

    from tui.config.modelrules import ChatOverrides
    from tui.config.options import BenchKind

_CANNOT_DRAW = ("", "dumb", "unknown")
"""Values of TERM for a terminal that shows lines and nothing else."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, `sys.argv` by default; the process's exit code."""
    _prepare_streams()
    os.umask(0o077)  # whatever is made from now on says what a person does
    try:
        code = _run(argv)
        flush()
    except CommandLineError as error:
        _say(f"{error}\n{tr('See llmtui --help.')}")
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
            print("llmtui:", tr("cannot write to stdout: {reason}.", reason=error), file=sys.stderr)
        _can_be_told()
        return ExitCode.UNWRITTEN
    except OSError:
        if _can_be_told():
            raise
        return ExitCode.UNWRITTEN
    return code


def _say(sentence: str) -> None:
    """Tell it on stderr: it may quote arguments, and nothing in it is a command for the terminal."""
    from tui.base.text import clean

    print(f"llmtui: {clean(sentence)}", file=sys.stderr)


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
    try:
        arguments = parser().parse_args(argv)
    except SystemExit:  # --help and --version have printed what was asked for
        return ExitCode.FINE
    if homeless:
        raise CommandLineError(tr(homeless))
    if arguments.settings:
        words.use(first_language(os.environ, arguments.settings))
    if arguments.settings and not os.path.isfile(arguments.settings):  # noqa: PTH113 - pathlib costs 10 ms here
        raise CommandLineError(tr("{path}: there is no such file.", path=f"--settings {arguments.settings}"))
    if arguments.locate:
        from tui.cli.info import print_locations

        return print_locations(as_json=arguments.json)
    if arguments.devices:
        from pathlib import Path

        from tui.cli.info import print_devices

        settings_file = Path(arguments.settings) if arguments.settings else None
        return print_devices(settings_file, as_json=arguments.json, software_vulkan=arguments.software_vulkan)
    kinds = (arguments.quick, arguments.localscore, arguments.n_parallel, arguments.tune, arguments.history)
    if arguments.bench or any(kinds):
        return _bench(arguments)
    return _app(arguments)


_NOT_OF_A_TEST = {
    *("bench", "json", "settings", "software_vulkan", "fit", "force", "chat_template", "stop"),
    *LOAD_ROWS,
}
"""Options that say nothing about what is to be measured, by the names that they are stored under."""


_ONLY_OF_BENCH = {
    "all": "--all",
    "backends": "--backends",
    "n_prompt": "-p",
    "n_gen": "-n",
    "n_depth": "-d",
    "repetitions": "-r",
    "seconds": "--seconds",
    "end_to_end": "--e2e",
    "pairs": "-pg",
    "output": "--output",
    "baseline": "--baseline",
    "compare": "--compare",
    "fail_below": "--fail-below",
    "keep": "--no-history",
}
"""Options that say nothing to the app, by the names that they are stored under."""


def _kind_of_bench(arguments: argparse.Namespace) -> BenchKind:
    """What the arguments ask for; those of its tests that were not given are filled in. Without any that say something
    about models or tests, that is the quick score."""
    default = parser().get_default
    given = {name for name, value in vars(arguments).items() if value not in (default(name), [])}
    kind: BenchKind = "tests"
    if arguments.quick or given <= _NOT_OF_A_TEST:
        kind = "quick"
    elif arguments.localscore:
        kind = "localscore"
    elif arguments.tune:
        kind = "tune"
    elif arguments.n_parallel:
        kind = "parallel"
    if kind != "tests":
        _check_own_tests(kind, arguments)
    n = 128 if kind == "parallel" else 512
    arguments.n_prompt = arguments.n_prompt or (n,)
    arguments.n_gen = arguments.n_gen or (128,)
    arguments.n_depth = arguments.n_depth or (0,)
    arguments.repetitions = arguments.repetitions or (5 if kind in ("tests", "quick") else 1)
    return kind


def _check_own_tests(kind: BenchKind, arguments: argparse.Namespace) -> None:
    """Raises `CommandLineError` for what does not go with a kind of benchmark that has tests of its own."""
    wrong = {"-d": arguments.n_depth, "-pg": arguments.pairs, "--e2e": arguments.end_to_end}
    if kind != "parallel":
        wrong |= {"-p": arguments.n_prompt, "-n": arguments.n_gen}
        wrong |= {"--all": arguments.all, "--backends": arguments.backends, tr("a second MODEL"): arguments.models[1:]}
    elif arguments.n_prompt and 0 in arguments.n_prompt:
        raise CommandLineError(tr("--parallel needs prompts: give -p a number of tokens."))
    if kind in ("parallel", "tune"):
        wrong["--compare"] = arguments.compare  # no run that is kept has such tests
    if found := [flag for flag, value in wrong.items() if value]:
        raise CommandLineError(
            tr("{option} has tests of its own: leave out {others}.", option=f"--{kind}", others=", ".join(found))
        )
    if arguments.output not in ("", "table", "md", "json"):
        raise CommandLineError(_has_no_format(f"--{kind}", arguments.output))


def _has_no_format(option: str, output: str) -> str:
    return tr("{option} has no {format}. Choose table, md or json.", option=option, format=output)


def _bench(arguments: argparse.Namespace) -> int:
    kind = _kind_of_bench(arguments)
    if not (any(arguments.n_prompt) or any(arguments.n_gen) or arguments.pairs):
        raise CommandLineError(
            tr("-p 0 and -n 0 together leave nothing to measure. Give one of them a number of tokens.")
        )
    if arguments.all and arguments.models:
        raise CommandLineError(tr("--all measures every model of the library: name none, or leave it out."))
    _check_history(arguments)
    from pathlib import Path

    from tui.bench.command import bench
    from tui.config.options import BenchOptions

    return bench(
        BenchOptions(
            kind=kind,
            models=tuple(map(Path, arguments.models)),
            every_model=arguments.all,
            backends=arguments.backends,
            load=_load_fields(arguments),
            fit=arguments.fit,
            force=arguments.force,
            chat_format=_chat_format(arguments),
            settings_file=Path(arguments.settings) if arguments.settings else None,
            software_vulkan=arguments.software_vulkan,
            n_prompt=arguments.n_prompt,
            n_gen=arguments.n_gen,
            pairs=tuple(arguments.pairs),
            n_depth=arguments.n_depth,
            repetitions=arguments.repetitions,
            end_to_end=arguments.end_to_end,
            n_parallel=arguments.n_parallel,
            tune_s=arguments.seconds or 110.0,
            output="json" if arguments.json else arguments.output,
            baseline=arguments.baseline,
            history=arguments.history,
            compare=arguments.compare,
            fail_below=arguments.fail_below,
            keep=arguments.keep,
        )
    )


def _check_history(arguments: argparse.Namespace) -> None:
    if arguments.fail_below is not None and not arguments.compare:
        raise CommandLineError(tr("--fail-below needs something to compare with: add --compare last, an ID or a file."))
    if arguments.fail_below is not None and arguments.repetitions < MIN_REPETITIONS:
        raise CommandLineError(tr("--fail-below cannot tell from so few runs: add -r {n}, or more.", n=MIN_REPETITIONS))
    if not arguments.history:
        return
    if arguments.models or arguments.all or arguments.compare or not arguments.keep:
        raise CommandLineError(
            tr("--history lists what was measured and measures nothing: give no models, no --compare.")
        )
    if arguments.output not in ("", "table", "md", "json"):
        raise CommandLineError(_has_no_format("--history", arguments.output))


def _app(arguments: argparse.Namespace) -> int:
    if arguments.json:
        raise CommandLineError(tr("--json goes with --bench, --history, --devices or --locate."))
    default = parser().get_default
    given = [flag for name, flag in _ONLY_OF_BENCH.items() if getattr(arguments, name) not in (default(name), [])]
    if given:
        raise CommandLineError(
            trn(
                "{options} goes with --bench, which is missing.",
                "{options} go with --bench, which is missing.",
                len(given),
                options=", ".join(given),
            )
        )
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandLineError(
            tr("the app needs a terminal, and input or output is not one. Use ssh -t, or --bench, which needs none.")
        )
    if (kind := os.environ.get("TERM", "")) in _CANNOT_DRAW:
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
    from pathlib import Path

    from tui.base.userpath import user_path
    from tui.config.options import AppOptions

    if arguments.monitor and arguments.models:
        raise CommandLineError(tr("--monitor loads no model: leave out MODEL."))
    if len(arguments.models) > 1:
        raise CommandLineError(tr("the app loads one model. Name one, or measure several with --bench."))
    model = user_path(arguments.models[0]) if arguments.models else None
    if model is not None and _is_missing(model):
        _say(tr("{path}: there is no such file. Without a path, llmtui lists your models.", path=model))
        return ExitCode.MODEL
    import_file = user_path(arguments.import_file) if arguments.import_file else None
    if import_file is not None and _is_missing(import_file):
        raise CommandLineError(tr("{path}: there is no such file.", path=f"--import {arguments.import_file}"))
    from tui.app.run import run

    return run(
        AppOptions(
            model=model,
            load=_load_fields(arguments),
            fit=arguments.fit,
            force=arguments.force,
            chat_format=_chat_format(arguments),
            settings_file=Path(arguments.settings) if arguments.settings else None,
            software_vulkan=arguments.software_vulkan,
            theme=arguments.theme,
            continue_last=arguments.continue_last,
            import_file=import_file,
            monitor=arguments.monitor,
        )
    )


def _chat_format(arguments: argparse.Namespace) -> ChatOverrides:
    """The template and the stop strings that were given. Raises `CommandLineError`."""
    from tui.base.userpath import user_path
    from tui.config.modelrules import ChatOverrides, TemplateFileError, read_template

    if "" in arguments.stop:
        raise CommandLineError(tr("--stop needs a text: an empty one would end every answer at once."))
    source = ""
    if arguments.chat_template is not None:
        try:
            source = read_template(user_path(arguments.chat_template))
        except TemplateFileError as error:
            raise CommandLineError(
                tr("{where}: {reason}.", where=f"--chat-template {arguments.chat_template}", reason=error)
            ) from error
    return ChatOverrides(chat_template=source, stop=tuple(arguments.stop))


def _is_missing(path: Path) -> bool:
    """Whether there is no such file for sure. Of one in a closed folder nobody knows: the app says so."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _load_fields(arguments: argparse.Namespace) -> dict[str, object]:
    """The load settings that were given, by the names that the settings file uses."""
    return {name: value for name in LOAD_ROWS if (value := getattr(arguments, name)) is not None}


if __name__ == "__main__":
    sys.exit(main())
