"""The `llmtui` command: its arguments, what each asks for, and its behaviour towards pipes and signals. Everything
that takes time to import, Textual and the settings included, is imported when it is known to be needed."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn, TextIO

from tui import __version__
from tui.cli_types import at_least, list_of, pair, percent, users
from tui.exit_codes import ExitCode
from tui.stdout import CannotWrite, flush, put

if TYPE_CHECKING:
    from pathlib import Path

    from tui.cli_options import BenchKind
    from tui.config.modelrules import ChatFormat

CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
"""`tui.engine.records.CacheType`, without importing it."""
OUTPUTS = ("table", "md", "csv", "json", "jsonl", "sql", "chart", "svg", "png")
"""Keys of `tui.bench.render.FORMATS` and `tui.bench.picture.PICTURES`, without importing them."""
MIN_REPETITIONS = 3
"""`tui.measure.compare.MIN_REPETITIONS`, without importing it."""
FLASH_ATTENTION = ("auto", "on", "off")
REPACK = ("auto", "on", "off")
_LOAD_FIELDS = (
    *("backend", "n_ctx", "n_gpu_layers", "n_cpu_moe", "n_threads", "n_threads_batch", "n_batch", "n_ubatch"),
    *("flash_attn", "type_k", "type_v", "use_mmap", "use_mlock", "repack", "seed"),
)
_EXAMPLES = """\
examples:
  llmtui                                     chat with the model used last
  llmtui model.gguf -c 16384 --backend cpu   chat with this model, on the CPU
  llmtui --bench model.gguf                  measure it: 512 tokens read, 128 written
  llmtui --bench                             one number, within a minute, for the model used last
  llmtui --bench model.gguf --compare last   and what changed since it was measured before
  llmtui --bench model.gguf --json -t 8      with 8 threads, for a script
"""


class CommandLineError(Exception):
    """Arguments that contradict each other or what this is run in; the message says what to do."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CommandLineError(f"{message}.")

    def _print_message(self, message: str, file: object = None) -> None:
        put(message.rstrip("\n"))  # argparse itself says nothing when that cannot be written


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, `sys.argv` by default; the process's exit code."""
    _prepare_streams()
    try:
        code = _run(argv)
        flush()
    except CommandLineError as error:
        print(f"llmtui: {error}\nSee llmtui --help.", file=sys.stderr)
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
            print(f"llmtui: cannot write to stdout: {error}.", file=sys.stderr)
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


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = parser().parse_args(argv)
    except SystemExit:  # --help and --version have printed what was asked for
        return ExitCode.FINE
    if arguments.settings and not os.path.isfile(arguments.settings):  # noqa: PTH113 - pathlib costs 10 ms here
        raise CommandLineError(f"--settings {arguments.settings}: there is no such file.")
    if arguments.locate:
        from tui.cli_info import print_locations

        return print_locations(as_json=arguments.json)
    if arguments.devices:
        from pathlib import Path

        from tui.cli_info import print_devices

        settings_file = Path(arguments.settings) if arguments.settings else None
        return print_devices(settings_file, as_json=arguments.json, software_vulkan=arguments.software_vulkan)
    kinds = (arguments.quick, arguments.localscore, arguments.n_parallel, arguments.tune, arguments.history)
    if arguments.bench or any(kinds):
        return _bench(arguments)
    return _app(arguments)


_NOT_OF_A_TEST = {
    *("bench", "json", "settings", "software_vulkan", "fit", "force", "chat_template", "stop"),
    *_LOAD_FIELDS,
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
        wrong |= {"--all": arguments.all, "--backends": arguments.backends, "a second MODEL": arguments.models[1:]}
    elif arguments.n_prompt and 0 in arguments.n_prompt:
        raise CommandLineError("--parallel needs prompts: give -p a number of tokens.")
    if kind in ("parallel", "tune"):
        wrong["--compare"] = arguments.compare  # no run that is kept has such tests
    if found := [flag for flag, value in wrong.items() if value]:
        raise CommandLineError(f"--{kind} has tests of its own: leave out {' and '.join(found)}.")
    if arguments.output not in ("", "table", "md", "json"):
        raise CommandLineError(f"--{kind} has no {arguments.output}. Choose table, md or json.")


def _bench(arguments: argparse.Namespace) -> int:
    kind = _kind_of_bench(arguments)
    if not (any(arguments.n_prompt) or any(arguments.n_gen) or arguments.pairs):
        raise CommandLineError("-p 0 and -n 0 together leave nothing to measure. Give one of them a number of tokens.")
    if arguments.all and arguments.models:
        raise CommandLineError("--all measures every model of the library: name none, or leave it out.")
    _check_history(arguments)
    from pathlib import Path

    from tui.bench.command import bench
    from tui.cli_options import BenchOptions

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
        raise CommandLineError("--fail-below needs something to compare with: add --compare last, an ID or a file.")
    if arguments.fail_below is not None and arguments.repetitions < MIN_REPETITIONS:
        raise CommandLineError(f"--fail-below cannot tell from so few runs: add -r {MIN_REPETITIONS}, or more.")
    if not arguments.history:
        return
    if arguments.models or arguments.all or arguments.compare or not arguments.keep:
        raise CommandLineError("--history lists what was measured and measures nothing: give no models, no --compare.")
    if arguments.output not in ("", "table", "md", "json"):
        raise CommandLineError(f"--history has no {arguments.output}. Choose table, md or json.")


def _app(arguments: argparse.Namespace) -> int:
    if arguments.json:
        raise CommandLineError("--json goes with --bench, --devices or --locate.")
    default = parser().get_default
    given = [flag for name, flag in _ONLY_OF_BENCH.items() if getattr(arguments, name) not in (default(name), [])]
    if given:
        one = len(given) == 1
        raise CommandLineError(f"{' and '.join(given)} {'goes' if one else 'go'} with --bench, which is missing.")
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandLineError(
            "the app needs a terminal, and input or output is not one. Use ssh -t, or --bench, which needs none."
        )
    from pathlib import Path

    from tui.cli_options import AppOptions
    from tui.userpath import user_path

    if len(arguments.models) > 1:
        raise CommandLineError("the app loads one model. Name one, or measure several with --bench.")
    model = user_path(arguments.models[0]) if arguments.models else None
    if model is not None and _is_missing(model):
        print(f"llmtui: {model}: there is no such file. Without a path, llmtui lists your models.", file=sys.stderr)
        return ExitCode.MODEL
    import_file = user_path(arguments.import_file) if arguments.import_file else None
    if import_file is not None and _is_missing(import_file):
        raise CommandLineError(f"--import {arguments.import_file}: there is no such file.")
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
        )
    )


def _chat_format(arguments: argparse.Namespace) -> ChatFormat:
    """The template and the stop strings that were given. Raises `CommandLineError`."""
    from tui.config.modelrules import ChatFormat, TemplateFileError, read_template
    from tui.userpath import user_path

    if "" in arguments.stop:
        raise CommandLineError("--stop needs a text: an empty one would end every answer at once.")
    source = ""
    if arguments.chat_template is not None:
        try:
            source = read_template(user_path(arguments.chat_template))
        except TemplateFileError as error:
            raise CommandLineError(f"--chat-template {arguments.chat_template}: {error}.") from error
    return ChatFormat(chat_template=source, stop=tuple(arguments.stop))


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
    return {name: value for name in _LOAD_FIELDS if (value := getattr(arguments, name)) is not None}


def parser() -> argparse.ArgumentParser:
    """All arguments. Those of loading are stored under the names of `LoadDefaults`, None where not given."""
    codes = "\n".join(f"  {code.value:<4} {code.meaning}" for code in ExitCode)
    parser = _Parser(
        prog="llmtui",
        usage="llmtui [OPTIONS] [MODEL]\n       llmtui --bench [OPTIONS] [MODEL ...]",
        description="Chat with local GGUF models in the terminal, and measure how fast they run.",
        epilog=f"{_EXAMPLES}\nexit codes:\n{codes}",
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=31),
        add_help=False,
        allow_abbrev=False,
    )
    what = parser.add_argument_group("model")
    what.add_argument(
        "models", nargs="*", metavar="MODEL", help="GGUF file (any part of a split one); else the last used"
    )
    _add_tasks(parser)
    _add_bench(parser)
    _add_load(parser)
    app = parser.add_argument_group("app")
    which = app.add_mutually_exclusive_group()
    which.add_argument("--continue", dest="continue_last", action="store_true", help="reopen the last conversation")
    which.add_argument("--import", dest="import_file", metavar="FILE", help="open a conversation exported as JSON")
    app.add_argument("--theme", default="", metavar="NAME", help="theme for this run")
    app.add_argument("--settings", metavar="FILE", help="use FILE in place of your settings.toml (see --locate)")
    return parser


def _add_tasks(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("instead of the app")
    tasks = group.add_mutually_exclusive_group()
    tasks.add_argument("--bench", action="store_true", help="measure MODEL, the last one used, or the smallest")
    tasks.add_argument("--devices", action="store_true", help="list what llama.cpp can compute on")
    tasks.add_argument("--locate", action="store_true", help="print where settings, models, logs … are")
    group.add_argument("--json", action="store_true", help="print these as JSON; nothing else goes to stdout")
    group.add_argument("--version", action="version", version=f"llmtui {__version__}", help="print the version")
    group.add_argument("-h", "--help", action="help", help="print this")


def _add_bench(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "bench", "Settings remembered by the app do not count, those of settings.toml do."
    )
    numbers = list_of(at_least(0))
    group.add_argument("--all", action="store_true", help="measure every model of the library that fits")
    group.add_argument(
        "--backends", default=(), type=list_of(str), metavar="A,B", help="measure each model on each: cpu,vulkan"
    )
    which = group.add_mutually_exclusive_group()
    which.add_argument("--quick", action="store_true", help="one number within a minute; also without any option")
    which.add_argument("--localscore", action="store_true", help="LocalScore's nine tests and its number: takes long")
    which.add_argument("--tune", action="store_true", help="find the fastest load settings; the chat then uses them")
    which.add_argument(
        "--parallel", dest="n_parallel", default=(), type=list_of(users), metavar="N,…", help="many users at once"
    )
    for flags, metavar, kind, text in (
        (("-p", "--n-prompt"), "N,…", numbers, "tokens to read; 0 leaves that test out (512)"),
        (("-n", "--n-gen"), "N,…", numbers, "tokens to write; 0 leaves that test out (128)"),
        (("-d", "--n-depth"), "N,…", numbers, "tokens in the context before each test (0)"),
        (("-r", "--repetitions"), "N", at_least(1), "times to run each test (5)"),
    ):
        group.add_argument(*flags, metavar=metavar, type=kind, help=text)
    group.add_argument("--seconds", type=at_least(1), metavar="N", help="time that --tune may take (110)")
    group.add_argument("--e2e", dest="end_to_end", action="store_true", help="time answers as a user gets them, too")
    group.add_argument(
        "-pg", dest="pairs", action="append", default=[], type=pair, metavar="P,G", help="read P, then write G tokens"
    )
    group.add_argument("-o", "--output", default="", choices=OUTPUTS, metavar="FORMAT", help=", ".join(OUTPUTS))
    group.add_argument("--baseline", default="", metavar="NAME", help="row that is 1 in charts: part of its name[@cpu]")
    group.add_argument("--history", action="store_true", help="list the runs that were kept; measure nothing")
    group.add_argument(
        "--compare", default="", metavar="WHAT", help="with the last run, the one with this ID, or FILE.json"
    )
    group.add_argument(
        "--fail-below", type=percent, metavar="PERCENT", help="exit code 1 when --compare finds a larger loss"
    )
    group.add_argument("--no-history", dest="keep", action="store_false", help="keep this run out of the history")


def _add_load(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how the model is loaded (0: llama.cpp or llmtui chooses)")
    natural, positive, minus_one, seed = at_least(0), at_least(1), at_least(-1), at_least(-1, 2**32 - 1)

    def add(*flags: str, dest: str, kind: Callable[[str], object] = str, **more: object) -> None:
        group.add_argument(*flags, dest=dest, type=kind, **more)  # type: ignore[arg-type]

    add("--backend", dest="backend", metavar="NAME", help="auto, cpu, vulkan, or a name from --devices")
    group.add_argument("--software-vulkan", action="store_true", help="also list Vulkan devices that the CPU computes")
    add("-c", "--ctx", dest="n_ctx", kind=natural, metavar="N", help="context size in tokens; 0: as trained")
    add("-ngl", "--ngl", dest="n_gpu_layers", kind=minus_one, metavar="N", help="layers on the GPU; -1: all")
    add("--n-cpu-moe", dest="n_cpu_moe", kind=natural, metavar="N", help="layers whose experts stay on the CPU")
    add("-t", "--threads", dest="n_threads", kind=natural, metavar="N", help="threads; 0: physical cores")
    add("-tb", "--threads-batch", dest="n_threads_batch", kind=natural, metavar="N", help="threads for prompts")
    add("-b", "--batch", dest="n_batch", kind=positive, metavar="N", help="prompt tokens handed over at once")
    add("-ub", "--ubatch", dest="n_ubatch", kind=positive, metavar="N", help="tokens computed at once")
    add("-fa", "--flash-attn", dest="flash_attn", choices=FLASH_ATTENTION, metavar="MODE", help="auto, on or off")
    add("-ctk", "--cache-type-k", dest="type_k", choices=CACHE_TYPES, metavar="TYPE", help="f16, q8_0, q4_0 …")
    add("-ctv", "--cache-type-v", dest="type_v", choices=CACHE_TYPES, metavar="TYPE", help="as for K")
    add("--repack", dest="repack", choices=REPACK, metavar="MODE", help="weights in the CPU's order: auto, on, off")
    group.add_argument("--chat-template", metavar="FILE", help="Jinja template to use instead of the model's own")
    group.add_argument("--stop", action="append", default=[], metavar="TEXT", help="end answers here too; repeatable")
    add("--seed", dest="seed", kind=seed, metavar="N", help="seed of the sampler; -1: a new one each time")
    group.add_argument("--fit", action="store_true", help="place layers and experts where they are fastest and fit")
    group.add_argument("--force", action="store_true", help="load it even if that leaves too little memory")
    group.add_argument("--no-mmap", dest="use_mmap", action="store_const", const=False, help="read, do not map")
    group.add_argument("--mlock", dest="use_mlock", action="store_const", const=True, help="never swap it out")


if __name__ == "__main__":
    sys.exit(main())
