"""Gives the program homes in which it cannot write, or that are none, or that are traps: the app on a terminal and each
command without one. It starts, or says in a sentence what to do; the chat works unsaved and says so; nothing is opened
through a link of another user, and what is written is for its owner alone.

usage: python tests/campaigns/read_only_homes.py [--only WORD ...] [--commands WORD ...]

Run from the root of the project, as root (who can be other users too), or where `unshare -rm` is allowed. Some 20 s for
each home on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import stat
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.places import CHECKOUT

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests import on_pty as on_pty_module
from tests import small_disk
from tests.conftest import DENSE
from tests.on_pty import LLMTUI, on_pty

PROJECT = CHECKOUT
NOBODY, SOMEBODY, UNKNOWN = 65534, 12345, 54321
"""Users: one that the system knows, another, and one that nobody knows."""
PLACES = {"home": ".", "config": ".config", "data": ".local/share", "state": ".local/state", "cache": ".cache"}
BENCH = ("-p", "16", "-n", "4", "-r", "1", "-t", "1", "--backend", "cpu")
COMMANDS: dict[str, tuple[str, ...]] = {
    "--help": ("--help",),
    "--version": ("--version",),
    "--locate": ("--locate",),
    "--locate --json": ("--locate", "--json"),
    "--devices": ("--devices",),
    "--bench": ("--bench", str(DENSE), *BENCH),
    "--bench --compare": ("--bench", str(DENSE), *BENCH, "--compare", "last", "--output", "json"),
    "--history": ("--bench", "--history"),
}
OWN = "[memory]\nreserve_gib = 0.0\nreserve_percent = 0.0\n[sampling.thinking]\ntemperature = 0.0\n"
PRECIOUS = "precious\n"
WITHIN_S = 25.0
"""How long anything may take to come."""


class Home(NamedTuple):
    """A home as a command finds it."""

    path: Path
    """Of the home folder, on a disk of its own."""
    prefix: tuple[str, ...] = ()
    """What the command is run by: another user, another umask."""
    is_saved: bool = True
    """Whether conversations can be written."""
    is_home: bool = True
    """Whether anybody knows where it is."""
    is_private: bool = True
    """Whether what is below it belongs to whoever runs the command."""


Make = Callable[[Path], contextlib.AbstractContextManager[Home]]


def as_user(user: int) -> tuple[str, ...]:
    """By this user, who may use the interpreter also where it is installed in root's home."""
    switch = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups")
    python = Path(sys.base_prefix).resolve()
    closed = [part for part in python.parents if not part.stat().st_mode & stat.S_IXOTH]
    if not closed:
        return switch
    variables = f"python={shlex.quote(str(python))}; closed={shlex.quote(str(closed[-1]))}"
    script = (
        f'{variables}; mount --bind "$python" /mnt && mount -t tmpfs -o mode=0755 tmpfs "$closed" && '
        'mkdir -p "$python" && mount --bind /mnt "$python" && exec "$@"'
    )
    return ("unshare", "-m", "/bin/sh", "-c", script, "sh", *switch)


def with_umask(mask: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", f'umask {mask}; exec "$@"', "sh")


def give(path: Path, user: int) -> None:
    """All of it belongs to this user."""
    for one in (path, *path.rglob("*")):
        os.chown(one, user, user, follow_symlinks=False)


# Homes ----------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def as_it_should_be(home: Path) -> Iterator[Home]:
    yield Home(home)


def mounted_read_only(place: str) -> Make:
    @contextlib.contextmanager
    def make(home: Path) -> Iterator[Home]:
        with small_disk.read_only(home / PLACES[place]):
            yield Home(home, is_saved=place not in ("home", "data"))

    return make


def closed(place: str, mode: int) -> Make:
    """The folder has these permissions, for a user who is not root."""

    @contextlib.contextmanager
    def make(home: Path) -> Iterator[Home]:
        give(home, NOBODY)
        folder = home / PLACES[place]
        folder.chmod(mode)
        if place == "home":
            for inner in PLACES.values():
                (home / inner).chmod(mode)
        yield Home(home, as_user(NOBODY), is_saved=place not in ("home", "data"))
        folder.chmod(0o700)

    return make


def of_another_user(place: str, mode: int) -> Make:
    @contextlib.contextmanager
    def make(home: Path) -> Iterator[Home]:
        give(home, NOBODY)
        folder = home / PLACES[place]
        (folder / "llmtui").mkdir(exist_ok=True)
        give(folder, SOMEBODY)
        for one in (folder, folder / "llmtui"):
            one.chmod(mode)
        yield Home(home, as_user(NOBODY), is_saved=place not in ("home", "data"), is_private=False)

    return make


def replaced(place: str, what: str) -> Make:
    """Something else is in the place of llmtui's folder there."""

    @contextlib.contextmanager
    def make(home: Path) -> Iterator[Home]:
        folder = home / PLACES[place] / "llmtui"
        for file in folder.iterdir() if folder.is_dir() else ():
            file.unlink()
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()
        match what:
            case "a file":
                folder.write_text(PRECIOUS)
            case "a dangling link":
                folder.symlink_to(home / "nowhere" / "at all")
            case "a link to itself":
                folder.symlink_to(folder)
            case _:
                os.mkfifo(folder)
        yield Home(home, is_saved=place != "data")

    return make


@contextlib.contextmanager
def environment(home: Path, prefix: Sequence[str] = (), /, **changes: str | None) -> Iterator[Home]:
    """Variables with these values, or without one."""
    before = dict(os.environ)
    for name, value in changes.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value.replace("HOME", str(home))
    try:
        yield Home(home, tuple(prefix))
    finally:
        os.environ.clear()
        os.environ.update(before)


def variables(**changes: str | None) -> Make:
    return lambda home: environment(home, **changes)


@contextlib.contextmanager
def a_file_for_a_home(home: Path) -> Iterator[Home]:
    with environment(home, HOME="HOME/precious"):
        yield Home(home, is_saved=False)


@contextlib.contextmanager
def nobody_knows_it(home: Path) -> Iterator[Home]:
    give(home, UNKNOWN)
    with environment(home, as_user(UNKNOWN), HOME=None):
        yield Home(home, as_user(UNKNOWN), is_home=False)


def run_by(*prefix: str) -> Make:
    return lambda home: contextlib.nullcontext(Home(home, prefix))


def temporary_files(options: str, *, is_full: bool = False) -> Make:
    """TMPDIR on a disk with these options."""

    @contextlib.contextmanager
    def make(home: Path) -> Iterator[Home]:
        with small_disk.small_disk(home / "tmp", 1 << 16, options=options) as disk:
            disk.path.chmod(0o1777)
            if is_full:
                disk.fill()
            with environment(home, TMPDIR="HOME/tmp") as found:
                yield found

    return make


@contextlib.contextmanager
def no_temporary_files(home: Path) -> Iterator[Home]:
    """Nothing can be written in any folder for them."""
    script = (
        "for folder in /tmp /var/tmp; do mount --rbind $folder $folder && mount -o remount,bind,ro $folder; done; "
        'exec "$@"'
    )
    yield Home(home, ("unshare", "-m", "/bin/sh", "-c", script, "sh"))


PLANTED = {
    "state.toml": ".local/state/llmtui/state.toml",
    "the log": ".local/state/llmtui/log/llmtui.log",
    "the drafts": ".local/state/llmtui/drafts",
    "the conversations": ".local/share/llmtui/conversations.db",
    "their lock": ".local/share/llmtui/conversations.db-lock",
    "the benchmarks": ".local/share/llmtui/bench.sqlite",
    "the cache of headers": ".cache/llmtui/library.msgpack",
    "the contexts": ".cache/llmtui/contexts",
}


def planted(what: str) -> Make:
    """A link of another user in the place of a file, which leads to something precious."""

    @contextlib.contextmanager
    def make(home: Path) -> Iterator[Home]:
        give(home, NOBODY)
        link = home / PLANTED[what]
        link.parent.mkdir(parents=True, exist_ok=True)
        for above in (link.parent, *link.parent.parents):
            if above == home:
                break
            above.chmod(0o700)
            os.chown(above, NOBODY, NOBODY)
        link.unlink(missing_ok=True)
        target = home / "precious"
        if what in ("the drafts", "the contexts"):
            target.unlink()
            target.mkdir()
        give(target, NOBODY)
        link.symlink_to(target)
        os.chown(link, SOMEBODY, SOMEBODY, follow_symlinks=False)
        yield Home(home, as_user(NOBODY), is_saved="conversations" not in what and "lock" not in what)
        if target.is_dir() and list(target.iterdir()):
            raise Wrong(f"written through a link: {list(target.iterdir())}")

    return make


def homes() -> dict[str, Make]:
    """Each by what it is called."""
    found: dict[str, Make] = {"as it should be": as_it_should_be}
    for place in PLACES:
        found[f"{place} mounted read-only"] = mounted_read_only(place)
        found[f"{place} with mode 0500"] = closed(place, 0o500)
        found[f"{place} with mode 0"] = closed(place, 0)
        found[f"{place} of another user"] = of_another_user(place, 0o755)
        found[f"{place} of another user, open to all"] = of_another_user(place, 0o777)
        if place != "home":
            for what in ("a file", "a dangling link", "a link to itself", "a pipe"):
                found[f"{place}: {what}"] = replaced(place, what)
    xdg = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
    found |= {
        "HOME not set": variables(HOME=None),
        "HOME empty": variables(HOME=""),
        "HOME relative": variables(HOME="somewhere"),
        "HOME not there": variables(HOME="HOME/not/there"),
        "HOME is a file": a_file_for_a_home,
        "nobody knows where it is": nobody_knows_it,
        "XDG relative": variables(**dict.fromkeys(xdg, "relative")),
        "XDG empty": variables(**dict.fromkeys(xdg, "")),
        "XDG in a folder that is not there": variables(**dict.fromkeys(xdg, "HOME/a/b/c")),
        "no XDG_RUNTIME_DIR": variables(XDG_RUNTIME_DIR=None),
        "umask 0": run_by(*with_umask("0")),
        "umask 077": run_by(*with_umask("077")),
        "umask 0777": run_by(*with_umask("0777")),
        "temporary files may not be run": temporary_files(",noexec"),
        "no room for temporary files": temporary_files("", is_full=True),
        "no place for temporary files": no_temporary_files,
        "TMPDIR not there": variables(TMPDIR="HOME/not/there"),
    }
    return found | {f"a link of another user for {what}": planted(what) for what in PLANTED}


# What is right --------------------------------------------------------------------------------------------------------


class Wrong(Exception):
    """What is not as it should be."""


def check_command(home: Home, arguments: Sequence[str]) -> None:
    """It does what was asked, or says in a sentence what to do."""
    done = subprocess.run(
        [*home.prefix, *LLMTUI, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
    )
    told = f"exit code {done.returncode}; {done.stdout[-300:]!r} {done.stderr[-1500:]!r}"
    if "Traceback" in done.stderr + done.stdout:
        raise Wrong(told)
    if not home.is_home and arguments[0] not in ("--help", "--version"):
        if done.returncode != 2 or "HOME" not in done.stderr:
            raise Wrong(told)
    elif done.returncode == 2 and "--history" in arguments and "the benchmark history failed" in done.stderr:
        pass
    elif done.returncode == 2 and "--compare" in arguments and "is compared with nothing" in done.stderr:
        pass  # a guard that looks at nothing does not pass
    elif done.returncode != 0:
        raise Wrong(told)


def check_app(home: Home) -> None:
    """It starts, answers, says when that is not saved, and ends."""
    with on_pty(*home.prefix, *LLMTUI, DENSE, "-t", "1", "-c", "1024") as program:
        if not home.is_home:
            if program.wait_for_end() != 2:
                raise Wrong("it started without a home")
            while program.read(0.1):
                pass
            if "HOME" not in program.text or "Traceback" in program.text:
                raise Wrong(program.text)
            return
        program.wait_for("ctx ")
        program.type(b"ping\r")
        program.wait_for("· CPU ·")
        program.wait_for("pong")
        if not home.is_saved:
            program.wait_for(lambda: "database failed" in program.text)
        program.type(b"\x1bOS")  # the sidebar, which is remembered
        program.type(b"half a sentence")
        program.wait_for("half a sentence")
        program.type(b"\x11")
        if not home.is_saved:
            program.wait_for("Quit without saving?")
            program.type(b"y")
        code = program.wait_for_end()
        while program.read(0.1):
            pass
        if code != 0:
            raise Wrong(f"exit code {code}")
        end = program.raw.rpartition(b"\x1b[?1049l")[2].decode("utf-8", "replace")
        if b"Traceback" in program.raw or (not home.is_saved and "could not be saved" not in " ".join(end.split())):
            raise Wrong(f"the last words were {end!r}")


def check_files(home: Home, cwd: Path) -> None:
    """Nothing lies where it does not belong, and what is there is for its owner."""
    if (precious := home.path / "precious").is_file() and precious.read_text() != PRECIOUS:
        raise Wrong(f"what was precious is now {precious.read_bytes()[:80]!r}")
    if stray := [*cwd.iterdir()]:
        raise Wrong(f"in the folder that it was started in: {stray}")
    if home.is_private:
        for root in [place for place in home.path.rglob("llmtui") if place.is_dir() and not place.is_symlink()]:
            for path in (root, *root.rglob("*")):
                if not path.is_symlink() and not stat.S_ISFIFO(path.stat().st_mode) and path.stat().st_mode & 0o077:
                    raise Wrong(f"open to others: {path} {stat.filemode(path.stat().st_mode)}")


def furnish(home: Path) -> None:
    """What is in it before."""
    for place in PLACES.values():
        (home / place).mkdir(parents=True, exist_ok=True, mode=0o700)
    (home / ".config/llmtui").mkdir(mode=0o700)
    (home / ".config/llmtui/settings.toml").write_text(OWN)
    (home / ".config/llmtui/settings.toml").chmod(0o600)
    (home / "precious").write_text(PRECIOUS)


def main() -> int:
    """Try each home with each command and print a row for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="homes with one of these in their names")
    parser.add_argument("--commands", nargs="+", default=[], metavar="WORD", help="the app, --bench and so on")
    options = parser.parse_args()
    on_pty_module.WITHIN_S = WITHIN_S
    small_disk.in_a_namespace([sys.executable, *sys.argv])
    if reason := small_disk.why_not():
        print(f"{reason}. Run it as root, or where `unshare -rm` is allowed.")
        return 2
    os.environ["PYTHONPATH"] = str(PROJECT)
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        del os.environ[name]
    is_root = "LLMTUI_IN_NAMESPACE" not in os.environ
    n_runs, n_wrong = Counter[str](), 0
    with tempfile.TemporaryDirectory(prefix="llmtui-campaign-") as folder:
        Path(folder).chmod(0o755)
        cwd = Path(folder, "cwd")
        cwd.mkdir(mode=0o777)
        cwd.chmod(0o1777)
        os.chdir(cwd)
        for number, (name, make) in enumerate(homes().items()):
            if options.only and not any(word in name for word in options.only):
                continue
            if not is_root and any(word in name for word in ("another user", "mode 0", "nobody knows")):
                n_runs["left out: other users need root"] += 1
                continue
            for command in ("the app", *COMMANDS):
                if options.commands and not any(word in command for word in options.commands):
                    continue
                with small_disk.small_disk(Path(folder, f"{number} {command}"), n_files=2000) as disk:
                    furnish(disk.path)
                    os.environ["HOME"] = str(disk.path)
                    try:
                        with make(disk.path) as home:
                            if command == "the app":
                                check_app(home)
                            else:
                                check_command(home, COMMANDS[command])
                            check_files(home, cwd)
                        wrong = ""
                    except (Wrong, AssertionError, OSError, subprocess.TimeoutExpired) as error:
                        wrong = f"{type(error).__name__}: {error}"
                        n_wrong += 1
                        for stray in cwd.iterdir():
                            subprocess.run(["rm", "-rf", str(stray)], check=False)
                n_runs[command] += 1
                if wrong:
                    print(f"{name}: {command}: {wrong}", flush=True)
            print(f"{name}: done, {n_wrong} wrong so far", flush=True)
        os.chdir(PROJECT)
    for command, n in n_runs.items():
        print(f"  {n:>4} {command}")
    print(f"{n_wrong} wrong")
    return int(n_wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
