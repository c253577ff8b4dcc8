"""`llmtui search` and `llmtui show`, through the real libraries, with a hub on 127.0.0.1."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import REPO
from tests.conftest import DENSE
from tests.hubserver import faults
from tests.hubserver.server import HubServer
from tests.running import llmtui, on_terminal, plain
from tui.base.exit_codes import ExitCode


@pytest.mark.usefixtures("hub")
def test_what_both_hubs_have_is_one_list() -> None:
    done = llmtui("search", "qwen3")
    assert (done.returncode, done.stderr) == (ExitCode.FINE, "")
    headline, head, *rows = done.stdout.splitlines()
    assert headline == "2 repositories" and head.split()[:3] == ["REPOSITORY", "PARAMS", "DOWNLOADS"]
    assert rows[0].split()[:3] == [REPO, "1.0M", "1,234,567"]
    assert sum(REPO in row for row in rows[:2]) == 1 and "Hugging Face, ModelScope" in rows[0]
    assert rows[-1] == f"What it would do here: llmtui show {REPO}"


@pytest.mark.usefixtures("hub")
def test_a_search_for_a_program_is_json_of_stable_fields() -> None:
    found = json.loads(llmtui("search", "secret", "--author", "someone", "--hub", "hf", "--json").stdout)
    assert found["failures"] == []
    (repo,) = found["repos"]
    assert set(repo) == {
        *("repo", "hub", "also_on", "n_params", "n_downloads", "n_likes", "updated_at", "licence", "is_gated")
    }
    assert (repo["repo"], repo["hub"], repo["is_gated"]) == ("someone/Secret-GGUF", "huggingface", True)


def test_a_hub_that_fails_is_said_and_the_other_is_shown(hub: HubServer) -> None:
    hub.instead("^/openapi", faults.refused(500))
    done = llmtui("search", "qwen3", "--json")
    assert done.returncode == ExitCode.FINE and "ModelScope" in done.stderr
    found = json.loads(done.stdout)
    assert [failure["hub"] for failure in found["failures"]] == ["modelscope"] and len(found["repos"]) == 2


def test_where_no_hub_answers_that_is_an_exit_code_of_its_own(hub: HubServer) -> None:
    hub.instead("^/(openapi|api)", faults.refused(500))
    done = llmtui("search", "qwen3")
    assert (done.returncode, done.stdout) == (ExitCode.HUB, "")
    assert "Hugging Face" in done.stderr and "ModelScope" in done.stderr


def test_offline_no_hub_is_asked_which_is_said_once_and_the_library_works(hub: HubServer, models: Path) -> None:
    for arguments in (["search", "qwen3"], ["search", "qwen3", "--hub", "ms"], ["show", REPO], ["pull", REPO]):
        done = llmtui(*arguments, HF_HUB_OFFLINE="1")
        assert (done.returncode, done.stdout) == (ExitCode.HUB, "")
        (told,) = [line for line in done.stderr.splitlines() if "HF_HUB_OFFLINE" in line]
        assert "No hub is asked" in told
    assert hub.seen == []
    assert DENSE.stem in llmtui("models", "--quick", HF_HUB_OFFLINE="1").stdout


@pytest.mark.usefixtures("hub")
def test_nothing_found_is_said_and_no_error() -> None:
    done = llmtui("search", "nothing-of-this-name")
    assert (done.returncode, done.stdout) == (ExitCode.FINE, "") and "Nothing was found" in done.stderr


def test_a_repository_is_judged_for_this_machine_by_a_header_alone(hub: HubServer) -> None:
    shown = json.loads(llmtui("show", REPO, "--json").stdout)
    variants = {one["label"]: one for one in shown["variants"]}
    assert list(variants) == ["Q4_K_M", "Q8_0", "F16"] and shown["recommended"] in variants
    assert all(one["fit"] == "fits" and one["needs_bytes"] > one["size_bytes"] for one in variants.values())
    assert variants["F16"]["needs_bytes"] > variants["Q8_0"]["needs_bytes"] + 10**7
    assert variants["Q4_K_M"]["arch"] == "qwen3" and len(variants["Q4_K_M"]["files"][0]["sha256"]) == 64
    assert [file["path"] for file in shown["projectors"]] == ["mmproj-F16.gguf"]
    assert hub.n_sent < DENSE.stat().st_size + 100_000


@pytest.mark.usefixtures("hub")
def test_a_repository_as_a_table_marks_one_variant_and_says_why() -> None:
    done = llmtui("show", f"https://huggingface.co/{REPO}/tree/main")
    lines = done.stdout.splitlines()
    assert lines[0] == REPO and lines[1].startswith("Hugging Face · qwen3 · 1.0M · context 4,096 · apache-2.0")
    assert [line.split()[0] for line in lines[4:8]] == ["VARIANT", "Q4_K_M", "Q8_0", "F16"]
    (best,) = (line.split()[0] for line in lines if line.endswith("recommended"))
    assert any(line.startswith("Recommended: ") for line in lines)
    assert lines[-1] == f"Download it: llmtui pull {REPO}:{best}"


@pytest.mark.usefixtures("hub")
def test_on_a_terminal_only_the_colours_are_more_and_columns_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    piped = llmtui("show", f"{REPO}:q8_0", "--quick").stdout
    with on_terminal("show", f"{REPO}:q8_0", "--quick") as running:
        running.end()
    assert "\x1b[1m" in running.seen and "\x1b" not in piped
    assert plain(running.seen).splitlines() == piped.splitlines()
    monkeypatch.setenv("COLUMNS", "44")
    with on_terminal("search", "qwen3") as running:
        running.end()
    head = plain(running.seen).splitlines()[1].split()
    assert head[:2] == ["REPOSITORY", "PARAMS"] and "LICENCE" not in head


def test_quick_reads_no_header(hub: HubServer) -> None:
    done = llmtui("show", REPO, "--quick")
    assert done.returncode == ExitCode.FINE and "NEEDS" not in done.stdout and "1.1 MiB" in done.stdout
    assert hub.asked(r"\.gguf") == []


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("written", "code", "said"),
    [
        (f"{REPO}:q5_k_m", ExitCode.MODEL, "Did you mean Q4_K_M"),
        ("nobody/Nothing-GGUF", ExitCode.MODEL, "nobody/Nothing-GGUF"),
        ("no-such-model", ExitCode.MODEL, "no model of that name"),
    ],
)
def test_what_is_not_there_is_said(written: str, code: ExitCode, said: str) -> None:
    done = llmtui("show", written)
    assert (done.returncode, done.stdout) == (code, "") and said in done.stderr


@pytest.mark.usefixtures("hub")
def test_a_gated_repository_says_what_to_do() -> None:
    done = llmtui("show", "someone/Secret-GGUF")
    assert "accept its terms" in done.stdout and "HF_TOKEN" in done.stdout


@pytest.mark.usefixtures("hub")
def test_what_is_on_this_machine_is_marked(models: Path) -> None:
    shutil.copy(DENSE, models / "tiny-Q4_K_M.gguf")
    shown = json.loads(llmtui("show", f"{REPO}:Q4_K_M", "--quick", "--json").stdout)
    assert shown["variants"][0]["path"] is not None
