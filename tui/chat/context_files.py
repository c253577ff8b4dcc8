"""Which conversations' KV caches are kept on the disk: one file for each, the ones used last, within a size. The engine
writes and reads the files; this only names, counts and deletes them. Everything here blocks for the disk."""

from __future__ import annotations

import os
from pathlib import Path

from tui.base import newfile
from tui.protocol.records import CONTEXT_SUFFIX


class ContextFiles:
    """The files in one folder. What cannot be deleted stays, and is tried again the next time."""

    def __init__(self, folder: Path, n_keep: int, max_bytes: int) -> None:
        self.folder = folder
        self.n_keep = n_keep
        """Conversations to keep; 0 keeps none."""
        self.max_bytes = max_bytes
        """What all files together may take."""

    @property
    def is_on(self) -> bool:
        """Whether anything is to be kept at all."""
        return self.n_keep > 0 and self.max_bytes > 0

    def path(self, conversation_id: str) -> Path:
        """Where the cache of this conversation is, or would be."""
        return self.folder / f"{conversation_id}{CONTEXT_SUFFIX}"

    def has(self, conversation_id: str) -> bool:
        """Whether there is a cache of this conversation, as far as that can be seen."""
        return os.path.isfile(self.path(conversation_id))  # noqa: PTH113 - Path's raises where it may not look

    def touch(self, conversation_id: str) -> None:
        """It was used now: others go first."""
        try:
            os.utime(self.path(conversation_id))
        except OSError:
            return  # gone meanwhile, or of a read-only disk: its turn comes as if it had not been used

    def forget(self, conversation_id: str) -> None:
        """Delete the cache of this conversation, if there is one."""
        _remove(self.path(conversation_id))

    def tidy(self) -> None:
        """Delete what is beyond the limits, the ones used longest ago first, and what killed writers left."""
        newfile.remove_dead(self.folder)
        found: list[tuple[float, int, Path]] = []
        for file in self._listing():
            try:
                stat = file.stat()
            except OSError:
                continue
            if file.suffix == CONTEXT_SUFFIX:
                found.append((stat.st_mtime, stat.st_size, file))
        left, total = self.n_keep if self.is_on else 0, 0
        for _, size, file in sorted(found, reverse=True):
            total += size
            if left <= 0 or total > self.max_bytes:
                left = 0  # those used before this one go too: what stays is what was used last
                _remove(file)
            else:
                left -= 1

    def _listing(self) -> list[Path]:
        try:
            return list(self.folder.iterdir())
        except OSError:
            return []


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError:
        return
