"""ModelScope's cache: `models/owner--name/snapshots/…` of modelscope-hub, and what older versions left:
`hub/models/owner/name` with `___` for dots. Source: modelscope-hub's `_download.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tui.base.userpath import user_path
from tui.models.stores.modelstore import FolderStore, Source
from tui.words import mark


class ModelScopeCache(FolderStore):
    """Only models: datasets lie beside them."""

    source: Source = "modelscope"
    title = mark("ModelScope cache")
    switch = "modelscope"

    def folders(self, home: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
        """What `MODELSCOPE_CACHE` names, else the usual one."""
        named = environ.get("MODELSCOPE_CACHE")
        return (user_path(named) if named else home / ".cache" / "modelscope",)

    def roots(self, folder: Path) -> Iterable[Path]:
        """Old versions kept models in `hub` itself."""
        return (folder / "models", folder / "hub" / "models", folder / "hub")
