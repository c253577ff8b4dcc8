"""What is written and not sent outlives llmtui, however it ends, and comes back once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.conftest import DENSE
from tests.on_pty import LLMTUI, on_pty
from tests.running import locked_by_another
from tui.config import paths
from tui.session.drafts import Drafts


def kept() -> list[str]:
    """The drafts on the disk."""
    return [file.read_text() for file in sorted(paths.drafts_dir().glob("*.txt"))]


@pytest.mark.timeout(240)
def test_a_kill_does_not_cost_what_was_typed() -> None:
    with on_pty(*LLMTUI, DENSE, "-t", "1") as program:
        program.wait_for("ctx ")
        program.type(b"half a sentence")
        program.wait_for(lambda: kept() == ["half a sentence"])
        os.kill(program.pid, signal.SIGKILL)
        program.wait_for_end()
    with on_pty(*LLMTUI, DENSE, "-t", "1") as program:
        program.wait_for("half a sentence")
        program.wait_for("ctx ")
        program.type(b"\r")
        program.wait_for("· CPU ·")
        program.wait_for(lambda: kept() == [])


def test_the_draft_of_a_window_that_is_open_is_not_taken(home: Path) -> None:
    one, other = Drafts(paths.drafts_dir()), Drafts(paths.drafts_dir())
    one.keep(["mine"])
    assert other.take() == "" and kept() == ["mine"]
    one.close(["mine, at last"])
    assert other.take() == "mine, at last" and Drafts(paths.drafts_dir()).take() == ""
    other.close([])


def test_what_was_taken_stays_until_it_is_kept_again(home: Path) -> None:
    Drafts(paths.drafts_dir()).close(["an old one"])
    first, second = Drafts(paths.drafts_dir()), Drafts(paths.drafts_dir())
    assert first.take() == "an old one" and second.take() == ""
    assert kept() == ["an old one"]
    first.keep(["an old one, and more"])
    assert kept() == ["an old one, and more"]
    first.close([])
    second.close([])
    assert [*paths.drafts_dir().iterdir()] == []


def test_what_is_kept_already_needs_no_disk(home: Path) -> None:
    drafts = Drafts(paths.drafts_dir())
    assert not drafts.are_kept([])  # nobody knows yet that this process lives
    drafts.keep(["", "mine"])
    assert drafts.are_kept(["mine", " "]) and not drafts.are_kept(["mine", "more"])
    drafts.close([])


def test_a_draft_that_cannot_be_kept_leaves_the_one_before(home: Path) -> None:
    drafts = Drafts(paths.drafts_dir())
    drafts.keep(["first"])
    (file,) = paths.drafts_dir().glob("*.txt")
    paths.drafts_dir().rename(paths.drafts_dir().with_name("elsewhere"))
    paths.drafts_dir().write_text("in the way")
    with pytest.raises(OSError, match="drafts is a file, where a folder should be"):
        drafts.close(["second"])
    assert paths.drafts_dir().with_name("elsewhere").joinpath(file.name).read_text() == "first"


def test_the_mark_of_another_process_is_neither_truncated_nor_taken(home: Path) -> None:
    paths.drafts_dir().mkdir(parents=True)
    mark, text = paths.drafts_dir() / "another.lock", paths.drafts_dir() / "another.txt"
    mark.write_text("somebody's notes")
    text.write_text("theirs")
    with locked_by_another(mark):
        drafts = Drafts(paths.drafts_dir())
        assert drafts.take() == ""
        drafts.keep(["mine"])
        drafts.close([])
        assert mark.read_text() == "somebody's notes" and kept() == ["theirs"]
