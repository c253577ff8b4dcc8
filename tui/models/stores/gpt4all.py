"""GPT4All: files side by side in `~/.local/share/nomic.ai/GPT4All`, or where `modelPath` in its settings says. What is
still being downloaded is called `incomplete-…`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tui.base.userpath import user_path
from tui.models.stores.modelstore import FolderStore, Source, config_home, data_home, read_note


class Gpt4All(FolderStore):
    """The folder that its settings name, and the usual one."""

    source: Source = "gpt4all"
    title = "GPT4All"
    switch = "gpt4all"

    def folders(self, home: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
        """The one that is named first."""
        usual = data_home(home, environ) / "nomic.ai" / "GPT4All"
        lines = (
            read_note(config_home(home, environ) / "nomic.ai" / "GPT4All.ini").decode("utf-8", "replace").split("\n")
        )
        named = [line.partition("=")[2].strip().strip('"') for line in lines if line.startswith("modelPath=")]
        return tuple(dict.fromkeys([*(user_path(one) for one in named if one.startswith(("/", "~"))), usual]))
