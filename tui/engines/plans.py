"""Exact plans: asks llama.cpp, in a process of its own, what a load would allocate, and takes the formula where that
cannot be asked. The front end's side; the dry run itself is `tui.engine.dryrun`."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tui.config.loadtable import LOAD_TABLE
from tui.engines.interface import EngineError, share_language
from tui.engines.local import LocalEngine
from tui.models.info import ModelInfo
from tui.protocol.death import EngineDied
from tui.protocol.messages import DryRun, Planned
from tui.protocol.records import LoadSettings

if TYPE_CHECKING:
    from tui.planning.formula import MemoryPlan

IDLE_S = 60.0
"""The process ends when nothing was planned for so long: on a GPU it holds some memory."""
MAX_DEATHS = 2
"""Of the process over one file, or at its start: then it is not tried again."""
MOST_CELLS = 1 << 20
"""Of a KV cache. llama.cpp keeps books of some 40 bytes for each, in a dry run too: that of a context of hundreds of
millions, asked for by mistake or by a file, would take a minute and gigabytes."""
MOST_LAYERS = 160
"""Of a model. A dry run takes some 2 ms a layer; no model has more than 126, and llama.cpp takes 512."""
DRY_RUN_S = 10.0
"""Seconds after which a dry run is given up, with its process, and the file is not asked about again; some 0.1 are the
rule."""
_MAX_PLANS = 4096
_log = logging.getLogger("llmtui.planner")

_Identity = tuple[str, int, int]
"""Path, size and time of the last change of a file."""
_Key = tuple[_Identity, LoadSettings, tuple[int, ...]]
"""The file, what matters of the settings, and what is free."""
_START: _Identity = ("", 0, 0)


class DryRunPlanner:
    """Plans loads. The process starts when it is first needed, `warm_up` does so ahead; `close` ends it.

    `env` adds to its environment and should be the engine's, so that both see the same devices. Use from one event
    loop. Plans are remembered until the file changes.
    """

    def __init__(self, *, env: Mapping[str, str] | None = None, idle_s: float = IDLE_S) -> None:
        self._engine = LocalEngine(env=env)
        self._idle_s = idle_s
        self._plans: dict[_Key, MemoryPlan] = {}
        self._refused: set[_Key] = set()
        """What llama.cpp would not load."""
        self._disputed: set[_Identity] = set()
        """Files of which the formula says something else."""
        self._deaths: Counter[_Identity] = Counter()
        self._n_waiting = 0
        self._turn = asyncio.Lock()
        """Of the one dry run that is under way, so that its time is its own."""
        self._is_closed = False
        self._idle: asyncio.TimerHandle | None = None
        self._change: asyncio.Task[object] | None = None
        """The last start or end of the process. Whoever waits for it may be cancelled; it goes on."""

    @property
    def pid(self) -> int | None:
        """Of the process, while it runs."""
        return self._engine.pid

    def known(
        self, path: Path, settings: LoadSettings, device_free: Mapping[str, int] | None = None
    ) -> MemoryPlan | None:
        """The exact plan, if it is remembered; looks at nothing but the file's date."""
        return self._plans.get(_key(path, settings, device_free or {}))

    async def plan(
        self, path: Path, info: ModelInfo, settings: LoadSettings, device_free: Mapping[str, int] | None = None
    ) -> MemoryPlan:
        """What loading `path`, whose header is `info`, would take: exact, or else by the formula (`MemoryPlan.exact`
        says which). `device_free` is as for `estimate`. Never raises but `CancelledError`; cancelling costs nothing."""
        from tui.planning.draftload import draft_info, draft_path
        from tui.planning.formula import estimate, exactly

        if (draft := draft_path(settings)) is not None:
            await asyncio.to_thread(draft_info, draft)  # which is known then
        formula = estimate(info, settings, device_free)
        key = _key(path, settings, device_free or {})
        if (plan := self._plans.get(key)) is not None:
            return plan
        if (settings.n_ctx or info.n_ctx_train) > MOST_CELLS or info.n_layers > MOST_LAYERS:
            return formula
        if key in self._refused or self._deaths[key[0]] >= MAX_DEATHS:
            return formula
        free = [(device_free or {}).get(name, 0) for name in settings.devices]
        answer = await self._ask(key, path, settings, free if any(free) else [])
        if answer is None:
            return formula
        beside = draft_info(draft) if draft is not None else None
        tied = info.tied_bytes + (beside.tied_bytes if beside is not None else 0)
        plan = self._cross_checked(key[0], formula, exactly(formula, answer.placed, answer.n_ctx), tied)
        if len(self._plans) >= _MAX_PLANS:
            self._plans.pop(next(iter(self._plans)))
        self._plans[key] = plan
        return plan

    def _cross_checked(self, identity: _Identity, formula: MemoryPlan, plan: MemoryPlan, tied_bytes: int) -> MemoryPlan:
        """`plan`, marked where the formula disagrees; said once of each file."""
        from tui.planning.crosscheck import apart

        apart_bytes = apart(formula, plan, tied_bytes)
        if apart_bytes and identity not in self._disputed:
            self._disputed.add(identity)
            _log.warning(
                "%r: llama.cpp plans %d MiB of weights and %d of KV cache where the formula comes to %d and %d",
                identity[0],
                *(n_bytes >> 20 for n_bytes in (plan.weights_bytes, plan.kv_bytes)),
                *(n_bytes >> 20 for n_bytes in (formula.weights_bytes, formula.kv_bytes)),
            )
        return msgspec.structs.replace(plan, apart_bytes=apart_bytes)

    async def _ask(self, key: _Key, path: Path, settings: LoadSettings, free: list[int]) -> Planned | None:
        self._n_waiting += 1
        self._watch_idleness()
        try:
            async with self._turn:
                if not await self._is_up():
                    return None
                async with asyncio.timeout(DRY_RUN_S):
                    return await self._engine.ask(DryRun(path=str(path), settings=settings, device_free=tuple(free)))
        except TimeoutError:
            _log.warning("the dry run of %r takes longer than %d s: it is planned by formula", str(path), DRY_RUN_S)
            self._deaths[key[0]] = MAX_DEATHS
            self._change = asyncio.create_task(self._engine.close())
            await asyncio.wait([self._change])
        except EngineError as error:
            _log.info("no exact plan for %r: %s", path, error)
            if len(self._refused) >= _MAX_PLANS:
                self._refused.clear()
            self._refused.add(key)
        except EngineDied as died:
            if not self._is_closed:
                _log.warning("the planner's process: %s", died)
                self._deaths[key[0]] += 1
        finally:
            self._n_waiting -= 1
            self._watch_idleness()
        return None

    async def warm_up(self) -> None:
        """Start the process, so that the first plan comes at once. It is no matter whether it can."""
        await self._is_up()
        self._watch_idleness()

    async def share_language(self) -> None:
        """As the function of that name, for the process that plans."""
        await share_language(self._engine)

    async def close(self) -> None:
        """End the process, and wait until it is gone. Plans that are waited for come from the formula; no new process
        is started."""
        self._is_closed = True
        self._watch_idleness()
        if self._change is not None and not self._change.done():
            self._change.cancel()
            await asyncio.wait([self._change])
        await self._engine.close()

    async def _is_up(self) -> bool:
        """Whether the process runs, started if need be."""
        while self._change is not None and not self._change.done():
            await asyncio.wait([self._change])
        if not self._is_closed and not self._engine.alive and self._deaths[_START] < MAX_DEATHS:
            self._change = asyncio.create_task(self._start())
            await asyncio.wait([self._change])
        return self._engine.alive and not self._is_closed

    async def _start(self) -> None:
        try:
            await self._engine.start()
            self._deaths[_START] = 0
        except EngineDied as died:
            _log.warning("the planner's process: %s", died)
            self._deaths[_START] += 1

    def _watch_idleness(self) -> None:
        """Let the clock run while nobody waits."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if not self._is_closed and not self._n_waiting:
            self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._rest)

    def _rest(self) -> None:
        """Nothing was asked for a while."""
        self._idle = None
        if not self._n_waiting and (self._change is None or self._change.done()):
            self._change = asyncio.create_task(self._engine.close())


def _key(path: Path, settings: LoadSettings, device_free: Mapping[str, int]) -> _Key:
    """What a plan depends on. What is free decides something only where layers are split over several devices."""
    try:
        stat = path.stat()
        size, changed = stat.st_size, stat.st_mtime_ns
    except OSError:
        size = changed = 0
    free = tuple(device_free.get(name, 0) for name in settings.devices) if len(settings.devices) > 1 else ()
    return (str(path), size, changed), _without_what_costs_nothing(settings), free


_TAKES_NO_MEMORY = (*(row.name for row in LOAD_TABLE if not row.takes_memory), "chat_template", "stop")
_DEFAULTS = LoadSettings()


def _without_what_costs_nothing(settings: LoadSettings) -> LoadSettings:
    from tui.planning.draftload import OFF, draft_path

    alike: dict[str, Any] = {} if settings.devices else {"n_gpu_layers": -1, "n_cpu_moe": 0}
    alike |= {name: getattr(_DEFAULTS, name) for name in _TAKES_NO_MEMORY}
    if settings.repack == "auto":
        alike["repack"] = "on"  # llama.cpp's default
    if draft_path(settings) is None:
        alike["model_draft"] = OFF
    if settings.swa_full == "auto":
        alike["swa_full"] = "off"
    return msgspec.structs.replace(settings, **alike)
