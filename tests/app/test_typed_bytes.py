"""Bytes in one write at the other end of a real pseudo-terminal: what a slow line, a program or a machine that is busy
makes of fast fingers. What was sent is read from the database."""

from __future__ import annotations

import asyncio
import os

from tests.conftest import DENSE
from tests.on_pty import until
from tests.running import Running, on_terminal
from tui.chat.store import Store
from tui.config import paths

QUIT = b"\x11"


async def _said() -> list[str]:
    store = Store(paths.database_file())
    await store.start()
    try:
        newest = await store.list()
        return [turn.text for turn in (await store.open(newest[0].id)).turns if turn.role == "user"] if newest else []
    finally:
        await store.close()


def sent(app: Running, keys: bytes) -> list[str]:
    """What is sent of `keys`, once it was answered, however that ended, and llmtui was quit."""
    os.write(app.terminal, keys)
    app.read_until("· CPU ·")  # in the line under the whole answer, and not in the one while it comes
    os.write(app.terminal, QUIT)
    assert app.end()[0] == 0
    return asyncio.run(_said())


def test_keys_in_one_write_act_in_their_order() -> None:
    with on_terminal(DENSE, "--threads", "1") as app:
        app.read_until("4,096")
        keys = b"helo\x7flo\x1b[Hx\x1b[3~H\x1b[F!\x1b\rone two\x17three\r"
        # In front of "hello" an x, then "h" is deleted and "H" written; at the end "!", a new line, and another word.
        assert sent(app, keys) == ["xHello!\none three"]


def test_what_is_typed_while_the_program_starts_is_answered_and_what_follows_waits_in_the_input() -> None:
    with on_terminal(DENSE, "--threads", "1") as app:
        app.read_until("sk anything")  # the first paint, long before the model is there
        assert sent(app, b"ping\rdef") == ["ping"]
    with on_terminal(DENSE, "--threads", "1") as app:
        app.read_until("def")  # the draft
        app.read_until("4,096")
        assert sent(app, b"g\r") == ["defg"]


def test_a_paste_obeys_nothing_in_it() -> None:
    with on_terminal(DENSE, "--threads", "1") as app:
        app.read_until("4,096")
        assert sent(app, b"\x1b[200~a\x1b[31mred\r\nb\x11c\x1b\x1b[201~!\r") == ["a\u241b[31mred\nb\u2411c\u241b!"]


def test_a_paste_while_a_message_is_selected_is_text_in_the_prompt_and_nothing_acts() -> None:
    with on_terminal(DENSE, "--threads", "1") as app:
        app.read_until("4,096")
        os.write(app.terminal, b"ping\r")
        app.read_until("complete")
        app.seen = ""
        os.write(app.terminal, b"\x1b[1;5A")
        app.read_until("▌")
        os.write(app.terminal, b"\x1b[200~d\x1bx\x11\ry\x1b[201~\r")
        # Whatever the answer is: the model knows no such question.
        until(lambda: asyncio.run(_said()) == ["ping", "d\u241bx\u2411\ny"])
        assert app.process.poll() is None
