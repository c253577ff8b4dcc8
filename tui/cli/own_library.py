"""What the commands know of this machine's models: settings, state, and the library, which is read when it is asked for
and once only."""

from __future__ import annotations

import argparse
import os
from functools import cached_property
from pathlib import Path

import msgspec

from tui.base.splitfile import part_of
from tui.base.terminal_style import say
from tui.base.userpath import user_path
from tui.cli.named_model import of_name
from tui.config import paths
from tui.config.settings import load_settings
from tui.config.state import StateStore
from tui.models.folders import Folder, configured_folders
from tui.models.library import Library, LibraryModel, inspect, scan
from tui.models.modelfile import file_title
from tui.models.named import Named, find, labels, named


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
        return scan(self._folders, paths.library_cache_file())

    @property
    def _folders(self) -> tuple[Folder, ...]:
        return configured_folders(self.settings.models, self.state.state.folders)

    @cached_property
    def names(self) -> dict[Path, str]:
        """What to write for each chat model, by its path."""
        models = named(self.found)[0]
        return dict(zip((one.path for one in models), labels(models), strict=True))

    def model(self, written: str) -> LibraryModel:
        """The model that is meant by a path or a name. Raises `NoSuchModel` and `ModelFileError`."""
        path = user_path(written).absolute()
        if os.sep not in written and not path.is_file():
            path = of_name(written, *named(self.found))
        of_library = next((one for one in self.found.models if path in (*one.paths, *_also(one))), None)
        return of_library or inspect(path)

    def one_of(self, written: str) -> LibraryModel:
        """As `model`, of content that lies in several places the one that is meant. Raises as `model`."""
        model = self.model(written)
        path = user_path(written).absolute()
        names = [Named(path=one.path, names=(one.name or file_title(one.path),)) for one in model.places]
        meant = [one.path for one in names if one.path == path] or [one.path for one in find(written, names)]
        place = next((one for one in model.also if meant == [one.path]), None)
        if place is None:
            return model
        around = (
            one.path for one in self._folders if one.source == place.source and place.path.is_relative_to(one.path)
        )
        return msgspec.structs.replace(
            model,
            path=place.path,
            paths=part_of(place.path)[1],
            source=place.source,
            store_name=place.name,
            root=next(around, None),
            also=tuple(one for one in model.places if one is not place and one.path != place.path),
        )


def _also(model: LibraryModel) -> list[Path]:
    return [place.path for place in model.also]
