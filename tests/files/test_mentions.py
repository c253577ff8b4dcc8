"""`@path` in what is written, and what is in folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.files.folders import list_folder, offers
from tui.files.gathering import Gathering, changed_of
from tui.files.mentions import MOST, mention_of, mentions, named_by, open_mention


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.txt", "my file.txt", "文件.md", "src/main.py", "src/.hidden", "src/lib/util.py", "x."):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"this is {name}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("See @a.txt, please", ["a.txt"]),
        ("(@src/main.py)?", ["src/main.py"]),
        ('@"my file.txt" and @my\\ file.txt', ["my file.txt", "my file.txt"]),
        ("看@文件.md这个文件", ["文件.md"]),
        ("总结@a.txt。", ["a.txt"]),
        ("@x. ends so", ["x."]),
        ("mail a@a.txt or @@a.txt or user@host:@", []),
        ("@nobody and @property", []),
        ("@src", ["src"]),
        ("@" + "y" * 5000, []),
    ],
)
def test_a_mention_names_what_is_there_and_nothing_else(folder: Path, text: str, written: list[str]) -> None:
    named = [named_by(mention, folder) for mention in mentions(text)]
    assert [one.written for one in named if one] == written


@given(st.text(st.characters(blacklist_characters="\n\0", blacklist_categories=["Cs"]), min_size=1, max_size=30))
def test_a_path_is_read_as_it_was_mentioned(path: str) -> None:
    if '"' in path and "'" in path:
        return
    (mention, *_) = mentions(f"see {mention_of(path)} and more")
    assert mention.written == path


def test_a_text_full_of_signs_is_not_searched_for_ever() -> None:
    assert len(list(mentions("@a " * 100_000))) == MOST


@pytest.mark.parametrize(
    ("before", "found"),
    [
        ("hi @sr", (3, "sr")),
        ("@", (0, "")),
        ('x @"my fi', (2, "my fi")),
        ("x @my\\ fi", (2, "my fi")),
        ("a@b", None),
        ("@a b", None),
        ("", None),
    ],
)
def test_the_mention_that_is_being_written(before: str, found: tuple[int, str] | None) -> None:
    assert open_mention(before) == found


def test_what_a_path_may_become(folder: Path) -> None:
    assert [offer.path for offer in offers("", folder)] == ["src/", "a.txt", "my file.txt", "x.", "文件.md"]
    assert [offer.path for offer in offers("src/", folder)] == ["src/lib/", "src/main.py"]
    assert [offer.path for offer in offers("src/.h", folder)] == ["src/.hidden"]
    assert [offer.path for offer in offers("FILE", folder)] == ["my file.txt"]
    assert [offer.path for offer in offers(f"{folder}/a", folder)] == [f"{folder}/a.txt", f"{folder}/x."][:1]
    assert offers("nowhere/x", folder) == () == offers("a.txt/", folder) == offers("x" * 5000 + "/", folder)


def test_a_folder_is_listed_without_what_is_ignored_or_no_text(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".gitignore").write_text("*.log\nbuild/\n!keep.log\n")
    for name in ("x.log", "keep.log", "build/out.txt", "node_modules/m.js", "src/lib/y.log", "src/z.log"):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("text")
    (folder / "src/lib/.gitignore").write_text("!y.log\nutil.py\n")
    (folder / "program").write_bytes(b"\x7fELF\0")
    (folder / "loop").symlink_to(folder)

    listing = list_folder(folder)
    names = [file.name for file in listing.files]
    assert names == ["a.txt", "keep.log", "my file.txt", "src/lib/y.log", "src/main.py", "x.", "文件.md"]
    assert listing.is_whole and listing.files[0].n_bytes == 14
    # What the repository above ignores holds below it.
    assert [file.name for file in list_folder(folder / "src").files] == ["lib/y.log", "main.py"]


def test_a_folder_without_end_and_names_that_are_no_text_are_no_trouble(folder: Path) -> None:
    deep = folder / "deep"
    for _ in range(120):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (deep / "found.txt").write_text("never")
    (folder / "src" / os.fsdecode(b"caf\xe9.txt")).write_text("latin")
    listing = list_folder(folder / "deep")
    assert listing.files == () and not listing.is_whole
    assert [file.name for file in list_folder(folder / "src").files] == ["lib/util.py", "main.py"]
    assert [offer.name for offer in offers("src/", folder)] == ["lib/", "main.py"]
    here = folder / os.fsdecode(b"caf\xe9")
    here.mkdir()
    (here / "a.txt").write_text("a")
    (one,) = Gathering(here).gather("@a.txt")
    assert one.files[0].path.endswith("/caf?/a.txt") and one.files[0].path.encode()


def test_the_files_of_a_prompt_are_read_once_each(folder: Path) -> None:
    gathering = Gathering(folder)
    one, other, source = gathering.gather("@a.txt @nothing @a.txt @'my file.txt' @src/ @nobody")
    assert one.files[0].text == "this is a.txt\n" and one.files[0].path == str(folder / "a.txt")
    assert other.name == "my file.txt"
    assert source.is_folder and [file.name for file in source.files] == ["src/lib/util.py", "src/main.py"]
    assert gathering.gather("@a.txt")[0].files[0] is one.files[0]  # not read again
    assert gathering.gather("look into @src/", but_folder_at=15) == ()  # it is still being written


def test_a_file_that_cannot_be_read_and_too_many_bytes_are_told(folder: Path) -> None:
    (folder / "b.bin").write_bytes(b"\0")
    for name in "cd":
        (folder / name).write_bytes(b"a" * (5 << 20))
    (folder / "empty").mkdir()
    bad, c, d, empty = Gathering(folder).gather("@b.bin @c @d @empty")
    assert bad.problem is not None and bad.problem.problem == "not_text"
    assert c.problem is None and d.problem is not None and d.problem.problem == "too_much"
    assert empty.problem is not None and "no text file" in str(empty.problem)


def test_what_was_sent_before_stays_as_it_was_and_says_that_it_has_changed(folder: Path) -> None:
    known = Gathering(folder).gather("@a.txt")[0].files
    (folder / "a.txt").write_text("something else")
    (again,) = Gathering(folder).gather("@a.txt", known)
    assert again.files == known and again.is_changed
    assert changed_of(known) == (known, ())
    (folder / "a.txt").unlink()
    (kept,) = Gathering(folder).gather("@a.txt", known)
    assert kept.files == known and not kept.is_changed
    assert changed_of(known) == ((), known)
