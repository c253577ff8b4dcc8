"""Where a host and who asks it meet: whose folder, which of two, and hosts that are of another version or silent."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from tests.ask.test_ask import HELLO, TINY
from tests.running import llmtui
from tui.base.exit_codes import ExitCode
from tui.config import paths
from tui.host import client, meeting
from tui.host.meeting import HostProblem, Meeting, peer
from tui.host.messages import Welcome
from tui.protocol.wire import encode

OTHER = Welcome(version="9.9", pid=1, protocol=99)


@asynccontextmanager
async def host_that_says(first: Welcome | None) -> AsyncIterator[None]:
    """A host that greets so, or not at all, and says nothing more."""
    place = meeting.meeting(is_made=True)
    assert place is not None
    with place:
        lock = place.lock()
        assert lock is not None

        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if first is not None:
                writer.write(encode(first))
            writers.append(writer)

        writers: list[asyncio.StreamWriter] = []
        server = await asyncio.start_unix_server(greet, sock=place.listen())
        try:
            yield
        finally:
            server.close()
            for writer in writers:
                writer.close()
            place.leave()
            os.close(lock)


async def test_a_host_of_another_version_is_told_and_done_without() -> None:
    async with host_that_says(OTHER):
        with pytest.raises(HostProblem, match=r"of another version, 9\.9\. `llmtui stop` ends it"):
            await client.find()
        done = await asyncio.to_thread(llmtui, "ask", "hello", *TINY)
        assert (done.returncode, done.stdout) == (ExitCode.FINE, f"{HELLO}\n")
        assert "of another version" in done.stderr
        listed = await asyncio.to_thread(llmtui, "ls")
        assert listed.returncode == ExitCode.ENGINE and "of another version" in listed.stderr


async def test_a_silent_host_is_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_GREETING_S", 0.1)
    async with host_that_says(None):
        with pytest.raises(HostProblem, match=f"process {os.getpid()}.*does not answer"):
            await client.find()


def test_of_two_that_start_at_once_one_is_it(runtime: Path) -> None:
    place = meeting.meeting(is_made=True)
    other = meeting.meeting()
    assert place and other
    with place, other:
        assert other.connected() is None and not other.is_locked()
        lock = place.lock()
        assert lock is not None and other.lock() is None and other.is_locked()
        with place.listen():
            connection = other.connected()
            assert connection is not None
            with connection:
                assert peer(connection) == (os.getpid(), os.geteuid())
        # One that was killed leaves both files, and another takes its place.
        os.close(lock)
        assert other.connected() is None and not other.is_locked()
        again = other.lock()
        assert again is not None
        other.listen().close()
        other.leave()
        os.close(again)
    assert list((runtime / "llmtui").iterdir()) == []


def test_a_folder_of_another_user_is_not_trusted(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = runtime / "llmtui"
    folder.mkdir(mode=0o700)
    with Meeting(folder):
        pass
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(HostProblem, match="is not a folder of yours alone"):
        Meeting(folder)
    # After `su` the variable is still that of who was logged in: /tmp is taken.
    assert paths.host_dir() == Path(f"/tmp/llmtui-{me + 1}")
    monkeypatch.undo()
    (runtime / "link").symlink_to(folder)
    with pytest.raises(OSError):
        Meeting(runtime / "link")


def test_homes_do_not_share_a_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place = meeting.meeting(is_made=True)
    assert place
    with place:
        lock = place.lock()
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
        other = meeting.meeting()
        assert other and lock is not None
        with other:
            another = other.lock()
            assert another is not None
            other.leave()
            os.close(another)
        place.leave()
        os.close(lock)


def test_the_first_words_are_understood_by_every_version() -> None:
    frame = msgspec.msgpack.encode({"type": "Welcome", "version": "3", "pid": 1, "protocol": 7, "more": 1})
    assert msgspec.msgpack.decode(frame, type=Welcome).protocol == 7


async def test_a_host_that_lets_nobody_in_any_more_is_told_and_not_waited_for() -> None:
    place = meeting.meeting(is_made=True)
    assert place
    with place, place.listen() as listener:
        listener.listen(0)
        with place.connected() or listener, pytest.raises(HostProblem, match="has stopped answering"):
            await client.find()
        place.leave()


def test_who_looks_for_a_host_keeps_none_from_starting(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = meeting.meeting(is_made=True)
    assert place
    with place:
        lock = place.lock()
        assert lock is not None
        os.close(lock)
        (file,) = (runtime / "llmtui").iterdir()
        looking = os.open(file, os.O_RDWR)
        fcntl.flock(looking, fcntl.LOCK_SH)
        found = place.is_locked

        def is_locked() -> bool:
            is_there = found()
            os.close(looking)
            return is_there

        monkeypatch.setattr(place, "is_locked", is_locked)
        lock = place.lock()
        assert lock is not None
        os.close(lock)
