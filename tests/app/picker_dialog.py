"""The model picker on a real folder of models."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.app.dialogs import KEYS, Stage
from tests.conftest import DENSE, MOE
from tests.models.gguf_files import Shape
from tui.app.screens.picker import PickedModel, PickerScreen
from tui.models.folders import Folder
from tui.models.library import Library, scan
from tui.planning.now import MemoryNow
from tui.protocol.records import Device

GIB = 2**30
ROOMY = MemoryNow(host_free_bytes=24 * GIB, host_total_bytes=32 * GIB, device_free={"Vulkan0": 16 * GIB})
GPU = Device(name="Vulkan0", description="Radeon", kind="gpu", total_bytes=16 * GIB, free_bytes=16 * GIB)


def models_in(folder: Path) -> Path:
    """Both tiny models, one that was only half downloaded, and a web page."""
    for model in (DENSE, MOE):
        shutil.copy(model, folder)
    (folder / "half.gguf").write_bytes(DENSE.read_bytes()[:30_000])
    (folder / "page.gguf").write_text("<!doctype html>")
    return folder


def look(folder: Path) -> Library:
    """Scan the folder, as the app does."""
    return scan((Folder(path=folder),), folder / "cache.msgpack")


def another(folder: Path) -> Path:
    """One more model, of another content than the others."""
    return Shape().write(folder / "another.gguf")


def picker(folder: Path, memory: MemoryNow = ROOMY, **options: object) -> PickerScreen:
    return PickerScreen(lambda: look(folder), memory, KEYS, **options)  # type: ignore[arg-type]


async def listed(stage: Stage[PickedModel]) -> None:
    """Wait until the scan is shown."""
    await stage.shows("half.gguf")
