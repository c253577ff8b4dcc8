"""Searches whose results llama.cpp has confirmed: the formula says where to look, a dry run whether it is so. Dry runs
are asked for only near the limits: what fits by far needs none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from tui.config.load import engine_settings
from tui.config.settings import ChosenLoad
from tui.models.info import ModelInfo
from tui.models.library import LibraryModel
from tui.planning import remedies, search
from tui.planning.formula import COMPUTE_WITHIN, Fit, MemoryPlan
from tui.planning.now import MemoryNow
from tui.planning.remedies import Remedy
from tui.planning.search import Fitted
from tui.planning.verdict import Verdict, by_formula, judge
from tui.planning.windows import ways
from tui.protocol.records import Device, LoadSettings

_ROUNDS = 8
"""Of search and confirmation. With each, more of what matters is exact; one or two are the rule."""
_MOST_LAYERS = 2048
"""Of all dry runs of a search together, three in a round: each takes some 2 ms a layer, so that a file with more layers
than any model has gets fewer rounds."""
_MARGIN_BYTES = 64 << 20


class Planner(Protocol):
    """Whoever can ask llama.cpp what a load would take, such as `tui.engines.plans.DryRunPlanner`."""

    def known(
        self, path: Path, settings: LoadSettings, device_free: Mapping[str, int] | None = None
    ) -> MemoryPlan | None:
        """The exact plan, if it was made before."""
        ...

    async def plan(
        self, path: Path, info: ModelInfo, settings: LoadSettings, device_free: Mapping[str, int] | None = None
    ) -> MemoryPlan:
        """An exact plan, or else one by the formula; never raises but `CancelledError`."""
        ...


class Confirmed:
    """What fits of one file on one machine. All methods may take a second, and never block the event loop for long.
    Without a planner the formula has the last word. `n_parallel` sequences share the context: no choice tells that."""

    def __init__(
        self,
        planner: Planner | None,
        path: Path,
        info: ModelInfo,
        devices: Sequence[Device],
        memory: MemoryNow,
        n_parallel: int = 1,
    ) -> None:
        self._planner, self._path, self._info = planner, path, info
        self._devices, self._memory, self._n_parallel = devices, memory, n_parallel
        self._n_rounds = min(_ROUNDS, max(1, _MOST_LAYERS // (3 * max(info.n_layers, 1))))

    async def judge(self, choice: ChosenLoad) -> Verdict:
        """What loading with `choice` would mean."""
        verdict = judge(self._info, choice, self._devices, self._memory, self._known)
        if verdict.plan.exact or self._is_far(verdict) or not await self._confirm([choice]):
            return verdict
        return judge(self._info, choice, self._devices, self._memory, self._known)

    async def auto_fit(self, choice: ChosenLoad, *, worst: Fit = "fits", may_cut: bool = True) -> Fitted | None:
        """As `search.auto_fit`, and not one layer less than llama.cpp has room for."""

        def search_once() -> Fitted | None:
            return search.auto_fit(
                self._info, choice, self._devices, self._memory, self._known, worst=worst, may_cut=may_cut
            )

        found = await asyncio.to_thread(search_once)
        for _ in range(self._n_rounds):
            if found is None or not await self._confirm([found.choice, *self._better(found)]):
                break
            found = await asyncio.to_thread(search_once)
        return found

    async def remedies(self, choice: ChosenLoad, others: Iterable[LibraryModel] = ()) -> tuple[Remedy, ...]:
        """As `remedies.remedies`; other files and quantizations are judged by the formula."""
        others = tuple(others)

        def search_once() -> tuple[Remedy, ...]:
            return remedies.remedies(self._info, choice, self._devices, self._memory, others, self._known)

        found = await asyncio.to_thread(search_once)
        for _ in range(self._n_rounds):
            if not await self._confirm([remedy.choice for remedy in found if not remedy.model and not remedy.quant]):
                break
            found = await asyncio.to_thread(search_once)
        return found

    def _known(self, info: ModelInfo, settings: LoadSettings, memory: MemoryNow) -> MemoryPlan:
        """What llama.cpp has said already, else the formula."""
        settings = msgspec.structs.replace(settings, n_parallel=self._n_parallel)
        known = None
        if self._planner is not None and info is self._info:
            known = self._planner.known(self._path, settings, memory.device_free)
        return known or by_formula(info, settings, memory)

    async def _confirm(self, choices: Iterable[ChosenLoad]) -> bool:
        """Ask llama.cpp about those that it was not asked about; whether that brought anything new."""
        news = False
        if self._planner is None:
            return news
        for choice in choices:
            asked = msgspec.structs.replace(engine_settings(choice, self._devices)[0], n_parallel=self._n_parallel)
            for settings in ways(self._info, asked):
                if self._planner.known(self._path, settings, self._memory.device_free) is None:
                    plan = await self._planner.plan(self._path, self._info, settings, self._memory.device_free)
                    news |= plan.exact
        return news

    def _is_far(self, verdict: Verdict) -> bool:
        """Whether it fits even if the formula were wrong about the compute buffers by twice what it ever is."""
        wrong = 2 * COMPUTE_WITHIN
        return all(
            place.left_bytes
            >= self._memory.reserve(place.cost.device) + _MARGIN_BYTES + int(wrong * place.cost.compute_bytes)
            for place in verdict.places
            if place.cost.total_bytes
        )

    def _better(self, found: Fitted) -> Iterator[ChosenLoad]:
        """The next placements that would be faster: one more layer on the device, or its experts too."""
        choice, plan = found.choice, found.verdict.plan
        if not plan.devices:
            return
        if plan.n_experts_on_cpu:
            yield msgspec.structs.replace(choice, n_cpu_moe=choice.n_cpu_moe - 1)
        if plan.n_gpu_layers < plan.n_layers:
            more = plan.n_gpu_layers + 1
            yield msgspec.structs.replace(choice, n_gpu_layers=-1 if more == plan.n_layers else more)
