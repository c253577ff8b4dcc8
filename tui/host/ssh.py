"""A line to the host of another machine, over the user's own ssh: it starts `llmtui bridge` there and speaks through
its stdin and stdout. Listens nowhere; keys, names and jump hosts are those of ssh's own settings."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
from collections import deque
from collections.abc import Sequence

import msgspec

from tui.base.text import one_line
from tui.config.settings import SessionSettings
from tui.host.bridge import MARK, Bridged
from tui.host.client import HostLine, Reached
from tui.host.meeting import HostProblem
from tui.host.messages import HOST_PROTOCOL
from tui.protocol.wire import WireError
from tui.words import tr

PROGRAM_VARIABLE = "LLMTUI_SSH"
"""Of the environment: what is started in place of `[session] ssh`."""
_MOST_JUNK = 256 << 10
"""Bytes of greetings that may stand before the first frame."""
_PIECE = 1 << 16
_LOOK_S, _AGAIN_S = 5.0, 30.0
"""How long ssh may take to tell its settings, and a line that broke to be there again before it is tried anew."""
_ALIVE = ("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3")
"""For who has said nothing of that: a line that is dead is noticed after a quarter of a minute."""
NO_COMMAND, OF_SSH = (126, 127), 255
"""Exit codes: of a shell that does not find the command, and of ssh itself."""
_NO_PROMPTS = ("-o", "BatchMode=yes")
_UNINTERRUPTED = ("sh", "-c", 'trap "" INT QUIT; exec "$@"', "sh")
"""Before a command: Ctrl-C is for the question, not for the line on which that is to be told."""


class Far(msgspec.Struct, frozen=True, kw_only=True):
    """Another machine, and how it is reached."""

    target: str
    """As ssh takes it: a name of its settings, or user@machine."""
    program: tuple[str, ...] = ("ssh",)
    llmtui: str = "llmtui"
    """How llmtui is called there."""

    @classmethod
    def of(cls, target: str, settings: SessionSettings) -> Far:
        """As the settings and the environment want it."""
        program = tuple(shlex.split(os.environ.get(PROGRAM_VARIABLE, "") or settings.ssh))
        return cls(target=target, program=program or ("ssh",), llmtui=settings.far_llmtui)

    @property
    def not_found(self) -> str:
        """What to say where there is no llmtui."""
        return tr(
            "llmtui was not found on {target}: install it there, or say as far_llmtui in [session] of your settings "
            "where it is.",
            target=self.target,
        )

    async def command(
        self, *arguments: str, may_ask: bool = True, first: str = "", on_terminal: bool = False
    ) -> list[str]:
        """What runs llmtui with these arguments there, after the shell's command `first`, and with a terminal if so.
        Without `may_ask` ssh asks for no password. Raises `HostProblem` where there is no ssh."""
        if shutil.which(self.program[0]) is None:
            raise HostProblem(
                tr(
                    "{program} was not found, and other machines are reached with it: install OpenSSH's client, or "
                    "name another program as ssh in [session] of your settings.",
                    program=self.program[0],
                )
            )
        options = [*(await self._alive()), *(() if may_ask else _NO_PROMPTS)]
        return [
            *_UNINTERRUPTED,
            *self.program,
            "-t" if on_terminal else "-T",
            *options,
            "--",
            self.target,
            self._words(arguments, first),
        ]

    def _words(self, arguments: Sequence[str], first: str) -> str:
        """For the shell there, whichever that is; such a shell often has no `~/.local/bin`."""
        path = 'PATH="$PATH:$HOME/.local/bin:$HOME/bin"; export PATH'
        run = "; ".join((path, *([first] if first else []), f"exec {self.llmtui} {shlex.join(arguments)}"))
        return f"sh -c {shlex.quote(run)}"

    async def _alive(self) -> tuple[str, ...]:
        """What keeps a dead line from being waited for, unless the user's settings say how."""
        try:
            process = await asyncio.create_subprocess_exec(
                *(*self.program, "-G", "--", self.target),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError:
            return ()
        try:
            async with asyncio.timeout(_LOOK_S):
                told, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            return ()
        return _ALIVE if b"\nserveraliveinterval 0\n" in told else ()


class SshLine(HostLine):
    """A `HostLine` over a process of ssh."""

    def __init__(self, process: asyncio.subprocess.Process, far: Far) -> None:
        assert process.stdout is not None and process.stdin is not None
        super().__init__(process.stdout, process.stdin, 0)
        self._process, self._far = process, far
        self.stops_with = f"llmtui stop --host {far.target}"
        self._said: deque[str] = deque(maxlen=20)
        self._junk = b""
        self._ending: asyncio.Task[None] | None = None
        self._listening = asyncio.create_task(self._listen())

    def close(self) -> None:
        """As `HostLine.close`."""
        super().close()
        self._listening.cancel()
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())

    async def closed(self) -> None:
        """As `HostLine.closed`: asyncio complains of a process that ends after the event loop."""
        if self._ending is not None:
            await asyncio.shield(self._ending)

    async def begin(self) -> bool:
        """Hear who is there. False where there is no host. Raises `HostProblem`, which says what to do."""
        await self._skip_greetings()
        try:
            bridged = msgspec.msgpack.decode(await self._frame(), type=Bridged)
        except (WireError, msgspec.MsgspecError) as error:
            raise HostProblem(
                tr("{target} sent something unexpected ({error}). Try again.", target=self._far.target, error=error)
            ) from error
        if bridged.protocol != HOST_PROTOCOL:
            raise HostProblem(
                tr(
                    "llmtui on {target} is of another version, {version}, and does not understand this one: install "
                    "the same version on both machines.",
                    target=self._far.target,
                    version=bridged.version,
                )
            )
        if bridged.problem:
            raise HostProblem(f"{self._far.target}: {bridged.problem}")
        if bridged.is_there:
            self.pid = (await self.greeted()).pid
        return bridged.is_there

    async def _skip_greetings(self) -> None:
        data = b""
        while MARK not in data:
            try:
                more = await self._reader.read(_PIECE)
            except ConnectionError:
                more = b""
            data += more
            if not more or len(data) > _MOST_JUNK:
                self._junk = data
                raise HostProblem(await self._why_not(is_over=not more))
        if rest := data.partition(MARK)[2]:
            self._waiting += self._frames.feed(rest)

    async def _why_not(self, *, is_over: bool) -> str:
        """What keeps llmtui from being spoken to there, and what to do."""
        target, code = self._far.target, None
        if is_over:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    code = await self._process.wait()
                    await asyncio.wait([self._listening], timeout=_LOOK_S)
        words = [*self._junk.decode("utf-8", "replace").splitlines(), *self._said]
        last = next((one_line(line) for line in reversed(words) if line.strip()), "").rstrip(".。")
        if code in NO_COMMAND:
            return self._far.not_found
        if code == OF_SSH:
            return tr("{target} is not reached: {reason}. Try ssh {target} by itself.", target=target, reason=last)
        return tr(
            "llmtui does not answer on {target}: {reason}. It may be too old there; try ssh {target} llmtui --version.",
            target=target,
            reason=last or tr("its process has ended"),
        )

    async def _end(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
        try:
            async with asyncio.timeout(_LOOK_S):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        finally:
            self._process._transport.close()  # type: ignore[attr-defined]

    async def _listen(self) -> None:
        """What ssh and the other machine say beside the frames."""
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self._said.append(line.decode("utf-8", "replace"))


def reached(far: Far, *, may_ask_again: bool) -> Reached:
    """Lines to that machine. ssh may ask for a password for the first one, and for others with `may_ask_again`: not
    where the screen is somebody else's by then."""
    n_lines = 0

    async def reach(*, is_made: bool) -> HostLine | None:
        nonlocal n_lines
        is_first, n_lines = n_lines == 0, n_lines + 1
        command = await far.command("bridge", *(("--start",) if is_made else ()), may_ask=is_first or may_ask_again)
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_MOST_JUNK,
        )
        line = SshLine(process, far)
        try:
            async with asyncio.timeout(None if is_first else _AGAIN_S):
                if await line.begin():
                    return line
        except TimeoutError as error:
            line.close()
            await line.closed()
            raise HostProblem(tr("{target} does not answer.", target=far.target)) from error
        except BaseException:
            line.close()
            await line.closed()
            raise
        line.close()
        await line.closed()
        return None

    return reach
