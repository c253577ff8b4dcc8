# ruff: noqa: ASYNC110 - conditions in other processes can only be polled, and blocking hurts nobody here
"""What tests put into a store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from tui.chat import conversation as chat
from tui.chat.conversation import Conversation, Turn
from tui.chat.store import Store
from tui.protocol.records import Timings


def question(text: str = "Why is the sky blue?", **settings: object) -> Conversation:
    return chat.with_turn(chat.new_conversation(**settings), chat.user_turn(text))  # type: ignore[arg-type]


def done(turn: Turn, text: str, stop: chat.TurnStop = "stop") -> Turn:
    return chat.finished(turn, text=text, stop=stop, timings=Timings(n_decode=3, decode_s=0.5, n_thinking=1))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def filled(path: Path) -> Conversation:
    store = Store(path)
    conversation = question("Long " * 20_000)
    await store.create(conversation)
    await store.close()
    return conversation
