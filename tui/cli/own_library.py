"""What the commands know of this machine's models: settings, state, and the library, which is read when it is asked for
and once only."""

from __future__ import annotations

import argparse
import os
from functools import cached_property
from pathlib import Path

from tui.base.terminal_style import say
from tui.base.userpath import user_path
from tui.cli.named_model import of_name
from tui.config import paths
from tui.config.settings import load_settings
from tui.config.state import StateStore
from tui.models.folders import configured_folders
from tui.models.library import Library, LibraryModel, inspect, scan
from tui.models.named import labels, named


class OwnLibrary:
    """Of the settings that the arguments name, else the user's. What is wrong with these is said on stderr."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.settings, problems = load_settings(Path(arguments.settings) if arguments.settings else None)
        self.state = StateStore()
        for problem in [*problems, *self.state.read()]:
            say(str(problem))

    @cached_property
    def found(self) -> Library:
        """All of it."""
        folders = configured_folders(self.settings.models, self.state.state.folders)
        return scan(folders, paths.library_cache_file())

    @cached_property
    def names(self) -> dict[Path, str]:
        """What to write for each chat model, by its path."""
        models = named(self.found)[0]
        return dict(zip((one.path for one in models), labels(models), strict=True))

    def model(self, written: str) -> LibraryModel:
        """The model that is meant by a path or a name. Raises `NoSuchModel` and `ModelFileError`."""
        path = user_path(written)
        if os.sep not in written and not path.is_file():
            path = of_name(written, *named(self.found))
        of_library = next((one for one in self.found.models if path in one.paths), None)
        return of_library or inspect(path)
