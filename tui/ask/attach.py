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
from tui.host.client import HostLine, Reached
from tui.host.meeting import HostProblem
from tui.host.messages import Caught, Closed, FollowHost, Happened, Rested
from tui.host.scene import Scene, after
from tui.host.scene import decode as decode_scene
from tui.session.events import decode
from tui.shell import signals
from tui.shell.trouble import complain, say
from tui.words import tr


def attach(session: str = "", reach: Reached = client.reach, machine: str = "") -> ExitCode:
    """Print it to its end, that of the session with this id or of the one that was asked last; how that went. Raises
    `CannotWrite`, and `BrokenPipeError` when whoever read has left."""
    return signals.run(_attach(session, reach, machine))


async def _attach(session: str, reach: Reached, machine: str) -> ExitCode:
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    output = Output(sys.stdout.fileno(), lambda error: None if failed.done() else failed.set_exception(error))
    stream = TextStream(output, sys.stdout)
    viewer = Viewer(stream.write, stream.end)
    following = asyncio.create_task(follow(viewer, session, reach, machine))
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
    except NoSuchSession as error:
        complain(str(error))
        return ExitCode.USAGE
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


async def follow(viewer: Viewer, session: str = "", reach: Reached = client.reach, machine: str = "") -> bool:
    """Show it to its end, over as many lines as it takes; False where there is no host. Raises `HostProblem` when the
    host ends before the answer does."""
    line = await reach(is_made=False)
    if line is None:
        return False
    while True:
        try:
            async with line:
                return await _heard(line, viewer, session)
        except HostProblem as problem:
            # One that had too much to say for how slowly it was read has cut the line, and is still there.
            again = await client.reached_again(reach, machine, lambda _: None)
            if again is None or again.pid != line.pid:
                raise problem from None
            line = again


async def _heard(line: HostLine, viewer: Viewer, session: str) -> bool:
    line.send(FollowHost(after=viewer.number, session=viewer.session or session))
    while not isinstance(message := await line.next(), Rested):
        if isinstance(message, Closed):
            raise NoSuchSession(message.sentence)
        if isinstance(message, Caught | Happened):
            viewer.take(message)
    return True


class NoSuchSession(Exception):
    """There is no session with this id; the message says so."""


class Viewer:
    """Follows a session, and writes of its newest answer what was not written yet."""

    def __init__(self, write: Callable[[str], None], end: Callable[[], None]) -> None:
        """`end` is called between what is written of one answer and of the next."""
        self._write, self._end = write, end
        self.number = -1
        """Of the last event that was heard, directly or as part of a scene; -1 for none."""
        self.scene = Scene()
        self.session = ""
        """What the host calls the session that is followed; empty until it has said."""
        self._turn = ""
        self._written = ""
        self.has_begun = False
        """There is an answer."""

    def take(self, message: Caught | Happened) -> None:
        """What comes next."""
        if isinstance(message, Caught):
            self.scene, self.session = decode_scene(message.scene), message.session
        else:
            self.scene = after(self.scene, decode(message.event))
        self.number = message.number
        answer = self.scene.answer
        if answer is None:
            return
        is_other = isinstance(message, Caught) and not answer.text.startswith(self._written)
        # Shorter, or another one: all that was written was thinking.
        if answer.id != self._turn or is_other or len(answer.text) < len(self._written):
            self._end()
            self._turn, self._written = answer.id, ""
        self.has_begun = True
        self._write(answer.text[len(self._written) :])
        self._written = answer.text
