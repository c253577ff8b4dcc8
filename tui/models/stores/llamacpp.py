"""llama.cpp's own cache: `owner_name_file.gguf` with a `.json` or `.etag` beside it. Newer versions use the Hugging
Face cache, and its layout in `LLAMA_CACHE` too. Source: its `common/download.cpp` and `common/hf-cache.cpp`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tui.base.userpath import user_path
from tui.models.stores.modelstore import FolderStore, Source, cache_home
from tui.words import mark


class LlamaCppCache(FolderStore):
    """Both layouts have names that end in .gguf."""

    source: Source = "llamacpp"
    title = mark("llama.cpp cache")
    switch = "llama_cpp"

    def folders(self, home: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
        """What `LLAMA_CACHE` names, and the usual one, where earlier runs have left theirs."""
        named = environ.get("LLAMA_CACHE")
        own = (user_path(named),) if named else ()
        return tuple(dict.fromkeys((*own, cache_home(home, environ) / "llama.cpp")))

    def notes(self, path: Path) -> tuple[Path, ...]:
        """What it remembers of the download."""
        return tuple(path.with_name(f"{path.name}{ending}") for ending in (".json", ".etag"))
