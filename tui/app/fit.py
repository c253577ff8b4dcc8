"""Whether a model fits, in the few words and marks that a table has room for. What fits is judged in `tui.planning`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tui.base import format
from tui.config.settings import ChosenLoad
from tui.models.info import ModelInfo
from tui.planning.formula import Fit
from tui.planning.guard import placement
from tui.planning.now import MemoryNow
from tui.planning.search import fastest
from tui.planning.verdict import judge
from tui.protocol.records import Device

MARKS: dict[Fit, str] = {"fits": "●", "tight": "◐", "no": "○"}


class Brief(msgspec.Struct, frozen=True):
    """A verdict for a table."""

    fit: Fit
    words: str
    """ "CPU", "GPU 48/48", "GPU 49/49+CPU" with experts on the CPU, "no: needs 133 GiB of 31"."""
    short: str
    """The same in 11 cells or so: "no: 133 GiB"."""


def brief(info: ModelInfo, choice: ChosenLoad, devices: Sequence[Device], memory: MemoryNow) -> Brief:
    """A few words about what loading with `choice` would mean.

    Where all layers are asked for and do not fit on the GPU, the words name how many do, and it counts as tight.
    """
    verdict = judge(info, choice, devices, memory)
    fit = verdict.fit
    if fit == "no" and choice.n_gpu_layers < 0 and verdict.plan.devices:
        part = fastest(info, choice, devices, memory) or fastest(info, choice, devices, memory, wanted="tight")
        if part is not None:
            choice, verdict, fit = part.choice, part.verdict, "tight"
    if fit != "no":
        n_gpu_layers, n_cpu_moe = placement(info, choice, devices)
        words = f"GPU {n_gpu_layers}/{info.n_layers + 1}{'+CPU' * bool(n_cpu_moe)}" if n_gpu_layers else "CPU"
        return Brief(fit, words, words)
    if verdict.obstacle:
        return Brief("no", "no: load settings", "no: settings")
    plan = verdict.plan
    free = memory.host_free_bytes + sum(memory.own_free(cost.device) for cost in plan.devices)
    if plan.total_bytes > free:
        needed = (
            f"{plan.total_bytes / 2**30:.0f} GiB" if plan.total_bytes >= 9.5 * 2**30 else format.size(plan.total_bytes)
        )
        in_all = f"{free / 2**30:.0f}" if free >= 9.5 * 2**30 and needed.endswith("GiB") else format.size(max(free, 0))
        return Brief("no", f"no: needs {needed} of {in_all}", f"no: {needed}")
    worst = min(verdict.places, key=lambda place: place.left_bytes)
    return Brief("no", f"no: {format.size(-worst.left_bytes)} short on {worst.name}", f"no: {worst.name}")
