"""A home folder for what is under test: where its files are, which of them stay, and which processes use it."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

FOLDERS = {
    "HOME": "",
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
    "XDG_STATE_HOME": ".local/state",
    "XDG_CACHE_HOME": ".cache",
    "OLLAMA_MODELS": ".ollama/models",
}
FOREIGN = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "LLAMA_CACHE",
    "MODELSCOPE_CACHE",
    "TMUX",
    "STY",
    "SSH_TTY",
    "WAYLAND_DISPLAY",
    "DISPLAY",
    "COLUMNS",
    "LINES",
    "NO_COLOR",
)
"""Variables that tell of the session of whoever runs the tests."""
_KEPT = re.compile(
    r"settings\.toml|state\.toml|llmtui\.log(\.1)?|conversations\.db(-wal|-shm|-lock|-writer-\w+)?|\w+\.kv|\w{32}(-\d+)?\.txt|\w{32}\.lock|"
    r"queue\.lock|bench\.sqlite(-wal|-shm|-lock)?|library\.msgpack|[^.].*\.(md|json|gguf)"
)
"""Names of files that llmtui leaves in a home folder, or has in it while it runs."""


@contextlib.contextmanager
def own_home() -> Iterator[Path]:
    """A temporary home folder for this process and all that it starts, temporary files included."""
    with tempfile.TemporaryDirectory(prefix="llmtui-campaign-") as folder:
        home = Path(folder)
        for name, part in FOLDERS.items():
            os.environ[name] = str(home / part)
        for name in FOREIGN:
            os.environ.pop(name, None)
        os.environ["TMPDIR"] = str(home / "tmp")
        os.environ["LLMTUI_BACKGROUND"] = "0"  # a campaign that wants otherwise says so
        (home / "tmp").mkdir()
        tempfile.tempdir = None  # to be looked up again
        try:
            yield home
        finally:
            # Whoever looked it up meanwhile must not be led into a folder that is gone.
            del os.environ["TMPDIR"]
            tempfile.tempdir = None


def processes_of(home: Path) -> list[psutil.Process]:
    """What runs with this home folder, whoever its parent is; not what has ended and waits to be collected."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get("HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def leftovers(home: Path) -> list[Path]:
    """Files below this home folder that should not be there, or not any more: what was being written, empty exports."""
    found = []
    for file in home.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            is_empty = file.suffix in (".md", ".json") and not file.stat().st_size
            if not file.is_dir() and (is_empty or not _KEPT.fullmatch(file.name)):
                found.append(file)
    return found
