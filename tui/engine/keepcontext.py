"""Saves the loaded model's KV cache to a file and takes it back. Runs in the engine's process: copying the cache holds
up the next command for the time of a copy in memory, the file is written beside whatever runs then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tui.base import llamapackage
from tui.base.splitfile import part_of
from tui.engine.checkpoints import Checkpoints, Snapshot
from tui.engine.contextfile import ContextFileError, ContextKey, model_identity, read, write
from tui.engine.devices import build_commit
from tui.engine.generate import Chat
from tui.engine.keptprefixes import SPARE_MEMORY_BYTES
from tui.engine.llama import Session
from tui.machine.available import available_bytes
from tui.protocol.messages import ContextProblem, ContextRestored, ContextSaved, Event, RestoreContext, SaveContext

FEW_CHECKPOINTS = 4
"""Are kept in a file, however large they are."""
HEADER_BYTES = 8192
"""Of a file, at most, beside states and tokens."""
SMALL_BYTES = 64 << 20
"""Of checkpoints are kept in a file, however many they are."""


def key_of(path: Path, session: Session) -> ContextKey:
    """What a KV cache of this session goes with."""
    loaded = session.loaded
    try:
        model = model_identity(part_of(path)[1])
    except OSError:
        model = f"gone since it was loaded, at {time.time_ns()}"  # like no other
    return ContextKey(
        model=model,
        build=build_commit() or llamapackage.version() or "",
        type_k=loaded.llama.type_k,
        type_v=loaded.llama.type_v,
        flash_attn=loaded.llama.flash_attn,
        rope=session.rope,
    )


class ContextSaver:
    """Carries out `SaveContext` and `RestoreContext`. `send` is called from more than one thread."""

    def __init__(self, send: Callable[[Event], None]) -> None:
        self._send = send
        self._one_at_a_time = threading.Lock()

    def save(self, command: SaveContext, conversation: Chat, key: ContextKey) -> None:
        """Copy the cache, then write it on a thread of its own, which sends the answer."""
        started = time.perf_counter()
        prefix = conversation.prefix
        n_tokens, size = len(prefix.cached), prefix.session.memory.n_bytes
        problem: ContextProblem | None = None
        if not n_tokens:
            problem = "empty"
        elif command.max_bytes and size > command.max_bytes:
            problem = "too_large"
        elif size + SPARE_MEMORY_BYTES > available_bytes():
            problem = "memory"
        read = prefix.snapshot() if problem is None else None
        if read is not None and not read.state:
            problem = "empty"
        if problem is not None or read is None:
            self._send(ContextSaved(id=command.id, problem=problem, detail=f"{size} bytes"))
            return
        held_up_s = time.perf_counter() - started
        writing = threading.Thread(
            target=self._write, args=(command, key, read, held_up_s), name="context", daemon=True
        )
        writing.start()

    def _write(self, command: SaveContext, key: ContextKey, read: Snapshot, held_up_s: float) -> None:
        with self._one_at_a_time:
            try:
                n_bytes = write(Path(command.path), key, _to_keep(read, command.max_bytes))
            except ContextFileError as error:
                event = ContextSaved(id=command.id, problem=error.problem, detail=error.detail, held_up_s=held_up_s)
            else:
                event = ContextSaved(id=command.id, n_tokens=len(read.tokens), n_bytes=n_bytes, held_up_s=held_up_s)
        self._send(event)

    def restore(self, command: RestoreContext, conversation: Chat, key: ContextKey) -> ContextRestored:
        """Read the file and put it in place of the cache, which stays as it is when the file is of no use."""
        started = time.perf_counter()
        problem: ContextProblem | None = None
        detail, n_tokens = "", 0
        try:
            found = read(Path(command.path), key)
        except ContextFileError as error:
            problem, detail = error.problem, error.detail
        else:
            n_tokens = len(found.tokens)
            if n_tokens > conversation.session.n_ctx:
                problem, n_tokens = "too_long", 0
            elif not conversation.prefix.take_over(found):
                problem, n_tokens = "damaged", 0
        restore_s = time.perf_counter() - started
        return ContextRestored(n_tokens=n_tokens, restore_s=restore_s, problem=problem, detail=detail)


def _to_keep(read: Snapshot, max_bytes: int) -> Snapshot:
    """With the checkpoints that are worth most: as large together as the cache, or a few, or small ones. All within
    `max_bytes`; 0 sets no limit."""
    places = Checkpoints(read.checkpoints)
    largest = max((len(kept.state) for kept in read.checkpoints), default=0)
    room = max(len(read.state), FEW_CHECKPOINTS * largest, SMALL_BYTES)
    others = len(read.state) + 4 * len(read.tokens) + HEADER_BYTES
    places.fit(min(room, max_bytes - others) if max_bytes else room)
    return msgspec.structs.replace(read, checkpoints=places.kept)
