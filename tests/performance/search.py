"""How fast a large history is searched as somebody types, and what its index takes: 10,000 conversations of 100 MB in
English, Chinese and code.

usage: python tests/performance/search.py [--mb 100] [--conversations 10000] [--folder FOLDER]

With `--folder`, the database is made there once and used again. Times are from the key to the first hits and to the
last one, of each beginning of the words, by the searcher that the app uses.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import tempfile
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path

from tui.chat import branch_rows, rows
from tui.chat.conversation import Conversation, Turn, WholeConversation
from tui.chat.schema import connect, migrate, transaction
from tui.chat.search import index
from tui.chat.search.found import together
from tui.chat.search.searcher import Searcher
from tui.chat.search.wanted import wanted
from tui.protocol.records import Role

TYPED = ("lighthouse keeper", "灯塔", "灯塔看守人", "def parse_", "the", "zq", "lighthouse model:qwen after:2024-06")
_CODE = "def parse_{0}(line: str) -> dict[str, int]:\n    return {{key: int(value) for key, value in {0}.items()}}\n"


def make(path: Path, n_conversations: int, n_bytes: int) -> None:
    """Fill a database."""
    dice = random.Random(7)
    letters = "etaoinshrdlcumwfgypbvkjxqz"
    words = ["".join(dice.choices(letters[: 8 + dice.randrange(18)], k=dice.randrange(2, 10))) for _ in range(20_000)]
    odds = list(itertools.accumulate(1 / (rank + 1) for rank in range(len(words))))
    signs = [chr(0x4E00 + number) for number in range(3000)]
    sign_odds = list(itertools.accumulate(1 / (rank + 1) ** 0.8 for rank in range(len(signs))))

    def text(n: int) -> str:
        match dice.randrange(4):
            case 0:
                return "".join(dice.choices(signs, cum_weights=sign_odds, k=n // 3))
            case 1:
                return _CODE.format(dice.choice(words)) * max(1, n // 120)
            case _:
                return " ".join(dice.choices(words, cum_weights=odds, k=n // 6))

    n_each = n_bytes // n_conversations
    with closing(connect(path)) as connection:
        migrate(connection, path)
        for start in range(0, n_conversations, 200):
            with transaction(connection):
                for number in range(start, min(start + 200, n_conversations)):
                    moment = 1.7e9 + number * 6000.0
                    turns = []
                    for place in range(8):
                        extra = " the lighthouse keeper 灯塔看守人" if number % 500 == place == 3 else ""
                        role: Role = "assistant" if place % 2 else "user"
                        turns.append(
                            Turn(
                                id=f"{number}-{place}",
                                role=role,
                                text=text(n_each // 4 if place % 2 else n_each // 25) + extra,
                                created_at=moment,
                                stop="stop" if place % 2 else None,
                                model="Qwen3-4B",
                            )
                        )
                    conversation = Conversation(
                        id=str(number),
                        created_at=moment,
                        updated_at=moment,
                        title=text(40)[:40],
                        model_path="/models/Qwen3-4B-Q4_K_M.gguf",
                        turns=tuple(turns),
                    )
                    branch_rows.insert_whole(connection, WholeConversation(shown=conversation), "")


async def type_in(searcher: Searcher, path: Path, text: str) -> None:
    """Each beginning of it, as it is typed."""
    firsts, wholes, n_hits = [], [], 0
    with closing(connect(path)) as connection:
        summaries = rows.summaries(connection)
    for end in range(1, len(text) + 1):
        started = time.perf_counter()
        first = 0.0
        async for results in searcher.search(wanted(text[:end], datetime.now())):
            together(summaries, results.wanted, results.hits)
            first = first or time.perf_counter() - started
            n_hits = len(results.hits)
        firsts.append(first)
        wholes.append(time.perf_counter() - started)
    slowest = text[: firsts.index(max(firsts)) + 1]
    print(
        f"{text!r}: first hits {max(firsts) * 1000:.0f} ms ({slowest!r}), all {max(wholes) * 1000:.0f} ms at most;"
        f" {n_hits} hits"
    )


async def measure(path: Path, index_file: Path) -> None:
    searcher = Searcher(path, index_file)
    started = time.perf_counter()
    with closing(connect(path)) as connection:
        n = len(rows.summaries(connection))
    print(f"{n:,} conversations listed in {(time.perf_counter() - started) * 1000:.0f} ms")
    if not index_file.exists():
        print("without an index:")
        for text in TYPED:
            await type_in(searcher, path, text)
    started = time.perf_counter()
    with closing(index.open_index(index_file, path)) as connection:
        slowest, before = 0.0, time.perf_counter()
        for _ in index.keep_up(connection):
            slowest, before = max(slowest, time.perf_counter() - before), time.perf_counter()
    print(
        f"index: {time.perf_counter() - started:.1f} s, slowest step {slowest * 1000:.0f} ms,"
        f" {index_file.stat().st_size / 1e6:.0f} MB; database {path.stat().st_size / 1e6:.0f} MB"
    )
    for text in TYPED:
        await type_in(searcher, path, text)
    searcher.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=100)
    parser.add_argument("--conversations", type=int, default=10_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        path = folder / "conversations.db"
        if not path.exists():
            make(path, options.conversations, options.mb * 1_000_000)
        asyncio.run(measure(path, folder / "search.db"))


if __name__ == "__main__":
    main()
