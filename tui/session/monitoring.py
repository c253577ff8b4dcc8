"""What the sidebar shows once a second: the machine, its GPUs and the history of the speed."""

from __future__ import annotations

import asyncio
import os

from tui.engines.interface import Engine, EngineError
from tui.machine.gpu import GpuReader, from_devices
from tui.machine.host import HostReader
from tui.machine.npu import OPENVINO_DEVICE, Npu, find_npus, is_usable
from tui.machine.readings import GpuSample, HostSample, NpuSample
from tui.machine.speed import SpeedHistory
from tui.protocol.death import EngineDied
from tui.protocol.messages import ListDevices


class Monitoring:
    """Reads for one engine, and keeps the history of its speed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._host = HostReader()
        self._gpu = GpuReader()
        self._has_gpu: bool | None = None
        self._npus: tuple[Npu, ...] | None = None
        self._newest: tuple[HostSample, tuple[GpuSample, ...]] | None = None
        self.history = SpeedHistory()

    async def read(self, decode_tps: float) -> tuple[HostSample, tuple[GpuSample, ...]]:
        """Read the machine and its GPUs, and put `decode_tps`, the speed now, into the history. Once a second."""
        self.history.add(decode_tps)
        self._host.engine_pid = self._engine.pid
        self._newest = self._host.read(), await self._read_gpus()
        if self._npus is None:
            self._npus = await asyncio.to_thread(find_npus)
        return self._newest

    @property
    def npus(self) -> tuple[NpuSample, ...]:
        """The accelerators that there were at the first reading; none before."""
        devices = self._engine.hello.devices if self._engine.hello else ()
        wanted = os.environ.get(OPENVINO_DEVICE)
        return tuple(NpuSample(name=npu.name, is_usable=is_usable(npu, devices, wanted)) for npu in self._npus or ())

    async def look(self) -> tuple[HostSample, tuple[GpuSample, ...]]:
        """The newest reading, for who wants to know in between."""
        if self._newest is None:
            self._newest = self._host.read(), await self._read_gpus()
        return self._newest

    def swap_used(self) -> int | None:
        """Swap in use right now, in bytes."""
        return self._host.swap_used_bytes()

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
        try:
            return from_devices((await self._engine.ask(ListDevices())).devices)
        except (EngineDied, EngineError):
            return ()
