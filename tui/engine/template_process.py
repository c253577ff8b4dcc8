"""Renders one chat template in a process of its own, which has little memory and little time: a template comes from a
stranger's file, and Jinja's sandbox keeps it from the system but not from counting for ever. The engine's side is
`template_host`; `python -m tui.engine.template_process` by hand waits for frames on stdin."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import msgspec

from tui.engine.jinja_template import JinjaTemplate
from tui.engine.template import TemplateError
from tui.engine.template_requests import CPU_S, Compile, RenderResult, Request
from tui.protocol.wire import encode, read_frame

MEMORY_BYTES = 256 << 20
"""What a template may take beside what the process has anyway."""
MAX_PROMPT_BYTES = 64 << 20
"""Of a rendered prompt: more than any context holds."""


class _Server:
    def __init__(self) -> None:
        self._template: JinjaTemplate | None = None

    def answer(self, request: Request) -> RenderResult:
        """Never raises what a template may cause."""
        _limit_time()
        try:
            if isinstance(request, Compile):
                self._template = JinjaTemplate(request.source, request.bos, request.eos)
                return RenderResult(variables=tuple(sorted(self._template.variables)))
            if self._template is None:
                return RenderResult(fault="unknown")
            text = self._template.render(request.turns, opening=request.opening, variables=request.variables)
        except TemplateError as error:
            return RenderResult(fault=error.kind, detail=error.detail)
        except MemoryError:
            return RenderResult(fault="memory", detail=f"{MEMORY_BYTES >> 20} MiB")
        except Exception as error:  # noqa: BLE001 - a template can bring the library to raise anything
            return RenderResult(fault="render", detail=f"{type(error).__name__}: {error}")
        if len(text) > MAX_PROMPT_BYTES:
            return RenderResult(fault="prompt_size", detail=f"{MAX_PROMPT_BYTES >> 20} MiB")
        return RenderResult(text=text.encode("utf-8", "replace").decode())


def _limit_time() -> None:
    """Time from now on; the process is killed when it is over, as nothing else stops what runs in C."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + CPU_S + 1, hard))


def _limit_memory() -> None:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):  # not Linux
        pages = (256 << 20) // os.sysconf("SC_PAGE_SIZE")
    limit = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY_BYTES
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def main() -> None:
    """Answer requests until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    commands, results = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    server, decoder = _Server(), msgspec.msgpack.Decoder(Request)
    _limit_memory()
    while (frame := read_frame(commands)) is not None:
        result = encode(server.answer(decoder.decode(frame)))
        try:
            results.write(result)
            results.flush()
        except BrokenPipeError:  # the engine has ended: what would be said of that here would pass for its last words
            os._exit(0)


if __name__ == "__main__":
    main()
