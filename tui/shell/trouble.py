"""What is said about a model that cannot be loaded or an engine that died, and what to try next on a command line."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tui.base import terminal_style
from tui.base.format import sentences
from tui.protocol.death import Cause, Death, death_sentence, rebuild_command
from tui.protocol.records import ErrorInfo, ErrorKind
from tui.words import mark, tr

_LESS_MEMORY = mark("Try a smaller --ctx, fewer layers on the GPU (--ngl), or a smaller quantization.")
_AGAIN = mark(
    "Try again. If that does not help, try a smaller --ctx, fewer layers on the GPU (--ngl), or a smaller quantization."
)
_ADVICE: dict[ErrorKind, str] = {
    "model_not_found": mark("Check the path."),
    "model_unreadable": mark("The file may be damaged or half downloaded: compare its size, or download it again."),
    "model_unsupported": mark("Get a newer llmtui, or another file of this model."),
    "out_of_memory": _LESS_MEMORY,
    "bad_settings": mark("Change the load options; llmtui --help lists them."),
}
_OTHER_OPTIONS = mark("Try other load options, or --backend cpu.")
_REMEDIES: dict[Cause, str] = {
    "killed": _LESS_MEMORY,
    "ended": _AGAIN,
    "out_of_memory": _LESS_MEMORY,
    "device_lost": mark("Try a smaller --ubatch, fewer layers (--ngl), or --backend cpu."),
    "shader": mark("Try --backend cpu, or a newer driver."),
    "file_changed": mark("Download the file again."),
    "bad_file": mark("Download it again, or get another file of this model."),
    "assertion": _OTHER_OPTIONS,
    "crashed": _OTHER_OPTIONS,
    "not_started": mark("Installing llmtui again may help; llmtui --devices tests it."),
    "not_stopped": mark("A smaller --ubatch stops sooner."),
    "other_version": mark("Start it again."),
    "out_of_step": mark("Try again; llmtui --locate names the log."),
}

_LESS_RAM = mark("Try a smaller --ctx, or a smaller quantization.")
_OTHER_FILE = mark("Try other load options, or another file of this model.")
_ON_CPU: dict[Cause, str] = {
    "killed": _LESS_RAM,
    "ended": mark("Try again. If that does not help, try a smaller --ctx, or a smaller quantization."),
    "out_of_memory": _LESS_RAM,
    "assertion": _OTHER_FILE,
    "crashed": _OTHER_FILE,
}
"""What to try where the CPU alone computed."""


def say(sentence: str) -> None:
    """Tell it on stderr."""
    # A terminal that is gone must not keep what was measured from being kept.
    with contextlib.suppress(OSError):
        terminal_style.say(sentence)


def complain(sentence: str) -> None:
    """Tell on stderr what went wrong."""
    with contextlib.suppress(OSError):
        terminal_style.say_error(sentence)


def error_sentence(path: Path, info: ErrorInfo, others: str) -> str:
    """A command that failed while the engine lives on. `others` says how to get a model that is not refused."""
    why = tr("{file}: {reason}.", file=path.name, reason=info.text.rstrip(".。"))
    if info.kind == "model_refused":
        return f"{why}\n{others}"
    advice = tr(_ADVICE[info.kind]) if info.kind in _ADVICE else tr("Try other load options.")
    return f"{why}\n{advice}"


def death_report(death: Death) -> str:
    """The end of the engine process: how, why as far as known, its last words, and what to try."""
    advice = _without_that_code(death) if death.cause == "cpu_code" else tr(_REMEDIES[death.cause])
    if death.computing.on_cpu and death.cause in _ON_CPU:
        advice = tr(_ON_CPU[death.cause])
    words = tr('Its last output: "{words}".', words=death.last_words) if death.last_words else ""
    return "\n".join(filter(None, (death_sentence(death), words, advice)))


def _without_that_code(death: Death) -> str:
    """How to do without llama.cpp's code for this processor, which crashed: what was not in use already."""
    repacked, gpus = death.computing.repacked, death.computing.gpus
    ways = ["--repack off"] if repacked else []
    ways += [f"--backend {gpus[0].rstrip('0123456789').lower()}"] if gpus and death.computing.on_cpu else []
    command = rebuild_command(gpus)
    if not ways:
        return tr("Rebuild llama.cpp for older processors: `{command}`.", command=command)
    first = tr("Try {option}.", option=ways[0])
    if len(ways) > 1:
        first = tr("Try {first} or {second}.", first=ways[0], second=ways[1])
    again = tr("If that does not help, rebuild llama.cpp for older processors: `{command}`.", command=command)
    return sentences(first, again)
