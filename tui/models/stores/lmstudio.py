"""LM Studio: `publisher/name/file.gguf` below a folder that its settings can name.

Its home is `~/.lmstudio`, that of older versions `~/.cache/lm-studio`, or what `~/.lmstudio-home-pointer` names;
`downloadsFolder` in `settings.json` there is where models go.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from tui.base.userpath import user_path
from tui.models.stores.modelstore import FolderStore, Source, config_home, read_note


class _Settings(msgspec.Struct):
    downloadsFolder: str = ""


class LmStudio(FolderStore):
    """All its homes, and the folder that each one's settings name."""

    source: Source = "lmstudio"
    title = "LM Studio"
    switch = "lm_studio"

    def folders(self, home: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
        """Those of the homes first."""
        homes = [home / ".lmstudio", home / ".cache" / "lm-studio"]
        if pointed := _line(read_note(home / ".lmstudio-home-pointer")):
            homes.insert(0, user_path(pointed))
        named = [_downloads(one / "settings.json") for one in homes]
        named.append(_downloads(config_home(home, environ) / "LM Studio" / "settings.json"))
        return tuple(dict.fromkeys([*(one / "models" for one in homes), *(one for one in named if one)]))


def _line(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").strip().partition("\n")[0]


def _downloads(settings: Path) -> Path | None:
    try:
        written = msgspec.json.decode(read_note(settings), type=_Settings).downloadsFolder
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    folder = user_path(written)
    return folder if folder.is_absolute() else None
