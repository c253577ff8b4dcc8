"""The arguments of the `llmtui` command and what `--help` says of them. Imports nothing that takes time."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

from tui import __version__
from tui.base.exit_codes import ExitCode
from tui.base.stdout import put
from tui.cli.types import at_least, list_of, load_value, pair, percent, users
from tui.config.loadtable import LOAD_TABLE
from tui.words import language, mark, tr

OUTPUTS = ("table", "md", "csv", "json", "jsonl", "sql", "chart", "svg", "png")
"""Keys of `tui.bench.render.FORMATS` and `tui.bench.picture.PICTURES`, without importing them."""
MIN_REPETITIONS = 3
"""`tui.measure.compare.MIN_REPETITIONS`, without importing it."""
_EXAMPLES = (
    ("llmtui", mark("chat with the model used last")),
    ("llmtui model.gguf -c 16384 --backend cpu", mark("chat with this model, on the CPU")),
    ("llmtui --monitor", mark("watch CPU, memory and GPUs, beside another llmtui")),
    ("llmtui --bench model.gguf", mark("measure it: 512 tokens read, 128 written")),
    ("llmtui --bench", mark("one number, within a minute, for the model used last")),
    ("llmtui --bench model.gguf --compare last", mark("and what changed since it was measured before")),
    ("llmtui --bench model.gguf --json -t 8", mark("with 8 threads, for a script")),
)
_OF_ARGPARSE = (
    mark("usage: "),
    mark("argument %(argument_name)s: %(message)s"),
    mark("expected one argument"),
    mark("ignored explicit argument %r"),
    mark("invalid choice: %(value)r (choose from %(choices)s)"),
    mark("not allowed with argument %s"),
    mark("unrecognized arguments: %s"),
)
"""What argparse itself may say here."""
# It says it through gettext, and has no catalogue.
vars(argparse)["_"] = tr


class CommandLineError(Exception):
    """Arguments that contradict each other or what this is run in; the message says what to do."""


class _ArgumentParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CommandLineError(tr("{problem}.", problem=message))

    def _print_message(self, message: str, file: object = None) -> None:
        put(message.rstrip("\n"))  # argparse itself says nothing when that cannot be written


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Breaks lines by the cells that they take."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=31)

    def _split_lines(self, text: str, width: int) -> list[str]:
        if language() == "en":
            return super()._split_lines(text, width)
        from tui.base.columns import wrap

        return wrap(text, width)

    def format_help(self) -> str:
        text = super().format_help()
        return text if language() == "en" else re.sub(r"(?m)^(\S.*):$", r"\1：", text)  # headings


def parser() -> argparse.ArgumentParser:
    """All arguments. Those of loading are stored under the names of `ChosenLoad`, None where not given."""
    examples = "\n".join(f"  {command:<42} {tr(text)}" for command, text in _EXAMPLES)
    codes = "\n".join(f"  {code.value:<4} {tr(code.meaning)}" for code in ExitCode)
    parser = _ArgumentParser(
        prog="llmtui",
        usage="llmtui [OPTIONS] [MODEL]\n       llmtui --bench [OPTIONS] [MODEL ...]",
        description=tr("Chat with local GGUF models in the terminal, and measure how fast they run."),
        epilog=f"{tr('examples:')}\n{examples}\n\n{tr('exit codes:')}\n{codes}",
        formatter_class=_HelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )
    what = parser.add_argument_group(tr("model"))
    what.add_argument(
        "models", nargs="*", metavar="MODEL", help=tr("GGUF file (any part of a split one); else the last used")
    )
    _add_tasks(parser)
    _add_bench(parser)
    _add_load(parser)
    app = parser.add_argument_group(tr("app"))
    which = app.add_mutually_exclusive_group()
    which.add_argument("--continue", dest="continue_last", action="store_true", help=tr("reopen the last conversation"))
    which.add_argument("--import", dest="import_file", metavar="FILE", help=tr("open a conversation exported as JSON"))
    app.add_argument("--theme", default="", metavar="NAME", help=tr("theme for this run"))
    app.add_argument("--settings", metavar="FILE", help=tr("use FILE in place of your settings.toml (see --locate)"))
    return parser


def _add_tasks(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(tr("instead of the app"))
    tasks = group.add_mutually_exclusive_group()
    tasks.add_argument("--bench", action="store_true", help=tr("measure MODEL, the last one used, or the smallest"))
    tasks.add_argument("--monitor", action="store_true", help=tr("watch the machine on the whole screen; q ends it"))
    tasks.add_argument("--devices", action="store_true", help=tr("list what llama.cpp can compute on"))
    tasks.add_argument("--locate", action="store_true", help=tr("print where settings, models, logs … are"))
    group.add_argument("--json", action="store_true", help=tr("print these as JSON; nothing else goes to stdout"))
    group.add_argument("--version", action="version", version=f"llmtui {__version__}", help=tr("print the version"))
    group.add_argument("-h", "--help", action="help", help=tr("print this"))


def _add_bench(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        tr("bench"), tr("Settings remembered by the app do not count, those of settings.toml do.")
    )
    numbers = list_of(at_least(0))
    group.add_argument("--all", action="store_true", help=tr("measure every model of the library that fits"))
    group.add_argument(
        "--backends", default=(), type=list_of(str), metavar="A,B", help=tr("measure each model on each: cpu,vulkan")
    )
    which = group.add_mutually_exclusive_group()
    which.add_argument("--quick", action="store_true", help=tr("one number within a minute; also without any option"))
    which.add_argument(
        "--localscore", action="store_true", help=tr("LocalScore's nine tests and its number: takes long")
    )
    which.add_argument(
        "--tune", action="store_true", help=tr("find the fastest load settings; the chat then uses them")
    )
    which.add_argument(
        "--parallel", dest="n_parallel", default=(), type=list_of(users), metavar="N,…", help=tr("many users at once")
    )
    for flags, metavar, kind, text in (
        (("-p", "--n-prompt"), "N,…", numbers, tr("tokens to read; 0 leaves that test out (512)")),
        (("-n", "--n-gen"), "N,…", numbers, tr("tokens to write; 0 leaves that test out (128)")),
        (("-d", "--n-depth"), "N,…", numbers, tr("tokens in the context before each test (0)")),
        (("-r", "--repetitions"), "N", at_least(1), tr("times to run each test (5)")),
    ):
        group.add_argument(*flags, metavar=metavar, type=kind, help=text)
    group.add_argument("--seconds", type=at_least(1), metavar="N", help=tr("time that --tune may take (110)"))
    group.add_argument(
        "--e2e", dest="end_to_end", action="store_true", help=tr("also time answers as a user sees them")
    )
    group.add_argument(
        "-pg",
        dest="pairs",
        action="append",
        default=[],
        type=pair,
        metavar="P,G",
        help=tr("read P, then write G tokens"),
    )
    group.add_argument("-o", "--output", default="", choices=OUTPUTS, metavar="FORMAT", help=", ".join(OUTPUTS))
    group.add_argument(
        "--baseline", default="", metavar="NAME", help=tr("row that is 1 in charts: part of its name[@cpu]")
    )
    group.add_argument("--history", action="store_true", help=tr("list saved runs; measure nothing"))
    group.add_argument(
        "--compare", default="", metavar="WHAT", help=tr("with the last run, the one with this ID, or FILE.json")
    )
    group.add_argument(
        "--fail-below", type=percent, metavar="PERCENT", help=tr("exit code 1 when --compare finds a larger loss")
    )
    group.add_argument("--no-history", dest="keep", action="store_false", help=tr("do not save this run"))


def _add_load(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(tr("how the model is loaded (0: llama.cpp or llmtui chooses)"))
    for row in LOAD_TABLE:
        if row.switches is None:
            group.add_argument(
                *row.options, dest=row.name, type=load_value(row.name), metavar=row.metavar, help=tr(row.help)
            )
        else:
            group.add_argument(*row.options, dest=row.name, action="store_const", const=row.switches, help=tr(row.help))
    group.add_argument(
        "--software-vulkan", action="store_true", help=tr("also list Vulkan devices that the CPU emulates")
    )
    group.add_argument("--chat-template", metavar="FILE", help=tr("Jinja template to use instead of the model's own"))
    group.add_argument(
        "--stop", action="append", default=[], metavar="TEXT", help=tr("end answers here too; repeatable")
    )
    group.add_argument("--fit", action="store_true", help=tr("place layers and experts where they are fastest and fit"))
    group.add_argument("--force", action="store_true", help=tr("load it even if that leaves too little memory"))
