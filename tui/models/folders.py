"""Where models are looked for: the user's folders, our own, and those of other programs. They are used in place,
nothing is copied or moved."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from tui.base.userpath import user_path
from tui.config import paths
from tui.config.settings import ModelSettings, expand
from tui.models.stores.known import places, store_of
from tui.models.stores.modelstore import Source


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder to search with all folders below it."""

    path: Path
    source: Source = "folder"
    must_exist: bool = False
    """The user named it, so it is worth a word when it is not there."""


def default_folders(extra: Sequence[Path | str] = (), environ: Mapping[str, str] = os.environ) -> tuple[Folder, ...]:
    """The user's folders `extra` ("~" is expanded), llmtui's own, those of other programs. One that several of them
    use is the first one's."""
    found = [
        *(Folder(path=user_path(path), must_exist=True) for path in extra),
        Folder(path=paths.models_dir()),
        *(Folder(path=path, source=source) for path, source in places(environ)),
    ]
    kept: dict[Path, Folder] = {}
    for folder in found:
        kept.setdefault(folder.path, folder)
    return tuple(kept.values())


def configured_folders(models: ModelSettings, added: Sequence[str] = ()) -> tuple[Folder, ...]:
    """`default_folders` with those that the settings add, without those that they leave out; then those that were
    `added` in the app (`State.folders`)."""
    folders = default_folders([expand(folder) for folder in models.folders])
    kept = [folder for folder in folders if _is_wanted(folder.source, models)]
    known = {folder.path for folder in kept}
    return (*kept, *(Folder(path=Path(path)) for path in added if Path(path) not in known))


def _is_wanted(source: Source, models: ModelSettings) -> bool:
    store = store_of(source)
    return store is None or bool(getattr(models, store.switch))
