"""The log: ours and llama.cpp's in one rotating file, which only its owner can read."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
from io import TextIOWrapper
from pathlib import Path

from tui.base import private
from tui.base.oserrors import kept_reason
from tui.base.text import clean
from tui.config import paths
from tui.config.problems import ConfigProblem
from tui.words.later import later

LOG_BYTES = 2 << 20


def log_to_file(level: str) -> list[ConfigProblem]:
    """Send our log and llama.cpp's to a rotating file; without one when it cannot be written."""
    logger = logging.getLogger("llmtui")
    logger.propagate = False
    logger.setLevel(level.upper())
    if logger.handlers:
        return []
    file = paths.log_file()
    try:
        private.folder(file.parent)
        handler = PrivateLog(file, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    except OSError as error:
        logger.addHandler(logging.NullHandler())
        return [
            ConfigProblem(
                file=file,
                key="",
                message=later("cannot be written ({reason}): no log is kept.", reason=kept_reason(error)),
            )
        ]
    handler.setFormatter(_Harmless("%(asctime)s %(levelname).1s %(name)s %(message)s"))
    logger.addHandler(handler)
    return []


class PrivateLog(logging.handlers.RotatingFileHandler):
    """A log that only its owner can read, in a file that nobody else has placed. A line for which the disk has no room
    is left out silently: what matters more says that the disk is full."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Start again with the next line: a file that could not be closed is closed for good."""
        stream, self.stream = self.stream, None
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.close()

    def close(self) -> None:
        """The end, whatever the disk takes."""
        with contextlib.suppress(OSError, ValueError):
            super().close()

    def _open(self) -> TextIOWrapper:
        descriptor = private.open_file(Path(self.baseFilename), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        return open(descriptor, "a", encoding="utf-8", errors="replace")  # noqa: PTH123


class _Harmless(logging.Formatter):
    """Nothing that a terminal would obey when somebody looks at the log: it quotes models, files and drivers."""

    def format(self, record: logging.LogRecord) -> str:
        return clean(super().format(record))
