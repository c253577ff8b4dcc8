"""Why an engine process ended, as facts: exit status, what it computed with, its last log lines, and the likely cause
read from all of them."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from tui.base.splitfile import part_of
from tui.base.text import one_line
from tui.protocol.loadlog import Stage, of_last_load
from tui.protocol.records import Doing
from tui.words import mark, tr

Cause = Literal[
    "killed", "ended", "out_of_memory", "device_lost", "shader", "file_changed", "bad_file", "assertion", "cpu_code",
    "crashed", "not_started", "not_stopped", "out_of_step", "other_version",
]  # fmt: skip
"""What the CPU itself refused to go on with is "cpu_code": llama.cpp's code for this processor is wrong for it. "ended"
is what something outside asked to end, by a signal that no crash sends. A "bad_file" is one that llama.cpp crashed over
before it computed anything. An engine of an "other_version" is that of an llmtui that was replaced while it ran."""

_PATTERNS: tuple[tuple[Cause, re.Pattern[str]], ...] = (
    ("device_lost", re.compile(r"ErrorDeviceLost|device lost", re.I)),
    ("out_of_memory", re.compile(r"OutOf\w*Memory|out of memory|fail.* allocate|bad_alloc|MemoryError", re.I)),
    ("shader", re.compile(r"Compute pipeline creation failed|create(ComputePipeline|ShaderModule): Error", re.I)),
    ("assertion", re.compile(r"GGML_ASSERT|GGML_ABORT|Assertion .* failed|\.(c|cpp|h|hpp|cu|m):\d+: ", re.I)),
)  # fmt: skip
_NOISE = re.compile(
    r"^\s*$|^\s*(File |\[New LWP|Thread debugging|Using host|warning: |#\d)|ptrace|gdb|core dumped|"
    r"compute_async failed with error 1$|compute status: 1$|failed to decode, ret = 2$",  # what we have stopped
    re.I,
)
_EXCEPTION = re.compile(r"^what\(\):\s*")
_TELLING = re.compile(
    r"error|fail|assert|abort|lost|out of memory|exception|terminate|cannot|\.(c|cpp|h|hpp|cu|m):\d+: ", re.I
)
_FOLDERS = re.compile(r"(?<!\S)/\S*/(?=[\w.-]+\.(c|cpp|h|hpp|cu|m):\d+: )")
"""Of the machine on which llama.cpp was built, before the name of a file of its sources."""
_MOST_LAST_WORDS = 300
"""Characters."""
_BUILT_WITH = {"CUDA": "-DGGML_CUDA=on", "ROCm": "-DGGML_HIP=on", "SYCL": "-DGGML_SYCL=on"}
"""What other GPUs than those of Vulkan need, by how their names begin."""
_OURS = re.compile(r"^llmtui ended the engine")
_CRASHES = ("SIGABRT", "SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP", "SIGSYS")
_REFUSED_BY_CPU = ("SIGILL", "SIGFPE")
_BY_WHOEVER_COMPUTES = ("SIGSEGV", "SIGBUS")


class Computing(msgspec.Struct, frozen=True, kw_only=True):
    """What a process computes with, as far as it tells why it ended."""

    on_cpu: bool = False
    """The CPU alone; False too when nothing is known."""
    repacked: tuple[str, ...] = ()
    """Kinds of memory in which weights lie in an order of the CPU's own, as `Loaded.repacked` tells them."""
    gpus: tuple[str, ...] = ()
    """llama.cpp's names of the GPUs that there are, used or not; software ones left out."""
    path: str = ""
    """Of the model file."""
    files: tuple[tuple[int, int] | None, ...] = ()
    """What `look_at` saw of it before it was loaded."""
    stage: Stage = ""
    """What its load was about, where it was being loaded."""

    @property
    def file_name(self) -> str:
        """What people call the file, fit for a sentence."""
        return one_line(Path(self.path).name) or tr("the model file")


def look_at(path: str) -> tuple[tuple[int, int] | None, ...]:
    """Size and time of the last change of each part of a model file; None for what cannot be looked at."""
    found: list[tuple[int, int] | None] = []
    for part in part_of(Path(path))[1]:
        try:
            stat = part.stat()
        except (OSError, ValueError):
            found.append(None)
        else:
            found.append((stat.st_size, stat.st_mtime_ns))
    return tuple(found)


class Death(msgspec.Struct, frozen=True, kw_only=True):
    """How an engine process ended."""

    cause: Cause
    exit_code: int | None
    """Exit status, or None when a signal ended it or it never ran."""
    signal_name: str
    """Such as "SIGKILL"; empty when no signal ended it."""
    last_words: str
    """The last log line that tells of trouble; "" when none does."""
    log: tuple[str, ...]
    """The last lines of its log, oldest first."""
    running: Doing
    """What it was doing."""
    computing: Computing = Computing()
    """What it was doing that with."""


class EngineDied(Exception):
    """The engine process is gone. `death` holds the facts."""

    def __init__(self, death: Death) -> None:
        how = death.signal_name or f"exit code {death.exit_code}"
        super().__init__(f"the engine stopped ({how}) while {death.running}: {death.last_words or 'no last words'}")
        self.death = death


def examine(
    return_code: int | None,
    log: Sequence[str],
    running: Doing,
    ended_for: Cause | None = None,
    computing: Computing | None = None,
) -> Death:
    """The death of a process that ended with `return_code` (negative: a signal; None: it could not be started).
    `ended_for` is why llmtui ended it, its last line then saying so; None when that did not happen."""
    computing = computing or Computing()
    signal_name = ""
    if return_code is not None and return_code < 0:
        try:
            signal_name = signal.Signals(-return_code).name
        except ValueError:
            signal_name = f"signal {-return_code}"
    recent = of_last_load(log) if running == "loading" else log
    tail = [line for line in recent[-60:] if not _NOISE.search(line)]
    is_telling = _TELLING if ended_for is None else _OURS
    last_words = next((line.strip() for line in reversed(tail) if is_telling.search(line)), "")
    last_words = _EXCEPTION.sub("", last_words)  # how C++ prefaces what was thrown and not caught
    last_words = one_line(_FOLDERS.sub("", last_words)[:_MOST_LAST_WORDS])
    return Death(
        cause=ended_for or _cause(return_code, signal_name, tail, running, computing),
        exit_code=return_code if return_code is not None and return_code >= 0 else None,
        signal_name=signal_name,
        last_words=last_words,
        log=tuple(log[-40:]),
        running=running,
        computing=computing,
    )


def _cause(
    return_code: int | None, signal_name: str, tail: Sequence[str], running: Doing, computing: Computing
) -> Cause:
    if return_code is None:
        return "not_started"
    if signal_name == "SIGKILL":
        return "killed"
    if signal_name and signal_name not in _CRASHES:
        return "ended"
    is_files_doing = bool(signal_name) and running == "loading" and _can_only_be_the_file(computing)
    if signal_name == "SIGILL" or (signal_name in _REFUSED_BY_CPU and not is_files_doing):
        return "cpu_code"
    is_whole = bool(computing.files) and look_at(computing.path) == computing.files
    if signal_name == "SIGBUS" and not is_whole:
        return "file_changed"
    if is_files_doing and computing.stage == "reading":  # memory too then runs out for what it says of itself
        return "bad_file"
    text = "\n".join(tail[-20:])
    for cause, pattern in _PATTERNS:
        if pattern.search(text):
            return "bad_file" if cause == "assertion" and is_files_doing else cause
    if is_files_doing and signal_name != "SIGBUS":
        return "bad_file"
    if signal_name in _BY_WHOEVER_COMPUTES and computing.on_cpu and running != "idle":
        return "cpu_code"
    # A GPU's driver maps no model files.
    return "file_changed" if signal_name == "SIGBUS" else "crashed"


def _can_only_be_the_file(computing: Computing) -> bool:
    """Whether nothing that depends on a device or the processor was asked for anything yet."""
    is_untouched = computing.on_cpu and not computing.repacked
    return computing.stage == "reading" or (computing.stage == "placing" and is_untouched)


_CAUSES: dict[Cause, str] = {
    "killed": mark("the system ended it, most likely out of memory"),
    "ended": mark("something outside asked it to end, such as a person or a guard against full memory"),
    "out_of_memory": mark("a device ran out of memory"),
    "device_lost": mark("the GPU driver lost the device"),
    "shader": mark("the GPU driver could not compile a shader"),
    "file_changed": mark("the model file changed or its disk failed"),
    "bad_file": mark("llama.cpp crashed over {file}: it is damaged or malformed"),
    "assertion": mark("llama.cpp found an inconsistency, perhaps in {file}"),
    "crashed": mark("llama.cpp crashed, perhaps over {file}"),
    "not_started": mark("the engine could not be started"),
    "not_stopped": mark("it did not stop when asked to, so llmtui ended it"),
    "out_of_step": mark("its messages could not be understood, so llmtui ended it"),
    "other_version": mark("llmtui was replaced by another version while it ran, and the engine is of that version"),
}


def likely_cause(death: Death) -> str:
    """Why it died, in the language in use and without a full stop. What to try is said by who tells it: keys in the
    app, options on a command line."""
    if death.cause == "cpu_code":
        return _crashed_code(death)
    return tr(_CAUSES[death.cause], file=death.computing.file_name)


def how_it_ended(death: Death) -> str:
    """ "SIGKILL", "exit code 1"."""
    return death.signal_name or tr("exit code {n}", n=death.exit_code)


def death_sentence(death: Death) -> str:
    """That the engine stopped, how, at what, and why as far as known."""
    how, why = how_it_ended(death), likely_cause(death)
    if death.running == "loading":
        return tr("the engine stopped ({how}) while loading the model: {reason}.", how=how, reason=why)
    if death.running == "benchmark":
        return tr("the engine stopped ({how}) while measuring: {reason}.", how=how, reason=why)
    return tr("the engine stopped ({how}): {reason}.", how=how, reason=why)


def _crashed_code(death: Death) -> str:
    may_be_disk = death.signal_name == "SIGBUS"
    if "AMX" in death.computing.repacked:
        if may_be_disk:
            return tr("llama.cpp's AMX code crashed, which some compilers build wrong, or the model's disk failed")
        return tr("llama.cpp's AMX code crashed, which some compilers build wrong")
    if death.computing.repacked:
        if may_be_disk:
            return tr(
                "llama.cpp's code for this processor crashed, most likely where weights are repacked, or the model's "
                "disk failed"
            )
        return tr("llama.cpp's code for this processor crashed, most likely where weights are repacked")
    if may_be_disk:
        return tr("llama.cpp's code for this processor crashed, or the model's disk failed")
    return tr("llama.cpp's code for this processor crashed")


def rebuild_command(gpus: Sequence[str]) -> str:
    """Rebuilds llama.cpp for what all processors of this kind understand, when it is run in llmtui's folder."""
    kept = [option for kind, option in _BUILT_WITH.items() if any(gpu.startswith(kind) for gpu in gpus)]
    arguments = " ".join(["-DGGML_NATIVE=off", *kept])
    backend = "vulkan" if any(gpu.startswith("Vulkan") for gpu in gpus) else "cpu"
    return f"LLMTUI_BACKEND={backend} CMAKE_ARGS={shlex.quote(arguments)} make run"
