"""What is said about a model that cannot be loaded or an engine that died, and what to try next on a command line."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from tui.base.text import clean
from tui.protocol.death import Cause, Death, crashed_code, rebuild_command
from tui.protocol.records import ErrorInfo, ErrorKind

_LESS_MEMORY = "Try a smaller --ctx, fewer layers on the GPU (--ngl), or a smaller quantization."
_ADVICE: dict[ErrorKind, str] = {
    "model_not_found": "Check the path.",
    "model_unreadable": "The file may be damaged or half downloaded: compare its size, or fetch it again.",
    "model_unsupported": "Get a newer llmtui, or another file of this model.",
    "model_refused": "llmtui --bench without a name takes a model that can be measured.",
    "out_of_memory": _LESS_MEMORY,
    "bad_settings": "Change the load options; llmtui --help lists them.",
}
_DEATHS: dict[Cause, tuple[str, str]] = {
    "killed": ("it was killed, most likely because the memory ran out", _LESS_MEMORY),
    "ended": (
        "something outside asked it to end, such as a person or a guard against full memory",
        f"Try again. {_LESS_MEMORY}",
    ),
    "out_of_memory": ("the memory ran out", _LESS_MEMORY),
    "device_lost": ("the GPU stopped answering", "Try a smaller --ubatch, fewer layers (--ngl), or --backend cpu."),
    "shader": ("the GPU driver could not compile a shader", "Try --backend cpu, or a newer driver."),
    "file_changed": ("the model file changed or shrank while it was used", "Fetch the file again."),
    "bad_file": (
        "llama.cpp crashed over {file}: it is damaged or not made well",
        "Fetch it again, or get another file of this model.",
    ),
    "assertion": ("llama.cpp found a mistake, perhaps in {file}", "Try other load options, or --backend cpu."),
    "crashed": ("llama.cpp crashed, perhaps over {file}", "Try other load options, or --backend cpu."),
    "not_started": ("it cannot be started", "Installing llmtui again may help; llmtui --devices tests it."),
    "not_stopped": ("it did not stop when asked to, so llmtui ended it", "A smaller --ubatch stops sooner."),
    "other_version": ("llmtui was replaced by another version while it ran", "Start it again."),
    "out_of_step": ("what it said made no sense, so llmtui ended it", "Try again; llmtui --locate names the log."),
}

_LESS_RAM = "Try a smaller --ctx, or a smaller quantization."
_ON_CPU: dict[Cause, str] = {
    "killed": _LESS_RAM,
    "ended": f"Try again. {_LESS_RAM}",
    "out_of_memory": _LESS_RAM,
    "assertion": "Try other load options, or another file of this model.",
    "crashed": "Try other load options, or another file of this model.",
}
"""What to try where the CPU alone computed."""


def say(sentence: str) -> None:
    """Tell it on stderr, with nothing in it that a terminal would obey: it may name a file or quote one."""
    # A terminal that is gone must not keep what was measured from being kept.
    with contextlib.suppress(OSError):
        print(clean(f"llmtui: {sentence}"), file=sys.stderr)


def error_sentence(path: Path, info: ErrorInfo) -> str:
    """A command that failed while the engine lives on."""
    return f"{path.name}: {info.detail.rstrip('.')}.\n{_ADVICE.get(info.kind, 'Try other load options.')}"


def death_sentence(death: Death) -> str:
    """The end of the engine process: how, why as far as known, its last words, and what to try."""
    why, advice = _cpu_code(death) if death.cause == "cpu_code" else _DEATHS[death.cause]
    if death.computing.on_cpu:
        advice = _ON_CPU.get(death.cause, advice)
    how = death.signal_name or f"exit code {death.exit_code}"
    doing = {"loading": "while loading the model", "benchmark": "while measuring"}.get(death.running, "")
    words = f'\nIts last words: "{death.last_words}".' if death.last_words else ""
    why = why.format(file=death.computing.file_name)
    return f"the engine stopped ({how}){' ' if doing else ''}{doing}: {why}.{words}\n{advice}"


def _cpu_code(death: Death) -> tuple[str, str]:
    """That llama.cpp's code for this processor crashed: why as far as known, and what was not in use already."""
    repacked, gpus = death.computing.repacked, death.computing.gpus
    ways = ["--repack off"] if repacked else []
    ways += [f"--backend {gpus[0].rstrip('0123456789').lower()}"] if gpus and death.computing.on_cpu else []
    anew = f"uild llama.cpp anew, for less of this processor: `{rebuild_command(gpus)}`."
    return crashed_code(death), f"Try {' or '.join(ways)}. If that does not help, b{anew}" if ways else f"B{anew}"
