"""What a scan of folders finds, what it says about the rest, and what its cache may and may not do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DENSE
from tests.models.gguf_files import Shape, header, write
from tui.config import paths
from tui.models import modelfile
from tui.models.folders import Folder, default_folders
from tui.models.gguf import GgufHeader, read_header
from tui.models.library import Library, LibraryModel, inspect, scan
from tui.models.modelfile import ModelFileError
from tui.words import use


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "library.msgpack"


@pytest.fixture
def headers_read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose headers were really read, in order."""
    read: list[Path] = []

    def counting(path: Path, **options: Any) -> GgufHeader:
        read.append(path)
        return read_header(path, **options)

    monkeypatch.setattr(modelfile, "read_header", counting)
    return read


def search(folder: Path, cache: Path) -> Library:
    return scan([Folder(path=folder)], cache)


def names(library: Library) -> list[str]:
    return [model.path.name for model in library.models]


def reasons(library: Library) -> dict[str, str]:
    return {file.path.name: file.reason for file in library.broken}


def split(folder: Path, n: int, name: str = "big") -> list[Path]:
    """A model in `n` files: metadata in the first, tensors spread over all."""
    tensors = Shape(n_layers=n).tensors()
    part_metadata: list[Mapping[str, object]] = [Shape(n_layers=n).metadata(), *({"split.no": i} for i in range(1, n))]
    return [
        write(folder / f"{name}-{i + 1:05d}-of-{n:05d}.gguf", metadata, tensors[i::n])
        for i, metadata in enumerate(part_metadata)
    ]


def test_models_are_found_in_all_folders_below_sorted_by_name_then_size(folder: Path, cache: Path) -> None:
    Shape().write(folder / "a" / "small.gguf", general__name="zeta model")
    Shape(n_layers=3).write(folder / "b" / "large.gguf", general__name="Alpha model")
    Shape().write(folder / "b" / "c" / "deep.GGUF", general__name="alpha model")
    (folder / "notes.txt").write_text("not a model")
    library = search(folder, cache)
    assert names(library) == ["deep.GGUF", "large.gguf", "small.gguf"]
    assert not library.broken and not library.other


def test_a_split_model_is_one_model(folder: Path, cache: Path) -> None:
    parts = split(folder, 3)
    library = search(folder, cache)
    (model,) = library.models
    assert (model.path, model.paths) == (parts[0], tuple(parts))
    assert model.info.size_bytes == sum(part.stat().st_size for part in parts)
    assert model.info.n_params == sum(t.n_elements for part in parts for t in read_header(part).tensors)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_split_model_that_lacks_a_part_says_which(folder: Path, cache: Path, missing: int) -> None:
    split(folder, 3)[missing].unlink()
    library = search(folder, cache)
    assert names(library) == []
    assert reasons(library) == {
        "big-00001-of-00003.gguf": f"Part {missing + 1} of 3 is missing (big-0000{missing + 1}-of-00003.gguf): "
        "download it too."
    }


def test_a_split_model_with_a_part_cut_short_is_broken(folder: Path, cache: Path) -> None:
    last = split(folder, 2)[1]
    os.truncate(last, last.stat().st_size - 100)
    assert "Incomplete" in reasons(search(folder, cache))["big-00001-of-00002.gguf"]


def test_every_file_that_cannot_be_used_has_a_reason(folder: Path, cache: Path) -> None:
    raw, size = header(Shape().metadata(), Shape().tensors())
    (folder / "cut.gguf").write_bytes(raw[:500])
    (folder / "half.gguf").write_bytes(raw.ljust(size // 2, b"\0"))
    (folder / "empty.gguf").write_bytes(b"")
    (folder / "zip.gguf").write_bytes(b"PK\3\4" * 100)
    (folder / "page.gguf").write_text("<!DOCTYPE html><title>Not found</title>")
    (folder / "pointer.gguf").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (folder / "big-endian.gguf").write_bytes(b"GGUF\0\0\0\3" + bytes(16))
    (folder / "old.gguf").write_bytes(b"GGUF\1\0\0\0" + bytes(16))
    (folder / "nowhere.gguf").symlink_to(folder / "gone")
    (folder / "circle.gguf").symlink_to(folder / "circle.gguf")
    os.mkfifo(folder / "pipe.gguf")
    library = search(folder, cache)
    found = reasons(library)
    assert not library.models
    for name, words in {
        "cut.gguf": "Incomplete: it ends within its header",
        "half.gguf": "Incomplete: ",
        "empty.gguf": "Incomplete: it ends",
        "zip.gguf": "Not a GGUF file",
        "page.gguf": "web page",
        "pointer.gguf": "git lfs pull",
        "big-endian.gguf": "big-endian",
        "old.gguf": "version 1",
        "nowhere.gguf": "no such file",
        "circle.gguf": "points to itself",
        "pipe.gguf": "not a regular file",
    }.items():
        assert words.lower() in found.pop(name).lower(), name
    assert not found


def test_whole_files_that_are_no_chat_models_are_listed_apart(folder: Path, cache: Path) -> None:
    Shape().write(folder / "mmproj-model.gguf", general__architecture="clip")
    Shape().write(folder / "lora.gguf", general__type="adapter")
    write(folder / "vocab.gguf", Shape().metadata())
    library = search(folder, cache)
    assert {file.path.name: file.kind for file in library.other} == {
        "mmproj-model.gguf": "mmproj",
        "lora.gguf": "adapter",
        "vocab.gguf": "vocab",
    }
    assert all(file.reason.endswith(".") for file in library.other)
    assert not library.models and not library.broken


def test_what_may_not_be_read_is_reported_and_the_rest_found(folder_of_a_plain_user: Path) -> None:
    folder = folder_of_a_plain_user
    Shape().write(folder / "fine.gguf")
    Shape().write(folder / "secret.gguf").chmod(0)
    locked = folder / "locked"
    locked.mkdir()
    locked.chmod(0)
    library = search(folder, folder / "cache" / "library.msgpack")
    assert names(library) == ["fine.gguf"]
    assert reasons(library).keys() == {"secret.gguf", "locked"}
    assert all("permission denied" in reason for reason in reasons(library).values())
    with pytest.raises(ModelFileError) as error:
        inspect(folder / "secret.gguf")
    assert error.value.kind == "permission"


def test_links_in_a_circle_and_links_to_one_file_show_it_once(folder: Path, cache: Path) -> None:
    model = Shape().write(folder / "a" / "model.gguf")
    (folder / "a" / "up").symlink_to(folder)
    (folder / "again.gguf").symlink_to(model)
    (folder / "b").symlink_to(folder / "a")
    os.link(model, folder / "hard.gguf")
    assert len(search(folder, cache).models) == 1


def test_the_hugging_face_cache_shows_each_snapshot_file_once(tmp_path: Path, cache: Path) -> None:
    hub = tmp_path / "hub"
    repo = hub / "models--Qwen--Qwen3-0.6B-GGUF"
    blob = Shape().write(repo / "blobs" / "0123abcd")
    for revision in ("aaaa", "bbbb"):
        link = repo / "snapshots" / revision / "Qwen3-0.6B-Q4_K_M.gguf"
        link.parent.mkdir(parents=True)
        link.symlink_to(blob)
    Shape().write(hub / "datasets--x" / "snapshots" / "cccc" / "no.gguf")
    (model,) = scan([Folder(path=hub, source="huggingface")], cache).models
    assert (model.path.name, model.source) == ("Qwen3-0.6B-Q4_K_M.gguf", "huggingface")
    assert "snapshots" in model.path.parts


def test_the_first_folder_that_has_a_file_wins(tmp_path: Path, cache: Path) -> None:
    model = Shape().write(tmp_path / "studio" / "model.gguf")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "model.gguf").symlink_to(model)
    folders = [Folder(path=mine), Folder(path=tmp_path / "studio", source="lmstudio")]
    assert [m.source for m in scan(folders, cache).models] == ["folder"]


def test_a_folder_that_the_user_named_and_that_is_not_there_is_reported(tmp_path: Path, cache: Path) -> None:
    gone = tmp_path / "gone"
    library = scan([Folder(path=gone, must_exist=True), Folder(path=tmp_path / "also-gone")], cache)
    assert [(file.path, file.reason) for file in library.broken] == [(gone, "There is no such folder.")]


def test_models_are_told_as_they_are_found(folder: Path, cache: Path) -> None:
    for n_layers, name in enumerate("abc", start=1):
        Shape(n_layers=n_layers).write(folder / f"{name}.gguf")
    told: list[LibraryModel] = []
    library = scan([Folder(path=folder)], cache, told.append)
    assert sorted(told, key=lambda model: model.path) == list(library.models)


def test_a_second_scan_reads_no_header_and_finds_the_same(folder: Path, cache: Path, headers_read: list[Path]) -> None:
    shutil.copy(DENSE, folder)
    split(folder, 2)
    (folder / "bad.gguf").write_bytes(b"GGUF\1\0\0\0" + bytes(16))
    first = search(folder, cache)
    headers_read.clear()
    assert search(folder, cache).has_same(first)
    assert headers_read == []


def test_a_file_that_changed_is_read_again_and_one_that_went_is_forgotten(
    folder: Path, cache: Path, headers_read: list[Path]
) -> None:
    kept, changed = Shape().write(folder / "kept.gguf"), Shape().write(folder / "changed.gguf")
    gone = Shape().write(folder / "gone.gguf")
    search(folder, cache)
    gone.unlink()
    Shape(n_layers=4).write(changed)
    headers_read.clear()
    library = search(folder, cache)
    assert headers_read == [changed]
    assert {model.path: model.info.n_layers for model in library.models} == {kept: 2, changed: 4}
    assert b"gone.gguf" not in cache.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"\xc1 not msgpack",
        lambda _: b"\x92\x01",
        lambda whole: whole.replace(b"Test Qwen3", b"Test \xffwen3"),
    ],
    ids=["empty", "not MessagePack", "cut short", "not UTF-8"],
)
def test_a_damaged_cache_is_ignored_and_written_anew(
    folder: Path, cache: Path, damage: Callable[[bytes], bytes]
) -> None:
    Shape().write(folder / "model.gguf")
    good = search(folder, cache)
    whole = cache.read_bytes()
    cache.write_bytes(damage(whole))
    assert search(folder, cache).has_same(good)
    assert cache.read_bytes() == whole
    assert [file.name for file in cache.parent.iterdir()] == [cache.name]


def test_a_cache_of_another_version_is_not_trusted(folder: Path, cache: Path, headers_read: list[Path]) -> None:
    Shape().write(folder / "model.gguf")
    search(folder, cache)
    raw = bytearray(cache.read_bytes())
    raw[1] += 1
    cache.write_bytes(raw)
    headers_read.clear()
    search(folder, cache)
    assert len(headers_read) == 1


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(folder: Path, tmp_path: Path) -> None:
    Shape().write(folder / "model.gguf")
    (tmp_path / "file").write_text("in the way")
    assert len(search(folder, tmp_path / "file" / "library.msgpack").models) == 1


def test_a_name_that_is_not_text_is_refused_with_what_to_do(folder: Path, cache: Path) -> None:
    path = Path(os.fsdecode(bytes(folder) + b"/caf\xe9.gguf"))
    Shape().write(path)
    Shape().write(folder / "plain.gguf")
    for _ in range(2):
        library = search(folder, cache)
        assert [model.path.name for model in library.models] == ["plain.gguf"]
        assert [(file.path, file.reason) for file in library.broken] == [
            (path, "Its path is not UTF-8: rename the file or its folder.")
        ]
    with pytest.raises(ModelFileError, match="rename"):
        inspect(path)


def test_the_usual_places_are_searched(home: Path) -> None:
    folders = default_folders(["~/mine", Path("/srv/models")], {})
    told = [(folder.path, folder.source) for folder in folders]
    assert told == [
        (home / "mine", "folder"),
        (Path("/srv/models"), "folder"),
        (paths.models_dir(), "folder"),
        (home / ".cache" / "huggingface" / "hub", "huggingface"),
        (home / ".lmstudio" / "models", "lmstudio"),
        (home / ".cache" / "lm-studio" / "models", "lmstudio"),
        (home / ".ollama" / "models", "ollama"),
        (Path("/usr/share/ollama/.ollama/models"), "ollama"),
        *(one for one in told[8:] if one[1] == "ollama"),
        (home / ".cache" / "llama.cpp", "llamacpp"),
        (home / ".cache" / "modelscope", "modelscope"),
        (home / ".local/share/Jan/data/llamacpp/models", "jan"),
        (home / ".local/share/Jan/data/models", "jan"),
        (home / ".config/Jan/data/llamacpp/models", "jan"),
        (home / ".config/Jan/data/models", "jan"),
        (home / "jan/llamacpp/models", "jan"),
        (home / "jan/models", "jan"),
        (home / ".local/share/nomic.ai/GPT4All", "gpt4all"),
    ]


def test_a_folder_of_an_unknown_user_stays_as_written() -> None:
    found = default_folders(["~nobody-of-this-name/mine"], {"HF_HOME": "~nobody-of-this-name/hf"})
    assert [str(f.path) for f in found if str(f.path).startswith("~")] == [
        "~nobody-of-this-name/mine",
        "~nobody-of-this-name/hf/hub",
    ]


@pytest.mark.parametrize(
    ("environ", "hub"),
    [
        ({"HF_HUB_CACHE": "~nobody-of-that-name/hub"}, "~nobody-of-that-name/hub"),
        ({"HF_HUB_CACHE": "/data/hub", "HF_HOME": "/data/hf"}, "/data/hub"),
        ({"HF_HOME": "/data/hf"}, "/data/hf/hub"),
        ({"XDG_CACHE_HOME": "/data/cache"}, "/data/cache/huggingface/hub"),
    ],
)
def test_the_hugging_face_cache_is_where_its_variables_say(environ: dict[str, str], hub: str) -> None:
    assert [f.path for f in default_folders((), environ) if f.source == "huggingface"] == [Path(hub)]


def test_a_path_on_the_command_line_gives_the_model() -> None:
    model = inspect(DENSE)
    assert (model.path, model.info.arch, model.source) == (DENSE, "qwen3", "folder")


def test_any_part_of_a_split_model_gives_the_whole(folder: Path) -> None:
    parts = split(folder, 3)
    assert inspect(parts[2]) == inspect(parts[0])
    assert inspect(parts[1]).path == parts[0]


def test_a_path_that_is_no_model_is_refused_with_the_reason(folder: Path) -> None:
    Shape().write(folder / "mmproj.gguf", general__type="mmproj")
    (folder / "text.gguf").write_text("hello")
    cut = Shape().write(folder / "cut.gguf")
    os.truncate(cut, cut.stat().st_size - 1)
    split(folder, 2)[0].unlink()
    for name, kind, words in (
        ("gone.gguf", "not_found", "no such file"),
        (".", "directory", "It is a folder"),
        ("mmproj.gguf", "unusable", "image projector"),
        ("text.gguf", "broken", "Not a GGUF file"),
        ("cut.gguf", "broken", "Incomplete"),
        ("big-00002-of-00002.gguf", "missing_part", "Part 1 of 2 is missing"),
    ):
        with pytest.raises(ModelFileError) as error:
            inspect(folder / name)
        assert error.value.kind == kind
        assert words in error.value.reason


def test_what_the_cache_holds_of_broken_files_has_no_language_of_its_own(
    folder: Path, cache: Path, headers_read: list[Path]
) -> None:
    whole = write(folder / "half.gguf", Shape().metadata(), Shape().tensors())
    with whole.open("rb+") as file:
        file.truncate(whole.stat().st_size - 1)
    found = search(folder, cache)
    assert reasons(found)["half.gguf"].startswith("Incomplete: ")
    try:
        assert use("zh")
        assert reasons(found)["half.gguf"].startswith("不完整：")
        n_read = len(headers_read)
        assert reasons(search(folder, cache))["half.gguf"].startswith("不完整：")
        assert len(headers_read) == n_read
    finally:
        use("en")
    assert reasons(search(folder, cache)) == reasons(found)
