"""What opening a long conversation takes: reading it from the database, and showing its end; then what walking to a
sibling in its middle takes.

usage: python tests/performance/open_long.py [--messages 10000] [--branches 500] [--repeats 5]

Answers have some 600 characters, their timings and settings. "read" is in the database's thread, "shown" is what the
event loop is held up for in all. To be 0.1 s together for 10,000 messages.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import msgspec
from textual.app import App, ComposeResult

from tui.app.screens.conversation_view import record
from tui.app.widgets.transcript import Transcript
from tui.chat import tree
from tui.chat.conversation import Conversation, MadeWith, Turn, answer_turn, finished, new_conversation, user_turn
from tui.chat.store import Store
from tui.protocol.records import Sampling, Timings

_SENTENCE = "The quick brown fox jumps over the lazy dog while the patient cat counts every leaf. "
_TIMINGS = Timings(n_prompt=900, n_cached=800, n_prefill=100, prefill_s=0.5, n_decode=150, decode_s=5.0, ttft_s=0.4)
_MADE = MadeWith(sampling=Sampling(seed=1), n_ctx=8192, pace=(30.0,) * 5, pace_s=1.0)


def answered(number: int) -> tuple[Turn, Turn]:
    """A prompt and its answer."""
    answer = finished(answer_turn("Qwen3"), text=_SENTENCE * 7, stop="stop", timings=_TIMINGS)
    return user_turn(f"{number}: {_SENTENCE}"), msgspec.structs.replace(answer, made_with=_MADE)


async def fill(store: Store, n_messages: int, n_branches: int) -> Conversation:
    """A conversation in which `n_branches` answers have a sibling."""
    pairs = [answered(number) for number in range(n_messages // 2)]
    turns = tuple(turn for pair in pairs for turn in pair)
    places, hidden = list(tree.in_line(turn.id for turn in turns)), []
    for question, answer in pairs[:: max(1, len(pairs) // max(1, n_branches))][:n_branches]:
        other = msgspec.structs.replace(answer, id=f"{answer.id}-2", text=f"Another. {answer.text}")
        hidden.append(other)
        places.append(tree.Place(id=other.id, parent=question.id, left_at=1.0))
    conversation = msgspec.structs.replace(new_conversation(title="Long"), turns=turns, places=tuple(places))
    await store.create(conversation, hidden)
    return conversation


class Shown(App[None]):
    """A transcript alone."""

    def compose(self) -> ComposeResult:
        yield Transcript()


async def timed(work: Callable[[], Awaitable[object]], repeats: int) -> float:
    """The least of the seconds that it takes: whatever else runs on the machine only adds to that."""
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter()
        await work()
        taken.append(time.perf_counter() - begun)
    return min(taken)


async def measure(options: argparse.Namespace, folder: Path) -> None:
    store = Store(folder / "conversations.db")
    await store.start()
    for n_branches in dict.fromkeys((0, options.branches)):
        saved = await fill(store, options.messages, n_branches)
        found = await store.open(saved.id)
        read = await timed(partial(store.open, saved.id), options.repeats)
        app = Shown()
        async with app.run_test(size=(120, 40)) as pilot:
            transcript = app.query_one(Transcript)

            async def show(transcript: Transcript = transcript, found: Conversation = found) -> None:
                transcript.load(map(record, found.turns))
                transcript.show_forks(tree.forks(found.places))

            shown = await timed(show, options.repeats)
            await pilot.pause()
        print(f"{len(found.turns):,} messages, {n_branches:,} with a sibling: read {read:.3f} s, shown {shown:.3f} s")
        if forks := tree.forks(found.places):
            middle = list(forks)[len(forks) // 2]
            here, there = tree.siblings(found.places, middle)

            async def walk(ids: tuple[str, str] = (here, there), id_: str = saved.id) -> None:
                now = await store.open(id_)
                is_here = any(turn.id == ids[0] for turn in now.turns)
                await store.show(id_, ids[is_here], [turn.id for turn in now.turns])

            print(f"  walking to a sibling in the middle, read before: {await timed(walk, options.repeats):.3f} s")
    await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--branches", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(options, Path(folder)))


if __name__ == "__main__":
    main()
