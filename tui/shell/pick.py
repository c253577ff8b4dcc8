"""Which model a command takes when none is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tui.base.format import listed, sentences
from tui.config import paths
from tui.config.settings import Settings, expand
from tui.config.state import State
from tui.models.folders import configured_folders
from tui.models.library import BrokenFile, Library, LibraryModel, OtherFile, inspect, scan
from tui.models.modelfile import ModelFileError
from tui.words import mark, tr

_MOST_NAMES = 5


class NoModelFound(Exception):
    """There is no model on this machine; the message says how to get one."""


class Pick(msgspec.Struct, frozen=True, kw_only=True):
    """A model and why it was taken, for `tr`: "" when it was named."""

    model: LibraryModel
    reason: str = ""


def pick(named: Path | None, settings: Settings, state: State, example: str) -> Pick:
    """The model that was named; else the settings' own, the one used last, the smallest one there is. `example` is the
    command with a file, for who has no model.

    Raises `ModelFileError` when the named one cannot be used, `NoModelFound` when there is none.
    """
    if named is not None:
        return Pick(model=inspect(named))
    remembered = (
        (settings.models.default, mark("the default in your settings")),
        (state.last_model, mark("the model used last")),
    )
    for path, reason in remembered:
        if path and (model := _usable(expand(path))):
            return Pick(model=model, reason=reason)
    smallest = min(_library(settings, state, example).models, key=lambda model: model.info.size_bytes)
    return Pick(model=smallest, reason=mark("the smallest model here"))


def every_model(settings: Settings, state: State, example: str) -> tuple[list[Pick], str]:
    """All models of the library, the smallest first, and a sentence about the files that are left out, "" where there
    are none. Raises `NoModelFound`."""
    library = _library(settings, state, example)
    models = sorted(library.models, key=lambda model: model.info.size_bytes)
    return [Pick(model=model) for model in models], _left_out(library)


def scanned(settings: Settings, state: State) -> Library:
    """The models of this machine. Blocking."""
    return scan(configured_folders(settings.models, state.folders), paths.library_cache_file())


def _library(settings: Settings, state: State, example: str) -> Library:
    library = scanned(settings, state)
    if not library.models:
        what = tr(
            "there is no chat model on this machine. Put a GGUF file into {folder}, or name one: {command}.",
            folder=paths.models_dir(),
            command=example,
        )
        raise NoModelFound(sentences(what, _left_out(library)))
    return library


def _left_out(library: Library) -> str:
    said = []
    if library.other:
        said.append(tr("Left out, because they are not chat models: {files}.", files=_names(library.other)))
    if library.broken:
        said.append(tr("Left out, because they cannot be loaded: {files}.", files=_names(library.broken)))
    if said:
        said.append(tr("To see why, name one of them, or look at the app's list of models."))
    return sentences(*said)


def _names(files: Sequence[OtherFile | BrokenFile]) -> str:
    names = listed(*(file.name for file in files[:_MOST_NAMES]))
    n_more = len(files) - _MOST_NAMES
    return tr("{names} and {n} more", names=names, n=n_more) if n_more > 0 else names


def _usable(path: Path) -> LibraryModel | None:
    """The model, unless it has gone or been damaged since it was remembered: then another one is taken."""
    try:
        return inspect(path)
    except ModelFileError:
        return None
