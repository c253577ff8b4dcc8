"""Kills the engine's process at random moments of everything that it does, under the real app, and looks at what comes
of it.

    python tests/campaigns/engine_kills.py [--count 300] [--on-pty 20] [--seed 0] [--moments NAME ...]

Most kills are under Textual's Pilot, `--on-pty` more on a real pseudo-terminal. After each one: a key acts at once, a
card says what happened, the text that was shown is saved, one key loads again and the next answer is right, and no
process, temporary file or descriptor is left over. Prints a row for each moment and the longest times; the exit code is
1 when something was wrong. The home folder is a temporary one. Two seconds a kill on one core.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import psutil

from tui.app.widgets.transcript_entries import CardEntry
from tui.session.controller import Controller

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.app.conftest import Person, started
from tests.campaigns.engine_kills_on_pty import DEATH_S, GONE_S, KEY_S, READY_S, SIGNALS, kill, one_on_pty
from tests.conftest import until as until_so_long
from tests.counting import SCRIPT, counted, counting
from tests.homes import leftovers, own_home, processes_of
from tests.on_pty import saved_answer
from tests.tally import Tally
from tui.app.screens.bench import BenchScreen
from tui.app.screens.help import HelpScreen
from tui.app.screens.load_settings import LoadScreen
from tui.config import paths
from tui.session.loads import LoadRequest

PER_SESSION = 20
SPARE_DESCRIPTORS = 8
"""Of the app, beyond those that it had at first."""
LONG = "one two three " * 100

Victim = Callable[[], int | None]
"""Says which process is to be killed, if it is there."""


async def until(condition: Callable[[], object], within_s: float = READY_S) -> None:
    """Wait until this holds."""
    await until_so_long(condition, within_s)


class Kills:
    """Kills within one app after the other."""

    def __init__(self, tally: Tally, home: Path, model: Path, chance: random.Random) -> None:
        self.tally, self.home, self.model, self.chance = tally, home, model, chance
        self.person: Person
        self.prompt = ""
        """What was asked last."""
        self.n_asked = 0
        self.n_descriptors = 0
        self.meanwhile: asyncio.Task[None] | None = None
        self.moments: dict[str, Callable[[], Awaitable[tuple[Victim, float]]]] = {
            "starting": self.starting,
            "loading": self.loading,
            "reading": self.reading,
            "decoding": self.decoding,
            "idle": self.idle,
            "sending": self.sending,
            "queued": self.queued,
            "moving": self.moving,
            "cancelling": self.cancelling,
            "benching": self.benching,
            "keeping": self.keeping,
            "restoring": self.restoring,
            "planning": self.planning,
            "rendering": self.rendering,
        }
        """Each leads to a moment: which process is to be killed within so many seconds from then on."""

    # Moments ----------------------------------------------------------------------------------------------------------

    @property
    def controller(self) -> Controller:
        return self.person.controller

    def engine(self) -> int | None:
        """The engine of the chat."""
        return self.controller.engine.pid

    async def starting(self) -> tuple[Victim, float]:
        before = self.engine()
        self.controller.restart()
        await until(lambda: self.engine() not in (None, before))
        return self.engine, 0.8

    async def loading(self) -> tuple[Victim, float]:
        self.controller.restart()
        await until(lambda: self.person.phase == "loading")
        return self.engine, 0.5

    async def reading(self) -> tuple[Victim, float]:
        await self.send(LONG)
        await until(lambda: self.person.phase == "answering")
        return self.engine, 1.0

    async def decoding(self) -> tuple[Victim, float]:
        await self.send()
        await until(lambda: self.person.turns[-1].role == "assistant" and self.shown())
        return self.engine, 1.5

    async def idle(self) -> tuple[Victim, float]:
        return self.engine, 0.1

    async def sending(self) -> tuple[Victim, float]:
        self.n_asked += 1
        self.prompt = f"Prompt {self.n_asked}."
        await self.person.type(self.prompt)
        self.meanwhile = asyncio.create_task(self.person.press("enter"))
        return self.engine, 0.06

    async def queued(self) -> tuple[Victim, float]:
        await self.decoding()
        await self.person.type("This waits.")
        await self.person.press("enter")
        return self.engine, 0.3

    async def moving(self) -> tuple[Victim, float]:
        await self.decoding()
        n_ctx = 2048 + 4096 - self.controller.model.choice.n_ctx
        choice = msgspec.structs.replace(self.controller.model.choice, n_ctx=n_ctx)
        self.controller.load(LoadRequest(path=self.model, choice=choice))
        return self.engine, 0.5

    async def cancelling(self) -> tuple[Victim, float]:
        await self.decoding()
        self.controller.interrupt()
        return self.engine, 0.03

    async def benching(self) -> tuple[Victim, float]:
        await self.person.app.run_action("screen.bench")
        await until(lambda: isinstance(self.person.app.screen, BenchScreen))
        await self.person.press("enter")
        await until(self.bench_engine)
        return self.bench_engine, 4.0

    def bench_engine(self) -> int | None:
        """The engine that measures."""
        screen = self.person.app.screen
        if not isinstance(screen, BenchScreen) or screen._measuring is None or screen._runner is None:
            return None
        return screen._runner._engine.pid

    async def keeping(self) -> tuple[Victim, float]:
        await self.answered()
        self.meanwhile = asyncio.create_task(self.person.press("ctrl+n"))
        return self.engine, 0.05

    async def restoring(self) -> tuple[Victim, float]:
        await self.answered()
        before, prompt = self.controller.conversation.id, self.prompt
        await self.person.press("ctrl+n")
        await until(lambda: not self.controller.contexts.works)
        await self.answered()
        await self.controller.open(before)
        self.prompt = prompt
        return self.engine, 0.05

    async def planning(self) -> tuple[Victim, float]:
        await self.person.app.run_action("screen.load_settings")
        await until(lambda: isinstance(self.person.app.screen, LoadScreen))
        await self.person.press("tab", "right")
        return lambda: self.controller.planner.pid, 0.3

    async def rendering(self) -> tuple[Victim, float]:
        return self.template_process, 0.1

    def template_process(self) -> int | None:
        return next((child.pid for child in psutil.Process(self.engine()).children()), None)

    # What leads there -------------------------------------------------------------------------------------------------

    async def send(self, more: str = "") -> None:
        self.n_asked += 1
        self.prompt = f"Prompt {self.n_asked}. {more}".strip()
        await self.person.send(self.prompt)

    async def answered(self) -> None:
        """Ask, and stop the answer after ten words."""
        await self.send()
        await until(lambda: counted(self.shown()) >= 10)
        await self.person.press("escape")
        await self.person.wait_until_ready()

    def shown(self) -> str:
        """The text of the last message in the transcript, if it is an answer."""
        entries = self.person.app.main.transcript.document.entries
        return next((entry.text for entry in reversed(entries) if entry.role == "answer"), "")

    async def fresh(self) -> None:
        """A new conversation."""
        await self.person.wait_until_ready()
        await self.person.press("ctrl+n")
        await until(lambda: not self.person.turns and not self.controller.contexts.works)
        self.prompt = ""

    # One kill ---------------------------------------------------------------------------------------------------------

    async def one(self, moment: str, how: str) -> None:
        """Bring one about and look at what came of it. Raises what keeps the app from being used further."""
        await self.fresh()
        victim, within_s = await self.moments[moment]()
        await asyncio.sleep(self.chance.uniform(0.0, within_s))
        pid = victim()
        if pid is None:
            self.tally.count(moment, "came too late")
            await self.person.press("escape")
            return
        shown = self.shown() if self.prompt else ""
        is_loaded = moment == "benching" and bool(self.bench._runner and self.bench._runner.comparison.reports)
        kill(pid, how)
        self.tally.count(moment, how)
        await self.key_acts(moment)
        if self.meanwhile is not None:
            await self.meanwhile
            self.meanwhile = None
        if moment == "benching":
            await self.bench_tells(moment, is_loaded=is_loaded)
        elif moment == "planning":
            await self.person.press("escape")
        elif moment != "rendering":
            await self.is_told(moment, how)
            await self.is_saved(moment, shown)
            await self.loads_again(moment)
        await self.answers_again(moment)
        await self.nothing_is_left(moment)

    async def key_acts(self, moment: str) -> None:
        began = time.monotonic()
        if moment in ("benching", "planning"):
            await self.person.press("down")
        else:
            await self.person.press("f1")
            await until(lambda: isinstance(self.person.app.screen, HelpScreen))
            self.tally.took("a key", time.monotonic() - began, KEY_S, moment)
            await self.person.press("escape")
        await until(lambda: self.person.app.keys_are_done)

    @property
    def bench(self) -> BenchScreen:
        """The screen that it is on."""
        assert isinstance(self.person.app.screen, BenchScreen)
        return self.person.app.screen

    def cards(self) -> list[CardEntry]:
        return [entry for entry in self.person.app.main.transcript.document.entries if isinstance(entry, CardEntry)]

    async def is_told(self, moment: str, how: str) -> None:
        began = time.monotonic()
        await self.person.wait_for(lambda: self.person.phase == "dead")
        self.tally.took("the card", time.monotonic() - began, DEATH_S, moment)
        cards = self.cards()
        told = "\n".join(f"{card.text}\n{card.record.choices}" for card in cards)
        for words in ("The engine stopped while", how.split(", ")[-1]):
            if words not in told:
                self.tally.complain(moment, f"the card does not say {words!r}: {told}")
        if not any(way in told for way in ("card_reload", "card_no_repack", "card_load_settings")):
            self.tally.complain(moment, f"the card offers no way on: {told}")
        if len(cards) > 1:
            self.tally.complain(moment, f"two cards: {told}")
        if "Last output" in told and how != "SIGABRT":  # nobody who is killed can say anything
            self.tally.complain(moment, f"the card quotes what has nothing to do with it: {told}")

    async def is_saved(self, moment: str, shown: str) -> None:
        if not self.prompt or (moment == "sending" and not self.person.turns):
            if moment == "sending" and self.prompt not in self.person.screen_text():
                self.tally.complain(moment, "what was to be sent is gone")
            return
        await self.controller.store.settled()
        text = saved_answer(self.prompt)
        if text is None:
            self.tally.complain(moment, "the prompt is not saved")
        elif len(text) < len(shown) or not SCRIPT.startswith(text) or (self.person.turns and text != self.shown()):
            self.tally.complain(moment, f"{len(shown)} letters were shown, {len(text)} are saved: …{text[-60:]!r}")

    async def bench_tells(self, moment: str, *, is_loaded: bool) -> None:
        """`is_loaded` if it died with a model: before that, the bench starts another engine and goes on."""
        screen = self.bench
        if not is_loaded and screen._measuring is not None:
            await self.person.press("escape")
        await self.person.wait_for(lambda: screen._measuring is None)
        # One that ends after all was measured is none the worse.
        is_complete = any(len(report.results) == 2 and report.end_to_end for report in screen.state.comparison.reports)
        if is_loaded and "the engine stopped" not in "".join(screen.state.trouble) and not is_complete:
            self.tally.complain(moment, f"nothing is told:\n{self.person.screen_text()}")
        await self.person.press("escape")
        await self.person.wait_for(lambda: self.person.app.screen is self.person.app.main)

    async def loads_again(self, moment: str) -> None:
        cards = self.cards()
        offered = {choice.action for card in cards for choice in card.record.choices}
        if "card_reload" in offered and self.chance.random() < 0.5:
            await self.person.press("ctrl+up", "r")
        else:
            await self.person.app.run_action("screen.reload_engine")
        await self.person.wait_for(lambda: self.person.phase != "dead")
        began = time.monotonic()
        await self.person.wait_for(lambda: self.person.phase in ("ready", "dead"))
        self.tally.took("loading again", time.monotonic() - began, READY_S, moment)
        if moment == "queued":
            if self.controller.queue.texts != ("This waits.",):
                self.tally.complain(moment, "what waited is gone")
            await self.person.press("escape")
        entries = self.person.app.main.transcript.document.entries
        if self.person.phase == "ready" and any(entry.role == "card" for entry in entries):
            self.tally.complain(moment, "the card stays")

    async def answers_again(self, moment: str) -> None:
        """The next answer is right; what stands in the input is left out of it."""
        await self.person.wait_until_ready()
        self.person.app.main.prompt.text = ""
        began = time.monotonic()
        await self.answered()
        self.tally.took("the next answer", time.monotonic() - began, READY_S, moment)
        if not SCRIPT.startswith(self.shown()):
            self.tally.complain(moment, f"the next answer is {self.shown()[:60]!r}")

    async def nothing_is_left(self, moment: str) -> None:
        left: list[str] = []

        def is_clean() -> bool:
            left[:] = [*self.strays(), *map(str, leftovers(self.home))]
            return not left

        try:
            await until(is_clean, GONE_S)
        except AssertionError:
            self.tally.complain(moment, f"left over: {left}")
        n = psutil.Process().num_fds()
        self.n_descriptors = self.n_descriptors or n
        if n > self.n_descriptors + SPARE_DESCRIPTORS:
            self.tally.complain(moment, f"{n} descriptors are open, {self.n_descriptors} were at first")
            self.n_descriptors = n

    def strays(self) -> list[str]:
        """Processes that have ended and were not collected, and those that belong to neither engine nor planner."""
        known = {self.engine(), self.controller.planner.pid}
        zombies = [child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]
        strays = [one for one in processes_of(self.home) if one.pid not in known and one.ppid() not in known]
        return [str(one) for one in (*zombies, *strays)]

    # Sessions ---------------------------------------------------------------------------------------------------------

    async def session(self, moments: list[str]) -> None:
        """One app, from its start to its end, which a kill comes into as well. Takes from `moments` what it did."""
        self.n_descriptors = 0
        moment = "the start"
        try:
            async with started(self.model, load={"n_ctx": 2048}) as self.person:
                for _ in range(min(PER_SESSION, len(moments))):
                    moment = moments.pop()
                    try:
                        await self.one(moment, self.how())
                    except AssertionError:
                        print(self.person.screen_text())
                        raise
                moment = "quitting"
                pid, how, delay_s = self.engine(), self.how(), self.chance.uniform(0.0, 0.2)
                asyncio.get_running_loop().call_later(delay_s, lambda: self.kill_if_there(pid, how))
                began = time.monotonic()
            self.tally.took("quitting", time.monotonic() - began, GONE_S, moment)
        except Exception:  # noqa: BLE001 - whatever it is, it is what is looked for
            self.tally.complain(moment, traceback.format_exc())
        await asyncio.sleep(0.3)
        if strays := processes_of(self.home):
            self.tally.complain("quitting", f"left over: {strays}")
        log = paths.log_file().read_text()
        if "Traceback" in log:
            self.tally.complain("the log", log[log.index("Traceback") :][:3000])
        paths.log_file().write_text("")

    def kill_if_there(self, pid: int | None, how: str) -> None:
        try:
            kill(pid or 0, how) if pid else None
            self.tally.count("quitting", how)
        except ProcessLookupError:
            self.tally.count("quitting", "came too late")

    def how(self) -> str:
        return self.chance.choices([*SIGNALS], [*SIGNALS.values()])[0]


def main() -> int:
    """Kill so often, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--on-pty", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--moments", nargs="+", default=[])
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tally, chance = Tally(), random.Random(options.seed)
    with own_home() as home:
        model = home / "counting.gguf"
        counting(model)
        kills = Kills(tally, home, model, chance)
        names = options.moments or [*kills.moments]
        moments = [names[number % len(names)] for number in range(options.count)]
        chance.shuffle(moments)
        while moments:
            asyncio.run(kills.session(moments))
        for _ in range(options.on_pty):
            try:
                one_on_pty(tally, home, model, chance)
            except AssertionError as error:
                tally.complain("on a terminal", str(error))
    return tally.report()


if __name__ == "__main__":
    sys.exit(main())
