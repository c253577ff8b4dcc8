"""The arguments of the `llmtui` command and what `--help` says of them. Imports nothing that takes time."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from tui import __version__
from tui.base.exit_codes import ExitCode
from tui.base.stdout import put
from tui.base.terminal_style import columns, painted, takes_colours
from tui.cli.commands import listed_commands
from tui.cli.types import at_least, bias, list_of, load_value, pair, percent, sampling_value, temperature, users
from tui.config.loadtable import LOAD_TABLE
from tui.config.samplingtable import SAMPLING_TABLE
from tui.words import language, mark, tr

OUTPUTS = ("table", "md", "csv", "json", "jsonl", "sql", "chart", "svg", "png")
"""Keys of `tui.bench.render.FORMATS` and `tui.bench.picture.PICTURES`, without importing them."""
MIN_REPETITIONS = 3
"""`tui.measure.compare.MIN_REPETITIONS`, without importing it."""
_WIDE = 78
"""Cells of a line of the help at most."""
_EXAMPLES = (
    ("llmtui", mark("chat with the model used last")),
    ("llmtui qwen3-4b -c 16384", mark("with this one of the library")),
    ("llmtui model.gguf --backend cpu", mark("with this file, on the CPU")),
    ("llmtui --system @coder.txt --temp 0.2", mark("with a system prompt from a file")),
    ("llmtui -f notes.txt -f src/", mark("ask about files")),
    ("llmtui search qwen3", mark("find models to download")),
    ("llmtui --monitor", mark("watch CPU, memory and GPUs")),
    ("llmtui --bench", mark("one number within a minute")),
    ("llmtui --bench qwen3-4b", mark("512 tokens read, 128 written")),
    ("llmtui --bench qwen3-4b --compare last", mark("what changed since the last run")),
    ("llmtui --bench qwen3-4b --json -t 8", mark("with 8 threads, for a script")),
    ("llmtui --devices", mark("GPUs, and why one is missing")),
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
_HEADING = re.compile(r"(?m)^(\S.*)[:：]$")
# It says it through gettext, and has no catalogue.
vars(argparse)["_"] = tr


OF_OTHERS = {
    "--ctx-size": "--ctx",
    "--n-gpu-layers": "--ngl",
    "--gpu-layers": "--ngl",
    "--batch-size": "--batch",
    "--ubatch-size": "--ubatch",
    "--device": "--backend",
    "--temperature": "--temp",
    "--sys": "--system",
    "--system-prompt": "--system",
    "--list-devices": "--devices",
    "--config": "--settings",
    "--resume": "--continue",
}
"""What other programs call ours, llama.cpp's above all."""
_CLOSE = 0.75
"""How much alike an option is that may have been meant, of 1."""


class CommandLineError(Exception):
    """Arguments that contradict each other or what this is run in: what is wrong, and what to do where that is more
    than reading the help."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class CommandLine(argparse.ArgumentParser):
    """One that tells no usage with an error, knows what may have been meant, and paints its headings on a terminal."""

    codes = tuple(ExitCode)
    """Those that its help tells."""

    def error(self, message: str) -> NoReturn:
        raise CommandLineError(tr("{problem}.", problem=message), self.see_help)

    @property
    def see_help(self) -> str:
        """Where to read on after an error."""
        return tr("See {command} --help.", command=self.prog)

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: None = None
    ) -> argparse.Namespace:
        """As argparse's, with what may have been meant by an option that is not there; `models`, the words that are no
        options, may stand anywhere."""
        found, left = self.parse_known_args(args, namespace)
        if unknown := [word for word in left if word.startswith("-")]:
            problem = tr("unrecognized arguments: %s") % " ".join(unknown)
            meant = self._meant(unknown[0].partition("=")[0])
            advice = (
                tr("Did you mean {name}? See {command} --help.", name=meant, command=self.prog)
                if meant
                else self.see_help
            )
            raise CommandLineError(tr("{problem}.", problem=problem), advice)
        found.models = [*found.models, *left, *getattr(found, "named", ())]
        found.named = []
        return found

    def given(self, arguments: argparse.Namespace) -> set[str]:
        """The names that options are stored under which were not left out."""
        return {name for name, value in vars(arguments).items() if value not in (self.get_default(name), [])}

    def has_option(self, option: str) -> bool:
        """Whether it is there."""
        return option in self._option_string_actions

    def _meant(self, option: str) -> str:
        from difflib import get_close_matches

        names = {name.lstrip("-"): name for name in self._option_string_actions if name.startswith("--")}
        close = get_close_matches(option.lstrip("-"), names, n=1, cutoff=_CLOSE)
        if (ours := OF_OTHERS.get(option, "")) and self.has_option(ours):
            return ours
        return names[close[0]] if close else ""

    def format_help(self) -> str:
        """What `--help` prints."""
        text = f"{super().format_help()}\n{tr('exit codes:')}\n{self._exit_codes()}\n"
        if language() != "en":
            text = _HEADING.sub(r"\1：", text)
        return _HEADING.sub(lambda found: painted(found[0], "1"), text) if takes_colours(sys.stdout) else text

    def _exit_codes(self) -> str:
        formatter, lines = HelpFormatter(self.prog), []
        for code in self.codes:
            first, *more = formatter._split_lines(tr(code.meaning), _WIDE - 7)
            lines += [f"  {code.value:<4} {first}", *(f"{'':7}{line}" for line in more)]
        return "\n".join(lines)

    def _print_message(self, message: str, file: object = None) -> None:
        put(message.rstrip("\n"))  # argparse itself says nothing when that cannot be written


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Breaks lines by the cells that they take, in 80 columns at most."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=31, width=min(_WIDE, columns() - 2))

    def _split_lines(self, text: str, width: int) -> list[str]:
        if language() == "en":
            return super()._split_lines(text, width)
        from tui.base.columns import wrap

        return wrap(text, width)


def described(about: str, examples: Sequence[tuple[str, str]]) -> str:
    """What a help begins with: commands and what each does, for `tr`."""
    lines = "\n".join(f"  {command:<39} {tr(text)}" for command, text in examples)
    return f"{about}\n\n{tr('examples:')}\n{lines}"


def parser() -> CommandLine:
    """All arguments. Those of loading are stored under the names of `ChosenLoad`, None where not given."""
    about = tr("Find, download and chat with GGUF models in the terminal, and measure their speed.")
    parser = CommandLine(
        prog="llmtui",
        usage="llmtui [OPTIONS] [MODEL]\n       llmtui --bench [OPTIONS] [MODEL ...]\n       llmtui COMMAND …",
        description=described(about, _EXAMPLES),
        formatter_class=HelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )
    what = parser.add_argument_group(tr("model"))
    what.add_argument("models", nargs="*", metavar="MODEL", help=tr("file, or part of a name in your library"))
    what.add_argument(
        "-m", "--model", dest="named", action="append", default=[], metavar="MODEL", help=tr("the same, as an option")
    )
    add_host(what)
    parser.add_argument_group(tr("commands (llmtui COMMAND --help says more)"), listed_commands())
    _add_chat(parser)
    _add_tasks(parser)
    _add_bench(parser)
    add_load(parser)
    return parser


def _add_chat(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(tr("chat"))
    which = group.add_mutually_exclusive_group()
    which.add_argument("--continue", dest="continue_last", action="store_true", help=tr("reopen the last conversation"))
    which.add_argument(
        "--import",
        dest="import_file",
        metavar="FILE",
        help=tr("import conversations: of llmtui, ChatGPT, LM Studio, Open WebUI or OpenAI"),
    )
    add_answer(group)
    group.add_argument(
        "-f", "--file", dest="files", action="append", default=[], metavar="FILE", help=tr("ask about it; repeatable")
    )
    group.add_argument(
        "--background",
        action=argparse.BooleanOptionalAction,
        default=None,
        help=tr("run the session in the background, where it outlives the terminal, or not"),
    )
    group.add_argument(
        "--separate",
        action="store_true",
        help=tr("begin a session beside those in the background; the model is shared"),
    )
    group.add_argument("--theme", default="", metavar="NAME", help=tr("theme for this run"))
    add_settings(group)


def add_answer(group: argparse._ArgumentGroup) -> None:
    """The options of what an answer is asked for with."""
    group.add_argument("--system", metavar="TEXT", help=tr("system prompt; @FILE reads it from a file"))
    group.add_argument(
        "--temp",
        dest="temperature",
        type=temperature,
        metavar="N",
        help=tr("temperature; 0: always the likeliest token"),
    )
    group.add_argument("--chat-template", metavar="FILE", help=tr("Jinja template in place of the model's own"))
    group.add_argument(
        "--stop", action="append", default=[], metavar="TEXT", help=tr("end answers here too; repeatable")
    )


def add_host(group: argparse._ArgumentGroup) -> None:
    """The option that names another machine."""
    group.add_argument("--host", metavar="MACHINE", help=tr("on another machine, as ssh takes it: user@box"))


def add_settings(group: argparse._ArgumentGroup) -> None:
    """The option that names another settings file."""
    group.add_argument("--settings", metavar="FILE", help=tr("read FILE in place of your settings.toml"))


def _add_tasks(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(tr("instead of the app"))
    tasks = group.add_mutually_exclusive_group()
    tasks.add_argument("--bench", action="store_true", help=tr("measure MODEL, the last used, or the smallest"))
    tasks.add_argument("--monitor", action="store_true", help=tr("watch the machine on the whole screen"))
    tasks.add_argument("--devices", action="store_true", help=tr("list what llama.cpp can compute on"))
    tasks.add_argument("--locate", action="store_true", help=tr("print where settings, models, logs … are"))
    group.add_argument("--json", action="store_true", help=tr("these as JSON; nothing else goes to stdout"))
    group.add_argument("--version", action="version", version=f"llmtui {__version__}", help=tr("print the version"))
    add_help(group)


def add_help(group: argparse._ArgumentGroup) -> None:
    """The option that prints the help."""
    group.add_argument("-h", "--help", action="help", help=tr("print this"))


def _add_bench(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        tr("bench"), tr("Settings remembered by the app are not used, those in settings.toml are.")
    )
    numbers = list_of(at_least(0))
    group.add_argument("--all", action="store_true", help=tr("measure every model of the library that fits"))
    group.add_argument(
        "--backends", default=(), type=list_of(str), metavar="A,B", help=tr("measure each model on each: cpu,vulkan")
    )
    which = group.add_mutually_exclusive_group()
    which.add_argument("--quick", action="store_true", help=tr("one number within a minute; also without any option"))
    which.add_argument("--localscore", action="store_true", help=tr("LocalScore's nine tests and number; takes long"))
    which.add_argument("--tune", action="store_true", help=tr("find the fastest load settings for the chat"))
    which.add_argument(
        "--parallel", dest="n_parallel", default=(), type=list_of(users), metavar="N,…", help=tr("many users at once")
    )
    which.add_argument("--spec", action="store_true", help=tr("repeated text, with speculation and without"))
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
    group.add_argument("--compare", default="", metavar="WHAT", help=tr("with: last, the ID of a run, or FILE.json"))
    group.add_argument(
        "--fail-below", type=percent, metavar="PERCENT", help=tr("exit code 1 when --compare finds a larger loss")
    )
    group.add_argument("--no-history", dest="keep", action="store_false", help=tr("do not save this run"))


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """The options of how tokens are chosen, beside the temperature."""
    group = parser.add_argument_group(tr("how tokens are chosen (else as the model's file and your settings say)"))
    for row in SAMPLING_TABLE:
        if row.name == "logit_bias":
            group.add_argument(
                row.option, dest=row.name, type=bias, action="append", metavar=row.metavar, help=tr(row.help)
            )
        elif row.option:
            group.add_argument(
                row.option, dest=row.name, type=sampling_value(row.name), metavar=row.metavar, help=tr(row.help)
            )


def add_load(parser: argparse.ArgumentParser) -> None:
    """The options of loading a model."""
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
    group.add_argument("--fit", action="store_true", help=tr("the fastest placement of layers that fits"))
    group.add_argument("--force", action="store_true", help=tr("load it even with too little memory left"))
