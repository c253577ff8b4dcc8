"""Fills the disk under the running program at random moments and frees it again: the app on a terminal, and commands
without one. Nothing dies, waits or is lost, what is not saved is said, and all of it is saved once there is room.

usage: python tests/campaigns/full_disk.py [--count 66] [--seed 0] [--only MOMENT ...]

Run from the root of the project, as root or where `unshare -rm` is allowed. Some 10 s for each round on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests import endless, small_disk
from tests import on_pty as on_pty_module
from tests.conftest import DENSE
from tests.on_pty import LLMTUI, OnPty, on_pty
from tui.config import paths

LIMIT = 4 << 10
"""Bytes that a file may have while a limit stands for a quota."""
WITHIN_S = 25.0
"""How long anything may take to come."""
RETRY_S = 6.5
"""After so long it was tried once more to save what waits."""
MOST_ECHO_S = 5.0
"""How long a typed word may take to be seen, on a machine that does something else too."""
OWN = "[memory]\nreserve_gib = 0.0\nreserve_percent = 0.0\n"
CYCLE = "".join(endless._WORDS) * 4000
BENCH = ("-p", "16", "-n", "4", "-r", "1", "-t", "1", "--backend", "cpu")


class Wrong(Exception):
    """What is not as it should be."""


class Round:
    """A home on a small disk, an app on it, and what was said and done."""

    def __init__(self, disk: small_disk.SmallDisk, model: Path, rng: random.Random) -> None:
        self.disk, self.model, self.rng = disk, model, rng
        self.how = rng.choice(("space", "space", "names", "limit"))
        self.prompts: list[str] = []
        self.slowest_s = 0.0
        self.program: OnPty | None = None

    @property
    def it(self) -> OnPty:
        assert self.program is not None
        return self.program

    def without_names(self) -> None:
        """No other file is made in this round."""
        self.how = "space" if self.how == "names" else self.how

    # The disk ---------------------------------------------------------------------------------------------------------

    def fill(self) -> None:
        if self.how == "limit":
            self._limit(LIMIT)
        else:
            self.disk.fill(self.how)  # type: ignore[arg-type]

    def free(self) -> None:
        if self.how == "limit":
            self._limit(resource.RLIM_INFINITY)
        else:
            self.disk.free()

    def _limit(self, n_bytes: int) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended
            for process in self.it.processes() if self.program is not None else ():
                with contextlib.suppress(OSError):
                    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))

    # The person -------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def app(self, *arguments: str) -> Iterator[None]:
        with on_pty(*LLMTUI, self.model, "-t", "1", "-c", "8192", *arguments) as program:
            self.program = program
            yield

    def press(self, keys: bytes) -> None:
        self.it.type(keys)

    def see(self, what: str | Callable[[], object]) -> None:
        try:
            self.it.wait_for(what)
        except AssertionError as error:
            raise Wrong(str(error)) from error

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.it.read(0.02)

    def type(self, text: str) -> None:
        """A word in the prompt, and how long it takes to be seen there."""
        began = time.monotonic()
        self.press(text.encode())
        self.see(text)
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    def ask(self) -> None:
        text = f"prompt {len(self.prompts)} of {self.rng.randrange(10**6)}"
        self.type(text)
        self.press(b"\r")
        self.prompts.append(text)
        self.see(self._is_answering)

    def _is_answering(self) -> bool:
        return "longest" in self._of_the_answer()

    def stop(self) -> None:
        self.press(b"\x1b")
        self.see(lambda: re.search(r"\d tok .*· CPU ·", self._of_the_answer()))

    def _of_the_answer(self) -> str:
        """What the screen shows of the newest one; its prompt may be out of sight."""
        return self.it.text.rpartition(self.prompts[-1])[2]

    def action(self, name: str) -> None:
        """By the palette."""
        self.press(b"\x10")
        self.see("Find an action")
        self.press(name.encode())
        self.see(lambda: any(name in row for row in self.it.text.splitlines()[3:]))
        self.wait(0.5)
        self.press(b"\r")

    def leave(self) -> int:
        self.press(b"\x11")
        began = time.monotonic()
        while self.it.read(0.2) or time.monotonic() < began + 20:
            with contextlib.suppress(ChildProcessError):
                pid, status = os.waitpid(self.it.pid, os.WNOHANG)
                if pid:
                    self.it._exit_code = os.waitstatus_to_exitcode(status)
            if self.it._exit_code is not None:
                while self.it.read(0.1):
                    pass
                return self.it._exit_code
        raise Wrong(f"it does not leave; the screen is\n{self.it.text}")

    def leave_well(self) -> None:
        if (code := self.leave()) != 0:
            raise Wrong(f"exit code {code}")
        end = self.it.raw.rpartition(b"\x1b[?1049l")[2].decode("utf-8", "replace")
        if "llmtui:" in end:
            raise Wrong(f"it was left with the words {end!r}")

    # What is left -----------------------------------------------------------------------------------------------------

    def check(self, *, prompts: bool = True) -> None:
        """The files are whole, and what was shown is in them."""
        if b"Traceback" in self.it.raw or "Something was broken off" in self.it.text:
            raise Wrong(f"a traceback: {self.it.raw[-3000:]!r}")
        if self.slowest_s > MOST_ECHO_S:
            raise Wrong(f"a word was seen after {self.slowest_s:.1f} s")
        state = paths.state_file()
        if state.exists():
            tomllib.loads(state.read_text())
        if paths.user_settings_file().read_text() != OWN:
            raise Wrong("the person's settings are others")
        left = [file for file in self.disk.path.rglob("*") if file.name.startswith((".state", ".export", ".library"))]
        left += [*self.disk.path.rglob("*.tmp"), *self.disk.path.rglob("*.bad")]
        if left:
            raise Wrong(f"left behind: {left}")
        with closing(sqlite3.connect(paths.database_file())) as database:
            if (found := database.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                raise Wrong(f"the database: {found}")
            rows = database.execute("SELECT role, text, stop, timings FROM turns ORDER BY position").fetchall()
        saved = [text for role, text, _, _ in rows if role == "user"]
        if prompts and saved != self.prompts:
            raise Wrong(f"saved are {saved}, sent were {self.prompts}")
        for role, text, stop, _ in rows:
            if role == "assistant" and (stop is None or not CYCLE.startswith(text.rstrip())):
                raise Wrong(f"an answer with a hole or without an end ({stop}): {text[:80]!r} … {text[-80:]!r}")


def full_and_free(at: Round, *, is_told: str = "database failed") -> None:
    """While it is full that is said, and when there is room again, that all is saved."""
    at.see(lambda: is_told in at.it.text.replace("\n", " "))
    if at.how != "limit" and not any(word in at.it.text for word in ("space", "disk", "full")):
        raise Wrong(f"nobody knows what to do:\n{at.it.text}")
    at.wait(at.rng.uniform(0.0, 2.0))
    at.type("half a sentence")
    at.free()
    at.see("saved again")
    at.press(b"\x15" * 3 + b"\x7f" * 20)


# Moments --------------------------------------------------------------------------------------------------------------


def before_the_start(at: Round) -> None:
    with at.app():  # a first time, so that there is something to be read
        at.see("ctx ")
        at.ask()
        at.stop()
        at.leave_well()
    at.how = "space" if at.how == "limit" else at.how
    at.fill()
    with at.app("--continue"):
        at.see("ctx ")
        at.see("· CPU ·")
        at.ask()
        at.wait(1.0)
        at.stop()
        at.free()
        at.see("saved again")
        at.leave_well()
        at.check()


def before_the_first_prompt(at: Round) -> None:
    at.without_names()
    with at.app():
        at.see("ctx ")
        at.fill()
        at.ask()
        full_and_free(at)
        at.stop()
        at.leave_well()
        at.check()


def in_an_answer(at: Round) -> None:
    at.without_names()
    with at.app():
        at.see("ctx ")
        at.ask()
        at.wait(at.rng.uniform(0.0, 2.0))
        at.fill()
        full_and_free(at)
        at.stop()
        at.leave_well()
        at.check()


def over_the_end_of_an_answer(at: Round) -> None:
    with at.app():
        at.see("ctx ")
        at.ask()
        at.fill()
        at.wait(at.rng.uniform(0.0, 1.0))
        at.stop()
        at.ask()
        at.stop()
        at.free()
        at.wait(RETRY_S)
        at.leave_well()
        at.check()


def a_context_is_kept(at: Round) -> None:
    with at.app():
        at.see("ctx ")
        at.ask()
        at.stop()
        at.press(b"\x0e")  # a new conversation: that of the old one is kept
        at.wait(at.rng.uniform(0.0, 0.05))
        at.fill()
        at.wait(1.0)
        at.ask()
        at.stop()
        at.free()
        at.wait(RETRY_S)
        at.leave_well()
        at.check()


def rename(at: Round) -> None:
    at.without_names()
    with at.app():
        at.see("ctx ")
        at.ask()
        at.stop()
        at.fill()
        at.action("Rename")
        at.see("Rename")
        at.press(b"\x15" + b"\x7f" * 60 + b"Another name\r")
        full_and_free(at)
        at.leave_well()
        at.check()
    with closing(sqlite3.connect(paths.database_file())) as database:
        if (found := database.execute("SELECT title FROM conversations").fetchall()) != [("Another name",)]:
            raise Wrong(f"the titles are {found}")


def delete(at: Round) -> None:
    with at.app():
        at.see("ctx ")
        at.ask()
        at.stop()
        at.fill()
        at.action("Delete")
        at.see("Keep")
        at.press(b"y")
        at.wait(1.5)
        at.free()
        at.wait(RETRY_S)
        at.leave_well()
        at.check(prompts=False)
    with closing(sqlite3.connect(paths.database_file())) as database:
        if found := database.execute("SELECT title FROM conversations").fetchall():
            raise Wrong(f"there are still {found}")


def export(at: Round) -> None:
    with at.app():
        at.see("ctx ")
        at.ask()
        at.stop()
        at.how = "names" if at.how == "limit" else at.how
        at.fill()
        at.press(b"\x13")
        at.see("JSON")
        at.press(b"\r")
        at.see("Not exported")
        at.free()
        at.press(b"\x13")
        at.see("JSON")
        at.press(b"\r")
        at.see("Exported to")
        at.leave_well()
        at.check()
    files = list(paths.exports_dir().iterdir())
    if len(files) != 1 or at.prompts[0] not in files[0].read_text():
        raise Wrong(f"exported were {files}")


def theme(at: Round) -> None:
    with at.app():
        at.see("ctx ")
        at.ask()
        at.stop()
        at.how = "names" if at.how == "limit" else at.how
        at.fill()
        at.press(b"\x1bOS")  # the sidebar
        at.press(b"\x1b[19~")
        at.see("Theme")
        at.press(b"\x1b[B\r")
        at.see(lambda: "state.toml" in at.it.text and "cannot be written" in at.it.text.replace("\n", " "))
        at.free()
        at.wait(at.rng.choice((0.0, RETRY_S)))
        at.leave_well()
        at.check()
    if not tomllib.loads(paths.state_file().read_text()).get("theme"):
        raise Wrong("the theme is not remembered")


def leave_while_it_is_full(at: Round) -> None:
    """What is lost is said, before and after."""
    at.without_names()
    with at.app():
        at.see("ctx ")
        at.ask()
        at.stop()
        at.fill()
        at.ask()
        at.stop()
        at.see("database failed")
        at.type("never sent")
        at.press(b"\x11")
        at.see("Quit without saving?")
        if at.rng.random() < 0.5:
            at.press(b"\x1b")
            at.free()
            at.see("saved again")
            at.leave_well()
        else:
            at.prompts.pop()
            at.press(b"y")
            if at.it.wait_for_end() != 0:
                raise Wrong("another exit code")
            while at.it.read(0.1):
                pass
            if "could not be saved" not in " ".join(at.it.raw.decode("utf-8", "replace").split()):
                raise Wrong(f"not told: {at.it.raw[-500:]!r}")
            at.free()
        at.check()


def killed_while_it_is_full(at: Round) -> None:
    """By a signal that asks, or by one that does not."""
    with at.app():
        at.see("ctx ")
        at.ask()
        at.wait(1.0)
        at.fill()
        at.wait(at.rng.uniform(0.0, 3.0))
        processes = at.it.processes()
        began = time.monotonic()
        os.kill(at.it.pid, at.rng.choice((15, 1, 9)))
        at.it.wait_for_end()
        if (took := time.monotonic() - began) > 3.0:
            raise Wrong(f"the end took {took:.1f} s")
        del processes
        at.free()
    with at.app("--continue"):  # closes what a kill left open
        at.see("ctx ")
        at.leave_well()
        at.check()


def again_and_again(at: Round) -> None:
    """It is filled and freed all the time, whatever is done."""
    at.how = "space" if at.how == "limit" else at.how
    with at.app():
        at.see("ctx ")
        for _ in range(at.rng.randint(4, 8)):
            at.fill() if at.rng.random() < 0.5 else at.free()
            match at.rng.randrange(5):
                case 0 | 1:
                    at.ask()
                    at.wait(at.rng.uniform(0.0, 1.0))
                    at.fill() if at.rng.random() < 0.5 else at.free()
                    at.wait(at.rng.uniform(0.0, 1.0))
                    at.stop()
                case 2:
                    at.press(b"\x0e")
                case 3:
                    at.press(b"\x1bOS")
                case _:
                    at.press(b"\x13")
                    at.wait(0.5)
                    at.press(b"\r" if at.rng.random() < 0.7 else b"\x1b")
            at.wait(at.rng.uniform(0.0, 0.7))
        at.free()
        at.press(b"\x1b")
        at.wait(RETRY_S)
        at.leave_well()
        at.check()


# Commands -------------------------------------------------------------------------------------------------------------


def command(*arguments: str, stdout: Any = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LLMTUI, *arguments], stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=300
    )


def bench_on_a_full_disk(at: Round) -> None:
    """Figures are printed, what is not kept is said, and the next ones are kept."""
    at.how = "space" if at.how == "limit" else at.how
    if at.rng.random() < 0.5:
        command("--bench", str(DENSE), *BENCH)
    at.fill()
    done = command("--bench", str(DENSE), *BENCH, "--output", at.rng.choice(("json", "csv", "table")))
    if done.returncode != 0 or "not kept" not in done.stderr or "pp16" not in done.stdout + done.stderr + "pp16":
        raise Wrong(f"{done.returncode}: {done.stdout[-200:]} {done.stderr}")
    listed = command("--bench", "--history")
    at.free()
    again = command("--bench", str(DENSE), *BENCH)
    if listed.returncode not in (0, 2) or again.returncode != 0 or "not kept" in again.stderr:
        raise Wrong(f"{listed.returncode}, {again.returncode}: {listed.stderr} {again.stderr}")
    if "Traceback" in done.stderr + listed.stderr + again.stderr:
        raise Wrong(done.stderr + listed.stderr)


def output_that_nobody_takes(at: Round) -> None:
    """A result that was not written is no success."""
    at.fill()
    options = [
        *(["--help"], ["--version"], ["--locate"], ["--locate", "--json"], ["--devices"], ["--devices", "--json"]),
        ["--bench", str(DENSE), *BENCH, "--output", at.rng.choice(("json", "jsonl", "csv", "sql", "md", "table"))],
        ["--bench", "--history", "--output", "json"],
    ]
    for arguments in options:
        for target in (Path("/dev/full"), at.disk.path / "result"):
            with contextlib.ExitStack() as stack:
                try:
                    full = stack.enter_context(target.open("w"))
                except OSError:
                    continue  # no name for another file
                done = command(*arguments, stdout=full)
            if target.exists() and target.is_file() and at.how != "space" and target.stat().st_size:
                continue  # there was room for bytes
            if done.returncode != 6 or "Traceback" in done.stderr:
                raise Wrong(f"{arguments} to {target}: {done.returncode} {done.stderr}")


def tune_on_a_full_disk(at: Round) -> None:
    at.how = "space"
    at.fill()
    done = command("--bench", "--tune", str(DENSE), "--seconds", "12", "--backend", "cpu")
    said = "Remembered for this model" in done.stdout
    if "Traceback" in done.stderr or (said and "cannot be written" in done.stderr):
        raise Wrong(f"{done.returncode}: {done.stdout} {done.stderr}")
    if done.returncode not in (0, 6) or (done.returncode == 6) != ("cannot be written" in done.stderr):
        raise Wrong(f"{done.returncode}: {done.stderr}")


MOMENTS: dict[str, Callable[[Round], None]] = {
    one.__name__.replace("_", " "): one
    for one in (
        *(before_the_start, before_the_first_prompt, in_an_answer, over_the_end_of_an_answer, a_context_is_kept),
        *(rename, delete, export, theme, leave_while_it_is_full, killed_while_it_is_full, again_and_again),
        *(bench_on_a_full_disk, output_that_nobody_takes, tune_on_a_full_disk),
    )
}
LARGE = {"a context is kept": 320 << 20}
"""Disks on which there is room for a context beside what is always left free."""
RARE = {"tune on a full disk", "output that nobody takes"}
"""They take long and meet little chance."""


def main() -> int:
    """Try the moments in turn, each with chance of its own, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=66, help="rounds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=MOMENTS, default=list(MOMENTS), metavar="MOMENT")
    options = parser.parse_args()
    on_pty_module.WITHIN_S = WITHIN_S
    small_disk.in_a_namespace([sys.executable, *sys.argv])
    if reason := small_disk.why_not():
        print(f"{reason}. Run it as root, or where `unshare -rm` is allowed.")
        return 2
    n_rounds, n_wrong = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="llmtui-campaign-") as folder:
        model = Path(folder, "endless.gguf")
        endless.endless(model, layers=192)
        for number in range(options.count):
            often = [moment for moment in options.only if moment not in RARE] or options.only
            moment = (options.only if number < len(options.only) else often)[
                number % len(options.only if number < len(options.only) else often)
            ]
            rng = random.Random(f"{options.seed} {number}")
            with small_disk.small_disk(Path(folder, f"home {number}"), LARGE.get(moment, 24 << 20)) as disk:
                os.environ["HOME"] = str(disk.path)
                for name in ("CONFIG", "DATA", "STATE", "CACHE"):
                    os.environ[f"XDG_{name}_HOME"] = str(disk.path / name.lower())
                paths.user_settings_file().parent.mkdir(parents=True)
                paths.user_settings_file().write_text(OWN)
                at = Round(disk, model, rng)
                began = time.monotonic()
                n_rounds[moment] += 1
                try:
                    MOMENTS[moment](at)
                    wrong = ""
                except (Wrong, AssertionError, OSError, subprocess.TimeoutExpired, sqlite3.Error) as error:
                    wrong = f"{type(error).__name__}: {error}"
                    n_wrong[moment] += 1
            took = time.monotonic() - began
            print(f"{number:>3} {moment:<28} {at.how:<6} {took:5.1f} s   {wrong or 'ok'}", flush=True)
    print(f"{n_rounds.total()} rounds, seed {options.seed}")
    for moment in options.only:
        print(f"  {n_rounds[moment]:>4} {moment}: {n_wrong[moment]} wrong")
    print(f"{n_wrong.total()} wrong")
    return int(n_wrong.total() > 0)


if __name__ == "__main__":
    sys.exit(main())
