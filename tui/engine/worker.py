"""The engine process: reads commands from its standard input, runs them one after the other on the main thread, writes
events to its standard output. A second thread only reads, so that `Cancel` acts in the middle of whatever runs.

Started by `tui.engines.local`; `python -m tui.engine.worker` by hand waits for frames on stdin.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import msgspec

from tui.base.splitfile import part_of
from tui.base.text import one_line
from tui.engine import bandwidth, benchmark, devices
from tui.engine.abort import Aborted, AbortSwitch
from tui.engine.answer import Paused
from tui.engine.dryrun import DryRunner
from tui.engine.generate import Chat, PromptTooLong
from tui.engine.keepcontext import ContextSaver, key_of
from tui.engine.kvlayout import transpose_v
from tui.engine.llama import LlamaError, Session, backend_init, system_info
from tui.engine.params import in_effect
from tui.engine.template import TemplateError
from tui.machine.vulkan import show_software_devices
from tui.planning import loadcheck
from tui.protocol.messages import (
    AnyCommand,
    Bandwidths,
    BenchParallel,
    BenchTest,
    Cancel,
    Command,
    Count,
    Counted,
    Devices,
    DryRun,
    Event,
    Failed,
    Generate,
    Hello,
    ListDevices,
    Load,
    Loaded,
    LoadProgress,
    MeasureBandwidth,
    Ok,
    Planned,
    ReadAhead,
    RestoreContext,
    SaveContext,
    Shutdown,
    Unload,
)
from tui.protocol.records import ErrorInfo, LoadSettings
from tui.protocol.wire import encode, read_frame

PROGRESS_EVERY_S = 0.05
_MOST_OF_A_FAULT = 300


@dataclass(frozen=True)
class _Kept:
    """A KV cache on its way from one session to the next, and how to go back."""

    path: Path
    settings: LoadSettings
    told: Loaded
    rope: str
    tokens: list[int]
    paused: Paused | Generate | None
    state: bytearray
    save_s: float


class Worker:
    """Owns the model. Everything but `listen` runs on the main thread."""

    def __init__(self, commands: BinaryIO, events: BinaryIO) -> None:
        self._commands, self._events = commands, events
        self._decoder = msgspec.msgpack.Decoder(AnyCommand)
        self._queue: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._write_lock = threading.Lock()
        self._cancel_lock = threading.Lock()
        self._cancelled: set[int] = set()
        self._running = 0
        self._abort = AbortSwitch()
        self._conversation: Chat | None = None
        self._path = Path()
        self._settings = LoadSettings()
        self._told: Loaded | None = None
        """What the front end knows to be loaded."""
        self._dry_runner = DryRunner()
        self._contexts = ContextSaver(self.send)

    def send(self, event: Event) -> None:
        """Write one event; called from both threads."""
        with self._write_lock:
            self._events.write(encode(event))
            self._events.flush()

    # Reader thread ----------------------------------------------------------------------------------------------------

    def listen(self) -> None:
        """Read until the pipe ends. The front end is then gone: end at once, whatever llama.cpp is doing."""
        while (frame := read_frame(self._commands)) is not None:
            command = self._decoder.decode(frame)
            if isinstance(command, Cancel):
                self._cancel(command.target)
            elif isinstance(command, ListDevices):
                self.send(Devices(id=command.id, devices=devices.list_devices()))
            elif isinstance(command, Shutdown):
                break
            else:
                self._queue.put(command)
        os._exit(0)

    def _cancel(self, target: int) -> None:
        with self._cancel_lock:
            self._cancelled.add(target)
            if target == self._running:
                self._abort.set()

    # Main thread ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run commands for ever; the reader thread ends the process."""
        while (command := self._queue.get()) is not None:
            with self._cancel_lock:
                self._running = command.id
                self._abort.clear()
                if command.id in self._cancelled:
                    self._abort.set()
            try:
                self._handle(command)
            except Aborted:
                self._fail(command, ErrorInfo(kind="cancelled", detail="cancelled"))
            except LlamaError as error:
                self._fail(command, ErrorInfo(kind=error.kind, detail=error.detail))
            except PromptTooLong as error:
                self._fail(command, error.info())
            except TemplateError as error:
                self._fail(command, ErrorInfo(kind="template", detail=str(error)))
            except OSError as error:  # a disk that is gone, a folder that was closed
                self._fail(command, ErrorInfo(kind="internal", detail=str(error)))
            except MemoryError as error:
                self._fail(command, ErrorInfo(kind="out_of_memory", detail=str(error) or "Python is out of memory"))
            except Exception as error:  # noqa: BLE001 - a fault of llmtui's costs this command and not the model
                traceback.print_exc()
                detail = one_line(f"a fault of llmtui: {type(error).__name__}: {error}"[:_MOST_OF_A_FAULT])
                self._fail(command, ErrorInfo(kind="internal", detail=detail))
            finally:
                with self._cancel_lock:
                    self._running = 0
                    self._cancelled.discard(command.id)

    def _fail(self, command: Command, info: ErrorInfo) -> None:
        self.send(Failed(id=command.id, error=info, loaded=self._told if isinstance(command, Load) else None))

    def _handle(self, command: Command) -> None:
        if isinstance(command, Load):
            self._load(command)
        elif isinstance(command, Unload):
            self._unload()
            self.send(Ok(id=command.id))
        elif isinstance(command, Generate):
            self._loaded().generate(command, self.send)
        elif isinstance(command, Count):
            conversation = self._loaded()
            n_tokens = len(conversation.prompt(command.messages, thinking=command.thinking, effort=command.effort))
            self.send(Counted(id=command.id, n_tokens=n_tokens, n_ctx=conversation.session.n_ctx))
        elif isinstance(command, BenchTest | BenchParallel):
            self._bench(command)
        elif isinstance(command, MeasureBandwidth):
            found = bandwidth.measure(command.devices, command.n_threads, self._abort)
            self.send(Bandwidths(id=command.id, bytes_per_s=found))
        elif isinstance(command, DryRun):
            self._dry_run(command)
        elif isinstance(command, ReadAhead):
            self._loaded().read_ahead(command.messages, thinking=command.thinking, effort=command.effort)
            self.send(Ok(id=command.id))
        elif isinstance(command, SaveContext):
            self._contexts.save(command, self._loaded(), self._context_key)
        elif isinstance(command, RestoreContext):
            self._contexts.restore(command, self._loaded(), self._context_key)

    def _dry_run(self, command: DryRun) -> None:
        if self._abort.is_set:
            raise Aborted
        placed, n_ctx = self._dry_runner.run(Path(command.path), command.settings, command.device_free)
        self.send(Planned(id=command.id, placed=placed, n_ctx=n_ctx))

    def _loaded(self) -> Chat:
        if self._conversation is None:
            raise LlamaError("no_model", "no model is loaded")
        return self._conversation

    def _unload(self) -> None:
        if self._conversation is not None:
            self._conversation.session.close()
            self._conversation = self._told = None

    def _load(self, command: Load) -> None:
        path = Path(command.path)
        try:
            is_file = path.is_file()
        except OSError as error:
            raise LlamaError("model_unreadable", f"{path}: {error.strerror}") from error
        if not is_file:
            raise LlamaError("model_not_found", f"{path} is not a file")
        try:
            loadcheck.check(part_of(path)[1], in_effect(command.settings))
        except loadcheck.LoadRefused as error:
            raise LlamaError(error.kind, error.detail) from error
        kept = self._carry_out(path) if command.keep_context else None
        before = self._conversation if command.load_first else None
        if before is None:
            self._unload()
        try:
            self._open(command.id, path, command.settings)
        except Exception:  # whatever it was: it goes on from here, once the old model is back
            if kept is not None and before is None:
                self._go_back(command.id, kept)
            raise
        if before is not None:
            before.session.close()
        loaded = self._loaded().session.loaded
        if kept is not None:
            started = time.perf_counter()
            n_kept = self._carry_in(kept)
            keep_s = kept.save_s + time.perf_counter() - started
            n_lost = len(kept.tokens) - n_kept
            loaded = msgspec.structs.replace(loaded, n_kept=n_kept, n_lost=n_lost, keep_s=keep_s)
        self._told = msgspec.structs.replace(loaded, id=command.id)
        self.send(self._told)

    def _go_back(self, command_id: int, kept: _Kept) -> None:
        """Load the old settings again, with their KV cache, after the new ones failed or were cancelled. From here on
        the command cannot be cancelled. Where that fails too, nothing is loaded."""
        with self._cancel_lock:
            self._running = 0
            self._abort.clear()
        try:
            self._open(command_id, kept.path, kept.settings)
        except LlamaError as error:
            print(f"llmtui: what was loaded before cannot be loaded again: {error.detail}", file=sys.stderr)
        else:
            self._carry_in(kept)
            self._told = kept.told

    def _open(self, command_id: int, path: Path, settings: LoadSettings) -> None:
        last = 0.0

        def progress(fraction: float) -> None:
            nonlocal last
            now = time.perf_counter()
            if now - last >= PROGRESS_EVERY_S or fraction >= 1.0:
                last = now
                self.send(LoadProgress(id=command_id, fraction=fraction))

        session = Session(path, settings, self._abort, progress)
        self._conversation = Chat(session, settings.seed)
        self._path, self._settings = path, settings
        self._context_key = key_of(path, session)

    def _carry_out(self, path: Path) -> _Kept | None:
        """What is to be taken along to the next session; None when another file is loaded, or nothing."""
        if self._conversation is None or self._told is None or path != self._path:
            return None
        started = time.perf_counter()
        now = self._conversation
        tokens = list(now.cached)
        state = now.session.save_state() if tokens else bytearray()
        save_s = time.perf_counter() - started
        return _Kept(self._path, self._settings, self._told, now.session.rope, tokens, now.paused, state, save_s)

    def _carry_in(self, kept: _Kept) -> int:
        """Take it over; how many tokens need not be evaluated again."""
        conversation = self._loaded()
        session = conversation.session
        conversation.paused = kept.paused
        if not kept.state or len(kept.tokens) >= session.n_ctx or kept.rope != session.rope:
            return 0
        same_layout = kept.told.flash_attn == session.loaded.flash_attn
        if (same_layout or transpose_v(kept.state)) and session.restore_state(kept.state):
            conversation.cached = kept.tokens
        return len(conversation.cached)

    def _bench(self, command: BenchTest | BenchParallel) -> None:
        conversation = self._loaded()
        conversation.cached.clear()
        if isinstance(command, BenchTest):
            self.send(benchmark.measure(conversation.session, command))
        else:
            self.send(benchmark.measure_parallel(conversation.session, command))


def main() -> None:
    """Take the pipes over, then serve. llama.cpp and its backends print to stdout at times: fd 1 becomes stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    commands = os.fdopen(os.dup(0), "rb")
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    show_software_devices()
    backend_init()
    worker = Worker(commands, events)
    hello = Hello(
        pid=os.getpid(),
        llama_cpp=f"llama-cpp-python {version('llama_cpp_python')} · {system_info()}",
        build_commit=devices.build_commit(),
        devices=devices.list_devices(),
    )
    worker.send(hello)
    threading.Thread(target=worker.listen, name="commands", daemon=True).start()
    worker.run()


if __name__ == "__main__":
    main()
