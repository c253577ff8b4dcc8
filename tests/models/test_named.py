"""Which model a name on the command line means."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.models.named import Named, find, labels, near

NAMES = {
    "Qwen3-4B-Q4_K_M": "Qwen3 4B Instruct",
    "Qwen3-4B-Q8_0": "Qwen3 4B Instruct",
    "Qwen3-14B-Q4_K_M": "Qwen3 14B",
    "Qwen3-30B-A3B-Q3_K_L": "Qwen3 30B A3B",
    "gpt-oss-20b-mxfp4": "gpt-oss 20b",
}
FILES = [
    Named(path=Path(f"/models/{stem}.gguf"), names=(stem, name, f"{name} {stem.rpartition('-')[2]}"))
    for stem, name in NAMES.items()
]


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("Qwen3-4B-Q4_K_M", ["Qwen3-4B-Q4_K_M"]),
        ("qwen3-4b-q4_k_m.gguf", ["Qwen3-4B-Q4_K_M"]),
        ("qwen3 4b instruct", ["Qwen3-4B-Q4_K_M", "Qwen3-4B-Q8_0"]),
        ("qwen3-14b", ["Qwen3-14B-Q4_K_M"]),
        ("qwen3-4b", ["Qwen3-4B-Q4_K_M", "Qwen3-4B-Q8_0"]),
        ("4b q8_0", ["Qwen3-4B-Q8_0"]),
        ("GPT_OSS", ["gpt-oss-20b-mxfp4"]),
        ("a3", ["Qwen3-30B-A3B-Q3_K_L"]),
        ("q3 qwen3", ["Qwen3-30B-A3B-Q3_K_L"]),
        ("llama", []),
        ("-", []),
        ("", []),
    ],
)
def test_a_name_or_a_part_of_it_finds_models(written: str, found: list[str]) -> None:
    assert labels(find(written, FILES)) == found


def test_what_was_misspelt_has_those_that_may_have_been_meant() -> None:
    assert labels(near("qwen4-14b", FILES))[0] == "Qwen3-14B-Q4_K_M"
    assert labels(near("gtp-oss-20b", FILES)) == ["gpt-oss-20b-mxfp4"]
    assert near("mistral", FILES) == []


def test_files_of_one_name_are_told_apart_by_their_paths() -> None:
    twice = [Named(path=Path(f"/{folder}/a.gguf"), names=("a",)) for folder in ("one", "two")]
    assert labels([*twice, FILES[0]]) == ["/one/a.gguf", "/two/a.gguf", "Qwen3-4B-Q4_K_M"]
