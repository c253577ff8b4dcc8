"""Kills the app at random moments of a seeded answer whose session is in the background, and starts it again; then
breaks the line of one that stays, as often.

    python tests/campaigns/background_kills.py [--count 100] [--cuts 100] [--seed 0]

Half of the kills are by SIGKILL, the others close the terminal or hang up. The answer must go on meanwhile, the next
start must show it within a second, as far as it is, and its text must in the end be byte for byte that of an answer
that nobody disturbed. In the end `stop` leaves nothing: no process, no socket, no file. Prints how often each was done
and the longest times; the exit code is 1 when something was wrong. The home folder is a temporary one. About two
seconds a kill on one core.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.conftest import until
from tests.counting import SCRIPT, counted, counting
from tests.homes import own_home, processes_of
from tests.host.remote import Front
from tests.on_pty import LLMTUI, OnPty, on_pty, saved_answer
from tests.running import llmtui
from tests.tally import Tally
from tui.config import paths

WAYS = ("SIGKILL", "SIGKILL", "SIGHUP", "closed")
SETTINGS = "[memory]\nreserve_gib = 0.0\nreserve_percent = 0.0\n"
GREEDY = "[sampling.thinking]\ntemperature = 0.0\n[sampling.plain]\ntemperature = 0.0\n"
SHOWN_S, STOP_S = 1.0, 2.0
"""From the first paint to the answer that is there, and from `stop` to the end of the last process."""
CTRL_N = b"\x0e"


def end(program: OnPty, way: str) -> None:
    """End the app in this way."""
    if way == "closed":
        program.hang_up()
    else:
        program.app().send_signal(signal.Signals[way])
    program.wait_for_end()


class Campaign:
    """All starts of the app in one home folder."""

    def __init__(self, tally: Tally, chance: random.Random, model: Path) -> None:
        self._tally, self._chance, self._model = tally, chance, model
        self._n_asked = 0
        """How many answers were asked for."""

    def kills(self, n_kills: int) -> None:
        """As many starts, each of which is killed."""
        arguments: tuple[str | Path, ...] = (self._model, "-t", "1", "-c", "8192")
        for number in range(n_kills):
            with on_pty(*LLMTUI, "--background", *arguments) as program:
                arguments = ()
                self._begun(program, f"kill {number}")
                way = self._chance.choice(WAYS)
                deadline = time.monotonic() + self._chance.random() * 1.5
                while time.monotonic() < deadline:
                    program.read(0.05)
                end(program, way)
                self._tally.count("app", way)

    def _begun(self, program: OnPty, where: str) -> None:
        """The app is there, and so is an answer in its middle: the one that was, or another one."""
        program.wait_for("╭")
        painted = time.monotonic()
        program.wait_for(lambda: counted(program.text) or "ctx" in program.text or "enter send" in program.text)
        if self._n_asked:
            program.wait_for(lambda: counted(program.text))
            self._tally.took("until the answer is shown again", time.monotonic() - painted, 10 * SHOWN_S, where)
        if self._n_asked and "tok/s" not in program.text.splitlines()[-1] and self._is_over():
            self._compare(where)
            program.type(CTRL_N)
            program.wait_for(lambda: not counted(program.text))
            self._n_asked += 1
            program.type(f"count {self._n_asked}\r".encode())
            program.wait_for(lambda: counted(program.text))
        elif not self._n_asked:
            self._n_asked = 1
            program.type(b"count 1\r")
            program.wait_for(lambda: counted(program.text))

    def _is_over(self) -> bool:
        return counted(saved_answer(f"count {self._n_asked}") or "") == counted(SCRIPT)

    def _compare(self, where: str) -> None:
        text = saved_answer(f"count {self._n_asked}")
        if text != SCRIPT:
            self._tally.complain(where, f"{len(text or '')} characters are saved, not {len(SCRIPT)}")

    async def cuts(self, n_cuts: int) -> None:
        """One that stays, and whose line breaks as often."""
        one = Front(is_separate=True)
        await one.session.connect()
        await one.session.start()
        await one.load(self._model, n_ctx=8192)
        number = 0
        while number < n_cuts:
            await one.session.new()
            one.session.queue.send("count")
            await until(lambda: one.session.is_writing)
            while one.session.is_writing:
                await asyncio.sleep(self._chance.random() * 0.4)
                one.cut()
                number += 1
                self._tally.count("line", "cut")
            await until(lambda: one.session.can_answer)
            if not one.text == one.turns[-1].text == SCRIPT:
                self._tally.complain(f"cut {number}", f"{len(one.text)} characters are shown, not {len(SCRIPT)}")
        one.session.leaves_running = False
        await one.session.close()


def main() -> int:
    """Run the campaign; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance, tally = random.Random(arguments.seed), Tally()
    with own_home() as home:
        runtime = home / "run"
        runtime.mkdir(mode=0o700)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
        model = home / "counting.gguf"
        counting(model)
        settings = paths.user_settings_file()
        settings.parent.mkdir(parents=True)
        settings.write_text(GREEDY + SETTINGS)
        campaign = Campaign(tally, chance, model)
        campaign.kills(arguments.count)
        asyncio.run(campaign.cuts(arguments.cuts))
        began = time.monotonic()
        llmtui("stop")
        while left := [process for process in processes_of(home) if process.pid != os.getpid()]:
            if time.monotonic() - began > 10 * STOP_S:
                tally.complain("stop", f"{len(left)} processes are left")
                break
            time.sleep(0.05)
        tally.took("until nothing is left after stop", time.monotonic() - began, 10 * STOP_S, "stop")
        if files := list((runtime / "llmtui").iterdir()):
            tally.complain("stop", f"left: {files}")
    return tally.report()


if __name__ == "__main__":
    sys.exit(main())
