"""The header reader: the same as the official one on good files, a clean error on all others."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import gguf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import DENSE, MOE
from tests.models.gguf_files import Shape, Typed, header, pair, text, write
from tui.models.budget import LIMITS
from tui.models.cursor import GGUFError
from tui.models.gguf import ArrayStub, GgufHeader, Value, read_header
from tui.models.headermemo import HeaderMemo
from tui.models.info import from_headers
from tui.models.quants import FILE_TYPES, TENSOR_TYPES

SMALL, SMALL_SIZE = header(Shape().metadata(tokenizer__ggml__tokens=["a", "bc", "def"] * 30), Shape().tensors())
"""A header of a model that is made of everything a header can have."""


class Range:
    """A source that keeps account, as an HTTP server would be."""

    def __init__(self, data: bytes, size: int | None) -> None:
        self.data, self.size, self.n_read = data, size, 0

    def read_at(self, offset: int, n: int) -> bytes:
        found = self.data[offset : offset + n]
        self.n_read += len(found)
        return found


def official_value(field: gguf.ReaderField) -> Value | list[object]:
    value = field.contents()
    return tuple(value) if isinstance(value, list) else value


@pytest.mark.parametrize("path", [DENSE, MOE], ids=lambda path: path.stem)
def test_metadata_are_those_that_the_official_reader_finds(path: Path) -> None:
    ours, official = read_header(path), gguf.GGUFReader(path)
    fields = {key: field for key, field in official.fields.items() if not key.startswith("GGUF.")}
    assert ours.metadata.keys() == fields.keys()
    for key, value in ours.metadata.items():
        if isinstance(value, ArrayStub):
            assert value.count == len(fields[key].data)
        elif isinstance(value, str):
            assert value == str(official_value(fields[key]))[: len(value)] and (value or key), key
        else:
            assert value == official_value(fields[key]), key


@pytest.mark.parametrize("path", [DENSE, MOE], ids=lambda path: path.stem)
def test_tensors_are_those_that_the_official_reader_finds(path: Path) -> None:
    ours, official = read_header(path), gguf.GGUFReader(path)
    assert [
        (t.name, t.shape, t.ggml_type.name, t.n_bytes, ours.data_offset + t.offset, t.n_elements) for t in ours.tensors
    ] == [
        (t.name, tuple(map(int, t.shape)), t.tensor_type.name, t.n_bytes, t.data_offset, t.n_elements)
        for t in official.tensors
    ]
    assert ours.file_size == path.stat().st_size


def test_every_type_of_value_is_read(tmp_path: Path) -> None:
    values: dict[str, object] = {
        "u8": Typed(0, 255),
        "i8": Typed(1, -128),
        "u16": Typed(2, 65535),
        "i16": Typed(3, -32768),
        "u32": 4_294_967_295,
        "i32": Typed(5, -(2**31)),
        "f32": 0.5,
        "yes": True,
        "text": "雪 🙂",
        "u64": Typed(10, 2**64 - 1),
        "i64": Typed(11, -(2**63)),
        "f64": Typed(12, 0.1),
        "numbers": [1, 2, 3],
        "texts": ["a", "", "c"],
        "nothing": [],
    }
    found = read_header(write(tmp_path / "all.gguf", values)).metadata
    plain = {key: value.value if isinstance(value, Typed) else value for key, value in values.items()}
    assert found == {key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()}


@pytest.mark.parametrize(
    ("array", "stub"),
    [
        (["token"] * 65, ArrayStub(type="string", count=65)),
        ([0.5] * 1025, ArrayStub(type="f32", count=1025)),
        ([Typed(5, 1)] * 2000, ArrayStub(type="i32", count=2000)),
    ],
)
def test_long_arrays_are_counted_and_not_kept(array: list[object], stub: ArrayStub) -> None:
    raw, _ = header({"long": array, "after": 7})
    assert read_header(raw).metadata == {"long": stub, "after": 7}


def test_a_vocabulary_larger_than_any_window_is_walked_over() -> None:
    tokens = ["t" * (i % 50) for i in range(50_000)] + ["x" * 300_000] + ["end"] * 10
    raw, _ = header({"tokens": tokens, "after": "here"})
    assert read_header(raw).metadata == {"tokens": ArrayStub(type="string", count=50_011), "after": "here"}


def test_a_known_vocabulary_is_recognised_and_a_similar_one_walked_over() -> None:
    def raw(last: str) -> bytes:
        return header({"tokens": [*(f"token{i}" for i in range(5000)), last], "after": last})[0]

    memo = HeaderMemo()
    for last in ("same", "same", "other", "a much longer one", "same"):
        assert read_header(raw(last), memo=memo).metadata["after"] == last


@pytest.mark.parametrize("place", [0, 1, 2500, 49_998, 49_999])
def test_a_large_vocabulary_that_differs_in_one_place_is_told_apart(place: int) -> None:
    def raw(word: str) -> bytes:
        tokens = [f"token{i}" for i in range(50_000)]
        tokens[place] = word
        return header({"tokens": tokens, "after": word})[0]

    memo = HeaderMemo()
    for word in ("token", "tokens", "", "tokens", "token"):
        assert read_header(raw(word), memo=memo).metadata["after"] == word


def test_a_table_of_tensors_that_is_known_is_not_read_again_and_another_one_is() -> None:
    shapes = [Shape(), Shape(n_layers=3), Shape(), Shape(kind="Q8_0")]
    memo = HeaderMemo()
    raws = [header(shape.metadata(), shape.tensors())[0] for shape in shapes]
    found = [read_header(raw, memo=memo, check_data=False) for raw in raws]
    assert found == [read_header(raw, check_data=False) for raw in raws]
    assert found[2].tensors is found[0].tensors is not found[1].tensors
    infos = [from_headers([one], "x", memo) for one in found]
    assert infos == [from_headers([one], "x") for one in found]


def test_of_more_tables_than_are_kept_each_is_read_right() -> None:
    memo = HeaderMemo()
    raws = [header({}, [(f"tensor{number}", (32,), "F32")])[0] for number in range(memo.MOST_TABLES + 2)]
    for raw in raws * 2:
        assert read_header(raw, memo=memo, check_data=False) == read_header(raw, check_data=False)


def test_version_2_is_read_too() -> None:
    raw, _ = header({"key": "value"}, version=2)
    assert read_header(raw).version == 2


def test_a_download_can_be_judged_by_its_first_bytes() -> None:
    whole = Range(SMALL, SMALL_SIZE)
    assert len(read_header(whole).tensors) == len(Shape().tensors())
    begun = read_header(SMALL, check_data=False)
    assert begun.tensors == read_header(whole).tensors
    assert read_header(Range(SMALL, None)).file_size is None


def test_a_file_that_lacks_weights_tells_how_much_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    Shape().write(path)
    whole = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(whole - 1)
    with pytest.raises(GGUFError) as error:
        read_header(path)
    assert (error.value.kind, error.value.expected_size, error.value.actual_size) == (
        "truncated_data",
        whole,
        whole - 1,
    )


def counts(n_tensors: int, n_keys: int, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, n_tensors, n_keys) + rest


def tensor(name: str = "t", shape: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


@pytest.mark.parametrize(
    ("raw", "kind", "words"),
    [
        (b"", "truncated", ""),
        (b"GG", "truncated", ""),
        (b"PK\3\4" + bytes(100), "not_gguf", "GGUF"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big_endian", "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "unsupported_version", "version 1"),
        (b"GGUF" + struct.pack("<IQQ", 99, 0, 0), "unsupported_version", "version 99"),
        (counts(2**63, 0), "corrupt", "tensors"),
        (counts(0, 2**40), "corrupt", "keys"),
        (counts(0, 2, pair("a", 1) + pair("a", 2)), "corrupt", "twice"),
        (counts(0, 1, pair("", 1)), "corrupt", "empty key"),
        (counts(0, 1, pair(b"\xff", 1)), "corrupt", "UTF-8"),
        (counts(0, 1, text("k") + struct.pack("<I", 13)), "corrupt", "unknown type 13"),
        (counts(0, 1, text("k") + struct.pack("<IIQ", 9, 9, 1)), "corrupt", "unknown type 9"),
        (counts(0, 1, text("k") + struct.pack("<IIQ", 9, 8, 2**61)), "truncated", ""),
        (counts(0, 1, text("k") + struct.pack("<IIQ", 9, 4, 2**62)), "truncated", ""),
        (counts(0, 1, struct.pack("<Q", 2**63)), "corrupt", "a key of"),
        (counts(0, 1, pair("general.alignment", 33)), "corrupt", "power of two"),
        (counts(0, 1, pair("general.alignment", "32")), "corrupt", "power of two"),
        (counts(0, 1, pair("general.alignment", 0)), "corrupt", "power of two"),
        (counts(1, 0, tensor(name="n" * 64)), "corrupt", "name"),
        (counts(1, 0, tensor(shape=(1,) * 5)), "malformed", "5 dimensions"),
        (counts(1, 0, tensor(kind=31)), "unsupported_type", "unknown type 31"),
        (counts(1, 0, tensor(kind=139)), "unsupported_type", "unknown type 139"),
        (counts(1, 0, tensor(kind=0xDEAD)), "corrupt", "unknown type 57005"),
        (counts(1, 0, tensor(shape=(33,), kind=8)), "malformed", "whole blocks of Q8_0"),
        (counts(1, 0, tensor(shape=(2**40, 2**40))), "corrupt", "impossibly large"),
        (counts(1, 0, tensor(offset=32)), "corrupt", "is at 32"),
        (counts(2, 0, tensor("a") + tensor("a", offset=128)), "corrupt", "twice"),
        (counts(2, 0, tensor("a") + tensor("b", offset=64)), "corrupt", "not at 128"),
        (counts(1, 0, tensor()), "truncated_data", "bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_what_is_wrong_with_a_file_is_told(raw: bytes, kind: str, words: str) -> None:
    with pytest.raises(GGUFError) as error:
        read_header(raw)
    assert error.value.kind == kind
    assert words in str(error.value.detail)
    assert error.value.offset <= len(raw)


def test_broken_text_in_a_description_is_no_reason_to_refuse_a_model() -> None:
    raw, _ = header({"general.description": b"caf\xe9"})
    assert read_header(raw).metadata["general.description"] == "caf�"


def test_a_huge_file_that_lies_about_its_counts_is_not_read_to_its_end() -> None:
    class Endless:
        """A million strings of 64 KiB each: after the start, every eight bytes are the same length."""

        size: int | None = 1 << 40
        start = counts(0, 1, text("key") + struct.pack("<IIQ", 9, 8, 1 << 20))
        n_read = 0

        def read_at(self, offset: int, n: int) -> bytes:
            self.n_read += n
            rest = (1 << 16).to_bytes(8, "little") * (n // 8 + 2)
            behind = offset - len(self.start)
            return (self.start[offset:] + rest if behind < 0 else rest[behind % 8 :])[:n]

    source = Endless()
    with pytest.raises(GGUFError, match="more than 64 MiB of header"):
        read_header(source)
    assert source.n_read <= 2 * LIMITS["bytes"]


@given(st.integers(0, len(SMALL) - 1))
@settings(max_examples=300, deadline=None)
def test_every_truncation_of_a_header_is_an_error(end: int) -> None:
    with pytest.raises(GGUFError) as error:
        read_header(SMALL[:end])
    assert error.value.kind in ("truncated", "truncated_data")


mutations = st.lists(st.tuples(st.integers(4, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=8)


@given(mutations, st.integers(0, len(SMALL)))
@settings(max_examples=600, deadline=None)
def test_a_damaged_header_is_read_or_refused_and_never_costs_much(changes: list[tuple[int, int]], cut: int) -> None:
    raw = bytearray(SMALL)
    for at, byte in changes:
        raw[at] = byte
    if cut % 3 == 0:
        del raw[cut:]
    tracemalloc.start()
    try:
        found = read_header(Range(bytes(raw), SMALL_SIZE))
    except GGUFError as error:
        assert str(error.detail) and error.offset <= SMALL_SIZE
    else:
        assert isinstance(found, GgufHeader)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4 << 20


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_noise_behind_the_magic_is_read_or_refused(noise: bytes) -> None:
    try:
        assert isinstance(read_header(b"GGUF" + struct.pack("<I", 3) + noise), GgufHeader)
    except GGUFError as error:
        assert str(error.detail)


def test_the_table_of_types_agrees_with_the_official_package() -> None:
    official = {int(kind): (kind.name, *sizes) for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    # The package has Q8_1 with two 32-bit numbers; llama.cpp has had two 16-bit ones since 2024. No file uses it.
    del official[9]
    ours = {kind.id: (kind.name, kind.block_size, kind.block_bytes) for kind in TENSOR_TYPES.values()}
    assert {id_: ours.get(id_) for id_ in official} == official


def test_the_labels_of_files_agree_with_the_official_package() -> None:
    for id_, label in FILE_TYPES.items():
        if id_ in gguf.LlamaFileType._value2member_map_:
            assert gguf.LlamaFileType(id_).name.removeprefix("MOSTLY_").removeprefix("ALL_").startswith(label)
