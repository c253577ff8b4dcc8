"""Which model a benchmark takes when none is named."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tui.config import paths
from tui.config.settings import Settings, expand
from tui.config.state import State
from tui.models.folders import configured_folders
from tui.models.library import LibraryModel, inspect, scan
from tui.models.modelfile import ModelFileError


class NoModel(Exception):
    """There is no model on this machine; the message says how to get one."""


class Pick(msgspec.Struct, frozen=True, kw_only=True):
    """A model and why it was taken: "" when it was named."""

    model: LibraryModel
    reason: str = ""


def pick(named: Path | None, settings: Settings, state: State) -> Pick:
    """The model that was named; else the settings' own, the one used last, the smallest one there is.

    Raises `ModelFileError` when the named one cannot be used, `NoModel` when there is none.
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
    smallest = min(_library(settings), key=lambda model: model.info.size_bytes)
    return Pick(model=smallest, reason="the smallest model here")


def every_model(settings: Settings) -> list[Pick]:
    """All models of the library, the smallest first. Raises `NoModel`."""
    return [Pick(model=model) for model in sorted(_library(settings), key=lambda model: model.info.size_bytes)]


def _library(settings: Settings) -> tuple[LibraryModel, ...]:
    library = scan(configured_folders(settings.models), paths.library_cache_file())
    if not library.models:
        raise NoModel(
            f"there is no model on this machine. Put a GGUF file into {paths.models_dir()}, or name one: "
            "llmtui --bench model.gguf"
        )
    return library.models


def _usable(path: Path) -> LibraryModel | None:
    """The model, unless it has gone or been damaged since it was remembered: then another one is taken."""
    try:
        return inspect(path)
    except ModelFileError:
        return None
