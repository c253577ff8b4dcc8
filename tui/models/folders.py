"""Where models are looked for: the user's folders, our own, the Hugging Face cache and LM Studio's. They are used in
place, nothing is copied or moved."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from tui.base.userpath import user_path
from tui.config import paths
from tui.config.settings import ModelSettings, expand

Source = Literal["folder", "huggingface", "lmstudio"]


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder to search with all folders below it."""

    path: Path
    source: Source = "folder"
    must_exist: bool = False
    """The user named it, so it is worth a word when it is not there."""


def default_folders(extra: Sequence[Path | str] = (), environ: Mapping[str, str] = os.environ) -> tuple[Folder, ...]:
    """The user's folders `extra` ("~" is expanded), llmtui's own, the Hugging Face cache, LM Studio's."""
    home = Path.home()
    return (
        *dict.fromkeys(Folder(path=user_path(path), must_exist=True) for path in extra),
        Folder(path=paths.models_dir()),
        Folder(path=huggingface_cache(environ), source="huggingface"),
        Folder(path=home / ".lmstudio" / "models", source="lmstudio"),
        Folder(path=home / ".cache" / "lm-studio" / "models", source="lmstudio"),
    )


def configured_folders(models: ModelSettings, added: Sequence[str] = ()) -> tuple[Folder, ...]:
    """`default_folders` with those that the settings add, without those that they leave out; then those that were
    `added` in the app (`State.folders`)."""
    wanted: dict[Source, bool] = {"folder": True, "huggingface": models.hugging_face, "lmstudio": models.lm_studio}
    folders = default_folders([expand(folder) for folder in models.folders])
    kept = [folder for folder in folders if wanted[folder.source]]
    known = {folder.path for folder in kept}
    return (*kept, *(Folder(path=Path(path)) for path in added if Path(path) not in known))


def huggingface_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """The cache of huggingface_hub, by the same variables as that package uses (which is slow to import)."""
    if cache := environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE"):
        return user_path(cache)
    if home := environ.get("HF_HOME"):
        return user_path(home) / "hub"
    base = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return user_path(base) / "huggingface" / "hub"
