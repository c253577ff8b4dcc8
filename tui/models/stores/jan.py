"""Jan: a folder for each model, with `model.gguf` and `model.yml`, below `llamacpp/models` of its data folder; before
version 0.6 below `models`. The data folder is `~/.local/share/Jan/data` or what Jan's `settings.json` names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from tui.base.userpath import user_path
from tui.models.stores.modelstore import FolderStore, Source, config_home, data_home, read_note


class _Settings(msgspec.Struct):
    data_folder: str = ""


class Jan(FolderStore):
    """Its data folders of all versions."""

    source: Source = "jan"
    title = "Jan"
    switch = "jan"

    def folders(self, home: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
        """Those that its settings name first."""
        own, config = data_home(home, environ) / "Jan", config_home(home, environ) / "Jan"
        named = [_data_folder(one / "settings.json") for one in (own, config)]
        data = dict.fromkeys([*(one for one in named if one), own / "data", config / "data", home / "jan"])
        return tuple(one / below for one in data for below in ("llamacpp/models", "models"))

    def notes(self, path: Path) -> tuple[Path, ...]:
        """Its list of models is made of these."""
        return (path.with_name("model.yml"),) if path.name == "model.gguf" else ()


def _data_folder(settings: Path) -> Path | None:
    try:
        written = msgspec.json.decode(read_note(settings), type=_Settings).data_folder
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    folder = user_path(written)
    return folder if folder.is_absolute() else None
