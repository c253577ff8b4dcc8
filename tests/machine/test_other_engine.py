"""The engine of another llmtui is found by its command line."""

from __future__ import annotations

import shutil
from pathlib import Path

from tui.engines.local import WORKER
from tui.machine.other_engine import LOOK_EVERY, OtherEngine


def process(proc: Path, pid: int, *arguments: str, started: int = 100) -> None:
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "stat").write_text(f"{pid} (a) b) S {'0 ' * 18}{started} 0 0\n")
    (proc / str(pid) / "cmdline").write_bytes(b"\0".join(map(str.encode, arguments)) + b"\0")


def test_of_several_engines_it_is_the_newest_and_of_none_nothing(tmp_path: Path) -> None:
    process(tmp_path, 7, "python", "-m", "tui")
    (tmp_path / "meminfo").write_text("")
    assert OtherEngine(WORKER, tmp_path).pid() is None
    process(tmp_path, 8, "python", "-P", "-m", WORKER)
    process(tmp_path, 12, "python", "-P", "-m", WORKER, started=200)
    assert OtherEngine(WORKER, tmp_path).pid() == 12
    process(tmp_path, 5, "python", "-P", "-m", WORKER, started=300)  # ids begin again at the low ones
    assert OtherEngine(WORKER, tmp_path).pid() == 5
    (tmp_path / "5" / "stat").unlink()
    assert OtherEngine(WORKER, tmp_path).pid() == 12
    assert OtherEngine(WORKER, tmp_path / "nowhere").pid() is None


def test_one_that_ends_is_let_go_of_and_another_found_after_a_while(tmp_path: Path) -> None:
    process(tmp_path, 8, "python", "-P", "-m", WORKER)
    other = OtherEngine(WORKER, tmp_path)
    assert other.pid() == 8
    shutil.rmtree(tmp_path / "8")
    process(tmp_path, 9, "python", "-P", "-m", WORKER)
    assert 9 in [other.pid() for _ in range(LOOK_EVERY)]
