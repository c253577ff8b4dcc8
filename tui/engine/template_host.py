"""The engine's side of a template that is rendered in a process of its own (`template_process`): started while the
model loads, asked and waited for, ended when it takes too long, and started again when it is needed. Cancelling works
all the while."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from tui.engine.template import TemplateError, Turn
from tui.engine.template_requests import CPU_S, Compile, Render, RenderResult, Request
from tui.protocol.wire import FrameDecoder, WireError, encode

WAIT_S = 10.0
"""By the clock: longer than `CPU_S` takes on a machine that is busy with other things."""
MAX_SOURCE_BYTES = 1 << 20
"""Of a template: forty times the longest that is known."""
_LOOK_EVERY_S = 0.05


class TemplateHost:
    """A process that renders a chat template, one after the other when several models are loaded in turn. `check` is
    called while it is waited for, and may raise."""

    source = ""
    variables: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.check: Callable[[], None] = lambda: None
        self._compile: Compile | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._results = msgspec.msgpack.Decoder(RenderResult)
        self._start()

    def compile(self, source: str, bos: str, eos: str) -> None:
        """Take this template, with the vocabulary's beginning and end of text as text. Raises `TemplateError` when it
        cannot be used, or what `check` raises."""
        if len(source) > MAX_SOURCE_BYTES:
            raise TemplateError("source_size", f"{MAX_SOURCE_BYTES:,}")
        self._compile = Compile(source, bos, eos)
        self._forget_the_dead()
        self.source, self.variables = source, frozenset(self._ask(self._compile).variables)

    def render(self, turns: Sequence[Turn], *, opening: bool, variables: Mapping[str, Any]) -> str:
        """See `ChatTemplate`; raises what `check` raises too."""
        if self._compile is None:
            raise TemplateError("unknown")
        request = Render([dict(turn) for turn in turns], opening, dict(variables))
        self._forget_the_dead()
        if self._process is None:
            self._ask(self._compile)
        return self._ask(request).text

    def _forget_the_dead(self) -> None:
        """When something outside has ended the process, that is no fault of the template: another is started."""
        if self._process is not None and self._process.poll() is not None:
            self.close()

    def close(self) -> None:
        """End the process. Safe to call twice."""
        if (process := self._process) is None:
            return
        self._process = None
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()

    def _start(self) -> None:
        # What the engine asks of its C library, huge pages, is not for a small process.
        environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
        command = [sys.executable, "-P", "-m", "tui.engine.template_process"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, start_new_session=True)

    def _ask(self, request: Request) -> RenderResult:
        try:
            if self._process is None:
                self._start()
            result = self._results.decode(self._exchange(encode(request)))
        except (OSError, EOFError, WireError, msgspec.DecodeError) as error:
            self.close()
            raise TemplateError("slow", f"{CPU_S}") from error
        except BaseException:  # it was cancelled: what it would still answer is of no use
            self.close()
            raise
        if result.fault is not None:
            raise TemplateError(result.fault, result.detail)
        return result

    def _exchange(self, frame: bytes) -> bytes:
        """Send a frame and wait for the one that answers it. Raises `EOFError` when none comes."""
        process, frames, rest = self._process, FrameDecoder(), memoryview(frame)
        assert process is not None and process.stdin is not None and process.stdout is not None
        to, back = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(to, False)
        deadline = time.monotonic() + WAIT_S
        while True:
            readable, writable, _ = select.select([back], [to] if rest else [], [], _LOOK_EVERY_S)
            if writable:
                rest = rest[os.write(to, rest[: 1 << 16]) :]
            if readable:
                data = os.read(back, 1 << 20)
                if not data:
                    raise EOFError
                for body in frames.feed(data):
                    return body
            elif not writable:
                self.check()
                if time.monotonic() > deadline:
                    raise EOFError
