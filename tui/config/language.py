"""Which language llmtui speaks: what was chosen in the app, else what `[ui] language` says, else what the environment
asks for. Looks at these two values alone, before anything else is read, so that help and errors are in that language
too; what is wrong with the files is told by whoever reads them whole."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final

from tui.words import LANGUAGES, Language, language_of

AUTO: Final = "auto"
"""As the environment asks for."""
_MOST_BYTES = 1 << 20


def language_for(remembered: str, written: str, environ: Mapping[str, str]) -> Language:
    """The first of these that names a language which is there; `remembered` and `written` may be empty or "auto"."""
    for value in (remembered, written):
        if value in LANGUAGES:
            return value
        if value == AUTO:
            break
    return language_of(environ)


def first_language(environ: Mapping[str, str], settings_file: str = "") -> Language:
    """The same, from the files alone; `settings_file` is read in place of the user's own. Never raises: what cannot be
    read counts as missing. It is asked before `--help`: what takes time is imported only where a file names a
    language."""
    remembered = _value(_file(environ, "XDG_STATE_HOME", ".local/state", "state.toml"), "language")
    own = _file(environ, "XDG_CONFIG_HOME", ".config", "settings.toml")
    return language_for(remembered, _value(settings_file or own, "ui", "language"), environ)


def _file(environ: Mapping[str, str], variable: str, folder: str, name: str) -> str:
    """As `tui.config.paths` has it on Linux, without importing that; empty elsewhere."""
    if not sys.platform.startswith("linux"):
        return ""
    home = environ.get(variable) or os.path.join(environ.get("HOME", ""), folder)  # noqa: PTH118
    return os.path.join(home, "llmtui", name)  # noqa: PTH118


def _value(file: str, *keys: str) -> str:
    """A text in a TOML file, by the names of its tables and its own; empty when there is none."""
    if not _has(file, keys[-1]):
        return ""
    from pathlib import Path

    from tui.base import toml

    found: object
    try:
        found = toml.read(Path(file))
    except (OSError, toml.TomlError):
        return ""
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def _has(file: str, word: str) -> bool:
    """Whether it is a small file that holds the word."""
    if not os.path.isfile(file):  # noqa: PTH113 - and not a pipe, which would be waited for
        return False
    try:
        with open(file, "rb") as opened:  # noqa: PTH123
            return word.encode() in opened.read(_MOST_BYTES)
    except OSError:
        return False
