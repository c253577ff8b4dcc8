"""`llmtui models` and `llmtui rm`: the library from a command line, with real files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DENSE, MOE
from tests.running import llmtui, on_terminal, plain
from tui.base.exit_codes import ExitCode
from tui.config import paths


@pytest.mark.usefixtures("models")
def test_the_library_is_a_table_with_what_each_model_needs_here() -> None:
    done = llmtui("models")
    headline, head, *rows = done.stdout.splitlines()
    assert done.returncode == ExitCode.FINE
    assert headline == "2 models · 3.5 MiB"
    assert head.split() == ["NAME", "PARAMS", "QUANT", "SIZE", "NEEDS", "HERE", "WHERE"]
    assert [row.split()[0] for row in rows] == [DENSE.stem, MOE.stem]
    assert all(" fits " in row for row in rows)
    assert "Cannot be loaded: half.gguf." in done.stderr


def test_a_program_gets_json_of_stable_fields(models: Path) -> None:
    found = json.loads(llmtui("models", "--json").stdout)
    dense, moe = found["models"]
    assert set(dense) == set(moe) == {
        *("name", "title", "path", "files", "source", "also", "arch", "quant", "size_bytes", "n_params"),
        *("n_params_active", "n_expert", "n_expert_used", "n_ctx_train", "can_think", "used_at"),
        *("fit", "needs_bytes", "backend", "n_gpu_layers", "n_ctx", "decode_tps", "prompt_tps"),
    }  # fmt: skip
    assert (dense["name"], dense["path"], dense["fit"]) == (DENSE.stem, str(models / DENSE.name), "fits")
    assert moe["n_params_active"] < moe["n_params"]
    assert [file["path"] for file in found["broken"]] == [str(models / "half.gguf")]


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--moe"], [MOE.stem]),
        (["--thinking"], [DENSE.stem, MOE.stem]),
        (["qwen3moe"], [MOE.stem]),
        (["--sort", "size"], [MOE.stem, DENSE.stem]),
        (["--sort", "name"], [DENSE.stem, MOE.stem]),
    ],
    ids=lambda value: value[0],
)
def test_some_of_the_models_in_some_order(arguments: list[str], names: list[str]) -> None:
    found = json.loads(llmtui("models", "--quick", "--json", *arguments).stdout)
    assert [one["name"] for one in found["models"]] == names
    assert all(one["fit"] is None for one in found["models"])


@pytest.mark.usefixtures("models")
def test_what_cannot_be_loaded_is_left_out_where_that_is_asked_for(home: Path) -> None:
    settings = home / "own.toml"
    settings.write_text("[load]\nflash_attn = 'off'\ntype_v = 'q8_0'\n")
    found = json.loads(llmtui("models", "--json", "--settings", settings).stdout)
    assert [one["fit"] for one in found["models"]] == ["no", "no"]
    assert json.loads(llmtui("models", "--fits", "--json", "--settings", settings).stdout)["models"] == []
    assert len(json.loads(llmtui("models", "--fits", "--json").stdout)["models"]) == 2


@pytest.mark.usefixtures("models")
def test_all_about_a_model_is_told_in_groups_and_as_json() -> None:
    done = llmtui("show", MOE.stem)
    lines = done.stdout.splitlines()
    assert done.returncode == ExitCode.FINE and lines[0] == MOE.stem
    assert any(line.split()[:2] == ["memory", "fits"] for line in lines)
    assert any(line.split() == ["architecture", "qwen3moe"] for line in lines)
    bars = [line for line in lines if line.endswith("━")]
    assert bars[0].startswith("experts ") and bars[0].count("━") == max(line.count("━") for line in bars)
    shown = json.loads(llmtui("show", MOE.stem, "--quick", "--json").stdout)
    assert (shown["n_expert"], shown["details"]["template"]["thinking"]) == (8, "switch")


def test_without_models_it_says_how_to_get_one() -> None:
    done = llmtui("models")
    assert (done.returncode, done.stdout) == (ExitCode.FINE, "")
    assert "llmtui search qwen3" in done.stderr


def test_a_model_is_deleted_when_that_is_confirmed(models: Path) -> None:
    with on_terminal("rm", MOE.stem) as running:
        running.read_until("Delete this model? [y/N]")
        os.write(running.terminal, b"y\n")
        code, _ = running.end()
    assert code == ExitCode.FINE
    assert "2.4 MiB" in running.seen and "Deleted 1 model; 2.4 MiB came free." in plain(running.seen)
    assert not (models / MOE.name).exists() and (models / DENSE.name).exists()


@pytest.mark.parametrize("answer", [b"n\n", b"\n", b"x\n"])
def test_without_a_yes_nothing_is_deleted(models: Path, answer: bytes) -> None:
    with on_terminal("rm", MOE.stem) as running:
        running.read_until("[y/N]")
        os.write(running.terminal, answer)
        code, _ = running.end()
    assert code == ExitCode.FINE and "Nothing was deleted." in running.seen
    assert (models / MOE.name).exists()


def test_without_a_terminal_nothing_is_deleted_but_with_yes(models: Path) -> None:
    refused = llmtui("rm", MOE.stem)
    assert refused.returncode == ExitCode.USAGE and "--yes" in refused.stderr
    assert (models / MOE.name).exists()
    done = llmtui("rm", MOE.stem, DENSE.stem, "--yes", "--json")
    removed = json.loads(done.stdout)["removed"]
    assert [one["path"] for one in removed] == [str(models / MOE.name), str(models / DENSE.name)]
    assert sum(one["frees_bytes"] for one in removed) >= 3_500_000
    assert sorted(file.name for file in models.iterdir()) == ["half.gguf"]


def test_one_name_that_is_wrong_keeps_all(models: Path) -> None:
    done = llmtui("rm", MOE.stem, "mistral", "--yes")
    assert done.returncode == ExitCode.MODEL and "no model of that name" in done.stderr
    assert (models / MOE.name).exists()


def test_of_two_copies_the_one_that_is_named_is_deleted(models: Path) -> None:
    copy = models / "a-copy.gguf"
    copy.write_bytes(DENSE.read_bytes())
    done = llmtui("rm", DENSE.stem, "--yes")
    assert done.returncode == ExitCode.FINE
    assert copy.exists() and not (models / DENSE.name).exists()


def test_what_cannot_be_deleted_is_said_before_anything_is(models: Path) -> None:
    (models / "link.gguf").symlink_to(models / DENSE.name)
    done = llmtui("rm", str(models / DENSE.name), MOE.stem, "--yes", "--json")
    assert done.returncode == ExitCode.UNWRITTEN
    assert json.loads(done.stdout)["removed"] == [] and (models / MOE.name).exists()


@pytest.mark.usefixtures("models")
def test_a_new_machine_is_measured_once_so_that_speeds_can_be_told() -> None:
    def listed() -> list[dict[str, Any]]:
        """As by the command, though other tests have engines that compute."""
        code = (
            "import sys\nfrom tui.cli import judging\nfrom tui.cli.main import main\n"
            "async def nobody(*_):\n    return False\n"
            "judging.is_disturbed = nobody\nsys.exit(main(['models', '--json']))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        models: list[dict[str, Any]] = json.loads(done.stdout)["models"]
        return models

    paths.bandwidth_file().unlink()
    first, kept = listed(), paths.bandwidth_file().read_bytes()
    assert {one["decode_tps"]["basis"] for one in first} == {"roofline"}
    assert all(0 < one["decode_tps"]["low"] < one["decode_tps"]["high"] for one in first)
    assert [one["decode_tps"] for one in listed()] == [one["decode_tps"] for one in first]
    assert paths.bandwidth_file().read_bytes() == kept
