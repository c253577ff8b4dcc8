"""What the hub on 127.0.0.1 holds: repositories and their files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

COMMIT = "5f0c1a3b7d9e2468ace013579bdf02468ace1357"


@dataclass
class ServedRepo:
    """A repository. Files are bytes, or the path of a file on the disk; both hubs serve it unless `hubs` says less."""

    name: str
    files: dict[str, bytes | Path] = field(default_factory=dict)
    commit: str = COMMIT
    n_downloads: int = 1000
    n_likes: int = 10
    updated: str = "2026-05-04T12:30:00.000Z"
    licence: str = "apache-2.0"
    n_params: int | None = None
    is_gated: bool = False
    """Whether only who has `HubServer.token` may read it."""
    hubs: tuple[str, ...] = ("huggingface", "modelscope")
    _sums: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def author(self) -> str:
        return self.name.partition("/")[0]

    def size(self, path: str) -> int:
        """Bytes of a file."""
        content = self.files[path]
        return len(content) if isinstance(content, bytes) else content.stat().st_size

    def read(self, path: str, start: int, n: int) -> bytes:
        """Bytes of a file from `start` on."""
        content = self.files[path]
        if isinstance(content, bytes):
            return content[start : start + n]
        with content.open("rb") as file:
            file.seek(start)
            return file.read(n)

    def sha256(self, path: str) -> str:
        """Of a file, in hexadecimal."""
        if path not in self._sums:
            content = self.files[path]
            if isinstance(content, bytes):
                self._sums[path] = hashlib.sha256(content).hexdigest()
            else:
                with content.open("rb") as file:
                    self._sums[path] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._sums[path]
