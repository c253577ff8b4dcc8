"""A full disk, or one that takes nothing: what is not saved is said, and saved once there is room. The app on a small
disk of its own, where one can be mounted. `tests/campaigns/full_disk.py` does the same at every moment."""

from __future__ import annotations

import logging
import resource
import sqlite3
import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests import small_disk
from tests.conftest import DENSE, until
from tests.on_pty import LLMTUI, on_pty
from tests.running import llmtui
from tui.app.clipboard import CopyError, copy
from tui.chat import conversation as chat
from tui.chat.schema import as_store_error
from tui.chat.store import Store, StoreError
from tui.config import paths
from tui.config.problems import ConfigProblem
from tui.config.state import StateStore
from tui.session.state_writer import StateWriter

mounts = pytest.mark.skipif(bool(small_disk.why_not()), reason=small_disk.why_not())
BENCH = ("--bench", DENSE, "-p", "16", "-n", "4", "-r", "1", "-t", "1")


@pytest.fixture
def disk(home: Path) -> Iterator[small_disk.SmallDisk]:
    """The whole home is on it."""
    with small_disk.small_disk(home) as disk:
        yield disk


@contextmanager
def no_file_larger_than(n_bytes: int) -> Iterator[None]:
    """For this process, as a quota does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@mounts
@pytest.mark.timeout(240)
def test_nothing_is_lost_on_a_disk_that_is_full_for_a_while(disk: small_disk.SmallDisk) -> None:
    with on_pty(*LLMTUI, DENSE, "-t", "1") as program:
        program.wait_for("ctx ")
        disk.fill()
        program.type(b"ping\r")
        program.wait_for("pong")
        program.wait_for(lambda: "database failed" in program.text and "Free some space" in program.text)
        program.type(b"\x1b[19~")  # themes
        program.wait_for("Theme")
        program.type(b"\x1b[B\r")
        program.wait_for("· CPU ·")
        disk.free()
        program.wait_for("saved again")
        program.type(b"\x11")
        program.wait_for_end()
        program.read(0.1)
    assert b"llmtui:" not in program.raw.rpartition(b"\x1b[?1049l")[2]
    with closing(sqlite3.connect(paths.database_file())) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        turns = database.execute("SELECT role, text, stop FROM turns ORDER BY position").fetchall()
    assert turns == [("user", "ping", None), ("assistant", "pong", "stop")]
    assert tomllib.loads(paths.state_file().read_text())["theme"]


@mounts
@pytest.mark.timeout(240)
def test_on_a_disk_that_is_full_from_the_start_what_was_saved_before_is_there(disk: small_disk.SmallDisk) -> None:
    with on_pty(*LLMTUI, DENSE, "-t", "1") as program:
        program.wait_for("ctx ")
        program.type(b"ping\r")
        program.wait_for("· CPU ·")
        program.type(b"\x11")
        program.wait_for_end()
    disk.fill()
    with on_pty(*LLMTUI, DENSE, "-t", "1", "--continue") as program:
        program.wait_for("pong")
        program.wait_for("database failed")
        program.wait_for("ctx ")
        program.type(b"never sent\x11")
        program.wait_for_end()
        while program.read(0.1):
            pass
    last_words = " ".join(program.raw.rpartition(b"\x1b[?1049l")[2].decode().split())
    assert "unsent text could not be kept: No space left on device" in last_words


@mounts
def test_a_benchmark_on_a_full_disk_prints_its_figures_and_says_what_is_not_kept(disk: small_disk.SmallDisk) -> None:
    disk.fill()
    done = llmtui(*BENCH, "--output", "json")
    assert (done.returncode, "pp16" in done.stderr, "not kept" in done.stderr) == (0, False, True)
    assert '"n_prompt": 16' in done.stdout
    assert "no benchmarks yet" in llmtui("--bench", "--history").stderr


@mounts
async def test_a_disk_that_becomes_read_only_does_not_keep_the_store_from_closing(home: Path) -> None:
    path = home / "data" / "conversations.db"
    store = Store(path)
    conversation = chat.with_turn(chat.new_conversation(), chat.user_turn("Hello"))
    await store.create(conversation)
    with small_disk.read_only(home):
        # What was opened before can be written on; nothing can be made or removed any more.
        await store.close()
    reopened = Store(path)
    assert (await reopened.open(conversation.id)).turns == conversation.turns
    await reopened.close()
    assert not list(path.parent.glob("*-writer-*"))


def test_a_limit_on_files_is_called_what_it_is_and_not_a_fault_of_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "conversations.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE a(b)")
        with no_file_larger_than(path.stat().st_size), pytest.raises(sqlite3.Error) as caught:
            database.execute("INSERT INTO a VALUES (?)", ("x" * 100_000,))
            database.commit()
        with no_file_larger_than(path.stat().st_size):
            told = as_store_error(caught.value, path)
    assert (told.kind, told.detail, told.is_retried) == ("full", "File too large", True)


async def test_text_that_streams_is_saved_at_once_when_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.chat.writer.STREAM_S", 3600.0)
    store = Store(tmp_path / "conversations.db")
    conversation, turn = chat.with_turn(chat.new_conversation(), chat.user_turn("Hello")), chat.answer_turn("Qwen3")
    await store.create(conversation)
    await store.append_turn(conversation.id, turn)
    store.update_stream(turn.id, "The sky")
    await store.flush()
    store.update_stream(turn.id, "The sky is blue")
    await store.flush()
    with closing(sqlite3.connect(store.path)) as other:
        assert other.execute("SELECT text FROM chunks ORDER BY position").fetchall() == [("The sky",), (" is blue",)]
    await store.close()


async def test_what_cannot_be_remembered_is_told_once_and_written_when_it_can(tmp_path: Path) -> None:
    obstacle = tmp_path / "state"
    obstacle.write_text("in the way")
    told: list[ConfigProblem] = []
    state = StateStore(obstacle / "state.toml")
    writer = StateWriter(state, told.append, retry_s=0.01)
    writer.update(theme="paper")
    writer.update(sidebar=False)
    await until(lambda: told)
    assert await StateWriter(StateStore(state.file), told.append).flush() is None  # that one has nothing to write
    obstacle.unlink()
    await until(state.file.exists)
    assert await writer.flush() is None
    assert len(told) == 1 and "cannot be written" in str(told[0])
    kept = tomllib.loads(state.file.read_text())
    assert (kept["theme"], kept["sidebar"]) == ("paper", False)


async def test_what_can_still_not_be_remembered_at_the_end_is_given(tmp_path: Path) -> None:
    obstacle = tmp_path / "state"
    obstacle.write_text("in the way")
    writer = StateWriter(StateStore(obstacle / "state.toml"), lambda _: None, retry_s=3600.0)
    writer.update(theme="paper")
    problem = await writer.flush()
    assert problem is not None and "lost when it quits" in str(problem)


def test_a_log_that_could_not_be_written_goes_on_in_silence(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from tui.config.logfile import PrivateLog

    paths.log_file().parent.mkdir(parents=True)
    log = logging.Logger("of this test")
    handler = PrivateLog(paths.log_file(), maxBytes=4096, backupCount=1, encoding="utf-8")
    log.addHandler(handler)
    log.warning("before")
    with no_file_larger_than(paths.log_file().stat().st_size):
        for _ in range(200):
            log.warning("x" * 100)
    log.warning("after")
    handler.close()
    assert "after\n" in paths.log_file().read_text() and capfd.readouterr() == ("", "")


async def test_half_of_what_was_copied_is_no_copy(tmp_path: Path) -> None:
    with no_file_larger_than(1000), pytest.raises(CopyError, match="File too large"):
        await copy("x" * 5000, "file", folder=tmp_path / "exports")
    assert list((tmp_path / "exports").iterdir()) == []


async def test_without_a_place_for_temporary_files_something_else_takes_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", nowhere)
    (tmp_path / "xsel").write_text("#!/bin/sh\n")
    (tmp_path / "xsel").chmod(0o755)
    environment = {"PATH": str(tmp_path), "DISPLAY": ":0", "TERM": "xterm"}
    sent: list[str] = []
    result = await copy("text", environ=environment, platform="linux", write_terminal=sent.append)
    assert result.how == "osc52" and sent and "No usable temporary directory" in result.detail


async def test_a_conversation_that_cannot_be_renamed_now_has_its_new_name_all_the_same(tmp_path: Path) -> None:
    store = Store(tmp_path / "conversations.db", retry_s=0.01)
    conversation = chat.with_turn(chat.new_conversation(), chat.user_turn("Hello"))
    await store.create(conversation)
    with no_file_larger_than(0):
        with pytest.raises(StoreError) as caught:
            await store.rename(conversation.id, "Another name")
        in_memory = await store.list()
    assert (caught.value.kind, [one.title for one in in_memory]) == ("full", ["Another name"])
    await until(lambda: store.n_unsaved == 0)
    assert [one.title for one in await store.list()] == ["Another name"]
    await store.close()


@mounts
async def test_what_was_in_a_deleted_database_is_rescued_when_there_is_room(disk: small_disk.SmallDisk) -> None:
    told: list[StoreError | None] = []
    path = paths.database_file()
    store = Store(path, told.append, retry_s=0.05)
    conversation = chat.with_turn(chat.new_conversation(), chat.user_turn("Hello" * 10_000))
    await store.create(conversation)
    disk.fill()
    path.unlink()
    disk.fill()
    await until(lambda: any(error is not None and error.kind == "full" for error in told))
    assert [one.id for one in await store.list()] == [conversation.id]
    disk.free()
    await until(lambda: any(error is not None and error.kind == "rescued" for error in told))
    await store.close()
    reopened = Store(path)
    assert (await reopened.open(conversation.id)).turns == conversation.turns
    await reopened.close()
