"""What is read of this machine once a second while a session runs: memory, CPU, GPUs and the speed of the engine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable

from tui.base.beat import until_beat
from tui.config.settings import MemorySettings
from tui.engines.interface import EngineError
from tui.engines.local import WORKER
from tui.machine.gpu import GpuReader, from_devices
from tui.machine.host import HostReader
from tui.machine.npu import OPENVINO_DEVICE, Npu, find_npus, is_usable
from tui.machine.other_engine import OtherEngine
from tui.machine.pressure import MemoryWatch
from tui.machine.readings import GpuSample, HostSample, NpuSample
from tui.protocol.death import EngineDied
from tui.protocol.messages import ListDevices
from tui.session.engine_seen import EngineSeen
from tui.session.events import AnySessionEvent, FaultFound, MachineRead, MemoryShort
from tui.session.live_speed import LiveSpeed

READ_EVERY_S = 1.0
UNSEEN_EVERY_S = 10.0
"""While nobody looks and the engine has nothing to do: often enough to warn of a shortage of memory."""
_log = logging.getLogger("llmtui")


class Monitoring:
    """Reads for one engine. Each reading is told as `MachineRead`, and a shortage of memory that begins as
    `MemoryShort`."""

    def __init__(
        self,
        engine: EngineSeen,
        speed: LiveSpeed,
        memory: MemorySettings,
        tell: Callable[[AnySessionEvent], None],
        *,
        is_busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """`is_busy` says whether the engine loads or answers: memory runs short then, whoever looks."""
        self._engine, self._speed, self._memory, self._tell = engine, speed, memory, tell
        self._is_busy = is_busy
        self._host = HostReader()
        self._gpu = GpuReader()
        self._watch = MemoryWatch()
        self._has_gpu: bool | None = None
        self._npus: tuple[Npu, ...] | None = None
        self._newest: tuple[HostSample, tuple[GpuSample, ...]] | None = None
        self._task: asyncio.Task[None] | None = None
        self._watches_others, self._other = False, OtherEngine(WORKER)
        self.seen = asyncio.Event()
        """Set while somebody looks, as far as the terminal tells."""
        self.seen.set()
        self.is_resting = False
        """Nobody looks, and the next reading is some seconds off."""

    def look(self, is_seen: bool) -> None:
        """Whether somebody looks at the figures from now on, as far as the terminal tells. While nobody does, and
        nothing is computed, the machine is read seldom."""
        (self.seen.set if is_seen else self.seen.clear)()

    def start(self, *, watch_others: bool = False) -> None:
        """Read once a second from now on. With `watch_others`, the engine of another llmtui stands in for one of ours
        while there is none."""
        self._watches_others = watch_others
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def close(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        is_told = False
        while True:
            await (self._rest() if self._may_rest else asyncio.sleep(until_beat(READ_EVERY_S)))
            try:
                await self.read()
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end what runs beside it
                _log.exception("The machine could not be read")
                if not is_told:
                    is_told = True
                    self._tell(FaultFound(kind=type(error).__name__, detail=str(error)))

    async def read(self) -> None:
        """Read the machine, its GPUs and the speed of the second that has passed, and tell them."""
        self._speed.each_second()
        self._newest = await self._read()
        if self._npus is None:
            self._npus = await asyncio.to_thread(find_npus)
        host, gpus = self._newest
        if short := self._watch.take(host, self._memory.reserve_bytes(host.ram_total_bytes or 0)):
            self._tell(MemoryShort(shortage=short))
        self._tell(MachineRead(host=host, gpus=gpus, npus=self._usable(self._npus), speed=self._speed.now))

    @property
    def _may_rest(self) -> bool:
        now = self._speed.now
        is_idle = not (now.is_decoding or now.prefill) and not self._is_busy()
        return is_idle and not self.seen.is_set() and not self._watches_others

    async def _rest(self) -> None:
        """Until somebody looks, or for a while."""
        self.is_resting = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.seen.wait(), until_beat(UNSEEN_EVERY_S))
        self.is_resting = False

    async def newest(self) -> tuple[HostSample, tuple[GpuSample, ...]]:
        """The newest reading, for who wants to know in between."""
        if self._newest is None:
            self._newest = await self._read()
        return self._newest

    def swap_used(self) -> int | None:
        """Swap in use right now, in bytes."""
        return self._host.swap_used_bytes()

    async def _read(self) -> tuple[HostSample, tuple[GpuSample, ...]]:
        pid = self._engine.pid
        if pid is None and self._watches_others:
            pid = await asyncio.to_thread(self._other.pid)  # it looks through all processes
        self._host.engine_pid = pid
        return self._host.read(), await self._read_gpus()

    def _usable(self, npus: tuple[Npu, ...]) -> tuple[NpuSample, ...]:
        devices = self._engine.hello.devices if self._engine.hello else ()
        wanted = os.environ.get(OPENVINO_DEVICE)
        return tuple(NpuSample(name=npu.name, is_usable=is_usable(npu, devices, wanted)) for npu in npus)

    async def _read_gpus(self) -> tuple[GpuSample, ...]:
        """The drivers may take milliseconds, so they are asked in a thread, and not again where there are none."""
        gpus: tuple[GpuSample, ...] = ()
        if self._has_gpu is not False:
            gpus = await asyncio.to_thread(self._gpu.read)
            self._has_gpu = bool(gpus)
        return gpus or await self._from_engine()

    async def _from_engine(self) -> tuple[GpuSample, ...]:
        """What llama.cpp says, where no driver says more; asked only when it has a GPU at all."""
        hello = self._engine.hello
        if hello is None or all(device.kind in ("cpu", "accel") for device in hello.devices):
            return ()
        with contextlib.suppress(EngineDied, EngineError):
            return from_devices((await self._engine.ask(ListDevices())).devices)
        return ()
