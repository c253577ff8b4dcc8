"""`llmtui attach`: the newest answer of the llmtui in the background, what there is of it and then what comes, on
stdout. Leaving it changes nothing there."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from tui.ask.output import Output
from tui.ask.reply import TextStream
from tui.base.exit_codes import ExitCode
from tui.base.oserrors import os_reason
from tui.base.stdout import CannotWrite
from tui.host import client
from tui.host.client import HostLine
from tui.host.meeting import HostProblem
from tui.host.messages import Caught, FollowHost, Happened, Rested
from tui.host.scene import Scene, after
from tui.host.scene import decode as decode_scene
from tui.session.events import decode
from tui.shell import signals
from tui.shell.trouble import complain, say
from tui.words import tr


def attach() -> ExitCode:
    """Print it to its end, and say how that went. Raises `CannotWrite`, and `BrokenPipeError` when whoever read has
    left."""
    return signals.run(_attach())


async def _attach() -> ExitCode:
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    output = Output(sys.stdout.fileno(), lambda error: None if failed.done() else failed.set_exception(error))
    stream = TextStream(output, sys.stdout)
    viewer = Viewer(stream.write, stream.end)
    following = asyncio.create_task(follow(viewer))
    try:
        both: list[asyncio.Future[Any]] = [following, failed]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not failed.done():
            is_there = following.result()
            stream.end()
            await output.written()
        if failed.done():
            failed.result()
    except asyncio.CancelledError:
        say(tr("the answer goes on in the background."))
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CannotWrite(os_reason(error)) from error
    except HostProblem as error:
        complain(str(error))
        return ExitCode.ENGINE
    finally:
        following.cancel()
        failed.cancel()
    if not is_there:
        say(tr("nothing runs in the background. `llmtui ask --keep` leaves a model loaded there."))
    elif not viewer.has_begun:
        say(tr("there is no answer to show."))
    return ExitCode.FINE


async def follow(viewer: Viewer) -> bool:
    """Show it to its end, over as many lines as it takes; False where there is no host. Raises `HostProblem` when the
    host ends before the answer does."""
    line = await client.find()
    if line is None:
        return False
    while True:
        try:
            async with line:
                return await _heard(line, viewer)
        except HostProblem:
            # One that had too much to say for how slowly it was read has cut the line, and is still there.
            again = await client.find()
            if again is None:
                raise
            line = again


async def _heard(line: HostLine, viewer: Viewer) -> bool:
    line.send(FollowHost(after=viewer.number))
    while not isinstance(message := await line.next(), Rested):
        if isinstance(message, Caught | Happened):
            viewer.take(message)
    return True


class Viewer:
    """Follows a session, and writes of its newest answer what was not written yet."""

    def __init__(self, write: Callable[[str], None], end: Callable[[], None]) -> None:
        """`end` is called between what is written of one answer and of the next."""
        self._write, self._end = write, end
        self.number = -1
        """Of the last event that was heard, directly or as part of a scene; -1 for none."""
        self.scene = Scene()
        self._turn = ""
        self._n_written = 0
        self.has_begun = False
        """There is an answer."""

    def take(self, message: Caught | Happened) -> None:
        """What comes next."""
        if isinstance(message, Caught):
            self.scene = decode_scene(message.scene)
        else:
            self.scene = after(self.scene, decode(message.event))
        self.number = message.number
        answer = self.scene.answer
        if answer is None:
            return
        if answer.id != self._turn or len(answer.text) < self._n_written:  # the latter: all of it was thinking
            self._end()
            self._turn, self._n_written = answer.id, 0
        self.has_begun = True
        self._write(answer.text[self._n_written :])
        self._n_written = len(answer.text)
