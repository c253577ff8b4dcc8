"""What was written and not sent when llmtui ended, kept for its next start. Blocking."""

from __future__ import annotations

import contextlib
import logging
import os
import uuid
from collections.abc import Iterable

from tui import private
from tui.config import paths

SEPARATOR = "\n\n"
"""Between texts that become one."""


def keep(texts: Iterable[str]) -> None:
    """Keep these as one; when it cannot be written, a line in the log tells."""
    text = SEPARATOR.join(filter(str.strip, texts))
    if not text:
        return
    folder = paths.drafts_dir()
    try:
        private.folder(folder)
        # A name of its own: of two instances that end, both are kept.
        descriptor = os.open(folder / f"{uuid.uuid4().hex}.txt", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="") as file:
            file.write(text)
    except OSError as error:
        logging.getLogger("llmtui").warning("What was not sent could not be kept: %s", error)


def take() -> str:
    """What was kept, the oldest first; it is not kept any more."""
    found: list[tuple[float, str]] = []
    with contextlib.suppress(OSError):
        for file in paths.drafts_dir().glob("*.txt"):
            with contextlib.suppress(OSError):  # another instance took it, or it cannot be read
                entry = file.stat().st_mtime, file.read_text(encoding="utf-8", errors="replace")
                file.unlink()
                found.append(entry)
    return SEPARATOR.join(text for _, text in sorted(found))
