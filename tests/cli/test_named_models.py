"""MODEL on the command line by its name in the library, and the texts of --system."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import DENSE, MOE
from tests.running import llmtui, on_terminal, plain
from tui.base.exit_codes import ExitCode
from tui.cli import named_model
from tui.config import paths
from tui.models.folders import Folder
from tui.models.library import Library, scan

ONE_TEST = ("-p", "8", "-n", "0", "-r", "1", "-t", "1", "--json")


@pytest.fixture
def library(home: Path) -> Path:
    """A library with two models, a copy of one of them in another folder, and half a file."""
    folder = paths.models_dir()
    (folder / "more").mkdir(parents=True)
    for model in (DENSE, MOE):
        shutil.copy(model, folder)
    shutil.copy(DENSE, folder / "more" / "tiny-copy.gguf")
    (folder / "half.gguf").write_bytes(DENSE.read_bytes()[:-1000])
    return folder


@pytest.mark.parametrize("written", ["tiny-qwen3moe-q8_0", "TINY_QWEN3MOE_Q8_0.gguf", "qwen3moe", "0.002b a0.001b"])
def test_a_model_is_measured_by_its_name_or_a_part_of_it(library: Path, written: str) -> None:
    done = llmtui("--bench", "-m", written, *ONE_TEST)
    assert done.returncode == ExitCode.FINE
    assert f'"model_filename": "{library / MOE.name}"' in done.stdout


def test_a_file_goes_before_a_model_of_that_name(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(DENSE, tmp_path / "qwen3moe")
    monkeypatch.chdir(tmp_path)
    done = llmtui("--bench", "qwen3moe", *ONE_TEST)
    assert done.returncode == ExitCode.FINE and f"{library}" not in done.stdout


def test_the_library_is_read_once_for_all_names_and_for_paths_not_at_all(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[Folder]] = []

    def counted(folders: Sequence[Folder], cache_file: Path) -> Library:
        asked.append(folders)
        return scan(folders, cache_file)

    monkeypatch.setattr(named_model, "scan", counted)
    copy = library / "more" / "tiny-copy.gguf"
    assert named_model.model_files(["qwen3moe", str(copy), "qwen3moe"], None) == (
        library / MOE.name,
        copy,
        library / MOE.name,
    )
    assert len(asked) == 1
    assert named_model.model_files([str(copy)], None) == (copy,) and named_model.model_files([], None) == ()
    assert len(asked) == 1


def test_a_folder_hides_no_model_of_its_name(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "qwen3moe").mkdir()
    monkeypatch.chdir(tmp_path)
    done = llmtui("--bench", "qwen3moe", *ONE_TEST)
    assert done.returncode == ExitCode.FINE
    assert f'"model_filename": "{library / MOE.name}"' in done.stdout


@pytest.mark.parametrize("arguments", [("--tune",), ("-p", "512"), ("--system", "x"), ("--continue",)], ids=" ".join)
def test_what_the_monitor_cannot_do_is_refused(arguments: tuple[str, ...]) -> None:
    done = llmtui("--monitor", *arguments)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert f"{arguments[0]} cannot be used with --monitor" in done.stderr


@pytest.mark.usefixtures("library")
def test_several_models_of_a_name_are_listed_to_choose_from() -> None:
    done = llmtui("--bench", "tiny", *ONE_TEST)
    assert (done.returncode, done.stdout) == (ExitCode.MODEL, "")
    assert done.stderr.splitlines() == [
        "llmtui: 2 models have 'tiny' in their names.",
        "Write one of these: tiny-qwen3-q8_0, tiny-qwen3moe-q8_0.",
    ]


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("written", "advice"),
    [
        ("tiny-qwem3moe-q8", "Did you mean one of these: tiny-qwen3moe-q8_0, tiny-qwen3-q8_0?"),
        ("mistral", "Without a name, llmtui lists your models."),
        ("devices", "Did you mean --devices?"),
    ],
)
def test_a_name_that_no_model_has_gets_one_that_may_be_meant(written: str, advice: str) -> None:
    with on_terminal(written) as running:
        code, _ = running.end()
    assert code == ExitCode.MODEL
    first, second = plain(running.seen).splitlines()
    assert first == f"error: {written}: there is no such file, and no model of that name."
    assert second == advice


@pytest.mark.usefixtures("library")
def test_a_broken_file_of_that_name_says_why_it_cannot_be_used() -> None:
    done = llmtui("--bench", "half", *ONE_TEST)
    assert done.returncode == ExitCode.MODEL and "half.gguf: Incomplete" in done.stderr


@pytest.mark.parametrize(
    ("written", "said"),
    [("@nowhere.txt", "No such file or directory"), ("@folder", "Is a directory"), ("@latin", "not a text in UTF-8")],
)
def test_a_system_prompt_that_cannot_be_read_is_said(
    written: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    monkeypatch.chdir(tmp_path)
    with on_terminal("--system", written) as running:
        code, _ = running.end()
    assert code == ExitCode.USAGE and f"--system {written}: " in running.seen and said in running.seen
