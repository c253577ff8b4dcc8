# ruff: noqa: ASYNC221 - blocking hurts nobody here
"""Who may read what llmtui writes: nobody but its owner, whatever the umask and whoever made the folder; and nothing is
opened that another user has placed there."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import DENSE, TINY
from tests.engine.asking import ask, user
from tests.patience import PATIENCE_S
from tests.running import llmtui
from tui.base import private
from tui.chat import conversation as chat
from tui.chat import export
from tui.chat.schema import opening
from tui.chat.store import Store
from tui.config import paths
from tui.config.state import StateStore
from tui.engines.local import LocalEngine
from tui.protocol.messages import SaveContext

SOMEBODY = 12345
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what another user would have made")
SMALL = ("-p", "16", "-n", "4", "-r", "2", "-t", "1")


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The most careless one."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def open_to_others(home: Path) -> list[Path]:
    """What others may read or enter of all that lies below llmtui's folders, which may lie in folders that are open."""
    roots = [place for place in home.rglob("llmtui") if place.is_dir()]
    assert roots
    return [path for root in roots for path in [root, *root.rglob("*")] if mode(path) & 0o077]


@pytest.mark.parametrize("is_there", [False, True], ids=["new", "too open"])
async def test_all_that_the_app_keeps_is_for_its_owner(home: Path, is_there: bool) -> None:
    folders = [paths.database_file().parent, paths.state_file().parent, paths.log_file().parent, paths.exports_dir()]
    folders += [paths.contexts_dir(), paths.library_cache_file().parent]
    if is_there:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        for file in (paths.database_file(), paths.log_file()):
            file.touch(mode=0o666)
    program = (
        "import os; os.umask(0)\n"
        "from tui.app.run import make_app; from tui.config.options import AppOptions\n"
        "import logging; make_app(AppOptions()); logging.getLogger('llmtui').warning('something')\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE_S)
    store = Store(paths.database_file())
    conversation = chat.with_turn(chat.new_conversation(), chat.user_turn("a secret"))
    await store.create(conversation)
    export.write(conversation, paths.exports_dir(), "json")
    assert StateStore().update(theme="paper") is None
    during = open_to_others(home)
    await store.close()
    assert during == open_to_others(home) == []


def test_a_benchmark_as_the_first_command_closes_its_folders_and_leaves_nothing_open(home: Path) -> None:
    done = llmtui("--bench", DENSE, *SMALL)
    assert done.returncode == 0, done.stderr
    assert open_to_others(home) == []


async def test_a_context_that_the_engine_keeps_is_for_its_owner(home: Path) -> None:
    file = paths.contexts_dir() / "one.kv"
    async with LocalEngine() as engine:
        await engine.load(DENSE, TINY)
        await ask(engine, user("hello"), thinking=False, max_tokens=4)
        assert (await engine.ask(SaveContext(path=str(file)))).problem is None
    assert (mode(file), mode(file.parent)) == (0o600, 0o700) and open_to_others(home) == []


def test_a_lock_is_never_truncated(tmp_path: Path) -> None:
    lock = tmp_path / "conversations.db-lock"
    lock.write_text("somebody's notes")
    with opening(tmp_path / "conversations.db", 1.0):
        pass
    assert lock.read_text() == "somebody's notes"


def test_a_link_of_our_own_is_followed(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "log").symlink_to(tmp_path / "dotfiles" / "log")
    os.close(private.open_file(tmp_path / "log", os.O_WRONLY | os.O_CREAT))
    assert mode(tmp_path / "dotfiles" / "log") == 0o600


@pytest.mark.parametrize("what", ["a file", "a link that leads to no folder"])
def test_what_is_in_the_place_of_a_folder_is_said(tmp_path: Path, what: str) -> None:
    place = tmp_path / "llmtui"
    if what == "a file":
        place.write_text("notes")
    else:
        place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError, match=f"llmtui is {what}, where a folder should be"):
        private.folder(place / "log")
    assert not (tmp_path / "nowhere").exists()


def test_a_pipe_or_a_device_is_no_file_of_ours(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        private.open_file(tmp_path / "pipe", os.O_RDWR)


@only_root
@pytest.mark.parametrize("what", ["folder", "link to a folder", "file", "link to a file"])
def test_what_another_user_has_placed_is_refused(tmp_path: Path, what: str) -> None:
    shared, target = tmp_path / "shared", tmp_path / "target"
    shared.mkdir()
    shared.chmod(0o1777)
    target.mkdir()
    (target / "file").write_text("precious")
    placed = shared / "llmtui"
    match what:
        case "folder":
            placed.mkdir()
        case "link to a folder":
            placed.symlink_to(target)
        case "file":
            placed = shared / "file"
            placed.write_text("")
        case _:
            placed = shared / "file"
            placed.symlink_to(target / "file")
    os.chown(placed, SOMEBODY, SOMEBODY, follow_symlinks=False)
    with pytest.raises(private.NotOursError, match="another user"):
        if "folder" in what:
            private.folder(placed / "log")
        else:
            os.close(private.open_file(placed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
    assert (target / "file").read_text() == "precious" and not (target / "log").exists()


@only_root
def test_a_folder_of_another_user_is_told_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "shared"
    (shared / "llmtui").mkdir(parents=True)
    os.chown(shared / "llmtui", SOMEBODY, SOMEBODY)
    monkeypatch.setenv("XDG_STATE_HOME", str(shared))
    problem = StateStore().update(theme="paper")
    assert problem is not None and "belongs to another user" in str(problem)
