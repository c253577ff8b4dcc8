"""The llmtui in the background from outside: a model that stays loaded, answers that outlive who asked, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.ask.test_ask import HELLO, TINY, asking, piped, saved
from tests.conftest import DENSE, until
from tests.counting import SCRIPT, counting
from tests.patience import PATIENCE_S
from tests.running import COMMAND, llmtui, on_terminal
from tui.base.exit_codes import ExitCode
from tui.config import paths
from tui.host import client
from tui.host.meeting import HostProblem, meeting
from tui.host.messages import AskStatus


def hosts() -> list[dict[str, Any]]:
    """What `llmtui ls` tells."""
    found: list[dict[str, Any]] = json.loads(llmtui("ls", "--json").stdout)["hosts"]
    return found


@pytest.fixture(scope="module")
def counting_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that writes a long answer, whose every part tells what is missing."""
    path = tmp_path_factory.mktemp("model") / "counting.gguf"
    counting(path)
    return path


def test_a_model_stays_loaded_and_is_used_again_and_nothing_is_left_after_its_end(runtime: Path) -> None:
    assert llmtui("ask", "hello", *TINY, "--keep").stdout == f"{HELLO}\n"
    (host,) = hosts()
    assert (host["phase"], host["path"], host["sessions"][0]["title"]) == ("ready", str(DENSE), "hello")
    processes = [psutil.Process(host["pid"]), *psutil.Process(host["pid"]).children(recursive=True)]
    assert processes[0].memory_info().rss < 60 << 20

    # What is loaded answers, in its own conversation, whoever asks; the process is the same.
    more = piped("hello", "ask", "--continue", "--json", "--temp", "0", "--think", "off")
    answer = json.loads(more.stdout)
    assert answer["path"] == str(DENSE) and answer["conversation"] == saved()[0].id
    assert piped("hello", "ask", "--no-save", "--temp", "0").stdout.decode() == f"{HELLO}\n"
    (conversation,) = saved()
    assert len(conversation.turns) == 4
    assert [one["pid"] for one in hosts()] == [host["pid"]]
    assert not paths.state_file().exists()

    # Whoever says what is no message is sent away, and nobody else.
    place = meeting()
    assert place
    with place:
        connection = place.connected()
    assert connection
    with connection:
        connection.sendall(b"\xff" * 64)
        while connection.recv(1 << 16):
            continue
    assert [one["pid"] for one in hosts()] == [host["pid"]]

    folder = runtime / "llmtui"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o077 == 0 for file in folder.iterdir())
    assert llmtui("stop").returncode == ExitCode.FINE
    psutil.wait_procs(processes, timeout=PATIENCE_S)
    assert not any(process.is_running() for process in processes)
    assert list(folder.iterdir()) == [] and hosts() == []
    assert "nothing runs in the background" in llmtui("stop").stderr


@pytest.mark.parametrize("way", ["killed", "terminal"])
def test_an_answer_outlives_who_asked_and_is_shown_whole_to_who_attaches(counting_model: Path, way: str) -> None:
    options = ("ask", "count", "-m", counting_model, "--temp", "0", "-t", "1", "--keep", "--max-tokens", "300")
    whole = SCRIPT.partition("w0301")[0].rstrip()
    with on_terminal(*options) as running:
        running.read_until("w0003")
        if way == "killed":
            running.process.kill()
        else:
            os.close(running.terminal)
            running.process.send_signal(signal.SIGHUP)
            running.process.wait(PATIENCE_S)
            running.terminal = os.open(os.devnull, os.O_RDWR)
    with subprocess.Popen([*COMMAND, "attach"], stdout=subprocess.PIPE) as looker:
        assert looker.stdout
        looker.stdout.read(20)
        looker.send_signal(signal.SIGINT)
        assert looker.wait(PATIENCE_S) == ExitCode.INTERRUPTED
    (host,) = hosts()
    assert host["phase"] == "answering" and host["ends_in_s"] is None
    done = llmtui("attach")
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.FINE, f"{whole}\n", "")
    assert saved()[0].turns[1].text.rstrip() == whole


def test_questions_that_come_at_once_start_one_host_and_are_answered_in_turn() -> None:
    with ThreadPoolExecutor() as threads:
        done = list(threads.map(lambda _: llmtui("ask", "hello", *TINY, "--keep"), range(3)))
    assert [(one.returncode, one.stdout, one.stderr) for one in done] == [(ExitCode.FINE, f"{HELLO}\n", "")] * 3
    assert len(hosts()) == 1 and len(saved()) == 3


def test_ctrl_c_stops_the_answer_and_not_the_host(counting_model: Path) -> None:
    assert llmtui("ask", "hello", *TINY, "--keep").returncode == ExitCode.FINE
    with asking(counting_model) as process:
        assert process.stdout and process.stderr
        begun = process.stdout.read(20)
        process.send_signal(signal.SIGINT)
        out, told = begun + process.stdout.read(), process.stderr.read()
        assert process.wait(PATIENCE_S) == ExitCode.INTERRUPTED
    assert told == b"llmtui: interrupted.\n"
    (answer,) = saved()[0].turns[1:]
    assert answer.stop == "cancelled" and answer.text.strip() == out.decode().strip()
    (host,) = hosts()
    assert (host["phase"], host["path"]) == ("ready", str(counting_model))


@pytest.mark.parametrize("end", ["stop", "kill", "engine"])
def test_an_end_in_the_middle_of_an_answer_is_told_and_leaves_what_was_written(counting_model: Path, end: str) -> None:
    with asking(counting_model, "--keep") as process:
        assert process.stdout and process.stderr
        begun = process.stdout.read(40)
        host = psutil.Process(hosts()[0]["pid"])
        if end == "stop":
            assert llmtui("stop").returncode == ExitCode.FINE
        elif end == "kill":
            host.kill()
        else:
            host.children()[0].kill()
        out, told = (begun + process.stdout.read()).decode(), process.stderr.read().decode()
        assert process.wait(PATIENCE_S) == ExitCode.ENGINE
    said = "the engine stopped (SIGKILL)" if end == "engine" else "What it has written is saved; ask again."
    assert said in told and SCRIPT.startswith(out.strip())
    assert llmtui("ask", "hello", *TINY, "--keep").stdout == f"{HELLO}\n"
    answer = saved()[1].turns[1]
    assert answer.stop == ("cancelled" if end == "stop" else "crashed")
    assert answer.text and SCRIPT.startswith(answer.text.strip())


async def test_who_comes_while_a_host_ends_gets_another_one() -> None:
    assert (await asyncio.to_thread(llmtui, "ask", "hello", *TINY, "--keep")).returncode == ExitCode.FINE
    before = after = (await asyncio.to_thread(hosts))[0]["pid"]
    os.kill(before, signal.SIGTERM)
    while after == before:
        line = await client.start()
        async with line:
            with contextlib.suppress(HostProblem):  # greeted just before the signal came
                after = (await line.status_after(AskStatus())).pid
    assert [one["pid"] for one in await asyncio.to_thread(hosts)] == [after]


def test_conversations_that_are_damaged_are_set_aside_which_is_told_once() -> None:
    paths.database_file().parent.mkdir(parents=True)
    paths.database_file().write_bytes(b"no database" * 1000)
    first, second = (llmtui("ask", "hello", *TINY, "--keep") for _ in range(2))
    assert "are damaged and were set aside as" in first.stderr and second.stderr == ""
    assert first.stdout == second.stdout == f"{HELLO}\n" and len(saved()) == 2


def test_a_host_that_was_killed_is_no_obstacle(runtime: Path) -> None:
    assert llmtui("ask", "hello", *TINY, "--keep").returncode == ExitCode.FINE
    process = psutil.Process(hosts()[0]["pid"])
    process.kill()
    psutil.wait_procs([process], timeout=PATIENCE_S)
    assert len(list((runtime / "llmtui").iterdir())) == 2 and hosts() == []
    assert llmtui("ask", "hello", *TINY).stdout == f"{HELLO}\n"
    assert llmtui("ask", "hello", *TINY, "--keep").stdout == f"{HELLO}\n"
    assert len(hosts()) == 1


async def test_it_ends_by_itself_and_frees_the_model_earlier() -> None:
    own = paths.user_settings_file()
    own.parent.mkdir(parents=True)
    own.write_text("[session]\nkeep_loaded = true\nlinger = -1\nunload_after = 0.0001\n")
    assert (await asyncio.to_thread(llmtui, "ask", "hello", *TINY)).stdout == f"{HELLO}\n"
    await until(lambda: hosts()[0]["phase"] == "no_model")
    assert hosts()[0]["ends_in_s"] is None
    await asyncio.to_thread(llmtui, "stop")
    own.write_text("[session]\nlinger = 0.0001\n")
    assert (await asyncio.to_thread(llmtui, "ask", "hello", *TINY, "--keep")).stdout == f"{HELLO}\n"
    folder = Path(os.environ["XDG_RUNTIME_DIR"], "llmtui")
    await until(lambda: not list(folder.iterdir()))


def test_a_systemd_that_gives_no_scope_is_done_without(runtime: Path, tmp_path: Path) -> None:
    (runtime / "systemd").mkdir()
    (runtime / "systemd" / "private").touch()
    refusing, log = tmp_path / "systemd-run", tmp_path / "log"
    refusing.write_text(f'#!/bin/sh\necho "$*" >> {log}\necho Failed to connect to bus >&2\nexit 1\n')
    refusing.chmod(0o755)
    kills = tmp_path / "loginctl"
    kills.write_text("#!/bin/sh\necho no\n")
    kills.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "XDG_SESSION_ID": "1"}
    # Where what a login leaves behind goes on, it is the better place.
    assert llmtui("ask", "hello", *TINY, "--keep", **path).stdout == f"{HELLO}\n"
    assert not log.exists() and hosts()[0]["survival"] == "stays"
    llmtui("stop")
    kills.write_text("#!/bin/sh\necho yes\n")
    done = llmtui("ask", "hello", *TINY, "--keep", **path)
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.FINE, f"{HELLO}\n", "")
    assert log.read_text().startswith("--user --scope") and len(hosts()) == 1
    llmtui("stop")
    # One that does is what the host runs in.
    refusing.write_text(f'#!/bin/sh\necho "$*" >> {log}\nshift 4\nexec "$@"\n')
    assert llmtui("ask", "hello", *TINY, "--keep", **path).stdout == f"{HELLO}\n"
    assert len(log.read_text().splitlines()) == 2 and len(hosts()) == 1


def test_a_folder_that_others_can_enter_is_not_used(runtime: Path) -> None:
    (runtime / "llmtui").mkdir(mode=0o755)
    (runtime / "llmtui").chmod(0o755)
    done = llmtui("ask", "hello", *TINY, "--keep")
    assert (done.returncode, done.stdout) == (ExitCode.ENGINE, "")
    assert "is not a folder of yours alone" in done.stderr and "Without --keep it is answered" in done.stderr
    assert llmtui("ask", "hello", *TINY).stdout == f"{HELLO}\n"
    settings = paths.user_settings_file()
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("[session]\nkeep_loaded = true\n")
    done = llmtui("ask", "hello", *TINY)
    assert done.stdout == f"{HELLO}\n" and "is not a folder of yours alone" in done.stderr


def test_own_settings_and_a_host_do_not_go_together(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text("")
    done = llmtui("ask", "hello", *TINY, "--keep", "--settings", own)
    assert done.returncode == ExitCode.USAGE and "--keep works only with your own settings.toml" in done.stderr
