"""Keeps conversations in SQLite as they happen: one writer thread, an asyncio API that never blocks the event loop.

What cannot be written stays in memory, is seen by every read, and is tried again for as long as the store lives.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tui.chat import branch_rows, prompt_rows, rows
from tui.chat.branch_rows import Node
from tui.chat.conversation import Conversation, Turn, WholeConversation, new_id
from tui.chat.jobs import CloseDead, Follow, Job, Opened, Read, Settle, Start, Statement, Stop, Write
from tui.chat.place import Place, put_in_place
from tui.chat.prompt_rows import SaidBefore
from tui.chat.rows import Summary
from tui.chat.schema import StoreError
from tui.chat.writer import LOOK_S, UNSEEN_LOOK_S, OnError, WriterThread
from tui.words import tr

__all__ = ["Node", "Opened", "Store", "StoreError", "Summary"]

T = TypeVar("T")


class Store:
    """The conversations' database.

    Every method is called on the event loop's thread and returns a future at once; the work is done in the order of
    the calls, whether or not they are awaited, and is not undone by cancelling the await. A write that fails raises
    StoreError from its future and reaches `on_error`; if its kind `is_retried`, it has been kept and is tried again
    with every later call and every `retry_s`, and `on_error(None)` says when all is saved.

        store = Store(paths.database_file())
        await store.start()
        await store.create(conversation)
        store.append_turn(conversation.id, turn)
        store.update_stream(turn.id, "The answer so far", "and the thinking")
        store.finish_turn(finished_turn)
        await store.close()
    """

    def __init__(
        self, path: Path, on_error: OnError | None = None, *, busy_timeout_s: float = 2.0, retry_s: float = 5.0
    ) -> None:
        self.path = path
        self._on_error = on_error
        self._busy_timeout_s, self._retry_s = busy_timeout_s, retry_s
        self._id = new_id()
        self.on_change: Callable[[bool], None] = lambda _: None
        """Called when another process has changed or deleted the conversation of `watch`; with True when that is
        because the whole file was replaced or begun anew."""
        self.on_news: Callable[[], None] = lambda: None
        """Called when `list` may give something else than before: something was written, here or by another process."""
        self._thread: WriterThread | None = None
        self._is_closed = False

    @property
    def n_unsaved(self) -> int:
        """Writes that failed and wait for another try."""
        return self._thread.n_unsaved if self._thread is not None else 0

    @property
    def unread(self) -> StoreError | None:
        """Why the last read saw only what waits in memory, nothing of what the database holds; None if it saw all."""
        return self._thread.unread if self._thread is not None else None

    def start(self) -> asyncio.Future[Opened]:
        """Open the database: set a damaged one aside, bring an old one up to date, close what a crash left open.

        StoreError when it cannot be opened; the store can be used all the same, in memory, and keeps trying.
        """
        return self._submit(Start())

    def list(self) -> asyncio.Future[tuple[Summary, ...]]:
        """All conversations, the one used last first."""
        return self._submit(Read(rows.summaries))

    def prompts(self, words: Sequence[str], most: int) -> asyncio.Future[tuple[SaidBefore, ...]]:
        """Prompts of all conversations that have each of the words, the newest first, `most` at most."""
        return self._submit(Read(lambda connection: prompt_rows.prompts(connection, words, most)))

    def last_speed(self, model: str, backend: str) -> asyncio.Future[float]:
        """Tokens per second of the newest answer that this model gave with this backend and that is long enough to
        tell; 0 when none of the last ones is."""
        return self._submit(Read(lambda connection: rows.last_speed(connection, model, backend)))

    def open(self, conversation_id: str) -> asyncio.Future[Conversation]:
        """The conversation as it is shown, the text of a turn that streams included. StoreError "not_found"."""
        return self._submit(Read(lambda connection: branch_rows.read_conversation(connection, conversation_id)))

    def whole(self, conversation_id: str) -> asyncio.Future[WholeConversation]:
        """As `open`, with the branches that are not shown."""
        return self._submit(Read(lambda connection: branch_rows.read_whole(connection, conversation_id)))

    def nodes(self, conversation_id: str) -> asyncio.Future[tuple[Node, ...]]:
        """All messages of the conversation as its tree shows them; none where there is no such conversation."""
        return self._submit(Read(lambda connection: branch_rows.nodes(connection, conversation_id)))

    def turn(self, turn_id: str) -> asyncio.Future[Turn]:
        """One turn, shown or not. StoreError "not_found"."""
        return self._submit(Read(lambda connection: branch_rows.read_turn(connection, turn_id)))

    def watch(self, conversation_id: str) -> None:
        """This conversation is shown, as it is now: `on_change` is told of what others do to it. Empty for none."""
        self._submit(Follow(conversation_id)).add_done_callback(_forget)

    def look(self, is_seen: bool) -> None:
        """Whether somebody sees from now on what others do. While nobody does it is noticed late, but before each
        answer and as soon as somebody looks."""
        if self._thread is not None and not self._is_closed:
            self._thread.look_every_s = LOOK_S if is_seen else UNSEEN_LOOK_S
            self._submit(Settle()).add_done_callback(_forget)  # so that it goes by that

    def settled(self) -> asyncio.Future[None]:
        """All that was asked for before is done, or waits for another try; `on_change` was told by then of what others
        did before it."""
        return self._submit(Settle())

    def flush(self) -> asyncio.Future[None]:
        """As `settled`, and the text of answers that stream is written too, up to the last letter."""
        return self._submit(Settle(at_once=True))

    def close_dead(self) -> asyncio.Future[None]:
        """End the answers of processes that died while they wrote them."""
        return self._submit(CloseDead())

    def create(self, conversation: Conversation, hidden: Sequence[Turn] = ()) -> asyncio.Future[None]:
        """Save a new conversation with the turns it has, and those of its branches that are not shown."""
        whole, writer = WholeConversation(shown=conversation, hidden=tuple(hidden)), self._id
        return self._write(lambda connection: branch_rows.insert_whole(connection, whole, writer))

    def append_turn(self, conversation_id: str, turn: Turn) -> asyncio.Future[None]:
        """Add a turn at the end; when it `is_streaming`, `update_stream` and `finish_turn` follow."""
        writer = self._id

        def write(connection: sqlite3.Connection) -> None:
            rows.insert_turn(connection, conversation_id, turn, writer)

        if not turn.is_streaming:
            return self._write(write)
        return self._submit(Write(write, begins=turn.id))

    def reopen_turn(self, turn: Turn) -> asyncio.Future[None]:
        """The answer goes on from the text that it has: `update_stream`, with all of it, and `finish_turn` follow."""
        writer, now = self._id, time.time()

        def write(connection: sqlite3.Connection) -> None:
            rows.reopen_turn(connection, turn, writer, now)

        return self._submit(Write(write, begins=turn.id, begun=(turn.text, turn.reasoning)))

    def update_stream(self, turn_id: str, text: str, reasoning: str = "") -> None:
        """The whole text of a streaming turn so far. Cheap: call it at every flush. The newest text is written every
        `STREAM_S` seconds, and only the part that is new. Without effect once `finish_turn` was called."""
        if self._thread is not None:
            self._thread.stream(turn_id, text, reasoning)

    def finish_turn(self, turn: Turn) -> asyncio.Future[None]:
        """Save a turn of `append_turn` as it is at its end."""
        now = time.time()
        return self._submit(Write(lambda connection: rows.finish_turn(connection, turn, now), ends=turn.id))

    def rename(self, conversation_id: str, title: str) -> asyncio.Future[None]:
        return self._write(lambda connection: rows.rename(connection, conversation_id, title))

    def retitle(self, conversation_id: str, before: str, title: str) -> asyncio.Future[None]:
        """Give it a title in the place of the one `before`. StoreError "changed" when it has another one by now."""
        return self._write(lambda connection: rows.retitle(connection, conversation_id, before, title))

    def configure(self, conversation: Conversation) -> asyncio.Future[None]:
        """Save the system prompt, thinking, sampling, `max_tokens` and model of a conversation that exists."""
        now = time.time()
        return self._write(lambda connection: rows.update_conversation(connection, conversation, now))

    def place(self, conversation_id: str, where: Place) -> asyncio.Future[None]:
        """Pin, archive or tag a conversation: where it stands in the list."""
        return self._write(lambda connection: put_in_place(connection, conversation_id, where))

    def delete(self, conversation_id: str) -> asyncio.Future[None]:
        """Delete the conversation with all its branches. One that is gone already is no error."""
        return self._write(lambda connection: rows.delete(connection, conversation_id))

    def supersede(self, conversation_id: str, turn_ids: Sequence[str]) -> asyncio.Future[None]:
        """Take these turns, which are the last ones, out of what is shown; they are a branch from now on. StoreError
        "changed" when they are not the last ones any more: another process has written there."""
        now = time.time()
        return self._write(lambda connection: branch_rows.supersede(connection, conversation_id, turn_ids, now))

    def put_back(self, conversation_id: str, cut: Sequence[str], came: Sequence[str]) -> asyncio.Future[None]:
        """Undo `supersede` of the turns `cut`; what `came` in their place is a branch then."""
        now = time.time()
        return self._write(lambda connection: branch_rows.put_back(connection, conversation_id, cut, came, now))

    def show(self, conversation_id: str, turn_id: str, seen: Sequence[str]) -> asyncio.Future[None]:
        """Show the branch that a turn is in. `seen` are the ids of what is shown now, as whoever asks knows it:
        StoreError "changed" when another process has changed that."""
        now = time.time()
        return self._write(lambda connection: branch_rows.show(connection, conversation_id, turn_id, seen, now))

    def remove_turn(self, conversation_id: str, turn_id: str, seen: Sequence[str]) -> asyncio.Future[None]:
        """Delete one turn for good; what follows it stays. `seen` as in `show`."""
        now = time.time()
        return self._write(lambda connection: branch_rows.remove(connection, conversation_id, turn_id, seen, now))

    async def close(self) -> None:
        """Write all that waits and end the thread. StoreError when some of it cannot be written: that is then lost."""
        if self._thread is None or self._is_closed:
            return
        stopped = self._submit(Stop())
        self._is_closed = True
        await asyncio.shield(stopped)

    def _write(self, statement: Statement[None]) -> asyncio.Future[None]:
        return self._submit(Write(statement))

    def _submit(self, job: Job[T]) -> asyncio.Future[T]:
        if self._is_closed:
            raise StoreError("closed", self.path, tr("it is closed"))
        if self._thread is None:
            self._thread = WriterThread(
                self.path,
                self._id,
                self._on_error,
                lambda is_anew: self.on_change(is_anew),
                lambda _: self.on_news(),
                busy_timeout_s=self._busy_timeout_s,
                retry_s=self._retry_s,
            )
        self._thread.submit(job)
        return job.future


def _forget(future: asyncio.Future[Any]) -> None:
    """Nobody waits for it."""
    if not future.cancelled():
        future.exception()
