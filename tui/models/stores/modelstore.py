"""What a program that keeps models is asked, and what most of them answer alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from tui.base.smallfile import read_small
from tui.base.userpath import user_path
from tui.words.later import Later

Source = Literal["folder", "huggingface", "lmstudio", "ollama", "llamacpp", "modelscope", "jan", "gpt4all"]
"""Whose a folder is; "folder" is one of the user's or our own."""
_MOST_OF_A_NOTE = 4 << 20
"""Bytes of a file in which a program notes something for itself."""


class KeptModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a program keeps under a name which is not that of its file."""

    path: Path
    """Its file; the program's own note about it where there is no file that could be loaded."""
    name: str
    why_not: Later | None = None
    """Why it cannot be used."""


class ModelStore(Protocol):
    """A program that keeps models. Its methods read, and raise nothing: what cannot be read is not there."""

    @property
    def source(self) -> Source:
        """Its name for settings and records."""

    @property
    def title(self) -> str:
        """What people call it, for `tr`."""

    @property
    def switch(self) -> str:
        """The setting in [models] that leaves it out."""

    def folders(self, home: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
        """Where it keeps models, the likeliest place first; need not exist."""

    def roots(self, folder: Path) -> Iterable[Path]:
        """Where in one of its folders GGUF files lie under their own names."""

    def kept(self, folder: Path) -> Iterable[KeptModel]:
        """What it has in one of its folders under other names."""

    def watched(self, folder: Path) -> Iterable[Path]:
        """The files and folders of which a change, seen by size and time, may mean that it has something else under
        other names. A folder that comes changes the one that it is in."""

    def notes(self, path: Path) -> tuple[Path, ...]:
        """What it may have written about this file alone, and what is of no use without the file."""


class FolderStore:
    """A store of GGUF files in folders, under their own names."""

    def roots(self, folder: Path) -> Iterable[Path]:
        """All of it."""
        return (folder,)

    def kept(self, folder: Path) -> Iterable[KeptModel]:
        """Nothing."""
        return ()

    def watched(self, folder: Path) -> Iterable[Path]:
        """Nothing."""
        return ()

    def notes(self, path: Path) -> tuple[Path, ...]:
        """None."""
        return ()


def read_note(path: Path) -> bytes:
    """What a program noted in a file; b"" when there is none, or it cannot be read."""
    try:
        return read_small(path, _MOST_OF_A_NOTE)
    except (OSError, ValueError):  # ValueError: a zero byte, which no name has
        return b""


def cache_home(home: Path, environ: Mapping[str, str]) -> Path:
    """The user's folder for caches."""
    return _xdg(environ, "XDG_CACHE_HOME", home / ".cache")


def config_home(home: Path, environ: Mapping[str, str]) -> Path:
    """The user's folder for settings."""
    return _xdg(environ, "XDG_CONFIG_HOME", home / ".config")


def data_home(home: Path, environ: Mapping[str, str]) -> Path:
    """The user's folder for data."""
    return _xdg(environ, "XDG_DATA_HOME", home / ".local" / "share")


def _xdg(environ: Mapping[str, str], name: str, otherwise: Path) -> Path:
    return user_path(written) if (written := environ.get(name)) else otherwise
