"""The user's snippets: texts that are written often, one in each file of a folder. Its name is what they are called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tui.base.smallfile import read_small

MOST = 500
_MOST_BYTES = 1 << 20
_ENDINGS = (".md", ".txt")
_NAME = re.compile(r"[\w-]{1,40}")


class Snippets:
    """Those of a folder. Read again when the folder has changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._texts: Mapping[str, str] = {}

    def texts(self) -> Mapping[str, str]:
        """Each by its name, as they were read last."""
        return self._texts

    def read(self) -> None:
        """Read them. Blocking. What cannot be read, or has a name that cannot be typed, is left out."""
        found: dict[str, str] = {}
        try:
            files = sorted(self.folder.iterdir())[:MOST]
        except OSError:
            files = []
        for file in files:
            if file.suffix not in _ENDINGS or not _NAME.fullmatch(file.stem):
                continue
            try:
                found[file.stem] = read_small(file, _MOST_BYTES).decode("utf-8-sig", "replace").rstrip("\n")
            except OSError:
                continue
        self._texts = found
