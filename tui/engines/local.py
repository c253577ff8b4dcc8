"""The engine of llmtui: a process on this machine that is started, spoken to over its pipes, and seen to die.

A whole program:

    import asyncio
    from tui.engines.local import LocalEngine
    from tui.protocol.messages import Delta, Generate
    from tui.protocol.records import LoadSettings, Message

    async def main():
        async with LocalEngine() as engine:
            await engine.load("model.gguf", LoadSettings(n_ctx=4096))
            question = Message(role="user", content="Hello!")
            async for event in engine.generate(Generate(messages=(question,))):
                if isinstance(event, Delta):
                    print(event.text, end="", flush=True)

    asyncio.run(main())
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from tui.engines.client import EngineClient
from tui.engines.interface import Capabilities
from tui.protocol.death import EngineDied, examine
from tui.protocol.messages import LANGUAGE_VARIABLE, Hello, Loaded
from tui.protocol.pipes import Pipes
from tui.protocol.records import LoadSettings
from tui.words import language

WORKER = "tui.engine.worker"
"""The module that an engine's process runs; it stands on its command line."""
_ENVIRONMENT = {
    # A failed assertion would start a debugger: death comes seconds later, its reason far up in the log.
    "GGML_NO_BACKTRACE": "1",
    # The KV cache, buffers and weights that are not mapped lie in huge pages where the system has them for who asks.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    # numpy chooses tokens, which takes no algebra: a thread for each core would start with it, and spin at first.
    "OPENBLAS_NUM_THREADS": "1",
}


_SPINS = 1024 * 128
"""How often a thread of llama.cpp's own looks for work before it sleeps, for each step of `poll`."""


def _waiting(poll: int) -> dict[str, str]:
    """What has OpenMP's threads wait as llama.cpp's own would."""
    if poll < 0:
        return {}
    return {"OMP_WAIT_POLICY": "active" if poll else "passive", "GOMP_SPINCOUNT": str(_SPINS * poll)}


class LocalEngine(EngineClient):
    """One engine process (`tui.engine.worker`). Use it as an async context manager, or call `start` and `close`.

    `env` adds to the process's environment; for `on_death` see `Engine`.
    """

    capabilities = Capabilities(
        counts=True,
        keeps_context=True,
        asks_aside=True,
        switches_devices=True,
        measures_bandwidth=True,
        speculates=True,
    )

    def __init__(
        self, *, env: Mapping[str, str] | None = None, on_death: Callable[[EngineDied], None] | None = None
    ) -> None:
        super().__init__(on_death)
        self._env = dict(env or {})
        self._transport: asyncio.SubprocessTransport | None = None
        self._pipes: Pipes | None = None
        """Of the present process; None when none is wanted."""
        self._starting = asyncio.Lock()
        self._poll = LoadSettings().poll
        """What the process was started with, or is to be."""
        self._numa = LoadSettings().numa
        """What llama.cpp was told in the present process; "off" for nothing, which can still change."""

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._transport is not None and self._transport.get_returncode() is None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._transport.get_pid() if self.alive and self._transport else None

    async def load(
        self,
        path: str | Path,
        settings: LoadSettings,
        on_progress: Callable[[float], None] | None = None,
        *,
        keep_context: bool = False,
        load_first: bool = False,
    ) -> Loaded:
        """As `Engine.load`. Where a setting that holds for the whole process is another one, another process loads the
        model: what was loaded before is gone then, with its context."""
        if self.alive and (settings.poll != self._poll or self._numa not in ("off", settings.numa)):
            self._poll = settings.poll
            await self._restart_wholly()
        self._numa = settings.numa
        return await super().load(path, settings, on_progress, keep_context=keep_context, load_first=load_first)

    async def _restart_wholly(self) -> None:
        """Who is cancelled meanwhile leaves an engine that runs, and not half of one."""
        restarting = asyncio.ensure_future(self.restart())
        restarting.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            await asyncio.shield(restarting)
        except asyncio.CancelledError:
            await asyncio.wait([restarting])
            restarting.result()
            raise

    async def start(self) -> Hello:
        """As `Engine.start`."""
        async with self._starting:
            if self.alive and self.hello:
                return self.hello
            await self.close()  # one that died, or whose start nobody waited for
            return await self._start()

    async def _start(self) -> Hello:
        greeted = self._begin()
        self._numa = LoadSettings().numa
        pipes = self._pipes = Pipes(self._on_output, self._on_line, self._bury)
        try:
            transport, _ = await asyncio.get_running_loop().subprocess_exec(
                lambda: pipes,
                *(sys.executable, "-P", "-m", WORKER),
                env={
                    **_ENVIRONMENT,
                    **os.environ,
                    **_waiting(self._poll),
                    LANGUAGE_VARIABLE: language(),
                    **self._env,
                    "PYTHONUNBUFFERED": "1",
                },
                # A session of its own: Ctrl-C and a closing terminal reach the front end alone.
                start_new_session=True,
            )
        except OSError as error:
            self._greeted = None
            raise EngineDied(examine(None, [f"cannot start {sys.executable}: {error.strerror}"], "starting")) from error
        self._transport = transport
        return await self._greeting(greeted)

    async def close(self) -> None:
        """As `Engine.close`."""
        transport = self._transport
        if self._pipes is not None:
            self._pipes.close()
            self._pipes = None
        if transport is None:
            return
        try:
            if transport.get_returncode() is None:
                with contextlib.suppress(ProcessLookupError):
                    transport.kill()
                await transport._wait()  # type: ignore[attr-defined]
        finally:  # also when nobody waits for its end any more
            transport.close()
            if self._transport is transport:
                self._tell_waiting(self._death())
                self._transport = None

    async def restart(self) -> Hello:
        """As `Engine.restart`."""
        await self.close()
        return await self.start()

    @property
    def _is_buried(self) -> bool:
        return self._pipes is None or self._pipes.is_over

    @property
    def _return_code(self) -> int | None:
        return self._transport.get_returncode() if self._transport else None

    def _write(self, frame: bytes) -> None:
        pipe = self._transport.get_pipe_transport(0) if self._transport else None
        if pipe is not None:
            cast(asyncio.WriteTransport, pipe).write(frame)

    def _kill(self) -> None:
        if self._transport:
            self._transport.kill()
