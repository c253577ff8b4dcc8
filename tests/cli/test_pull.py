"""`llmtui pull`: real bytes from a hub on 127.0.0.1, into files or not at all."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.cli.conftest import LARGE, REPO
from tests.hubserver import faults
from tests.hubserver.server import HubServer
from tests.running import llmtui, on_terminal, plain
from tui.base.exit_codes import ExitCode
from tui.config import paths

WEIGHTS = r"/resolve/.*F16\.gguf"


def served(hub: HubServer, name: str) -> bytes:
    """A file as the hub has it."""
    content = hub.repos[REPO].files[name]
    assert isinstance(content, bytes)
    return content


def test_a_named_variant_is_fetched_to_where_the_library_finds_it(hub: HubServer) -> None:
    done = llmtui("pull", f"{REPO}:q8_0")
    assert done.returncode == ExitCode.FINE
    file = Path(done.stdout.strip())
    assert file == paths.models_dir() / REPO / "tiny-Q8_0.gguf"
    assert file.read_bytes() == served(hub, "tiny-Q8_0.gguf")
    assert "tiny-Q8_0" in llmtui("models", "--quick").stdout
    again = llmtui("pull", f"{REPO}:q8_0")
    assert (again.returncode, again.stdout) == (ExitCode.FINE, done.stdout)
    assert "is already on this machine" in again.stderr
    assert len(hub.asked(r"/resolve/.*Q8_0\.gguf")) <= 2


def test_without_a_name_the_recommended_one_is_chosen_and_why_is_said(hub: HubServer, tmp_path: Path) -> None:
    done = llmtui("pull", REPO, "--to", str(tmp_path / "here"))
    assert done.returncode == ExitCode.FINE and "Recommended: " in done.stderr
    (file,) = (tmp_path / "here").iterdir()
    assert str(file) == done.stdout.strip() and file.read_bytes() == served(hub, file.name)


@pytest.mark.usefixtures("hub")
def test_a_program_gets_an_event_a_line(tmp_path: Path) -> None:
    done = llmtui("pull", f"hf.co/{REPO}:F16", "--to", str(tmp_path), "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [events[0]["event"], events[0]["label"], events[-1]["event"]] == ["chosen", "F16", "done"]
    progress = [one for one in events if one["event"] == "progress"]
    assert progress[-1]["n_bytes"] == progress[-1]["size_bytes"] > LARGE
    assert events[-1]["path"] == str(tmp_path / "tiny-F16.gguf")


def test_ctrl_c_keeps_the_part_and_the_next_run_goes_on_from_it(hub: HubServer, tmp_path: Path) -> None:
    hub.instead(WEIGHTS, faults.slow(3e6))
    arguments = ("pull", f"{REPO}:F16", "--to", str(tmp_path))
    with on_terminal(*arguments) as running:
        running.read_until("MiB/s")
        running.process.send_signal(signal.SIGINT)
        code, _ = running.end()
    assert code == ExitCode.INTERRUPTED
    assert plain(running.seen).splitlines()[-1].endswith(f"to resume: llmtui pull {REPO}:F16")
    assert not (tmp_path / "tiny-F16.gguf").exists() and list(tmp_path.iterdir())
    hub.heal()
    assert llmtui(*arguments).returncode == ExitCode.FINE
    assert (tmp_path / "tiny-F16.gguf").read_bytes() == served(hub, "tiny-F16.gguf")
    assert [file.name for file in tmp_path.iterdir()] == ["tiny-F16.gguf"]
    n_sent = sum(request.n_sent for request in hub.asked(WEIGHTS))
    assert n_sent <= len(served(hub, "tiny-F16.gguf")) + (4 << 20)


def test_wrong_bytes_are_never_given_the_name_of_the_file(hub: HubServer, tmp_path: Path) -> None:
    hub.instead(r"/resolve/.*Q8_0\.gguf", faults.wrong_bytes())
    done = llmtui("pull", f"{REPO}:Q8_0", "--to", str(tmp_path), "--json")
    assert done.returncode == ExitCode.HUB and "SHA-256" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["kind"] == "sum"
    assert not (tmp_path / "tiny-Q8_0.gguf").exists()


@pytest.mark.usefixtures("hub")
def test_another_file_of_that_name_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "tiny-Q8_0.gguf").write_bytes(b"mine")
    done = llmtui("pull", f"{REPO}:Q8_0", "--to", str(tmp_path))
    assert (done.returncode, done.stdout) == (ExitCode.UNWRITTEN, "")
    assert (tmp_path / "tiny-Q8_0.gguf").read_bytes() == b"mine"


@pytest.mark.usefixtures("hub")
def test_a_gated_model_says_what_to_do() -> None:
    done = llmtui("pull", "someone/Secret-GGUF")
    assert (done.returncode, done.stdout) == (ExitCode.HUB, "") and "HF_TOKEN" in done.stderr


@pytest.mark.usefixtures("hub")
def test_where_a_pipe_listens_progress_is_lines_without_commands_to_a_terminal(tmp_path: Path) -> None:
    done = llmtui("pull", f"{REPO}:F16", "--to", str(tmp_path), "--limit-rate", "30M")
    told = [line for line in done.stderr.splitlines() if "%" in line]
    assert 1 <= len(told) <= 10 and "\x1b" not in done.stderr and "\r" not in done.stderr
