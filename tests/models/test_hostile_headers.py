"""Files made to cost as much as they can: what the scan of a library, a plan and a search do with them. Work is counted
and not time: bytes read and kept, plans asked for; or the system bounds it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.models.gguf_files import Shape, Typed, header, pair, write
from tests.models.hostile_headers import HOSTILE, MIB, with_pairs, write_all
from tests.planning.shapes import DEVICES, described, machine
from tui.config.settings import ChosenLoad
from tui.models.budget import LIMITS
from tui.models.cursor import GGUFError
from tui.models.folders import Folder
from tui.models.gguf import Value, read_header
from tui.models.headermemo import HeaderMemo
from tui.models.info import MAX_LAYERS, from_headers
from tui.models.library import BrokenFile, OtherFile, inspect, scan
from tui.models.modelfile import ModelFileError
from tui.planning.formula import MemoryPlan
from tui.planning.remedies import remedies
from tui.planning.search import auto_fit
from tui.planning.verdict import by_formula


class Counted:
    """A header as a source that counts what is read of it."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size, self.n_read = data, len(data) + (1 << 34), 0

    def read_at(self, offset: int, n: int) -> bytes:
        self.n_read += n
        return self.data[offset : offset + n]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_header_has_more_read_or_kept_of_it_than_its_budget(name: str) -> None:
    source = Counted(HOSTILE[name]())
    tracemalloc.start()
    try:
        read_header(source, memo=HeaderMemo())
    except GGUFError as error:
        assert error.kind in ("too_large", "malformed", "corrupt") and len(str(error)) < 300
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # Once for walking, and once for each known vocabulary that it is compared with.
    assert source.n_read <= (2 + HeaderMemo.MOST_OF_A_COUNT) * LIMITS["bytes"]
    assert peak < 100 * MIB


def test_a_library_of_such_files_is_listed_within_bounds_and_the_good_one_is_found(tmp_path: Path) -> None:
    Shape().write(tmp_path / "zz good.gguf")
    for _ in write_all(tmp_path):
        pass
    program = """
        import resource, sys
        from pathlib import Path
        from tui.models.folders import Folder
        from tui.models.library import scan

        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        resource.setrlimit(resource.RLIMIT_DATA, (500 << 20, 500 << 20))
        library = scan([Folder(path=Path(sys.argv[1]))], Path(sys.argv[1], "cache"))
        print(*(model.path.name for model in library.models), sep="\\n")
        print(len(library.models) + len(library.other) + len(library.broken))
        print(max(len(file.reason) for file in (*library.other, *library.broken)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *models, n_listed, longest = done.stdout.splitlines()
    assert "zz good.gguf" in models
    assert int(n_listed) == len(HOSTILE) + 1
    assert int(longest) < 300


def test_a_header_beyond_the_budget_is_named_with_what_is_too_much(tmp_path: Path) -> None:
    write(tmp_path / "keys.gguf", {f"k{i}": i for i in range(LIMITS["keys"] + 1)})
    with pytest.raises(ModelFileError) as error:
        inspect(tmp_path / "keys.gguf")
    assert error.value.kind == "unsupported"
    assert error.value.reason == (
        "Larger than the header of any model: more than 32,768 keys. Get another file of this model."
    )


def test_the_parts_of_a_split_model_share_one_budget(tmp_path: Path) -> None:
    n = LIMITS["keys"] // 4 + 1
    for number in range(1, 5):
        more = {f"k{number}.{i}": i for i in range(n)}
        write(tmp_path / f"m-{number:05d}-of-00004.gguf", Shape().metadata() | more, Shape().tensors())
    (broken,) = scan([Folder(path=tmp_path)], tmp_path / "cache").broken
    assert broken.reason.startswith("Part 4 of 4: Larger than the header of any model: more than 32,768 keys.")


def test_names_are_cut_where_they_are_read(tmp_path: Path) -> None:
    long = {"general.name": "n" * MIB, "general.size_label": "s" * MIB, "general.description": "é" * MIB}
    Shape().write(tmp_path / "model.gguf", **{key.replace(".", "__"): value for key, value in long.items()})
    model = inspect(tmp_path / "model.gguf")
    assert (model.info.name, model.info.size_label) == ("n" * 200, "s" * 200)
    description = read_header(tmp_path / "model.gguf").metadata["general.description"]
    assert isinstance(description, str) and description == "é" * len(description) and len(description) <= 4096


@pytest.mark.parametrize(
    "raw",
    [
        with_pairs([pair("k" * 60_000, 1), pair("k" * 60_000, 2)]),
        with_pairs([pair("general.alignment", "a" * 60_000)]),
        header({"general.architecture": "x" * 60_000}, Shape().tensors())[0],
    ],
    ids=["a key", "a value", "an architecture"],
)
def test_no_reason_repeats_more_of_a_file_than_a_line_holds(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "model.gguf").write_bytes(raw.ljust(32 * MIB, b"\0"))
    library = scan([Folder(path=tmp_path)], tmp_path / "cache")
    files: tuple[OtherFile | BrokenFile, ...] = (*library.broken, *library.other)
    (file,) = files
    assert len(file.reason) < 250


def test_sums_that_nothing_could_store_are_refused_so_that_the_cache_of_the_others_is_written() -> None:
    tensors = [(f"t{i}", (1 << 30, 1 << 28), "IQ1_S") for i in range(40)]
    huge = read_header(header(Shape().metadata(), tensors)[0], check_data=False)
    with pytest.raises(GGUFError, match="more than any model has"):
        from_headers([huge], "x")


def test_a_cache_that_was_changed_by_one_bit_is_not_believed(tmp_path: Path) -> None:
    Shape().write(tmp_path / "models" / "model.gguf")
    cache = tmp_path / "cache"
    first = scan([Folder(path=tmp_path / "models")], cache)
    raw = cache.read_bytes()
    for at in range(0, len(raw), 7):
        cache.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        assert scan([Folder(path=tmp_path / "models")], cache).has_same(first)


@pytest.mark.parametrize("kind", ["folder", "pipe", "nesting"])
def test_what_stands_in_the_place_of_the_cache_costs_the_cache_and_nothing_else(tmp_path: Path, kind: str) -> None:
    Shape().write(tmp_path / "models" / "model.gguf")
    cache = tmp_path / "cache"
    match kind:
        case "folder":
            cache.mkdir()
        case "pipe":
            os.mkfifo(cache)
        case _:
            data = b"\x93\x04\x90" + b"\x91" * 100_000 + b"\xc0"
            cache.write_bytes(hashlib.blake2b(data, digest_size=16).digest() + data)
    for _ in range(2):
        (model,) = scan([Folder(path=tmp_path / "models")], cache).models
        assert model.path.name == "model.gguf"


def test_a_folder_whose_name_no_folder_can_have_is_named_and_the_others_are_searched(tmp_path: Path) -> None:
    Shape().write(tmp_path / "model.gguf")
    library = scan([Folder(path=Path("a\0b"), must_exist=True), Folder(path=tmp_path)], tmp_path / "cache")
    assert [model.path.name for model in library.models] == ["model.gguf"]
    assert [file.reason for file in library.broken] == ["There is no such folder."]


@pytest.mark.parametrize("n_expert", [0, 8], ids=["dense", "experts"])
@pytest.mark.parametrize("share", [0.05, 0.4, 0.8, 1.5])
def test_a_search_over_the_most_layers_asks_for_few_plans(n_expert: int, share: float) -> None:
    info = described(Shape(n_layers=MAX_LAYERS, n_expert=n_expert, n_expert_used=min(n_expert, 2)))
    info = msgspec.structs.replace(info, n_ctx_train=1 << 26)
    memory = machine(info.weights_bytes, int(share * info.weights_bytes))
    asked = 0

    def counting(*of: Any) -> MemoryPlan:
        nonlocal asked
        asked += 1
        return by_formula(*of)

    auto_fit(info, ChosenLoad(n_ctx=0), DEVICES, memory, counting)
    assert asked < 3000
    asked = 0
    remedies(info, ChosenLoad(), DEVICES, memory, planner=counting)
    assert asked < 6000


def test_more_layers_than_llama_cpp_takes_are_refused(tmp_path: Path) -> None:
    Shape(n_layers=MAX_LAYERS + 1).write(tmp_path / "model.gguf")
    with pytest.raises(ModelFileError, match="more than any model has"):
        inspect(tmp_path / "model.gguf")


def test_numbers_by_layer_are_looked_up_once_whatever_their_length() -> None:
    metadata = Shape(n_layers=MAX_LAYERS).metadata()
    for key in ("attention.key_length", "attention.value_length", "ssm.inner_size", "ssm.state_size"):
        metadata[f"qwen3.{key}"] = [Typed(4, 64)] * 1024
    tensors = [*Shape(n_layers=MAX_LAYERS).tensors(), *((f"blk.{i}.ssm_out.weight", (32,), "F32") for i in range(512))]
    seen = 0

    class Watched(dict[str, Value]):
        def get(self, key: str, default: Any = None) -> Any:
            nonlocal seen
            seen += 1
            return super().get(key, default)

    found = read_header(header(metadata, tensors)[0], check_data=False)
    from_headers([msgspec.structs.replace(found, metadata=Watched(found.metadata))], "x")
    assert seen < 200
