"""The engine process: reads commands from its standard input, runs them one after the other on the main thread, writes
events to its standard output. A second thread only reads, so that `Cancel` acts in the middle of whatever runs. What
each command does is in `handlers.py`.

Started by `tui.engines.local`; `python -m tui.engine.worker` by hand waits for frames on stdin.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import traceback
from typing import BinaryIO

import msgspec

from tui import words
from tui.base import llamapackage
from tui.base.oserrors import about, kept_reason
from tui.base.text import one_line
from tui.engine import devices
from tui.engine.abort import Aborted
from tui.engine.generate import PromptTooLong
from tui.engine.handlers import AT_ONCE, HANDLERS, Resources
from tui.engine.llamalog import LlamaError, backend_init, system_info
from tui.engine.template import TemplateError
from tui.machine.vulkan import show_software_devices
from tui.protocol.codec import Envelope, command_decoder
from tui.protocol.messages import LANGUAGE_VARIABLE, AnyCommand, Event, Failed, Hello, Load
from tui.protocol.records import ErrorInfo
from tui.protocol.wire import WireError, encode, read_frame
from tui.words.later import later

_MOST_OF_A_FAULT = 300


class Worker:
    """Reads, runs and tells. Everything but `listen` runs on the main thread."""

    def __init__(self, commands: BinaryIO, events: BinaryIO) -> None:
        self._commands, self._events = commands, events
        self._decoder = command_decoder()
        self._queue: queue.SimpleQueue[AnyCommand] = queue.SimpleQueue()
        self._write_lock = threading.Lock()
        self._resources = Resources(self.send)

    def send(self, event: Event) -> None:
        """Write one event; called from both threads."""
        with self._write_lock:
            self._events.write(encode(event))
            self._events.flush()

    def listen(self) -> None:
        """Read until the pipe ends. The front end is then gone: end at once, whatever llama.cpp is doing."""
        try:
            while (frame := read_frame(self._commands)) is not None:
                self._hear(frame)
        except (WireError, msgspec.MsgspecError) as error:
            print(f"llmtui: what the front end sent is not a message: {error}", file=sys.stderr)
            os._exit(1)
        os._exit(0)

    def _hear(self, frame: bytes) -> None:
        try:
            command = self._decoder.decode(frame)
        except msgspec.ValidationError as error:
            unknown = msgspec.msgpack.decode(frame, type=Envelope)
            detail = later(
                "this engine does not know {command}: {error}. Quit llmtui and start it again",
                command=one_line(unknown.type),
                error=one_line(str(error)),
            )
            self.send(Failed(id=unknown.id, error=ErrorInfo(kind="unknown_command", detail=detail)))
            return
        if type(command) in AT_ONCE:
            self._answer(command, AT_ONCE[type(command)](self._resources, command))
        else:
            self._queue.put(command)

    def run(self) -> None:
        """Run commands for ever; the reader thread ends the process."""
        while True:
            command = self._queue.get()
            with self._resources.cancelling.running(command.id):
                self._carry_out(command)

    def _carry_out(self, command: AnyCommand) -> None:
        try:
            self._answer(command, HANDLERS[type(command)](self._resources, command))
        except Aborted:
            self._fail(command, ErrorInfo(kind="cancelled", detail="cancelled"))
        except LlamaError as error:
            self._fail(command, ErrorInfo(kind=error.kind, detail=error.detail))
        except PromptTooLong as error:
            self._fail(command, error.info())
        except TemplateError as error:
            self._fail(command, ErrorInfo(kind="template", detail=error.why))
        except OSError as error:  # a disk that is gone, a folder that was closed
            detail = about(str(error.filename), error) if error.filename else kept_reason(error)
            self._fail(command, ErrorInfo(kind="internal", detail=detail))
        except MemoryError as error:
            self._fail(command, ErrorInfo(kind="out_of_memory", detail=str(error) or later("Python is out of memory")))
        except Exception as error:  # noqa: BLE001 - a fault of llmtui's costs this command and not the model
            traceback.print_exc()
            fault = one_line(f"{type(error).__name__}: {error}"[:_MOST_OF_A_FAULT])
            self._fail(command, ErrorInfo(kind="internal", detail=later("a bug in llmtui: {error}", error=fault)))

    def _answer(self, command: AnyCommand, answer: Event | None) -> None:
        if answer is not None:
            self.send(msgspec.structs.replace(answer, id=command.id))

    def _fail(self, command: AnyCommand, info: ErrorInfo) -> None:
        loaded = self._resources.slot.told if isinstance(command, Load) else None
        self.send(Failed(id=command.id, error=info, loaded=loaded))


def main() -> None:
    """Take the pipes over, then serve. llama.cpp and its backends print to stdout at times: fd 1 becomes stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    commands = os.fdopen(os.dup(0), "rb")
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    show_software_devices()
    words.use("zh" if os.environ.get(LANGUAGE_VARIABLE) == "zh" else "en")
    backend_init()
    worker = Worker(commands, events)
    hello = Hello(
        pid=os.getpid(),
        llama_cpp=f"llama-cpp-python {llamapackage.version() or '?'} · {system_info()}",
        build_commit=devices.build_commit(),
        devices=devices.list_devices(),
    )
    worker.send(hello)
    threading.Thread(target=worker.listen, name="commands", daemon=True).start()
    worker.run()


if __name__ == "__main__":
    main()
