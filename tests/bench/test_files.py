"""`llmtui --bench` on files that are no chat models and with settings that do not go with a model, from outside."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import DENSE
from tests.engine.model_files import N_VOCAB, split_with_vocabulary, with_vocabulary
from tests.models.gguf_files import Shape, write
from tests.patience import PATIENCE_S
from tests.running import COMMAND, llmtui
from tests.tape import IM, Tape, build
from tests.unprivileged import ALLOWED
from tui.base.exit_codes import ExitCode

SMALL = ("-p", "16", "-n", "4", "-r", "1", "-t", "1", "--backend", "cpu")
HEAD_80 = Shape(n_embd=160, n_head=2, n_head_kv=2, head=80, n_ff=64, n_vocab=N_VOCAB, kind="F32")


@pytest.fixture
def library(home: Path) -> Path:
    """The folder for models: a chat model, an embedding model, a draft head, one of a newer llama.cpp, half a model."""
    folder = home / ".local" / "share" / "llmtui" / "models"
    folder.mkdir(parents=True)
    shutil.copy(DENSE, folder)
    Shape().write(folder / "bge.gguf", general__architecture="bert")
    Shape().write(folder / "eagle.gguf", general__architecture="eagle3")
    Shape().write(folder / "new.gguf", general__architecture="qwen99")
    (folder / "half.gguf").write_bytes(DENSE.read_bytes()[:30_000])
    return folder


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bge.gguf", "An embedding model"),
        ("eagle.gguf", "A draft head"),
        ("new.gguf", "qwen99, is not known to this llama.cpp"),
        ("half.gguf", "Incomplete"),
    ],
)
def test_a_file_that_is_named_is_refused_with_its_reason(library: Path, name: str, words: str) -> None:
    done = llmtui("--bench", library / name, *SMALL)
    assert (done.returncode, done.stdout) == (ExitCode.MODEL, "")
    assert f"{library / name}: " in done.stderr and words in done.stderr


def test_all_models_means_all_chat_models_and_the_rest_is_named_once(library: Path) -> None:
    done = llmtui("--bench", "--all", *SMALL, "--json")
    assert done.returncode == ExitCode.FINE
    assert {row["model_filename"] for row in json.loads(done.stdout)} == {str(library / DENSE.name)}
    assert "Left out, because they are not chat models: bge.gguf, eagle.gguf, new.gguf. " in done.stderr
    assert "Left out, because they cannot be loaded: half.gguf. " in done.stderr
    assert done.stderr.count("bge.gguf") == 1


def test_a_model_whose_own_context_is_too_small_is_a_row_and_the_others_are_measured(library: Path) -> None:
    write(library / "short.gguf", Shape().metadata() | {"qwen3.context_length": 8}, Shape().tensors())
    done = llmtui("--bench", "--all", *SMALL, "--ctx", "0", "--json")
    assert {row["model_filename"] for row in json.loads(done.stdout)} == {str(library / DENSE.name)}
    assert "The context of 8 tokens, which it was trained with, is too small" in done.stderr


def test_where_there_is_no_chat_model_the_rest_is_named(library: Path) -> None:
    (library / DENSE.name).unlink()
    done = llmtui("--bench", *SMALL)
    assert done.returncode == ExitCode.MODEL
    assert "there is no chat model on this machine" in done.stderr and "not chat models: bge.gguf" in done.stderr


@pytest.mark.parametrize("force", [(), ("--force",), ("--fit",)], ids=str)
def test_settings_that_do_not_go_with_the_model_are_told_before_it_is_loaded(
    tmp_path: Path, force: tuple[str, ...]
) -> None:
    path = with_vocabulary(HEAD_80, tmp_path / "model.gguf")
    done = llmtui("--bench", path, *SMALL, "-ctk", "q8_0", *force)
    assert (done.returncode, done.stdout) == (ExitCode.MODEL, "")
    assert "not measured. A K cache in q8_0" in done.stderr and "head size of 80: use f16." in done.stderr


def test_they_are_a_row_where_other_models_are_measured(tmp_path: Path) -> None:
    path = with_vocabulary(HEAD_80, tmp_path / "model.gguf")
    done = llmtui("--bench", path, DENSE, *SMALL, "-ctk", "q8_0", "--json")
    assert "head size of 80: use f16." in done.stderr
    assert {row["model_filename"] for row in json.loads(done.stdout)} == {str(DENSE)}


def test_a_split_model_in_capitals_is_measured(tmp_path: Path) -> None:
    parts = split_with_vocabulary(Shape(n_vocab=N_VOCAB, kind="F32"), tmp_path, 2, ".GGUF")
    done = llmtui("--bench", parts[1], *SMALL, "--json")
    assert done.returncode == ExitCode.FINE, done.stderr
    alone = write(tmp_path / "x.gguf", {"split.no": 0, "split.count": 2, **Shape().metadata()}, Shape().tensors())
    assert "rename it to x-00001-of-00002.gguf" in llmtui("--bench", alone, *SMALL).stderr


@pytest.mark.parametrize("template", ["{{ .System }} {{ .Prompt }}", None], ids=["Go", "none"])
def test_a_model_is_measured_whatever_its_template_is(tmp_path: Path, template: str | None) -> None:
    path = tmp_path / "tape.gguf"
    build(path, [Tape("assistant\n", ["Hello", " there!", IM[1]])], template=template, control=IM, eos=IM[1])
    done = llmtui("--bench", path, *SMALL, "--e2e", "--json")
    assert done.returncode == ExitCode.FINE, done.stderr
    assert {row["model_filename"] for row in json.loads(done.stdout)} == {str(path)}


@pytest.mark.parametrize("output", ["json", "table"])
def test_what_the_system_did_not_grant_is_said_with_what_to_do(output: str) -> None:
    asked = ("--bench", DENSE, *SMALL, "--mlock", "--prio", "high", "-o", output)
    command = (sys.executable, "-m", "tests.unprivileged", *COMMAND, *asked)
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if done.returncode == ALLOWED:
        pytest.skip("whoever runs this may lock as much as they want")
    assert done.returncode == ExitCode.FINE, done.stderr
    said = done.stderr if output == "json" else " ".join(done.stdout.split())
    assert "could not be locked into RAM (mlock)" in said and "`ulimit -l`" in said
    assert "does not allow threads a higher priority" in said and "`ulimit -r`" in said
    assert "failed to set thread priority" not in done.stderr, "llama.cpp would say it for each thread at each step"


def test_nothing_is_said_where_nothing_was_to_be_locked() -> None:
    done = llmtui("--bench", DENSE, *SMALL, "--json")
    assert done.returncode == ExitCode.FINE and "mlock" not in done.stderr
