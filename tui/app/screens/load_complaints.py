"""What is wrong with load settings that a field alone does not show: limits that the model sets, and values that do not
go with each other."""

from __future__ import annotations

from collections.abc import Collection

from tui.config.settings import ChosenLoad
from tui.models.info import ModelInfo
from tui.planning.loadcheck import cache_problem
from tui.protocol.records import LoadSettings
from tui.words import mark, tr

_ALL_LAYERS = mark("Enter at most {most}, all layers.")


def wrong_together(
    info: ModelInfo, choice: ChosenLoad, n_layers: int, settings: LoadSettings, *, alone: Collection[str]
) -> dict[str, str]:
    """Complaints by field. `n_layers` are those that can be offloaded, the output's among them; `settings` is what
    `choice` comes to on this machine; `alone` are the fields that are wrong by themselves."""
    found = {}
    if choice.n_gpu_layers > n_layers:
        found["n_gpu_layers"] = tr(_ALL_LAYERS, most=n_layers)
    if choice.n_cpu_moe > info.n_layers and info.is_moe:
        found["n_cpu_moe"] = tr(_ALL_LAYERS, most=info.n_layers)
    if not alone and not found and choice.n_ubatch > choice.n_batch:
        found["n_ubatch"] = tr("Enter at most {most}, the batch size.", most=f"{choice.n_batch:,}")
    if wrong := cache_problem(info, settings):
        found[wrong.field] = wrong.short
    return found
