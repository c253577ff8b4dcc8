"""Files that appear whole or not at all, whatever happens to whoever writes them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import llmtui, locked_by_another
from tui.base import newfile
from tui.base.newfile import NewFile
from tui.config import paths

WRITER = """
import sys, time
from pathlib import Path
from tui.base.newfile import NewFile
with NewFile(Path(sys.argv[1])) as new:
    new.stream.write(b"half")
    new.stream.flush()
    print("writes", flush=True)
    time.sleep(600)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_writer_left_goes_with_the_next_file_and_not_before_it_is_dead(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE)
    try:
        assert writer.stdout and writer.stdout.readline() == b"writes\n"
        with NewFile(tmp_path) as new:
            new.become(tmp_path / "mine")
        assert len(names(tmp_path)) == 2
    finally:
        writer.kill()
        writer.communicate()
    assert len(names(tmp_path)) == 2
    (tmp_path / "notes.tmp").touch()  # somebody else's
    with NewFile(tmp_path) as new:
        new.stream.write(b"whole")
        new.become(tmp_path / "mine")
    assert names(tmp_path) == ["mine", "notes.tmp"] and (tmp_path / "mine").read_bytes() == b"whole"
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o600


def test_what_another_process_holds_is_neither_truncated_nor_removed(tmp_path: Path) -> None:
    held = tmp_path / ".llmtui-held.tmp"
    held.write_text("half")
    with locked_by_another(held):
        with NewFile(tmp_path) as new:
            new.become(tmp_path / "mine")
        assert held.read_text() == "half"


def test_a_start_removes_what_the_last_one_left() -> None:
    folders = [paths.state_file().parent, paths.exports_dir(), paths.contexts_dir()]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / ".llmtui-half.tmp").touch()
    llmtui("--history")
    assert not any(".llmtui-half.tmp" in names(folder) for folder in folders)


def test_what_goes_wrong_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), NewFile(tmp_path) as new:
        new.stream.write(b"half")
        raise ZeroDivisionError
    assert names(tmp_path) == []


@pytest.mark.parametrize("has_links", [True, False])
def test_a_new_name_is_taken_from_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool) -> None:
    def link(*_: object) -> None:
        raise PermissionError

    if not has_links:
        monkeypatch.setattr(os, "link", link)
    (tmp_path / "a").write_bytes(b"theirs")
    with NewFile(tmp_path) as new:
        new.stream.write(b"ours")
        with pytest.raises(FileExistsError):
            new.become_new(tmp_path / "a")
        new.become_new(tmp_path / "b")
    assert names(tmp_path) == ["a", "b"]
    assert (tmp_path / "a").read_bytes() == b"theirs" and (tmp_path / "b").read_bytes() == b"ours"


def test_where_files_cannot_be_locked_only_old_ones_count_as_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(fcntl, "flock", flock)
    new, old = tmp_path / ".llmtui-new.tmp", tmp_path / ".llmtui-old.tmp"
    new.touch()
    old.touch()
    os.utime(old, (1_000_000, 1_000_000))
    newfile.remove_dead(tmp_path)
    assert names(tmp_path) == [new.name]
