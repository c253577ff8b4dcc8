"""Scenes of a conversation that has branches: siblings in the transcript, the tree, two answers compared, all about one
message."""

from __future__ import annotations

from datetime import datetime

import msgspec

from tests.app.conftest import Person
from tests.recorded import CONVERSATION
from tui.chat import tree
from tui.chat.conversation import MadeWith, Turn
from tui.protocol.records import Sampling, Timings

_MARCH = datetime(2024, 3, 2, 12).timestamp()
_QUESTION, _FIRST = (msgspec.structs.replace(turn, created_at=_MARCH) for turn in CONVERSATION.turns)
MADE = MadeWith(
    sampling=Sampling(temperature=0.6, top_k=20, top_p=0.95, seed=1_234_567_890),
    thinking_budget=512,
    n_ctx=8192,
    pace=(24.0, 31.5, 32.0, 31.0, 29.5, 30.0),
    pace_s=1.0,
)
SHORT = Turn(
    id="t3",
    role="assistant",
    text="Because only **8 of 128 experts** are read for each token; the others cost memory, and no time.",
    created_at=_MARCH + 60,
    timings=Timings(n_prompt=24, n_cached=20, n_prefill=4, ttft_s=0.2, n_decode=64, decode_s=6.0, n_first=1),
    stop="length",
    model="Qwen3-4B",
    backend=("CPU",),
    made_with=MADE,
)
NEXT = Turn(id="t4", role="user", text="And what do the experts cost?", created_at=_MARCH + 90)
ASIDE = Turn(id="t5", role="user", text="那么显存呢？", created_at=_MARCH + 120)
EDITED = msgspec.structs.replace(
    SHORT, id="t6", text="内存，不是时间。", created_at=_MARCH + 150, edited_at=_MARCH + 160
)
PLACES = (
    tree.Place(id="t1"),
    tree.Place(id="t2", parent="t1", left_at=1.0),
    tree.Place(id="t4", parent="t2", left_at=1.0),
    tree.Place(id="t3", parent="t1"),
    tree.Place(id="t5", parent="t3"),
    tree.Place(id="t6", parent="t5"),
)


async def branches(person: Person) -> None:
    """Two answers by two models to the first prompt; a prompt hangs on the one that is not shown."""
    shown = msgspec.structs.replace(CONVERSATION, turns=(_QUESTION, SHORT, ASIDE, EDITED), places=PLACES)
    await person.app.store.create(shown, (_FIRST, NEXT))
    await person.app.main.conversations.open_conversation(shown.id)
    await person.wait_for(lambda: "内存，不是时间" in person.screen_text())


async def select_answer(person: Person) -> None:
    """That of which there are two."""
    await branches(person)
    await person.press("ctrl+up", "k", "k")


async def see_tree(person: Person) -> None:
    await branches(person)
    await person.press("alt+t")


async def compare(person: Person) -> None:
    await select_answer(person)
    await person.press("v")


async def see_details(person: Person) -> None:
    await select_answer(person)
    await person.press("i")


async def see_menu(person: Person) -> None:
    await select_answer(person)
    await person.press("m")
