"""The load settings of a tiny model on a machine with room, and what a person does in them."""

from __future__ import annotations

from pathlib import Path

from tests.app.dialogs import KEYS, Stage
from tests.conftest import DENSE
from tui.app.screens.load_settings import LoadScreen
from tui.app.widgets.cost_table import CostTable
from tui.config.settings import ChosenLoad
from tui.models.library import inspect
from tui.planning.formula import MemoryPlan
from tui.planning.now import MemoryNow
from tui.protocol.records import Device

GIB, MIB = 2**30, 2**20
GPU = Device(name="Vulkan0", description="Radeon 860M", kind="gpu", total_bytes=16 * GIB, free_bytes=16 * GIB)
CPU = Device(name="CPU", description="Ryzen", kind="cpu", total_bytes=32 * GIB, free_bytes=24 * GIB)
ROOMY = MemoryNow(host_free_bytes=24 * GIB, host_total_bytes=32 * GIB, device_free={"Vulkan0": 16 * GIB})


def dialog(
    settings: ChosenLoad | None = None,
    *,
    model: Path = DENSE,
    memory: MemoryNow = ROOMY,
    devices: tuple[Device, ...] = (CPU, GPU),
) -> LoadScreen:
    return LoadScreen(inspect(model).info, settings or ChosenLoad(n_ctx=2048), devices, memory, KEYS)


def plan_of(table: CostTable) -> MemoryPlan:
    """The plan whose figures are shown."""
    assert table.verdict is not None
    return table.verdict.plan


async def write(stage: Stage[ChosenLoad], field: str, text: str) -> None:
    """Type into a number field in place of what is there."""
    stage.dialog.query_one(f"#{field}").focus()
    await stage.pilot.pause()
    await stage.press("ctrl+u", *(("minus" if character == "-" else character) for character in text))


async def show_advanced(stage: Stage[ChosenLoad]) -> None:
    """Unfold the rare settings, by key."""
    await focus(stage, "advanced")
    await stage.press("right")


async def focus(stage: Stage[ChosenLoad], field: str) -> None:
    stage.dialog.query_one(f"#{field}").focus()
    await stage.pilot.pause()
