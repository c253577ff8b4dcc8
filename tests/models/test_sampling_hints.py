"""The sampling that a file recommends: read as its maker meant it, and nothing of it where it makes no sense."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.models.gguf_files import Shape, Typed
from tui.models.info import ModelInfo
from tui.models.modelfile import read_model
from tui.protocol.records import PartialSampling

F64, I32, U64, TEXT = 12, 5, 10, 8


def described(tmp_path: Path, **hints: Any) -> ModelInfo:
    file = tmp_path / "model.gguf"
    return read_model([Shape().write(file, **{f"general__sampling__{key}": value for key, value in hints.items()})])


def test_all_that_llmtui_has_is_read(tmp_path: Path) -> None:
    found = described(
        tmp_path,
        temp=0.15,
        top_k=Typed(I32, 7),
        top_p=0.9,
        min_p=0.01,
        penalty_repeat=1.05,
        penalty_last_n=Typed(I32, -1),
        xtc_probability=0.5,
        xtc_threshold=0.15,
    )
    assert found.sampling == PartialSampling(
        temperature=0.15,
        top_k=7,
        top_p=0.9,
        min_p=0.01,
        repeat_penalty=1.05,
        penalty_last_n=-1,
        xtc_probability=0.5,
        xtc_threshold=0.15,
    )
    assert found.unknown_sampling == ()


def test_a_file_without_recommendations_has_none(tmp_path: Path) -> None:
    assert described(tmp_path).sampling == PartialSampling()


@pytest.mark.parametrize(
    ("value", "read"),
    [(Typed(F64, 0.15), 0.15), (1, 1.0), (0.0, 0.0), (Typed(F64, 1 / 3), pytest.approx(1 / 3, rel=1e-7))],
    ids=str,
)
def test_numbers_are_read_whatever_their_width(tmp_path: Path, value: object, read: float) -> None:
    assert described(tmp_path, temp=value).sampling.temperature == read


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temp", math.nan),
        ("temp", math.inf),
        ("temp", -0.5),
        ("temp", 5.5),
        ("temp", Typed(F64, 1e300)),
        ("temp", "0.15"),
        ("temp", True),
        ("temp", [0.15]),
        ("top_k", Typed(I32, -2)),
        ("top_k", 7.5),
        ("top_k", Typed(U64, 2**40)),
        ("top_p", 1.5),
        ("min_p", -0.1),
        ("penalty_repeat", 0.0),
        ("penalty_last_n", Typed(I32, -2)),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_left_out_and_the_rest_is_used(tmp_path: Path, key: str, value: object) -> None:
    other = "min_p" if key == "top_p" else "top_p"
    assert described(tmp_path, **{key: value, other: 0.5}).sampling == msgspec.structs.replace(
        PartialSampling(), **{other: 0.5}
    )


def test_minus_one_takes_all_tokens_as_0_does(tmp_path: Path) -> None:
    assert described(tmp_path, top_k=Typed(I32, -1)).sampling == PartialSampling(top_k=0)


def test_a_sampler_that_the_sequence_leaves_out_is_off(tmp_path: Path) -> None:
    found = described(tmp_path, sequence="top-k;temp", top_p=0.5, temp=0.8)
    assert found.sampling == PartialSampling(
        temperature=0.8,
        top_p=1.0,
        min_p=0.0,
        typical_p=1.0,
        repeat_penalty=1.0,
        presence_penalty=0.0,
        frequency_penalty=0.0,
        dry_multiplier=0.0,
        xtc_probability=0.0,
    )
    assert found.unknown_sampling == ()


@pytest.mark.parametrize("sequence", ["", ";", "magic;more", Typed(4, 3)], ids=str)
def test_a_sequence_of_nothing_that_there_is_counts_as_none(tmp_path: Path, sequence: object) -> None:
    assert described(tmp_path, sequence=sequence, top_p=0.5).sampling == PartialSampling(top_p=0.5)


@pytest.mark.parametrize(
    ("hints", "unknown"),
    [
        ({"xtc_probability": 0.5, "xtc_threshold": 0.1}, ()),
        ({"mirostat": Typed(I32, 2), "mirostat_tau": 5.0}, ("Mirostat",)),
        ({"mirostat": Typed(I32, 0)}, ()),
        ({"sequence": "penalties;dry;top_k;typ_p;top_p;min_p;xtc;temperature"}, ()),
        ({"sequence": "xtc;typ_p;temperature"}, ("another order of samplers",)),
        ({"sequence": "temperature;top_k"}, ("another order of samplers",)),
        ({"sequence": "infill;temperature", "mirostat": 1}, ("Mirostat", "the infill sampler")),
    ],
    ids=str,
)
def test_what_llmtui_does_not_have_is_known_by_name(
    tmp_path: Path, hints: dict[str, object], unknown: tuple[str, ...]
) -> None:
    assert described(tmp_path, **hints).unknown_sampling == unknown
