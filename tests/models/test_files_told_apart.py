"""Files that llama.cpp does not take as they are: "damaged" is said of damaged ones alone, and the parts of a split
model are told by their numbers and not only by their names."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from tests.models.gguf_files import Shape, Typed, header, write
from tui.models.folders import Folder
from tui.models.library import inspect, scan
from tui.models.modelfile import ModelFileError, ModelFileErrorKind

U16 = 2


def refusal(path: Path) -> tuple[ModelFileErrorKind, str]:
    with pytest.raises(ModelFileError) as refused:
        inspect(path)
    return refused.value.kind, refused.value.reason


def parts(folder: Path, n: int = 3, suffix: str = ".gguf") -> list[Path]:
    """A split model as llama.cpp writes them: each part has its number and how many there are."""
    tensors = Shape(n_layers=n).tensors()
    found = []
    for i in range(n):
        numbers = {"split.no": Typed(U16, i), "split.count": Typed(U16, n)}
        metadata = numbers | (Shape(n_layers=n).metadata() if i == 0 else {})
        found.append(write(folder / f"big-{i + 1:05d}-of-{n:05d}{suffix}", metadata, tensors[i::n]))
    return found


@pytest.mark.parametrize(
    ("type_id", "words"), [(31, "no longer reads (Q4_0_4_4)"), (36, "IQ4_NL_4_4"), (139, "does not know (139)")]
)
def test_a_type_that_llama_cpp_does_not_read_is_no_damage(tmp_path: Path, type_id: int, words: str) -> None:
    path = write(tmp_path / "model.gguf", Shape().metadata(), [("blk.0.attn_q.weight", (256,), f"#{type_id}")])
    kind, reason = refusal(path)
    assert kind == "unsupported" and words in reason and "get another file" in reason
    assert "damaged" not in reason.lower() and "download" not in reason.lower()


def test_a_tensor_that_was_made_wrongly_is_no_damage_and_garbage_is(tmp_path: Path) -> None:
    def file(name: str, raw: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(raw)
        return path

    raw, _ = header(Shape().metadata(), [("a", (32, 7), "Q8_0")])
    shape = struct.pack("<QQ", 32, 7)
    assert raw.count(shape) == 1
    odd = file("odd.gguf", raw.replace(shape, struct.pack("<QQ", 33, 7)))
    assert refusal(odd)[0] == "unsupported" and "Not made as llama.cpp needs it" in refusal(odd)[1]
    raw, _ = header(Shape().metadata(), [("a", (32,), "#57005")])
    kind, reason = refusal(file("garbage.gguf", raw))
    assert kind == "broken" and reason.startswith("Damaged")


@pytest.mark.parametrize(
    ("start", "words"), [(b"tjgg\3\0\0\0", "A GGML file"), (bytes(64), "Blank where a model should begin")]
)
def test_what_stands_in_place_of_a_model_is_told(tmp_path: Path, start: bytes, words: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(start + bytes(1000))
    assert words in refusal(path)[1]


def test_a_part_that_was_cut_short_is_named_with_what_is_missing(tmp_path: Path) -> None:
    second = parts(tmp_path)[1]
    os.truncate(second, second.stat().st_size - 1000)
    kind, reason = refusal(second)
    assert kind == "broken" and reason.startswith("Part 2 of 3: Incomplete: ") and " are there. Finish" in reason


def test_a_single_byte_that_is_missing_is_told_in_bytes(tmp_path: Path) -> None:
    path = Shape(n_vocab=8192).write(tmp_path / "model.gguf")
    size = path.stat().st_size
    os.truncate(path, size - 1)
    assert refusal(path)[1].startswith(f"Incomplete: {size - 1:,} of {size:,} bytes are there.")


@pytest.mark.parametrize(("number", "count"), [(65536, 2), (8, 2), (1, 65535)])
def test_a_part_that_no_model_can_have_is_damage_and_gets_no_other_name(
    tmp_path: Path, number: int, count: int
) -> None:
    numbers = {"split.no": Typed(2, number - 1), "split.count": Typed(2, count)}
    path = write(tmp_path / "model.gguf", Shape().metadata() | numbers, Shape().tensors())
    kind, reason = refusal(path)
    assert kind == "broken" and reason.startswith(f"Damaged: it says that it is part {number:,} of {count:,}.")


def test_a_download_that_has_its_full_size_from_the_start_is_not_taken_for_whole(tmp_path: Path) -> None:
    path = Shape().write(tmp_path / "model.gguf")
    control = tmp_path / "model.gguf.aria2"
    control.touch()
    assert refusal(path)[1].startswith("Incomplete: aria2 has not finished it")
    control.unlink()
    assert inspect(path).info.kind == "model"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_part_under_another_name_is_told_with_the_name_that_it_needs(tmp_path: Path, number: int) -> None:
    part = parts(tmp_path)[number - 1]
    name = part.name
    renamed = part.rename(tmp_path / "other.gguf")
    assert refusal(renamed) == (
        "renamed_part",
        f"Part {number} of 3 of a split model, under another name: rename it to {name}.",
    )
    library = scan([Folder(path=tmp_path)], tmp_path / "cache")
    assert not library.models and {file.path.name for file in library.broken} == {
        "other.gguf",
        "big-00001-of-00003.gguf",
    }
    renamed.rename(part)
    assert inspect(part).paths[number - 1] == part


def test_a_part_alone_is_told_with_the_pattern_of_such_names(tmp_path: Path) -> None:
    part = parts(tmp_path / "whole")[0].rename(tmp_path / "model.gguf")
    assert refusal(part)[1].endswith("rename it to model-00001-of-00003.gguf.")


def test_parts_that_changed_their_names_with_each_other_are_noticed(tmp_path: Path) -> None:
    _, second, third = parts(tmp_path)
    second.rename(tmp_path / "x")
    third.rename(second)
    (tmp_path / "x").rename(third)
    kind, reason = refusal(third)
    assert kind == "renamed_part" and reason.startswith("Part 3 of 3 of a split model, under another name")


def test_a_split_model_may_be_named_in_capitals(tmp_path: Path) -> None:
    first, *_ = parts(tmp_path / "a", suffix=".GGUF")
    assert [part.name for part in inspect(first).paths] == [f"big-0000{n}-of-00003.GGUF" for n in (1, 2, 3)]
    capitals = [part.rename(part.with_name(part.name.upper())) for part in parts(tmp_path / "b")]
    assert list(inspect(capitals[2]).paths) == capitals


def test_an_unknown_architecture_is_looked_at_again_as_another_llama_cpp_may_know_it(tmp_path: Path) -> None:
    Shape().write(tmp_path / "model.gguf", general__architecture="qwen99")
    cache = tmp_path / "cache"
    for _ in range(2):
        (other,) = scan([Folder(path=tmp_path)], cache).other
        assert other.kind == "unknown"
    assert not cache.exists()
