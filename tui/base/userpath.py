"""Paths as people write them: typed, pasted, dragged into a terminal, or in settings and environment variables."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes


def user_path(written: str | Path) -> Path:
    """The path with `~` and `~name` replaced; an unknown name stays as it was written."""
    return Path(os.path.expanduser(written))  # noqa: PTH111 - Path.expanduser raises on unknown users


def typed_path(text: str) -> Path:
    """The file that a line names, perhaps in quotes, or as the URL that some file managers drag into a terminal."""
    text = text.strip().strip("'\"")
    if text.startswith("file://"):
        return Path(os.fsdecode(unquote_to_bytes(text.removeprefix("file://"))))
    return user_path(text)
