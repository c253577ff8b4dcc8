"""Which model a benchmark takes when none is named."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tui.config import paths
from tui.config.settings import Settings, expand
from tui.config.state import State
from tui.models.folders import configured_folders
from tui.models.library import Library, LibraryModel, inspect, scan
from tui.models.modelfile import ModelFileError

_MOST_NAMES = 5


class NoModelFound(Exception):
    """There is no model on this machine; the message says how to get one."""


class Pick(msgspec.Struct, frozen=True, kw_only=True):
    """A model and why it was taken: "" when it was named."""

    model: LibraryModel
    reason: str = ""


def pick(named: Path | None, settings: Settings, state: State) -> Pick:
    """The model that was named; else the settings' own, the one used last, the smallest one there is.

    Raises `ModelFileError` when the named one cannot be used, `NoModelFound` when there is none.
    """
    if named is not None:
        return Pick(model=inspect(named))
    remembered = (
        (settings.models.default, "the default in your settings"),
        (state.last_model, "the model used last"),
    )
    for path, reason in remembered:
        if path and (model := _usable(expand(path))):
            return Pick(model=model, reason=reason)
    smallest = min(_library(settings).models, key=lambda model: model.info.size_bytes)
    return Pick(model=smallest, reason="the smallest model here")


def every_model(settings: Settings) -> tuple[list[Pick], str]:
    """All models of the library, the smallest first, and a sentence about the files that are left out, "" where there
    are none. Raises `NoModelFound`."""
    library = _library(settings)
    models = sorted(library.models, key=lambda model: model.info.size_bytes)
    return [Pick(model=model) for model in models], _left_out(library)


def _library(settings: Settings) -> Library:
    library = scan(configured_folders(settings.models), paths.library_cache_file())
    if not library.models:
        others = f" {_left_out(library)}"
        raise NoModelFound(
            f"there is no chat model on this machine. Put a GGUF file into {paths.models_dir()}, or name one: "
            f"llmtui --bench model.gguf.{others.rstrip()}"
        )
    return library


def _left_out(library: Library) -> str:
    said = []
    for why, files in (("no chat models", library.other), ("cannot be loaded", library.broken)):
        if files:
            names = ", ".join(file.path.name for file in files[:_MOST_NAMES])
            more = f" and {len(files) - _MOST_NAMES} more" if len(files) > _MOST_NAMES else ""
            said.append(f"{names}{more} ({why})")
    return f"Left out: {'; '.join(said)}. To name one, or the app's list of models, tells the reason." if said else ""


def _usable(path: Path) -> LibraryModel | None:
    """The model, unless it has gone or been damaged since it was remembered: then another one is taken."""
    try:
        return inspect(path)
    except ModelFileError:
        return None
