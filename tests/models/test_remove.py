"""What deleting a model takes away and frees, what it leaves alone, and what is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.models.foreign_stores import OLDER, everything, in_hub, in_ollama, picture
from tests.models.gguf_files import Shape, write
from tui.config import paths
from tui.config.settings import ModelSettings
from tui.models import remove
from tui.models.folders import Folder, configured_folders
from tui.models.library import LibraryModel, scan
from tui.models.remove import Removal, RemovalError

HUB = ".cache/huggingface/hub"
STUDIO = ".lmstudio/models"


@pytest.fixture
def spare(tmp_path: Path) -> Path:
    folder = tmp_path / "spare"
    folder.mkdir()
    return folder


def models(home: Path, *folders: Path) -> tuple[LibraryModel, ...]:
    settings = ModelSettings(folders=tuple(map(str, folders)))
    return scan(configured_folders(settings), home / "found.msgpack").models


def only(home: Path, *folders: Path) -> LibraryModel:
    (model,) = models(home, *folders)
    return model


def solid(path: Path, n_layers: int = 2) -> Path:
    """A small model whose weights take room on the disk."""
    whole = Shape(n_layers=n_layers).write(path)
    whole.write_bytes(whole.read_bytes())
    os.sync()
    return whole


def room(*files: Path) -> int:
    return sum(file.lstat().st_blocks * 512 for file in files)


def names_below(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}


def said(removal: Removal) -> str:
    return " ".join(map(str, removal.warnings))


def test_a_file_of_our_own_is_deleted_with_the_folders_that_are_empty_then(home: Path) -> None:
    file = solid(paths.models_dir() / "Qwen/Qwen3-GGUF/Qwen3-Q4_K_M.gguf")
    other = solid(paths.models_dir() / "Qwen/Other/Other.gguf", 3)
    expected = room(file)
    planned = remove.plan(next(model for model in models(home) if model.path == file))
    assert (planned.refused, planned.warnings, planned.paths, planned.frees_bytes) == (None, (), (file,), expected)
    assert expected > 0 and file.exists(), "a plan deletes nothing"
    assert remove.carry_out(planned) == expected
    assert not file.parent.exists() and other.exists()


def test_all_parts_of_a_split_model_go(home: Path) -> None:
    folder = paths.models_dir()
    tensors = Shape().tensors()
    parts = [write(folder / "big-00001-of-00002.gguf", Shape().metadata(), tensors[::2])]
    parts.append(write(folder / "big-00002-of-00002.gguf", {"split.no": 1}, tensors[1::2]))
    planned = remove.plan(only(home))
    assert planned.paths == tuple(parts)
    remove.carry_out(planned)
    assert not models(home)


def test_a_file_with_another_name_on_the_disk_frees_nothing(home: Path, spare: Path) -> None:
    file = solid(paths.models_dir() / "a.gguf")
    os.link(file, spare / "hard.gguf")
    planned = remove.plan(only(home))
    assert planned.frees_bytes == 0 and "hard links" in said(planned)
    remove.carry_out(planned)
    assert (spare / "hard.gguf").exists() and not file.exists()


def test_of_a_link_only_the_link_is_deleted(home: Path, spare: Path) -> None:
    file = solid(spare / "model.gguf")
    link = paths.models_dir() / "link.gguf"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(file)
    planned = remove.plan(only(home))
    assert planned.paths == (link,) and planned.frees_bytes == 0 and str(file) in said(planned)
    remove.carry_out(planned)
    assert file.exists() and not link.is_symlink()


def test_what_lies_behind_a_link_to_a_folder_is_not_deleted(home: Path, spare: Path) -> None:
    solid(spare / "model.gguf")
    paths.models_dir().mkdir(parents=True, exist_ok=True)
    (paths.models_dir() / "elsewhere").symlink_to(spare)
    planned = remove.plan(only(home))
    assert planned.refused is not None and str(spare) in str(planned.refused)
    with pytest.raises(RemovalError, match="outside of"):
        remove.carry_out(planned)
    assert (spare / "model.gguf").exists()


def test_a_file_that_another_programs_link_needs_is_not_deleted(home: Path) -> None:
    file = solid(home / HUB / "x" / "model.gguf")
    solid(paths.models_dir() / "mine.gguf", 3)
    file.rename(paths.models_dir() / "model.gguf")
    link = home / STUDIO / "me/model/model.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to(paths.models_dir() / "model.gguf")
    model = next(model for model in models(home) if model.path.name == "model.gguf")
    planned = remove.plan(model)
    assert "~/.lmstudio/models/me/model/model.gguf is a link to it" in str(planned.refused)


@pytest.mark.parametrize("is_shared", [False, True])
def test_in_the_hugging_face_cache_the_link_and_its_content_go(home: Path, spare: Path, is_shared: bool) -> None:
    hub = home / HUB
    in_hub(hub, "Qwen/Qwen3-GGUF", "Qwen3-Q4_K_M.gguf", solid(spare / "a.gguf"), is_shared=is_shared)
    in_hub(hub, "Qwen/Qwen3-GGUF", "Qwen3-Q8_0.gguf", solid(spare / "b.gguf", 3), is_shared=is_shared)
    model = next(model for model in models(home) if model.path.name == "Qwen3-Q4_K_M.gguf")
    content = model.path.resolve()
    planned = remove.plan(model)
    assert planned.frees_bytes >= room(content) > 0
    assert "belongs to another program (Hugging Face cache)" in said(planned)
    before = names_below(hub)
    remove.carry_out(planned)
    assert not content.exists() and not model.path.is_symlink()
    assert len(before - names_below(hub)) == (4 if is_shared else 2)
    assert only(home).path.name == "Qwen3-Q8_0.gguf"


def test_what_another_snapshot_needs_stays(home: Path, spare: Path) -> None:
    hub = home / HUB
    file = solid(spare / "a.gguf")
    link = in_hub(hub, "Qwen/Qwen3-GGUF", "Qwen3.gguf", file)
    shutil.copy(link, file)
    in_hub(hub, "Qwen/Qwen3-GGUF", "Qwen3.gguf", file, OLDER)
    planned = remove.plan(only(home))
    assert planned.paths == (link,) and planned.frees_bytes == 0
    assert "another snapshot" in said(planned)
    remove.carry_out(planned)
    kept = only(home)
    assert OLDER in kept.path.parts
    assert remove.carry_out(remove.plan(kept)) > 0 and not models(home)


def test_what_another_repository_shares_stays(home: Path, spare: Path) -> None:
    hub = home / HUB
    file = solid(spare / "a.gguf")
    shutil.copy(file, spare / "b.gguf")
    for repo, one in (("Qwen/Qwen3-GGUF", file), ("unsloth/Qwen3-GGUF", spare / "b.gguf")):
        in_hub(hub, repo, "Qwen3.gguf", one, is_shared=True)
    planned = remove.plan(only(home))
    assert planned.frees_bytes == 0 and "repository needs it" in said(planned)
    remove.carry_out(planned)
    assert "unsloth" in str(only(home).path)


def test_a_tag_of_ollama_goes_with_what_no_other_tag_needs(home: Path, spare: Path) -> None:
    store = home / ".ollama/models"
    file, other = solid(spare / "a.gguf"), solid(spare / "b.gguf", n_layers=3)
    in_ollama(store, "library/qwen3:4b", file)
    in_ollama(store, "library/gemma3:1b", other)
    model = next(one for one in models(home) if one.store_name == "qwen3:4b")
    planned = remove.plan(model)
    manifest, *blobs = planned.paths
    assert manifest == store / "manifests/registry.ollama.ai/library/qwen3/4b"
    assert blobs == [model.path], "both tags have the same template"
    assert planned.frees_bytes > file.stat().st_size // 2 and "another program (Ollama)" in said(planned)
    remove.carry_out(planned)
    assert only(home).store_name == "gemma3:1b"
    remove.carry_out(remove.plan(only(home)))
    assert list((store / "blobs").iterdir()) == []


def test_a_file_that_another_tag_of_ollama_needs_stays(home: Path, spare: Path) -> None:
    store = home / ".ollama/models"
    for tag in ("4b", "latest"):
        in_ollama(store, f"library/qwen3:{tag}", solid(spare / "a.gguf"))
    planned = remove.plan(only(home))
    assert planned.frees_bytes < 1 << 13 and "as it is also qwen3:latest" in said(planned)
    assert planned.paths == (store / "manifests/registry.ollama.ai/library/qwen3/4b",)
    remove.carry_out(planned)
    assert (only(home).store_name, only(home).path.is_file()) == ("qwen3:latest", True)


@pytest.mark.parametrize("name", ["blobs/sha256-ab-partial-0", "manifests/registry.ollama.ai/library/x/damaged"])
def test_while_ollama_changes_what_it_keeps_it_is_left_to_ollama(home: Path, spare: Path, name: str) -> None:
    store = home / ".ollama/models"
    in_ollama(store, "library/qwen3:4b", solid(spare / "a.gguf"))
    (store / name).parent.mkdir(parents=True, exist_ok=True)
    (store / name).write_text("{")
    before = picture(home / ".ollama")
    planned = remove.plan(only(home))
    assert "`ollama rm qwen3:4b`" in str(planned.refused) and planned.paths == ()
    with pytest.raises(RemovalError):
        remove.carry_out(planned)
    assert picture(home / ".ollama") == before


def test_what_a_program_noted_of_a_file_alone_goes_with_it(home: Path, spare: Path) -> None:
    everything(home, spare)
    for source, notes in (("llamacpp", "Qwen3-Q8_0.gguf.json"), ("jan", "model.yml")):
        planned = remove.plan(next(model for model in models(home) if model.source == source))
        assert [path.name.endswith(notes) for path in planned.paths] == [False, True]
        remove.carry_out(planned)
    assert {model.source for model in models(home)} == {"huggingface", "lmstudio", "ollama", "modelscope", "gpt4all"}


def test_deleting_in_one_store_leaves_every_other_as_it_was(home: Path, spare: Path) -> None:
    everything(home, spare)
    for model in models(home):
        others = {one.path: one.path.read_bytes() for one in models(home) if one.source != model.source}
        planned = remove.plan(model)
        if planned.refused is None:
            assert "It belongs to another program" in said(planned)
            remove.carry_out(planned)
        assert {path: path.read_bytes() for path in others} == others
    assert models(home) == ()


def test_a_copy_that_stays_is_told(home: Path) -> None:
    file = solid(paths.models_dir() / "a.gguf")
    copy = home / STUDIO / "me/model/a.gguf"
    copy.parent.mkdir(parents=True)
    shutil.copy(file, copy)
    planned = remove.plan(only(home))
    assert planned.paths == (file,) and "A copy of it stays: ~/.lmstudio/models/me/model/a.gguf." in said(planned)
    remove.carry_out(planned)
    assert only(home).path == copy


def test_a_copy_that_ollama_has_is_told_by_its_name(home: Path) -> None:
    in_ollama(home / ".ollama/models", "library/qwen3:4b", solid(paths.models_dir() / "a.gguf"))
    assert "A copy of it stays in Ollama, as qwen3:4b." in said(remove.plan(only(home)))


def test_a_file_that_changed_after_the_question_is_not_deleted(home: Path) -> None:
    file = solid(paths.models_dir() / "a.gguf")
    planned = remove.plan(only(home))
    solid(file, 3)
    with pytest.raises(RemovalError, match="nothing was deleted"):
        remove.carry_out(planned)
    assert file.exists()


def test_a_file_that_is_gone_says_so(home: Path) -> None:
    model = only(home) if solid(paths.models_dir() / "a.gguf") else None
    assert model is not None
    model.path.unlink()
    assert "No such file" in str(remove.plan(model).refused)


def test_a_folder_that_is_closed_is_told_before_the_question(folder_of_a_plain_user: Path) -> None:
    closed = folder_of_a_plain_user / "closed"
    Shape().write(closed / "a.gguf")
    closed.chmod(0o555)
    (model,) = scan([Folder(path=closed)], folder_of_a_plain_user / "found").models
    planned = remove.plan(model)
    assert "permission denied" in str(planned.refused)
    closed.chmod(0o755)
    assert remove.plan(model).refused is None
