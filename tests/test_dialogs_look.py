"""What each dialog looks like at 80x24 and 120x40, as text in `tests/snapshots/dialogs`, and that every theme can show
them. After a wanted change: UPDATE_SNAPSHOTS=1 pytest tests/test_dialogs_look.py, and read the difference."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from textual.screen import ModalScreen

from tests.conftest import DENSE, MOE
from tests.dialogs import KEYS, opened
from tests.memory.shapes import QWEN3_30B_A3B
from tui.app.screens.choice import Choice, ChoiceScreen
from tui.app.screens.confirm import ConfirmScreen
from tui.app.screens.conversations import ConversationsScreen
from tui.app.screens.guard import guard_screen
from tui.app.screens.help import HelpScreen
from tui.app.screens.load_settings import LoadScreen
from tui.app.screens.log_view import LogScreen
from tui.app.screens.picker import PickerScreen
from tui.app.screens.sampling import SamplingScreen
from tui.app.screens.text_edit import LineEditScreen, TextEditScreen
from tui.chat.store import Summary
from tui.config import paths
from tui.config.settings import LoadDefaults
from tui.config.themes import load_themes
from tui.engine.messages import Device, Sampling
from tui.memory.guard import remedies
from tui.memory.now import MemoryNow
from tui.memory.verdict import judge
from tui.models.folders import Folder
from tui.models.library import Library, inspect, scan

SNAPSHOTS = Path(__file__).parent / "snapshots" / "dialogs"
GIB = 2**30
MEMORY = MemoryNow(host_free_bytes=24 * GIB, host_total_bytes=32 * GIB, device_free={"Vulkan0": 16 * GIB})
GPU = Device(name="Vulkan0", description="Radeon 860M", kind="igpu", total_bytes=16 * GIB, free_bytes=16 * GIB)
APU = MemoryNow(
    host_free_bytes=12 * GIB,
    host_total_bytes=23 * GIB,
    device_free={"Vulkan0": 17 * GIB},
    shared_free={"Vulkan0": 11 * GIB},
    own_total={"Vulkan0": 8 * GIB},
    shared_total={"Vulkan0": 12 * GIB},
    shared_used={"Vulkan0": GIB},
)
TOO_MUCH = LoadDefaults(n_ctx=32768)
NOW = datetime(2026, 3, 2, 12, 0)
CHATS = tuple(
    Summary(
        id=str(number), title=title, model_path="/m/Qwen3-8B-Q4_K_M.gguf", created_at=0, updated_at=time, n_turns=number
    )
    for number, (title, time) in enumerate(
        (
            ("Why is a mixture of experts fast?", NOW.timestamp() - 3600),
            ("中文的標題", NOW.timestamp() - 86400),
            (
                "A title that is longer than any column in which it could stand, be the terminal ever so wide",
                datetime(2025, 6, 15).timestamp(),
            ),
        ),
        start=2,
    )
)


def picker(home: Path) -> ModalScreen[Any]:
    folder = home / "models"
    folder.mkdir(exist_ok=True)
    for model in (DENSE, MOE):
        shutil.copy(model, folder)
    (folder / "half.gguf").write_bytes(DENSE.read_bytes()[:30_000])

    def look() -> Library:
        return scan((Folder(path=folder),), home / "cache.msgpack")

    return PickerScreen(look, MEMORY, KEYS, devices=(GPU,))


def conversations(_: Path) -> ModalScreen[Any]:
    async def load() -> tuple[Summary, ...]:
        return CHATS

    async def unused(*_: str) -> None:
        raise AssertionError("nothing is changed here")

    return ConversationsScreen(load, unused, unused, unused, KEYS, current="3", now=lambda: NOW)  # type: ignore[arg-type]


def guard(_: Path) -> ModalScreen[Any]:
    verdict = judge(QWEN3_30B_A3B, TOO_MUCH, (GPU,), APU)
    found = remedies(QWEN3_30B_A3B, TOO_MUCH, (GPU,), APU)
    return guard_screen(QWEN3_30B_A3B, TOO_MUCH, (GPU,), APU, verdict, found, KEYS)


DIALOGS: dict[str, tuple[Callable[[Path], ModalScreen[Any]], str]] = {
    "picker": (picker, "half.gguf"),
    "load": (lambda _: LoadScreen(inspect(MOE).info, LoadDefaults(), (GPU,), MEMORY, KEYS), "Fits."),
    "load-apu": (lambda _: LoadScreen(QWEN3_30B_A3B, LoadDefaults(n_cpu_moe=4), (GPU,), APU, KEYS), "dedicated"),
    "guard": (guard, "Load anyway"),
    "conversations": (conversations, "LAST USED"),
    "sampling": (lambda _: SamplingScreen(Sampling(temperature=0.6), 0, KEYS, defaults=Sampling()), "default 0.7"),
    "text": (lambda _: TextEditScreen("System prompt", "Be 好.", KEYS, hint="Sent first.", default="x"), "Be 好."),
    "line": (lambda _: LineEditScreen("Rename", "Plum cake", KEYS), "Plum cake"),
    "confirm": (
        lambda _: ConfirmScreen("Stop it and quit?", KEYS, detail="The answer is kept.", yes="Quit"),
        "Quit (y)",
    ),
    "choice": (
        lambda _: ChoiceScreen("Theme", [Choice(id=name, label=name, note="dark") for name in ("a", "b")], KEYS),
        "dark",
    ),
    "help": (lambda _: HelpScreen(KEYS), "pick_model"),
    "log": (lambda _: LogScreen([f"llama.cpp: line {number}" for number in range(90)], KEYS), "line 89"),
}
"""What makes each dialog, and a text that is seen when it is ready."""


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", DIALOGS)
async def test_a_dialog_looks_as_it_did(name: str, size: tuple[int, int], home: Path):
    make, ready = DIALOGS[name]
    file = SNAPSHOTS / f"{name}-{size[0]}x{size[1]}.txt"
    async with opened(make(home), size) as stage:
        await stage.shows(ready)
        if os.environ.get("UPDATE_SNAPSHOTS"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(stage.text + "\n")
        assert stage.text + "\n" == file.read_text()


@pytest.mark.parametrize("theme", load_themes(paths.builtin_themes_dir(), Path("/nowhere"))[0])
async def test_every_theme_shows_list_and_form(theme: str, home: Path):
    for name in ("picker", "load"):
        make, ready = DIALOGS[name]
        async with opened(make(home), theme=theme) as stage:
            await stage.shows(ready)
