"""Which kept KV caches stay on the disk: the ones used last, within number and size."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tui.base.newfile import NewFile
from tui.chat.context_files import ContextFiles


def kept(folder: Path, *names: str, n_bytes: int = 100) -> None:
    """Files of these conversations, the one used last at the end."""
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        file = folder / f"{name}.kv"
        file.write_bytes(bytes(n_bytes))
        os.utime(file, (1_000_000 + number, 1_000_000 + number))


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "contexts"


def test_the_oldest_beyond_the_number_go(folder: Path) -> None:
    kept(folder, "a", "b", "c", "d")
    ContextFiles(folder, 2, 10_000).tidy()
    assert names(folder) == ["c.kv", "d.kv"]


def test_the_oldest_beyond_the_size_go(folder: Path) -> None:
    kept(folder, "a", "b", "c", "d")
    ContextFiles(folder, 9, 399).tidy()
    assert names(folder) == ["b.kv", "c.kv", "d.kv"]


def test_one_that_was_opened_again_is_not_the_oldest_any_more(folder: Path) -> None:
    kept(folder, "a", "b", "c")
    files = ContextFiles(folder, 2, 10_000)
    files.touch("a")
    files.tidy()
    assert names(folder) == ["a.kv", "c.kv"]


@pytest.mark.parametrize(("n_keep", "max_bytes"), [(0, 10_000), (5, 0)])
def test_off_deletes_all(folder: Path, n_keep: int, max_bytes: int) -> None:
    kept(folder, "a", "b")
    (folder / ".llmtui-123.tmp").touch()
    files = ContextFiles(folder, n_keep, max_bytes)
    assert not files.is_on
    files.tidy()
    assert names(folder) == []


def test_what_a_killed_writer_left_goes_and_what_is_being_written_stays(folder: Path) -> None:
    kept(folder, "a")
    (folder / ".llmtui-dead.tmp").touch()
    (folder / "notes.txt").touch()
    with NewFile(folder) as new:
        ContextFiles(folder, 2, 10_000).tidy()
        assert len(names(folder)) == 3
        new.become(folder / "b.kv")
    assert names(folder) == ["a.kv", "b.kv", "notes.txt"]


def test_forgetting_deletes_that_one_alone(folder: Path) -> None:
    kept(folder, "a", "b")
    files = ContextFiles(folder, 2, 10_000)
    files.forget("a")
    files.forget("never there")
    assert names(folder) == ["b.kv"]


def test_a_folder_that_is_not_there_is_no_trouble(folder: Path) -> None:
    files = ContextFiles(folder, 2, 10_000)
    files.tidy()
    files.touch("a")
    files.forget("a")
    assert not folder.exists()
