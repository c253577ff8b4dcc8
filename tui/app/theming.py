"""Themes as Textual wants them: registering them, and noticing that their files have changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.app import App
from textual.theme import Theme

from tui.config import paths
from tui.config.problems import ConfigProblem
from tui.config.themes import Fingerprint, ThemeSpec, fingerprint, load_themes


class ThemeFolder:
    """The built-in and the user's themes, kept in step with the app's."""

    def __init__(self) -> None:
        self._folders = (paths.builtin_themes_dir(), paths.user_themes_dir())
        self._seen: Fingerprint | None = None
        self.specs: dict[str, ThemeSpec] = {}

    def read(self) -> list[ConfigProblem]:
        """Read all theme files; what is wrong with some of them."""
        self._seen = fingerprint(self._folders)
        self.specs, problems = load_themes(*self._folders)
        return problems

    def has_changed(self) -> bool:
        """Whether a file was added, changed or taken away since `read`."""
        return fingerprint(self._folders) != self._seen


def register(app: App[Any], specs: Mapping[str, ThemeSpec]) -> None:
    """Make our themes, and only ours, the app's."""
    for spec in specs.values():
        app.register_theme(Theme(**spec.textual_fields()))  # type: ignore[arg-type]
    forget_others(app, specs)


def forget_others(app: App[Any], specs: Mapping[str, ThemeSpec]) -> None:
    """Take themes that are not ours away, but for the one that the app has now."""
    for name in set(app.available_themes) - set(specs) - {app.theme}:
        app.unregister_theme(name)
