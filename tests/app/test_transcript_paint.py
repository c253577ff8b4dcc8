"""What the transcript leaves on a real terminal while it streams. Run as a script, this file is the app that
`test_the_terminal_shows_what_a_full_repaint_would` looks at."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios

import pyte

from tests.app.test_transcript import TranscriptApp
from tests.conftest import until
from tests.places import CHECKOUT

STREAMED = (
    "# Title\n\nProse with **bold** words, `code` and 混合专家模型，很快，因为每个词元只读取少数几个专家。\n\n"
    "- item one\n  - nested item with text that is long enough to be wrapped somewhere\n\n"
    "| a | 说明 |\n|---|--:|\n| one | two |\n| three much longer | 很快 |\n\n"
    "```python\ndef f(x):\n    return x + 1  # note\n```\n\n"
) * 6


class PaintedApp(TranscriptApp):
    """Streams into the transcript, with a toast in the middle, and tells its parent when to look."""

    def on_mount(self) -> None:
        self.transcript.focus()
        self.run_worker(self.go())

    async def go(self) -> None:
        transcript = self.transcript
        await until(lambda: transcript.size.height)
        transcript.add_user("u", "Why?")
        transcript.begin_answer("a", "Qwen3")
        for start in range(0, len(STREAMED), 23):
            transcript.append("a", "answer", STREAMED[start : start + 23])
            if start // 23 == 20:
                self.notify("a toast over the transcript", timeout=0.1)
            await asyncio.sleep(0.005)
        transcript.end_answer("a", "footer")
        transcript.select_previous()
        transcript.follow()
        await until(lambda: not self.screen.query("Toast"))
        for _ in range(2):
            await self.look()
            self.screen.refresh()
        self.exit()

    async def look(self) -> None:
        """Once all is painted, ask the parent to remember its screen; it answers with a key."""
        self.keys = asyncio.Event()
        self.call_after_refresh(lambda: self.set_timer(0.1, lambda: os.write(int(os.environ["ASK"]), b"look")))
        await self.keys.wait()

    def on_key(self) -> None:
        self.keys.set()


def _as_seen(cell: pyte.screens.Char) -> pyte.screens.Char:
    """A blank has no colour of its own."""
    return cell._replace(fg="default") if cell.data == " " else cell


def test_the_terminal_shows_what_a_full_repaint_would() -> None:
    columns, rows = 90, 30
    screen = pyte.Screen(columns, rows)
    painted = pyte.ByteStream(screen)
    asked, ask = os.pipe()
    os.set_inheritable(ask, True)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(CHECKOUT)
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "ASK": str(ask)}
        os.execve(sys.executable, [sys.executable, "-m", "tests.app.test_transcript_paint"], environment)
    os.close(ask)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    looks: list[list[str]] = []
    cells: list[list[pyte.screens.Char]] = []
    try:
        while len(looks) < 2:
            ready, _, _ = select.select([terminal, asked], [], [], 60)
            assert ready, "\n".join(screen.display)
            if terminal in ready:
                # Keyboard protocols are nothing to pyte, which would print them.
                painted.feed(re.sub(rb"\x1b\[[<>=]\d*u", b"", os.read(terminal, 65536)))
            else:
                assert os.read(asked, 4), "\n".join(screen.display)
                looks.append(list(screen.display))
                cells.append([_as_seen(screen.buffer[y][x]) for y in range(rows) for x in range(columns)])
                os.write(terminal, b"x")
    finally:
        os.close(terminal)
        os.close(asked)
        os.kill(pid, signal.SIGKILL)  # where SIGHUP is ignored, it would go on without a terminal
        os.waitpid(pid, 0)
    assert any(row.startswith("▌ footer") for row in looks[0])
    assert looks[0] == looks[1]
    assert cells[0] == cells[1]


if __name__ == "__main__":
    PaintedApp().run()
