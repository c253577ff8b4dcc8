"""The cache of huggingface_hub, which llama.cpp and many others use too.

A snapshot of a repository links its files to `blobs/<etag>` beside it, where the etag of a large file is its sha256;
in newer versions that may be a link again, to `blobs/xx/<xet hash>` of the whole cache, which repositories share.
Source: huggingface_hub's `file_download.py` and `utils/_shared_blobs.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tui.base.userpath import user_path
from tui.models.stores.modelstore import FolderStore, Source, cache_home
from tui.words import mark


class HuggingFaceCache(FolderStore):
    """Only the snapshots are looked at: they have the files under readable names."""

    source: Source = "huggingface"
    title = mark("Hugging Face cache")
    switch = "hugging_face"

    def folders(self, home: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
        """By the same variables as huggingface_hub, which is slow to import."""
        if cache := environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE"):
            return (user_path(cache),)
        if hf_home := environ.get("HF_HOME"):
            return (user_path(hf_home) / "hub",)
        return (cache_home(home, environ) / "huggingface" / "hub",)

    def roots(self, folder: Path) -> Iterable[Path]:
        """The snapshots of all models."""
        return [repository / "snapshots" for repository in sorted(folder.glob("models--*"))]
