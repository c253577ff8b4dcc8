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
import sqlite3
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests import endless, small_disk
from tests import on_pty as on_pty_module
from tests.conftest import DENSE
from tests.on_pty import LLMTUI
from tests.on_small_disk import OWN, Round, Wrong, full_and_free
from tui.config import paths

WITHIN_S = 25.0
"""How long anything may take to come."""
RETRY_S = 6.5
"""After so long it was tried once more to save what waits."""
BENCH = ("-p", "16", "-n", "4", "-r", "1", "-t", "1", "--backend", "cpu")


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
        began = time.monotonic()
        os.kill(at.it.pid, at.rng.choice((15, 1, 9)))
        at.it.wait_for_end()
        if (took := time.monotonic() - began) > 3.0:
            raise Wrong(f"the end took {took:.1f} s")
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
    if done.returncode != 0 or "not kept" not in done.stderr or not done.stdout:
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
