"""Why an engine process ended, as facts: exit status, its last log lines, and the likely cause read from both."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from typing import Literal

import msgspec

Cause = Literal[
    "killed", "out_of_memory", "device_lost", "shader", "file_changed", "assertion", "crashed", "not_started",
    "not_stopped", "out_of_step",
]  # fmt: skip

_PATTERNS: tuple[tuple[Cause, re.Pattern[str]], ...] = (
    ("device_lost", re.compile(r"ErrorDeviceLost|device lost", re.I)),
    ("out_of_memory", re.compile(r"OutOf\w*Memory|out of memory|fail.* allocate|bad_alloc|MemoryError", re.I)),
    ("shader", re.compile(r"Compute pipeline creation failed|create(ComputePipeline|ShaderModule): Error", re.I)),
    ("assertion", re.compile(r"GGML_ASSERT|GGML_ABORT|Assertion .* failed", re.I)),
)  # fmt: skip
_NOISE = re.compile(
    r"^\s*$|^\s*(File |\[New LWP|Thread debugging|Using host|warning: |#\d)|ptrace|gdb|core dumped", re.I
)
_EXCEPTION = re.compile(r"^what\(\):\s*")
_TELLING = re.compile(r"error|fail|assert|abort|lost|out of memory|exception|terminate|cannot", re.I)
_OURS = re.compile(r"^llmtui ended the engine")


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
    running: str
    """What it was doing: "starting", "loading", "answering", "benchmark", "planning" or "idle"."""


class EngineDied(Exception):
    """The engine process is gone. `death` holds the facts."""

    def __init__(self, death: Death) -> None:
        how = death.signal_name or f"exit code {death.exit_code}"
        super().__init__(f"the engine stopped ({how}) while {death.running}: {death.last_words or 'no last words'}")
        self.death = death


def examine(return_code: int | None, log: Sequence[str], running: str, ended_for: Cause | None = None) -> Death:
    """The death of a process that ended with `return_code` (negative: a signal; None: it could not be started).
    `ended_for` is why llmtui ended it, its last line then saying so; None when that did not happen."""
    signal_name = ""
    if return_code is not None and return_code < 0:
        try:
            signal_name = signal.Signals(-return_code).name
        except ValueError:
            signal_name = f"signal {-return_code}"
    tail = [line for line in log[-60:] if not _NOISE.search(line)]
    is_telling = _TELLING if ended_for is None else _OURS
    last_words = next((line.strip() for line in reversed(tail) if is_telling.search(line)), "")
    last_words = _EXCEPTION.sub("", last_words)  # how C++ prefaces what was thrown and not caught
    return Death(
        cause=ended_for or _cause(return_code, signal_name, tail),
        exit_code=return_code if return_code is not None and return_code >= 0 else None,
        signal_name=signal_name,
        last_words=last_words,
        log=tuple(log[-40:]),
        running=running,
    )


def _cause(return_code: int | None, signal_name: str, tail: Sequence[str]) -> Cause:
    if return_code is None:
        return "not_started"
    if signal_name == "SIGBUS":
        return "file_changed"
    if signal_name == "SIGKILL":
        return "killed"
    text = "\n".join(tail[-20:])
    return next((cause for cause, pattern in _PATTERNS if pattern.search(text)), "crashed")
