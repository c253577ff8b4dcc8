"""What small parts of llmtui take by themselves: opening a long conversation, a reading of the machine, and saving an
answer while it streams. Prints medians; nothing of llama.cpp runs.

usage: python tests/performance/small_parts.py [--repeats 5] [--seconds 20]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from texts import PROSE
from textual.app import App, ComposeResult

from tui.app.widgets.transcript import AnswerMessage, Record, Transcript, UserMessage
from tui.chat.conversation import answer_turn, finished, new_conversation, user_turn, with_turn
from tui.chat.store import Store
from tui.machine.host import HostReader

N_MESSAGES, N_BYTES = 2000, 1_400_000
READINGS = 200
ANSWER_BYTES, UPDATES_PER_S = 8 << 10, 10


class TranscriptApp(App[None]):
    """Nothing but the transcript."""

    def compose(self) -> ComposeResult:
        yield Transcript()


def conversation() -> list[Record]:
    """Questions and answers in turn, of `N_BYTES` together."""
    text = PROSE.format(n=1) * 9
    answer = text[: 2 * N_BYTES // N_MESSAGES - 20]
    records: list[Record] = []
    for number in range(N_MESSAGES // 2):
        records += [UserMessage(f"u{number}", f"question {number}"), AnswerMessage(f"a{number}", "Qwen3", answer)]
    return records


async def opening(repeats: int) -> list[float]:
    """Seconds from the records of a conversation to the lines of its end on the screen."""
    records, taken = conversation(), []
    for _ in range(repeats):
        app = TranscriptApp()
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            transcript = app.query_one(Transcript)
            started = time.perf_counter()
            transcript.load(records)
            for y in range(transcript.size.height):
                transcript.render_line(y)
            taken.append(time.perf_counter() - started)
    return taken


def reading() -> list[float]:
    """Seconds of each reading of RAM, swap, CPU and a process."""
    reader = HostReader(os.getpid())
    return [_seconds(reader.read) for _ in range(READINGS)]


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


async def saving(folder: Path, seconds: float) -> float:
    """Part of a core that it takes to save an answer that grows to `ANSWER_BYTES` in that time."""
    store = Store(folder / "conversations.db")
    await store.start()
    open_now = with_turn(new_conversation(), user_turn("Why?"))
    await store.create(open_now)
    turn = answer_turn("Qwen3", ("CPU",))
    await store.append_turn(open_now.id, turn)
    text = (PROSE.format(n=1) * 20)[:ANSWER_BYTES]
    n_updates = round(seconds * UPDATES_PER_S)
    started, computed = time.perf_counter(), time.process_time()
    for number in range(1, n_updates + 1):
        store.update_stream(turn.id, text[: len(text) * number // n_updates])
        await asyncio.sleep(max(0.0, started + number / UPDATES_PER_S - time.perf_counter()))
    share = (time.process_time() - computed) / (time.perf_counter() - started)
    await store.finish_turn(finished(turn, text=text, stop="stop"))
    await store.close()
    return share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0, help="for how long an answer is streamed")
    options = parser.parse_args()
    opened = asyncio.run(opening(options.repeats))
    print(
        f"opening {N_MESSAGES} messages of {N_BYTES / 1e6:.1f} MB together: {1000 * statistics.median(opened):.1f} ms"
    )
    print(f"a reading of the machine: {1000 * statistics.median(reading()):.3f} ms")
    with tempfile.TemporaryDirectory() as folder:
        share = asyncio.run(saving(Path(folder), options.seconds))
    print(
        f"saving a streaming answer, {UPDATES_PER_S} updates a second: {100 * share:.2f}% of a core, its loop included"
    )


if __name__ == "__main__":
    main()
