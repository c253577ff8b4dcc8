"""What becomes of the background when its user logs out."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from tui.host import survival

SESSION = "0::/user.slice/user-1000.slice/session-3.scope\n"
SCOPE = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope\n"


@pytest.mark.parametrize(
    ("cgroup", "kills", "may_linger", "found"),
    [
        (SESSION, False, False, "stays"),
        (SESSION, True, False, "with login"),
        (SESSION, True, True, "with login"),
        (SCOPE, True, False, "with last login"),
        (SCOPE, False, False, "with last login"),
        (SCOPE, True, True, "stays"),
        ("0::/docker/abc\n", True, False, "stays"),
        ("", False, False, "stays"),
    ],
)
def test_where_it_runs_says_how_long(cgroup: str, kills: bool, may_linger: bool, found: str) -> None:
    assert survival.survival(cgroup, kills=kills, may_linger=may_linger) == found
    assert bool(survival.warning(found)) == (found != "stays")


def test_who_may_linger_has_a_file(tmp_path: Path) -> None:
    assert not survival.lingers(tmp_path) and not survival.lingers(tmp_path / "missing")
    (tmp_path / getpass.getuser()).touch()
    assert survival.lingers(tmp_path)
