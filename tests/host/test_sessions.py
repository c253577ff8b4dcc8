"""Several sessions in one background: ids, turns, and ends of single ones, from outside."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ask.test_ask import HELLO, TINY, saved
from tests.conftest import DENSE
from tests.counting import SCRIPT, counting
from tests.patience import PATIENCE_S
from tests.running import COMMAND, llmtui
from tui.base.exit_codes import ExitCode


def sessions() -> list[dict[str, Any]]:
    """What `llmtui ls` tells of them."""
    hosts = json.loads(llmtui("ls", "--json").stdout)["hosts"]
    return hosts[0]["sessions"] if hosts else []


def states() -> dict[str, str]:
    """By id."""
    return {one["id"]: one["state"] for one in sessions()}


def wait_for(expected: dict[str, str]) -> None:
    """Until they stand so."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := states()) != expected:
        assert time.monotonic() < deadline, found


@contextmanager
def asked(*options: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """A question, and who asks it."""
    command = [*COMMAND, "ask", *map(str, options)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def counting_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that writes a long answer."""
    path = tmp_path_factory.mktemp("model") / "counting.gguf"
    counting(path)
    return path


def test_each_question_is_a_session_that_can_be_seen_followed_and_ended(counting_model: Path) -> None:
    long = ("-m", counting_model, "--temp", "0", "-t", "1", "--keep")
    with asked("count", *long, "--max-tokens", "400") as first:
        assert first.stdout
        first.stdout.read(10)
        # Another one waits, with another model; and one that is killed while it waits is never answered.
        with asked("hello", *TINY) as second, asked("never", *TINY) as third:
            wait_for({"1": "answering", "2": "waiting", "3": "waiting"})
            assert {one["id"]: one["n_before"] for one in sessions()} in (
                {"1": 0, "2": 1, "3": 2},
                {"1": 0, "2": 2, "3": 1},
            )
            listed = llmtui("ls").stdout.splitlines()
            assert listed[0].split() == ["id", "conversation", "model", "state", "for"]
            assert "Counting is loaded" in listed[-1]
            third.kill()
            looker = subprocess.run(
                [*COMMAND, "attach", "1"], capture_output=True, text=True, timeout=PATIENCE_S, check=False
            )
            assert looker.stdout.strip() == SCRIPT.partition("w0401")[0].strip()
            out, _ = second.communicate(timeout=PATIENCE_S)
            assert out.decode() == f"{HELLO}\n"
    assert sorted(one.turns[0].text for one in saved()) == ["count", "hello"]
    assert list(states().values()) == ["done", "done"]
    last = list(states())[-1]
    assert llmtui("attach", last).stdout == f"{HELLO}\n"
    assert llmtui("stop", last).returncode == ExitCode.FINE and list(states()) == ["1"]
    gone = llmtui("stop", last)
    assert gone.returncode == ExitCode.USAGE and f"no session {last} in the background" in gone.stderr
    assert llmtui("attach", last).returncode == ExitCode.USAGE
    assert json.loads(llmtui("stop", "1", "--json").stdout) == {"stopped": ["1"]} and states() == {}
    assert llmtui("ask", "hello", "--no-save", "--temp", "0").stdout == f"{HELLO}\n"  # the host is still there
    assert states() == {"4": "done"}


def test_one_session_that_is_ended_says_so_to_who_asked_and_the_others_go_on(counting_model: Path) -> None:
    long = ("-m", counting_model, "--temp", "0", "-t", "1", "--keep")
    with asked("count", *long) as first:
        assert first.stdout and first.stderr
        first.stdout.read(10)
        with asked("hello", *TINY) as second:
            wait_for({"1": "answering", "2": "waiting"})
            assert llmtui("stop", "1").returncode == ExitCode.FINE
            assert b"was stopped from another terminal" in first.stderr.read()
            assert first.wait(PATIENCE_S) == ExitCode.INTERRUPTED
            assert second.communicate(timeout=PATIENCE_S)[0].decode() == f"{HELLO}\n"
    counted = next(one for one in saved() if one.turns[0].text == "count")
    assert counted.turns[1].stop == "cancelled" and SCRIPT.startswith(counted.turns[1].text.strip())


def test_ctrl_c_while_it_waits_leaves_no_question_behind(counting_model: Path) -> None:
    with asked("count", "-m", counting_model, "--temp", "0", "-t", "1", "--keep", "--max-tokens", "300") as first:
        assert first.stdout
        first.stdout.read(10)
        with asked("never", *TINY) as second:
            wait_for({"1": "answering", "2": "waiting"})
            second.send_signal(signal.SIGINT)
            assert second.wait(PATIENCE_S) == ExitCode.INTERRUPTED
        first.communicate(timeout=PATIENCE_S)
    assert [one.turns[0].text for one in saved()] == ["count"]


def test_a_model_that_another_session_has_loaded_is_not_loaded_again() -> None:
    assert llmtui("ask", "hello", *TINY, "--keep").stdout == f"{HELLO}\n"
    answer = json.loads(llmtui("ask", "hello", "--temp", "0", "--json").stdout)
    assert answer["path"] == str(DENSE)
    assert sorted(states().values()) == ["done", "done"]


def test_what_was_placed_where_it_is_fastest_is_not_loaded_again() -> None:
    first, second = (json.loads(llmtui("ask", "hello", *TINY, "--keep", "--fit", "--json").stdout) for _ in range(2))
    assert first["load_s"] == second["load_s"] and first["conversation"] != second["conversation"]


def test_settings_that_have_changed_are_those_of_the_next_question(home: Path) -> None:
    settings = home / ".config" / "llmtui" / "settings.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    first = llmtui("ask", "hello", *map(str, TINY), "--keep")
    assert first.returncode == ExitCode.FINE
    settings.write_text("[sampling]\nmax_tokens = 1\n[session]\nlinger = 1.0\n")
    second = llmtui("ask", "hello", *map(str, TINY), "--keep")
    assert "limit of 1 token" in second.stderr and "limit" not in first.stderr
    [host] = json.loads(llmtui("ls", "--json").stdout)["hosts"]
    assert 0 < host["ends_in_s"] <= 60
