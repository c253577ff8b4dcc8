"""Which options belong to the benchmark and which to the chat. One without its command does what can only be meant, or
is refused with the line to write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tui.cli.parser import CommandLineError
from tui.words import tr, trn

MEANS_BENCH = {
    "quick": "--quick",
    "localscore": "--localscore",
    "tune": "--tune",
    "n_parallel": "--parallel",
    "spec": "--spec",
    "history": "--history",
    "all": "--all",
    "backends": "--backends",
    "end_to_end": "--e2e",
    "pairs": "-pg",
    "output": "--output",
    "baseline": "--baseline",
    "compare": "--compare",
    "fail_below": "--fail-below",
}
"""Options that nothing but a benchmark has, by the names that they are stored under: they start one."""
_NEEDS_BENCH = {"n_prompt": "-p", "n_gen": "-n", "n_depth": "-d", "repetitions": "-r", "keep": "--no-history"}
"""Those that mean other things to people who come from other programs."""
_ONLY_OF_CHAT = {
    "continue_last": "--continue",
    "import_file": "--import",
    "files": "-f",
    "system": "--system",
    "temperature": "--temp",
    "background": "--background",
    "separate": "--separate",
    "theme": "--theme",
}
_NOT_OF_THE_MONITOR = {name: option for name, option in _ONLY_OF_CHAT.items() if name != "theme"}


def is_bench(given: set[str]) -> bool:
    """Whether options that were given, by the names that they are stored under, ask for a benchmark."""
    return "bench" in given or not given.isdisjoint(MEANS_BENCH)


def check(given: set[str], argv: Sequence[str]) -> None:
    """Raises `CommandLineError` for options whose command is missing, and for those of the chat beside a benchmark."""
    if "monitor" in given:
        if options := _named({**MEANS_BENCH, **_NEEDS_BENCH, **_NOT_OF_THE_MONITOR}, given):
            raise CommandLineError(
                trn(
                    "{options} cannot be used with --monitor, which only shows the machine: leave it out.",
                    "{options} cannot be used with --monitor, which only shows the machine: leave them out.",
                    len(options),
                    options=", ".join(options),
                )
            )
        return
    if "seconds" in given and "tune" not in given:
        raise _without("--tune", ["--seconds"], argv)
    if not is_bench(given):
        if options := _named(_NEEDS_BENCH, given):
            raise _without("--bench", options, argv)
    elif options := _named(_ONLY_OF_CHAT, given):
        raise CommandLineError(
            trn(
                "{options} is for the chat, not for a benchmark: leave it out.",
                "{options} are for the chat, not for a benchmark: leave them out.",
                len(options),
                options=", ".join(options),
            )
        )


def _named(options: Mapping[str, str], given: set[str]) -> list[str]:
    return [option for name, option in options.items() if name in given]


def _without(command: str, options: Sequence[str], argv: Sequence[str]) -> CommandLineError:
    import shlex

    written = shlex.join(["llmtui", command, *(word for word in argv if word != "--bench")])
    return CommandLineError(
        trn(
            "{options} needs {command}, which is missing.",
            "{options} need {command}, which is missing.",
            len(options),
            options=", ".join(options),
            command=command,
        ),
        tr("Write: {line}", line=written),
    )
