"""Layers with a sliding window, whose cache may hold the whole context or little more than the window: what "auto" may
come to, and when there is ample room for all of it."""

from __future__ import annotations

import msgspec

from tui.models.info import ModelInfo
from tui.planning.formula import MemoryPlan
from tui.protocol.records import LoadSettings


def ways(info: ModelInfo, settings: LoadSettings) -> tuple[LoadSettings, ...]:
    """What these settings may be loaded as: with "auto" as `swa_full` and a model that has windows, first with the full
    cache, then without; else as they are."""
    if settings.swa_full != "auto" or not info.n_swa:
        return (settings,)
    return msgspec.structs.replace(settings, swa_full="on"), msgspec.structs.replace(settings, swa_full="off")


def has_ample_room(plan: MemoryPlan, spare_bytes: int) -> bool:
    """Whether a full cache may be had without being asked for: beyond the reserve, `spare_bytes` in the fullest place
    that the load uses, as much stays free as it takes more."""
    return spare_bytes >= plan.window_saves_bytes
