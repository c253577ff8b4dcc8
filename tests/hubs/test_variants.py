"""The files of a repository sorted into what can be loaded, and names that are hostile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.hubs.interface import HubError
from tui.hubs.quant_names import quant_in
from tui.hubs.records import FoundRepo, RemoteFile, Repo, RepoContent, RepoId
from tui.hubs.reference import Reference
from tui.hubs.registry import variant_of
from tui.hubs.safe_names import is_safe_path, safe_files
from tui.hubs.variants import content_of, variant_named

ID = RepoId(hub="huggingface", name="unsloth/Qwen3-235B-A22B-GGUF")


def repo(*paths: str, sizes: tuple[int, ...] = ()) -> Repo:
    given_sizes = sizes or tuple(range(100, 100 + len(paths)))
    files = tuple(RemoteFile(path=path, size_bytes=size) for path, size in zip(paths, given_sizes, strict=True))
    return Repo(id=ID, commit="abc", files=files, found=FoundRepo(id=ID))


def labels(content: RepoContent) -> list[str]:
    return [variant.label for variant in content.variants]


@pytest.mark.parametrize(
    ("name", "quant"),
    [
        ("Qwen3-4B-Q4_K_M", "Q4_K_M"),
        ("qwen2.5-7b-instruct-q4_k_m", "Q4_K_M"),
        ("Llama-3.2-1B-Instruct.IQ2_XXS", "IQ2_XXS"),
        ("Qwen3-30B-A3B-UD-Q4_K_XL", "UD-Q4_K_XL"),
        ("gpt-oss-20b-MXFP4", "MXFP4"),
        ("gpt-oss-20b-mxfp4_moe", "MXFP4_MOE"),
        ("model-BF16", "BF16"),
        ("model.f16", "F16"),
        ("model-fp16", "F16"),
        ("ggml-model-Q4_0_4_8", "Q4_0_4_8"),
        ("phi-Q6_K_L", "Q6_K_L"),
        ("BitNet-TQ2_0", "TQ2_0"),
        ("Q8-tuned-model-Q5_K_S-imat", "Q5_K_S"),
        ("Qwen3-4B", ""),
        ("FAQ4you", ""),
    ],
)
def test_a_quantization_is_read_from_a_name(name: str, quant: str) -> None:
    assert quant_in(name) == quant


def test_parts_are_one_variant_wherever_they_lie() -> None:
    content = content_of(
        repo(
            "Q4_K_M/Qwen3-Q4_K_M-00002-of-00002.gguf",
            "Q4_K_M/Qwen3-Q4_K_M-00001-of-00002.gguf",
            "Qwen3-Q2_K.gguf",
            "BF16/model-00001-of-00001.gguf",
            "README.md",
        )
    )
    assert labels(content) == ["Q2_K", "BF16", "Q4_K_M"]
    split = content.variants[-1]
    assert [file.path[-22:] for file in split.files] == [f"Q4_K_M-0000{n}-of-00002.gguf"[-22:] for n in (1, 2)]
    assert split.size_bytes == 201
    assert split.commit == "abc"


def test_what_is_no_whole_model_stands_apart() -> None:
    content = content_of(
        repo(
            *("Qwen3-VL-Q4_K_M.gguf", "mmproj-F16.gguf", "mmproj-Qwen3-BF16.gguf", "imatrix_unsloth.gguf"),
            *("big-Q8_0-00001-of-00003.gguf", "big-Q8_0-00003-of-00003.gguf", "Qwen3-draft-Q4_0.gguf"),
        )
    )
    assert labels(content) == ["Q4_K_M"]
    assert [file.path for file in content.projectors] == ["mmproj-F16.gguf", "mmproj-Qwen3-BF16.gguf"]
    assert len(content.other) == 4


def test_a_repository_of_drafts_alone_has_them_to_load() -> None:
    assert labels(content_of(repo("Qwen3-draft-Q4_0.gguf", "Qwen3-draft-Q8_0.gguf"))) == ["Q4_0", "Q8_0"]


def test_every_label_is_there_once() -> None:
    content = content_of(
        repo(
            *("one-Q4_K_M.gguf", "two-Q4_K_M.gguf", "Q8_0/model.gguf", "Q6_K/model.gguf", "a/plain.gguf"),
            "b/plain.gguf",
        )
    )
    found = labels(content)
    assert found == ["one-Q4_K_M", "two-Q4_K_M", "Q8_0", "Q6_K", "a/plain", "b/plain"]


def test_a_variant_is_found_by_label_quantization_or_file_in_any_letters() -> None:
    content = content_of(repo("m-UD-Q4_K_XL.gguf", "m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00002-of-00002.gguf"))
    for written in ("ud-q4_k_xl", "m-UD-Q4_K_XL.gguf"):
        assert variant_named(content, written, ID).label == "UD-Q4_K_XL"
    for written in ("q4_k_m", "m-Q4_K_M-00002-of-00002.gguf", "m-q4_k_m"):
        assert variant_named(content, written, ID).label == "Q4_K_M"


def test_a_label_that_is_not_there_is_answered_with_those_that_are() -> None:
    content = content_of(repo("m-Q4_K_M.gguf", "m-Q8_0.gguf"))
    with pytest.raises(HubError, match=r"Did you mean Q4_K_M\?") as raised:
        variant_named(content, "q4_km", ID)
    assert raised.value.kind == "name"
    with pytest.raises(HubError, match=r"It has Q4_K_M, Q8_0\."):
        variant_named(content, "mxfp4", ID)
    several = content_of(repo("one-Q4_K_M.gguf", "two-Q4_K_M.gguf"))
    with pytest.raises(HubError, match="one of one-Q4_K_M, two-Q4_K_M"):
        variant_named(several, "Q4_K_M", ID)


def test_a_pasted_file_or_folder_names_its_variant() -> None:
    content = content_of(repo("Q4_K_M/m-00001-of-00002.gguf", "Q4_K_M/m-00002-of-00002.gguf", "m-Q8_0.gguf"))

    def asked(path: str) -> str | None:
        found = variant_of(content, Reference(name=ID.name, path=path), ID)
        return found.label if found else None

    assert asked("Q4_K_M/m-00002-of-00002.gguf") == "Q4_K_M"
    assert asked("Q4_K_M") == "Q4_K_M"
    assert asked("m-Q8_0.gguf") == "Q8_0"
    assert asked("") is None


def test_a_repository_without_gguf_says_what_to_look_for() -> None:
    plain = RepoId(hub="modelscope", name="Qwen/Qwen3-4B")
    weights = (RemoteFile(path="model-00001-of-00002.safetensors", size_bytes=1),)
    with pytest.raises(HubError, match='search for "Qwen3-4B GGUF"'):
        content_of(Repo(id=plain, files=weights, found=FoundRepo(id=plain)))
    with pytest.raises(HubError, match="holds no GGUF file"):
        content_of(repo("README.md"))


HOSTILE = [
    *("../up.gguf", "/etc/passwd.gguf", "a/../../b.gguf", "./a.gguf", "a//b.gguf", "a/", "", "..", "a\\b.gguf"),
    *(
        "nul\0.gguf",
        "esc\x1b[2J.gguf",
        "line\nbreak.gguf",
        "turn\u202egguf",
        "x" * 250 + ".gguf",
        "\udcff.gguf",
        "a/ /b",
    ),
]


@pytest.mark.parametrize("path", HOSTILE)
def test_hostile_paths_are_refused(path: str) -> None:
    assert not is_safe_path(path)
    assert safe_files([RemoteFile(path=path, size_bytes=1)]) == ()


def test_names_of_all_languages_are_taken() -> None:
    for path in ("模型/千问-Q4_K_M.gguf", "modèle.gguf", "a b (1).gguf", "größe/ñ.gguf"):
        assert is_safe_path(path)


def test_of_files_that_would_overwrite_one_another_the_first_is_kept() -> None:
    paths = ["Model.gguf", "model.GGUF", "é.gguf", "e\u0301.gguf", "a.gguf", "a.gguf/b.gguf", "c/d.gguf", "c"]
    kept = safe_files(RemoteFile(path=path, size_bytes=1) for path in paths)
    assert [file.path for file in kept] == ["Model.gguf", "é.gguf", "a.gguf", "c/d.gguf"]


PARTS = st.sampled_from(["Q4_K_M", "q4_k_m", "m", "M", "mmproj", "draft", "UD-Q2_K", "é", "00001-of-00002", "千问"])


@given(st.lists(st.lists(PARTS, min_size=1, max_size=4).map("-".join), max_size=12, unique=True), st.data())
def test_every_file_is_sorted_once_and_every_label_leads_to_its_variant(names: list[str], data: st.DataObject) -> None:
    folders = data.draw(st.lists(st.sampled_from(["", "Q8_0/", "sub/"]), min_size=len(names), max_size=len(names)))
    found = [RemoteFile(path=f"{folder}{name}.gguf", size_bytes=1) for folder, name in zip(folders, names, strict=True)]
    files = safe_files(found)
    if not files:
        return
    content = content_of(Repo(id=ID, files=files, found=FoundRepo(id=ID)))
    sorted_files = [file for variant in content.variants for file in variant.files]
    assert sorted(file.path for file in (*sorted_files, *content.projectors, *content.other)) == sorted(
        file.path for file in files
    )
    for variant in content.variants:
        assert variant_named(content, variant.label, ID) == variant
