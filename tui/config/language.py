"""Which language llmtui speaks: what was chosen in the app, else what `[ui] language` says, else what the environment
asks for. Looks at these two values alone, before anything else is read, so that help and errors are in that language
too; what is wrong with the files is told by whoever reads them whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tui.base import toml
from tui.config import paths
from tui.words import LANGUAGES, Language, language_of

AUTO: Final = "auto"
"""As the environment asks for."""


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
    read counts as missing."""
    remembered = _value(paths.state_file(), "language")
    written = _value(Path(settings_file) if settings_file else paths.user_settings_file(), "ui", "language")
    return language_for(remembered, written, environ)


def _value(file: Path, *keys: str) -> str:
    """A text in a TOML file, by the names of its tables and its own; empty when there is none."""
    found: object
    try:
        found = toml.read(file)
    except (OSError, toml.TomlError):
        return ""
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""
