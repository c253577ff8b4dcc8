"""llama.cpp in this process: made ready, its log passed on and kept to say why something failed, model files opened.
Runs in the engine process only."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tui.base.splitfile import part_of
from tui.base.text import one_line
from tui.engine.bindings import lib
from tui.protocol import loadlog
from tui.protocol.records import ErrorKind
from tui.words.later import Later

_LOG_DEBUG, _LOG_WARN, _LOG_ERROR = 1, 3, 4


class LlamaError(Exception):
    """llama.cpp refused. `kind` says in which way, `detail` holds its last words on the matter."""

    def __init__(self, kind: ErrorKind, detail: str | Later) -> None:
        super().__init__(detail)
        self.kind: ErrorKind = kind
        self.detail = detail


_MOST_OF_A_COMPLAINT = 300
"""Characters of each that an error repeats."""
_MOST_OF_A_LINE = 1000
"""Characters of a line of the log: llama.cpp prints whole texts of the file, such as its name."""


class _Log:
    """llama.cpp's log: passed on to stderr, and the lines of one step kept to learn what it did."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._warnings: list[str] = []
        self._errors: list[str] = []
        self._partial = ""
        self._is_quiet = False
        self._callback = lib.llama_log_callback(self._take)

    def install(self) -> None:
        lib.llama_log_set(self._callback, None)

    def _take(self, level: int, text: bytes, _user_data: object) -> None:
        if level == _LOG_DEBUG and b"resolve_fused_ops: Flash" not in text:
            return
        self._partial += text.decode("utf-8", "replace")
        *complete, partial = self._partial.split("\n")
        self._partial = partial[:_MOST_OF_A_LINE]
        for line in (line[:_MOST_OF_A_LINE] for line in complete):
            self.lines.append(line)
            if not self._is_quiet:
                print(line, file=sys.stderr)
            if level in (_LOG_WARN, _LOG_ERROR) and line.strip():
                (self._errors if level == _LOG_ERROR else self._warnings).append(line.strip())

    @contextlib.contextmanager
    def step(self, *, quiet: bool = False) -> Iterator[list[str]]:
        """The lines logged inside the `with` block; `quiet` ones are not passed on."""
        self.lines, self._warnings, self._errors = [], [], []
        self._is_quiet = quiet
        try:
            yield self.lines
        finally:
            self._is_quiet = False

    def why(self, fallback: str) -> str:
        """What llama.cpp complained about since the step began: its errors, else its warnings, else `fallback`."""
        return loadlog.in_few_words(self._complaints()) or fallback

    def _complaints(self) -> list[str]:
        return [one_line(line[:_MOST_OF_A_COMPLAINT]) for line in (self._errors or self._warnings)[-3:]]

    def error(self, fallback: str) -> LlamaError:
        """Why a load failed."""
        return LlamaError(loadlog.failure("\n".join(self._complaints()) or fallback), self.why(fallback))


LOG = _Log()


def backend_init() -> None:
    """Prepare llama.cpp in this process: once, before anything else."""
    LOG.install()
    lib.llama_backend_init()


def system_info() -> str:
    """llama.cpp's build features, such as "CPU : AVX2 = 1 | …"."""
    return str(lib.llama_print_system_info().decode("utf-8", "replace")).strip(" |\n")


def open_model(path: Path, params: Any) -> int | None:
    """llama.cpp's model of the file, and of all parts of a split one; None where it refused."""
    # By name llama.cpp finds only parts whose ending is in small letters.
    parts = [str(part).encode() for part in part_of(path)[1]]
    model: int | None = lib.llama_model_load_from_splits((ctypes.c_char_p * len(parts))(*parts), len(parts), params)
    return model
