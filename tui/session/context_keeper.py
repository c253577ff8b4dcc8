"""When the KV cache of a conversation goes to the disk and when it comes back: saved after a while without an answer
and when the conversation is left, restored when it is opened again. What fails on the way costs nothing but time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from tui.chat.context_files import ContextFiles
from tui.chat.conversation import Conversation, to_messages
from tui.config import paths
from tui.config.settings import ChatSettings
from tui.engines.interface import Engine, EngineError
from tui.protocol.death import EngineDied
from tui.protocol.messages import ContextRestored, Loaded, ReadAhead, RestoreContext, SaveContext

IDLE_S = 30.0
"""A cache of hundreds of megabytes is not written after every answer, but when nobody has asked for this long."""
QUIT_S = 3.0
"""How long leaving llmtui may wait for the disk."""

_log = logging.getLogger("llmtui.contexts")


def context_files(chat: ChatSettings) -> ContextFiles:
    """The files that the settings ask for."""
    return ContextFiles(paths.contexts_dir(), chat.keep_context, int(chat.keep_context_gib * 2**30))


class ContextKeeper:
    """Knows whose cache the engine holds. Every method returns at once, except `flush`; all on the event loop."""

    def __init__(
        self,
        engine: Engine,
        files: ContextFiles,
        current: Callable[[], Conversation],
        on_restored: Callable[[ContextRestored], None],
    ) -> None:
        self._engine, self._files, self._current, self._on_restored = engine, files, current, on_restored
        self._held = ""
        """Id of the conversation whose cache the engine holds; empty for none."""
        self._unsaved = False
        """The cache holds more than its file."""
        self._ahead: asyncio.Task[None] | None = None
        """Waits for an idle moment, or evaluates what the next prompt will begin with."""
        self._typed = ""
        """What is written of the next prompt to the open conversation, as far as it is to be read ahead."""
        self.has_read = ""
        """What of that was read."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._forgotten: set[str] = set()
        self.saves = True
        """Whether the caches of answers that begin from now on go to the disk; those that are there are used anyway."""

    @property
    def works(self) -> bool:
        """Whether anything of this is still to be done."""
        return bool(self._tasks)

    def holds(self, conversation_id: str) -> bool:
        """Whether the engine holds the cache of this conversation."""
        return self._held == conversation_id

    def start(self) -> None:
        """Delete what the settings do not allow any more."""
        self._do(asyncio.to_thread(self._files.tidy))

    def busy(self) -> None:
        """The engine is wanted: nothing of ours may hold it up."""
        if self._ahead is not None:
            self._ahead.cancel()
            self._ahead = None

    @property
    def _is_on(self) -> bool:
        return self._files.is_on and self._engine.capabilities.keeps_context

    @property
    def folder(self) -> str:
        """Where contexts are that an answer may begin with; "" where none are kept."""
        return str(self._files.folder) if self._is_on else ""

    def began(self, conversation_id: str) -> None:
        """An answer to this conversation is going to fill the cache."""
        self.busy()
        self._typed = self.has_read = ""
        self._held, self._unsaved = conversation_id, self.saves

    def ended(self) -> None:
        """No answer is being made any more."""
        self.busy()
        if self._is_on:
            self._ahead = self._do(self._idle())

    def typed(self, text: str) -> None:
        """So much of the next prompt is written, and for a moment no more: it is read while there is time. Only while
        no answer is being made."""
        self.busy()
        if self._engine.capabilities.keeps_context:
            self._typed = text
            self._ahead = self._do(self._while_typing())

    async def _while_typing(self) -> None:
        await self._read_ahead()
        if self._is_on:
            await self._idle()

    async def _idle(self) -> None:
        await asyncio.sleep(IDLE_S)
        await self._read_ahead()
        self._ahead = None
        self.save()

    async def _read_ahead(self) -> None:
        """The next question to the open conversation will find all before it evaluated, and what is written of it."""
        conversation = self._current()
        messages = to_messages(conversation)
        if self._held != conversation.id:
            if not self._typed or self._unsaved:
                return
            self._held = ""  # what the cache holds is in a file, and gives way
        if self._engine.loaded is None or (messages and messages[-1].role == "user"):
            return
        if messages or self._typed:
            command = ReadAhead(
                messages=tuple(messages),
                text=self._typed,
                thinking=conversation.thinking,
                effort=conversation.effort,
                contexts=self.folder,
            )
            # What cannot be evaluated now is said when it is asked.
            with contextlib.suppress(EngineError):
                await self._engine.ask(command)
                self.has_read = command.text

    def save(self) -> None:
        """Save now what is not saved: the conversation is being left, or nothing happens."""
        self.busy()
        if not (self._is_on and self._unsaved and self._held and self._engine.loaded and self._engine.alive):
            return
        self._unsaved = False
        self._do(self._save(self._held))

    async def _save(self, conversation_id: str) -> None:
        saved = await self._engine.ask(
            SaveContext(path=str(self._files.path(conversation_id)), max_bytes=self._files.max_bytes)
        )
        if saved.problem is not None:
            _log.info("The context was not kept: %s %s", saved.problem, saved.detail)
            return
        if conversation_id in self._forgotten:
            await asyncio.to_thread(self._files.forget, conversation_id)
        await asyncio.to_thread(self._files.tidy)

    def loaded(self, loaded: Loaded) -> None:
        """A model was loaded. What was held is gone, unless it was taken along."""
        if not loaded.n_kept:
            self._held, self._unsaved = "", False

    def opened(self, conversation_id: str) -> None:
        """This conversation is open: take its cache back, if there is a file and a model."""
        self._typed = ""
        if not self._is_on or self._engine.loaded is None or self._held == conversation_id:
            return
        self.save()  # of one that was left while the model moved
        if self._files.has(conversation_id):
            self._held, self._unsaved = conversation_id, False
            self._do(self._restore(conversation_id))

    async def _restore(self, conversation_id: str) -> None:
        restored = await self._engine.ask(RestoreContext(path=str(self._files.path(conversation_id))))
        if restored.problem is None:
            if self._held == conversation_id and not self._unsaved:
                self._ahead = self._do(self._read_ahead())
            await asyncio.to_thread(self._files.touch, conversation_id)
        else:
            if self._held == conversation_id and not self._unsaved:
                self._held = ""
            await asyncio.to_thread(self._files.forget, conversation_id)
        if restored.problem != "missing":
            self._on_restored(restored)

    def forget(self, conversation_id: str) -> None:
        """The conversation is being deleted."""
        self._forgotten.add(conversation_id)
        if self._held == conversation_id:
            self._held, self._unsaved = "", False
        self._do(asyncio.to_thread(self._files.forget, conversation_id))

    def lost(self) -> None:
        """The engine's process ended, and its cache with it; what it was just writing goes."""
        self.busy()
        self._held, self._unsaved = "", False
        self._do(asyncio.to_thread(self._files.tidy))

    async def give_way(self) -> None:
        """Another conversation is going to fill the engine's cache: what is not saved is saved first."""
        await self.flush()
        self._held, self._unsaved = "", False

    async def flush(self) -> None:
        """Save what is not saved, waiting `QUIT_S` at most. The engine must still run."""
        self.save()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=QUIT_S)

    def _do(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        async def run() -> None:
            try:
                await work
            except (EngineError, EngineDied) as error:
                _log.info("The context was not kept: %s", error)

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # one that was cancelled before it began
        return task
