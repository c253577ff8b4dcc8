"""The arguments of the commands that stand first, `llmtui search` and its like, and what their `--help` says."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tui.base.exit_codes import ExitCode
from tui.cli.commands import COMMANDS
from tui.cli.parser import (
    CommandLine,
    HelpFormatter,
    add_answer,
    add_help,
    add_host,
    add_load,
    add_sampling,
    add_settings,
    described,
)
from tui.cli.types import at_least, byte_rate, hub_name
from tui.words import mark, tr

SORTS = ("downloads", "likes", "updated")
"""Of `tui.hubs.records.Sort`, without importing it."""
MODEL_SORTS = ("name", "params", "size", "needs", "speed", "used")
THINKS = ("on", "off", "show")
"""Of `tui.config.options.Think`, without importing it."""
_EXAMPLES = {
    "ask": (
        ('llmtui ask "What is a mutex?"', mark("with the model used last")),
        ('git diff | llmtui ask "review this"', mark("what is piped in follows")),
        ('llmtui ask "Compare" -f a.txt -f b.txt', mark("about files")),
        ('llmtui ask "And in C?" --continue', mark("in the last conversation")),
        ('llmtui ask "…" --host me@box', mark("with a model of another machine")),
        ('llmtui ask "…" --schema schema.json', mark("JSON, as a schema says")),
        ('llmtui ask "…" -m qwen3-4b --json', mark("a model of yours, for a script")),
    ),
    "attach": (
        ("llmtui attach", mark("after a line that dropped, or beside")),
        ("llmtui attach --host me@box", mark("what another machine answers")),
        ("llmtui attach 3", mark("what session 3 of llmtui ls answers")),
    ),
    "ls": (
        ("llmtui ls", mark("every session, model, memory")),
        ("llmtui ls --host me@box", mark("on another machine, over ssh")),
        ("llmtui ls --json", mark("for a script")),
    ),
    "stop": (
        ("llmtui stop", mark("frees its memory; answers are saved")),
        ("llmtui stop 3", mark("only session 3 of llmtui ls")),
    ),
    "search": (
        ("llmtui search qwen3 8b", mark("on both hubs")),
        ("llmtui search --author unsloth", mark("all that one publishes")),
        ("llmtui search coder --sort updated", mark("the newest first")),
        ("llmtui search qwen3 --hub ms --json", mark("ModelScope, for a script")),
    ),
    "show": (
        ("llmtui show Qwen/Qwen3-4B-GGUF", mark("its files, and which one suits here")),
        ("llmtui show Qwen/Qwen3-4B-GGUF:Q8_0", mark("all about one of them")),
        ("llmtui show Qwen/Qwen3-4B-GGUF --quick", mark("sizes only, nothing is judged")),
        ("llmtui show qwen3-4b", mark("a model of the library")),
    ),
    "pull": (
        ("llmtui pull Qwen/Qwen3-4B-GGUF", mark("the file that suits this machine")),
        ("llmtui pull Qwen/Qwen3-4B-GGUF:Q8_0", mark("this one")),
        ("llmtui pull hf.co/Qwen/Qwen3-4B-GGUF", mark("an address, as a browser has it")),
        ("llmtui pull … --limit-rate 5M", mark("5 MiB a second at most")),
    ),
    "models": (
        ("llmtui models", mark("all, with size and speed")),
        ("llmtui models qwen3 --moe", mark("some of them")),
        ("llmtui models --fits --sort speed", mark("what can be loaded, the fastest first")),
        ("llmtui models --quick --json", mark("without asking what fits, for a script")),
    ),
    "rm": (
        ("llmtui rm qwen3-4b-q8_0", mark("says what that frees, and asks")),
        ("llmtui rm qwen3-4b-q8_0 --yes", mark("asks nothing, for a script")),
    ),
}
_NOT_OF_COMMANDS = (ExitCode.SLOWER, ExitCode.ENGINE, ExitCode.UNDECIDED)
_NOT_OF_ASK = (ExitCode.SLOWER, ExitCode.UNDECIDED, ExitCode.HUB)


class _Command(CommandLine):
    """One command; `--help` tells only of exit codes that it has."""

    codes = tuple(code for code in ExitCode if code not in _NOT_OF_COMMANDS)


class _EngineCommand(_Command):
    """The one that starts an engine."""

    codes = tuple(code for code in ExitCode if code not in _NOT_OF_ASK)


def command_parser(name: str) -> CommandLine:
    """The arguments of a command. The words that are no options are its `models`."""
    what, about = COMMANDS[name]
    text = tr(about)
    parser = (_EngineCommand if name in ("ask", "attach", "ls", "stop") else _Command)(
        prog=f"llmtui {name}",
        usage=f"llmtui {name} [OPTIONS] {what}".rstrip(),
        description=described(tr("{problem}.", problem=text[:1].upper() + text[1:]), _EXAMPLES[name]),
        formatter_class=HelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("models", nargs="*", help=argparse.SUPPRESS)
    group = parser.add_argument_group(tr("options"))
    _OPTIONS[name](group)
    if name != "attach":
        group.add_argument("--json", action="store_true", help=tr("print JSON; nothing else goes to stdout"))
    if name in ("ask", "attach", "ls", "stop", "models"):
        add_host(group)
    add_settings(group)
    add_help(group)
    if name == "ask":
        add_sampling(parser)
        add_load(parser)
    return parser


def _hub(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--hub", type=hub_name, metavar="HUB", help=tr("only this one: huggingface or modelscope"))


def _load(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--quick", action="store_true", help=tr("do not find out what fits and how fast it is"))


def _search(group: argparse._ArgumentGroup) -> None:
    _hub(group)
    group.add_argument("--author", default="", metavar="NAME", help=tr("only what this one publishes"))
    group.add_argument("--sort", default=SORTS[0], choices=SORTS, metavar="BY", help=", ".join(SORTS))
    group.add_argument("--limit", type=at_least(1, 1000), default=20, metavar="N", help=tr("at most this many (20)"))


def _show(group: argparse._ArgumentGroup) -> None:
    _hub(group)
    _load(group)


def _pull(group: argparse._ArgumentGroup) -> None:
    _hub(group)
    group.add_argument("--to", metavar="FOLDER", help=tr("put it there instead of your model folder"))
    group.add_argument(
        "--limit-rate", type=byte_rate, default=0, metavar="RATE", help=tr("limit in bytes per second: 500K, 5M, 1.5G")
    )


def _models(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--fits", action="store_true", help=tr("only those that can be loaded now"))
    group.add_argument("--thinking", action="store_true", help=tr("only those that can think before they answer"))
    group.add_argument("--moe", action="store_true", help=tr("only mixtures of experts"))
    group.add_argument("--sort", default="name", choices=MODEL_SORTS, metavar="BY", help=", ".join(MODEL_SORTS))
    _load(group)


def _rm(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-y", "--yes", action="store_true", help=tr("do not ask"))


def _ask(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-m", "--model", metavar="MODEL", help=tr("file, or part of a name in your library"))
    group.add_argument(
        "-f", "--file", dest="files", action="append", default=[], metavar="FILE", help=tr("ask about it; repeatable")
    )
    group.add_argument("--continue", dest="continue_last", action="store_true", help=tr("in the last conversation"))
    add_answer(group)
    group.add_argument("--preset", metavar="NAME", help=tr("as a preset of yours says; other options go before it"))
    formats = group.add_mutually_exclusive_group()
    formats.add_argument("--schema", metavar="FILE", help=tr("answer in JSON, as this JSON schema says"))
    formats.add_argument("--grammar", metavar="FILE", help=tr("answer as this grammar says (GBNF)"))
    group.add_argument("--max-tokens", type=at_least(1), metavar="N", help=tr("end the answer after this many tokens"))
    group.add_argument(
        "--think", default="", choices=THINKS, metavar="HOW", help=tr("on, off, or show: thoughts go to stderr")
    )
    group.add_argument(
        "--keep", dest="stays_loaded", action="store_true", help=tr("leave the model loaded, for the next question")
    )
    group.add_argument("--no-save", dest="keep", action="store_false", help=tr("do not save the conversation"))


_OPTIONS: dict[str, Callable[[argparse._ArgumentGroup], None]] = {
    "ask": _ask,
    "attach": lambda _: None,
    "ls": lambda _: None,
    "stop": lambda _: None,
    "search": _search,
    "show": _show,
    "pull": _pull,
    "models": _models,
    "rm": _rm,
}
