"""Models of other programs are found where these keep them, under the names that these have for them, and nothing of
theirs is touched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.models.foreign_stores import OLDER, REVISION, everything, in_hub, in_ollama, picture, sha256
from tests.models.gguf_files import Shape, write
from tui.config.settings import ModelSettings
from tui.models import changes
from tui.models.folders import Folder, configured_folders, default_folders
from tui.models.library import Library, inspect, scan
from tui.models.named import find, named
from tui.models.stores.known import STORES, title_of
from tui.models.stores.modelstore import ModelStore

EMPTY: dict[str, str] = {}


@pytest.fixture
def spare(tmp_path: Path) -> Path:
    folder = tmp_path / "spare"
    folder.mkdir()
    return folder


def search(*folders: Folder, cache: Path) -> Library:
    return scan(folders, cache / "library.msgpack")


def all_of(home: Path, settings: ModelSettings = ModelSettings()) -> Library:  # noqa: B008
    return scan(configured_folders(settings), home / "found.msgpack")


def test_the_models_of_every_program_are_found_and_nothing_is_written(home: Path, spare: Path) -> None:
    expected = everything(home, spare)
    before = {folder: picture(home / folder) for folder in (".cache", ".lmstudio", ".ollama", ".local")}
    library = all_of(home)
    assert {model.source: model.info.name for model in library.models} == expected
    assert all(model.root is not None and model.path.is_relative_to(model.root) for model in library.models)
    assert not library.broken and not library.other
    assert {folder: picture(home / folder) for folder in before} == before
    for model in library.models:
        again = inspect(model.path)
        assert (again.info.name, again.source) == (model.info.name, model.source)


@pytest.mark.parametrize("store", STORES, ids=lambda store: store.source)
def test_each_program_can_be_left_out_by_a_setting(home: Path, spare: Path, store: ModelStore) -> None:
    everything(home, spare)
    without = msgspec.convert({store.switch: False}, ModelSettings)
    sources = {model.source for model in all_of(home, without).models}
    assert sources == {one.source for one in STORES} - {store.source}


def test_each_program_has_a_name_that_people_know() -> None:
    assert len({title_of(store.source) for store in STORES}) == len(STORES)
    assert title_of("folder") == "model folder"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("library/qwen3:4b", "qwen3:4b"),
        ("somebody/qwen3:latest", "somebody/qwen3:latest"),
        ("hf.co/unsloth/Qwen3-GGUF:Q4_K_M", "hf.co/unsloth/Qwen3-GGUF:Q4_K_M"),
    ],
)
def test_a_model_of_ollama_has_the_name_that_ollama_shows(home: Path, spare: Path, name: str, shown: str) -> None:
    in_ollama(home / ".ollama/models", name, Shape().write(spare / "model.gguf"))
    (model,) = all_of(home).models
    assert (model.info.name, model.store_name, model.source) == (shown, shown, "ollama")
    assert model.path.name.startswith("sha256-")
    assert [one.path for one in find(shown, named(all_of(home))[0])] == [model.path]


def test_two_tags_of_one_file_are_one_row_with_both_names(home: Path, spare: Path) -> None:
    model = Shape().write(spare / "model.gguf")
    for tag in ("4b", "latest"):
        in_ollama(home / ".ollama/models", f"library/qwen3:{tag}", model)
    (found,) = all_of(home).models
    assert [place.name for place in found.places] == ["qwen3:4b", "qwen3:latest"]


def test_what_ollama_keeps_for_mlx_or_its_own_engine_is_named_with_the_reason(home: Path, spare: Path) -> None:
    store = home / ".ollama/models"
    in_ollama(store, "library/qwen3:4b-mlx", None, media="tensor", n_layers=3)
    shape = Shape()
    gemma = {key.replace("qwen3.", "gemma3."): value for key, value in shape.metadata().items()}
    gemma["general.architecture"] = "gemma3"
    vision = [("v.blk.0.attn_q.weight", (64, 64), "F16"), ("mm.mm_input_projection.weight", (64, 64), "F16")]
    in_ollama(store, "library/gemma3:4b", write(spare / "gemma", gemma, [*shape.tensors(), *vision]))
    del gemma["gemma3.attention.layer_norm_rms_epsilon"]
    in_ollama(store, "library/gemma3:first", write(spare / "first", gemma, shape.tensors()))
    oss = {key.replace("qwen3.", "gptoss."): value for key, value in shape.metadata().items()}
    in_ollama(
        store,
        "library/gpt-oss:20b",
        write(spare / "oss", oss | {"general.architecture": "gptoss"}, [("blk.0.ffn", (64, 2), "#4")]),
    )
    library = all_of(home)
    assert not library.models and not library.broken
    reasons = {file.name: file.reason for file in library.other}
    assert reasons.keys() == {"qwen3:4b-mlx", "gemma3:4b", "gemma3:first", "gpt-oss:20b"}
    assert "`ollama pull qwen3:4b`" in reasons["qwen3:4b-mlx"]
    assert "projector in one file" in reasons["gemma3:4b"]
    assert "Ollama's own engine" in reasons["gemma3:first"] and reasons["gemma3:first"] == reasons["gpt-oss:20b"]


def test_a_blob_that_is_gone_is_told_under_the_name_of_its_model(home: Path, spare: Path) -> None:
    in_ollama(home / ".ollama/models", "library/qwen3:4b", Shape().write(spare / "model.gguf"))
    shutil.rmtree(home / ".ollama/models/blobs")
    (broken,) = all_of(home).broken
    assert (broken.name, "no such file" in broken.reason.lower()) == ("qwen3:4b", True)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"layers": 1}', "[" * 100_000, "\0\xff"])
def test_a_manifest_that_cannot_be_read_hides_nothing_else(home: Path, spare: Path, damage: str) -> None:
    store = home / ".ollama/models"
    in_ollama(store, "library/qwen3:4b", Shape().write(spare / "model.gguf"))
    in_ollama(store, "library/other:1b", spare / "model.gguf").write_text(damage, encoding="latin-1")
    (store / "manifests" / "stray").write_text("x")
    os.mkfifo(store / "manifests/registry.ollama.ai/library/other/pipe")
    assert [model.info.name for model in all_of(home).models] == ["qwen3:4b"]


def test_a_model_of_jan_without_a_name_has_that_of_its_folder(home: Path, spare: Path) -> None:
    file = home / "jan/models/Mistral-7B/model.gguf"
    file.parent.mkdir(parents=True)
    Shape().write(spare / "x.gguf", general__name="").rename(file)
    library = all_of(home)
    assert [(model.info.name, model.source) for model in library.models] == [("Mistral-7B", "jan")]
    assert [one.names[0] for one in named(library)[0]] == ["Mistral-7B"]


def test_folders_that_the_programs_settings_name_are_searched(home: Path, tmp_path: Path) -> None:
    for file, text in (
        (".lmstudio-home-pointer", f"{tmp_path}/studio\n"),
        (".lmstudio/settings.json", f'{{"downloadsFolder": "{tmp_path}/downloads", "other": 1}}'),
        (".local/share/Jan/settings.json", f'{{"data_folder": "{tmp_path}/jan"}}'),
        (".config/nomic.ai/GPT4All.ini", f"[General]\nmodelPath={tmp_path}/nomic/\n"),
    ):
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).write_text(text)
    variables = {
        "OLLAMA_MODELS": f"{tmp_path}/ollama",
        "LLAMA_CACHE": f"{tmp_path}/llama",
        "MODELSCOPE_CACHE": f"{tmp_path}/scope",
    }
    found = {(folder.source, str(folder.path)) for folder in default_folders((), variables)}
    assert found >= {
        ("lmstudio", f"{tmp_path}/studio/models"),
        ("lmstudio", f"{tmp_path}/downloads"),
        ("ollama", f"{tmp_path}/ollama"),
        ("llamacpp", f"{tmp_path}/llama"),
        ("modelscope", f"{tmp_path}/scope"),
        ("jan", f"{tmp_path}/jan/llamacpp/models"),
        ("gpt4all", f"{tmp_path}/nomic"),
    }


@pytest.mark.parametrize("text", ["", "{", '{"downloadsFolder": 7}', '{"downloadsFolder": "relative"}', "\xff"])
def test_settings_of_a_program_that_cannot_be_read_change_nothing(home: Path, text: str) -> None:
    usual = default_folders((), EMPTY)
    (home / ".lmstudio").mkdir()
    (home / ".lmstudio/settings.json").write_text(text, encoding="latin-1")
    assert default_folders((), EMPTY) == usual


def test_a_cache_whose_repositories_share_contents_shows_each_once(home: Path, spare: Path) -> None:
    hub = home / ".cache/huggingface/hub"
    model = Shape().write(spare / "model.gguf")
    shutil.copy(model, spare / "again.gguf")
    first = in_hub(hub, "Qwen/Qwen3-GGUF", "Qwen3-Q4_K_M.gguf", model, is_shared=True)
    in_hub(hub, "unsloth/Qwen3-GGUF", "Qwen3-Q4_K_M.gguf", spare / "again.gguf", is_shared=True)
    (found,) = all_of(home).models
    assert found.path == first and len(found.places) == 2


def test_the_same_content_in_several_stores_is_one_row_with_all_its_places(home: Path, spare: Path) -> None:
    model = Shape().write(spare / "model.gguf")
    mine = home / "mine" / "Qwen3.gguf"
    mine.parent.mkdir()
    shutil.copy(model, mine)
    in_ollama(home / ".ollama/models", "library/qwen3:4b", model)
    in_hub(home / ".cache/huggingface/hub", "Qwen/Qwen3-GGUF", "Qwen3-Q4_K_M.gguf", model)
    (found,) = all_of(home, ModelSettings(folders=(str(mine.parent),))).models
    assert [place.source for place in found.places] == ["folder", "huggingface", "ollama"]
    assert found.path == mine


def test_models_of_one_size_and_another_content_are_two_rows(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    first, second = (Shape().write(folder / f"{name}.gguf") for name in "ab")
    with second.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\1")
    assert first.stat().st_size == second.stat().st_size and sha256(first) != sha256(second)
    assert len(search(Folder(path=folder), cache=tmp_path).models) == 2
    Shape().write(folder / "c.gguf", general__name="Test Qwen4")
    assert len(search(Folder(path=folder), cache=tmp_path).models) == 3, "the header counts too"


def test_a_folder_within_another_program_is_known_as_its(home: Path, spare: Path) -> None:
    file = home / ".lmstudio/models/mine/model/x.gguf"
    file.parent.mkdir(parents=True)
    Shape().write(spare / "x.gguf").rename(file)
    (model,) = all_of(home, ModelSettings(folders=(str(file.parent),))).models
    assert model.source == "lmstudio"


def settled(look: Callable[[], Library]) -> Library:
    """What is found once nothing has changed within the last moment."""
    for _ in range(1000):
        if (library := look()).is_up_to_date:
            return library
    raise AssertionError("nothing changes any more, and it is not known")


def test_whether_anything_changed_is_known_without_a_scan(home: Path, spare: Path) -> None:
    everything(home, spare)
    hub = home / ".cache/huggingface/hub"

    library = settled(lambda: all_of(home))

    def changed(what: str) -> None:
        nonlocal library
        assert not library.is_up_to_date, what
        library = settled(lambda: all_of(home))

    in_ollama(home / ".ollama/models", "library/new:1b", Shape(n_layers=9).write(spare / "a.gguf"))
    changed("another tag")
    in_hub(hub, "Qwen/Qwen3-GGUF", "Qwen3-Q8_0.gguf", Shape(n_layers=10).write(spare / "b.gguf"), OLDER)
    changed("another snapshot")
    in_hub(hub, "Qwen/Other-GGUF", "Other.gguf", Shape(n_layers=11).write(spare / "c.gguf"))
    changed("another repository")
    (hub / f"models--Qwen--Other-GGUF/snapshots/{REVISION}/Other.gguf").unlink()
    changed("a file that went")
    whole = Shape(n_layers=12).write(spare / "d.gguf").read_bytes()
    growing = home / ".lmstudio/models/growing.gguf"
    growing.write_bytes(whole[:-1000])
    changed("a file that is not whole yet")
    with growing.open("ab") as file:
        file.write(whole[-1000:])
    changed("a file that was finished")
    assert library.broken == ()
    shutil.move(home / ".lmstudio", home / "elsewhere")
    changed("a program that went")
    shutil.move(home / "elsewhere", home / ".lmstudio")
    changed("a program that came")


def test_a_tag_of_ollama_that_comes_after_its_file_or_is_written_over_in_place_is_a_change(
    home: Path, spare: Path
) -> None:
    store = home / ".ollama/models"
    first = in_ollama(store, "library/qwen3:4b", Shape().write(spare / "a.gguf"))
    later = in_ollama(store, "library/qwen3:8b", Shape(n_layers=3).write(spare / "b.gguf"))
    tags = store / "manifests/registry.ollama.ai/library/qwen3"
    coming = (tags / "8b").read_bytes()
    (tags / "8b").unlink()
    assert len(all_of(home).models) == 1 and later != first
    library = settled(lambda: all_of(home))
    (tags / "8b").write_bytes(coming)
    assert not library.is_up_to_date and len(all_of(home).models) == 2
    library = settled(lambda: all_of(home))
    with (tags / "4b").open("r+b") as file:
        file.write(coming)
        file.truncate()
    assert not library.is_up_to_date
    (model,) = all_of(home).models
    assert len(model.places) == 2


def test_what_comes_within_the_same_tick_of_the_clock_as_a_look_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "_TICK_NS", 3_600_000_000_000)
    folder = tmp_path / "models"
    Shape().write(folder / "a.gguf")
    now = folder.stat().st_mtime_ns
    for time_ns, is_sure in ((now - 7_200_000_000_000, True), (now, False)):
        os.utime(folder, ns=(time_ns, time_ns))
        library = search(Folder(path=folder), cache=tmp_path)
        Shape(n_layers=3).write(folder / "b.gguf")
        os.utime(folder, ns=(time_ns, time_ns))
        assert library.is_up_to_date is is_sure
        (folder / "b.gguf").unlink()
