"""The smallest app around the transcript: a sidebar that changes once a second, an input, and a task in place of the
engine. Run by `pty_stream.py`, which tells it what to stream in the environment variable STREAM_PLAN (JSON)."""

from __future__ import annotations

import asyncio
import json
import os
import time

from texts import CASES, tokens
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.driver import Driver
from textual.widgets import TextArea

from tui.app.terminal_input import TerminalDriver
from tui.app.widgets.lines import LineWidget, Row
from tui.app.widgets.transcript import Transcript

FLUSH_S = 0.1


class Figures(LineWidget):
    """A dozen lines of fixed size that change once a second, painted as the real sidebar paints its own."""

    DEFAULT_CSS = "Figures { width: 34; height: 1fr; border-left: solid $border-blurred; padding: 0 1; }"

    def compose_rows(self, width: int, height: int) -> list[Row]:
        now = time.monotonic()
        names = ["speed", "prefill", "ttft", "context", "ram", "engine", "gpu", "shared", "use", "heat", "cpu", "swap"]
        return [((f"{name:<10}", "muted"), (f"{now % 97 + n:>12.1f}", "")) for n, name in enumerate(names)]


class StreamApp(App[None]):
    """Streams one text and exits."""

    n_sent = 0
    """Tokens of the answer that comes; 0 while none does."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #left { width: 1fr; }
    TextArea { height: 5; }
    """

    def get_driver_class(self) -> type[Driver]:
        """The app's own: what it writes is a part of what a token costs."""
        return TerminalDriver

    def compose(self) -> ComposeResult:
        with Horizontal():
            with Vertical(id="left"):
                yield Transcript()
                yield TextArea()
            yield Figures()

    def on_mount(self) -> None:
        area = self.query_one(TextArea)
        area.cursor_blink = False
        area.focus()
        self.set_interval(1.0, self.tick)
        self.run_worker(self.stream())

    def tick(self) -> None:
        """Once a second all figures change, those under the answer too."""
        self.query_one(Figures).update_rows()
        if self.n_sent:
            self.query_one(Transcript).set_live(1, f"⠋ {self.n_sent:,} tok · {time.monotonic():.0f} s")

    async def stream(self) -> None:
        """Send the text as the engine would: whatever tokens are due, at most ten times a second."""
        plan = json.loads(os.environ["STREAM_PLAN"])
        pieces = tokens(CASES[plan["case"]](plan["size"]))
        fast = max(0, len(pieces) - plan["n_timed"])
        transcript = self.query_one(Transcript)
        marks = os.fdopen(plan["marks_fd"], "w", buffering=1)
        await asyncio.sleep(1.0)
        transcript.add_user(1, "Please explain.")
        transcript.begin_answer(1, "Qwen3")
        for start in range(0, fast, 20):
            transcript.append(1, "answer", "".join(pieces[start : min(fast, start + 20)]))
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        self.mark(marks, "start")
        began = time.monotonic()
        sent = fast
        number = 0
        while sent < len(pieces):
            number += 1
            await asyncio.sleep(max(0.0, began + number * FLUSH_S - time.monotonic()))
            due = min(len(pieces), fast + round(number * FLUSH_S * plan["rate"]))
            if due > sent:
                transcript.append(1, "answer", "".join(pieces[sent:due]))
                self.n_sent = sent = due
        self.mark(marks, "last")
        self.n_sent = 0
        transcript.append(1, "answer", "\n\nSENTINEL")
        transcript.end_answer(1, "")
        await asyncio.sleep(0.6)
        self.mark(marks, "end")
        self.exit()

    @staticmethod
    def mark(marks: object, name: str) -> None:
        usage = time.process_time()
        print(json.dumps({"mark": name, "cpu_s": usage, "at": time.monotonic()}), file=marks)  # type: ignore[call-overload]


if __name__ == "__main__":
    StreamApp().run()
