"""Saves the loaded model's KV cache to a file and takes it back. Runs in the engine's process: copying the cache holds
up the next command for the time of a copy in memory, the file is written beside whatever runs then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import psutil

from tui.base.splitfile import part_of
from tui.engine.contextfile import ContextFileError, ContextKey, model_identity, read, write
from tui.engine.devices import build_commit
from tui.engine.generate import Chat
from tui.engine.llama import Session
from tui.protocol.messages import ContextProblem, ContextRestored, ContextSaved, Event, RestoreContext, SaveContext

SPARE_MEMORY_BYTES = 512 << 20
"""RAM that a copy of the cache has to leave free."""


def key_of(path: Path, session: Session) -> ContextKey:
    """What a KV cache of this session goes with."""
    loaded = session.loaded
    try:
        model = model_identity(part_of(path)[1])
    except OSError:
        model = f"gone since it was loaded, at {time.time_ns()}"  # like no other
    return ContextKey(
        model=model,
        build=build_commit() or version("llama_cpp_python"),
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
        tokens, size = list(conversation.cached), conversation.session.state_bytes
        problem: ContextProblem | None = None
        if not tokens:
            problem = "empty"
        elif command.max_bytes and size > command.max_bytes:
            problem = "too_large"
        elif size + SPARE_MEMORY_BYTES > psutil.virtual_memory().available:
            problem = "memory"
        state = conversation.session.save_state() if problem is None else bytearray()
        if problem is None and not state:
            problem = "empty"
        if problem is not None:
            self._send(ContextSaved(id=command.id, problem=problem, detail=f"{size} bytes"))
            return
        held_up_s = time.perf_counter() - started
        writing = threading.Thread(
            target=self._write, args=(command, key, tokens, state, held_up_s), name="context", daemon=True
        )
        writing.start()

    def _write(
        self, command: SaveContext, key: ContextKey, tokens: list[int], state: bytearray, held_up_s: float
    ) -> None:
        with self._one_at_a_time:
            try:
                n_bytes = write(Path(command.path), key, tokens, state)
            except ContextFileError as error:
                event = ContextSaved(id=command.id, problem=error.problem, detail=error.detail, held_up_s=held_up_s)
            else:
                event = ContextSaved(id=command.id, n_tokens=len(tokens), n_bytes=n_bytes, held_up_s=held_up_s)
        self._send(event)

    def restore(self, command: RestoreContext, conversation: Chat, key: ContextKey) -> ContextRestored:
        """Read the file and put it in place of the cache, which stays as it is when the file is of no use."""
        started = time.perf_counter()
        problem: ContextProblem | None = None
        detail, n_tokens = "", 0
        try:
            tokens, state = read(Path(command.path), key)
        except ContextFileError as error:
            problem, detail = error.problem, error.detail
        else:
            session, n_tokens = conversation.session, len(tokens)
            if n_tokens > session.n_ctx:
                problem, n_tokens = "too_long", 0
            else:
                conversation.cached.clear()
                if session.restore_state(state) and session.n_past == n_tokens:
                    conversation.cached = tokens
                else:
                    session.clear()
                    problem, n_tokens = "damaged", 0
        restore_s = time.perf_counter() - started
        return ContextRestored(n_tokens=n_tokens, restore_s=restore_s, problem=problem, detail=detail)
