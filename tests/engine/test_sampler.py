"""The sampler sees only the likeliest candidates and must choose what llama.cpp's chain chooses from all of them."""

from __future__ import annotations

import json
import subprocess
import sys

import msgspec
import pytest

from tests.conftest import DENSE
from tui.engine.records import Sampling
from tui.engine.sampler import needed_candidates

HOT = Sampling(temperature=3.0, top_k=40, top_p=1.0)
"""Hot enough that tokens far down the list are chosen."""


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.0),
        Sampling(temperature=0.0, repeat_penalty=1.3, penalty_last_n=32),
        Sampling(),
        HOT,
        msgspec.structs.replace(HOT, repeat_penalty=1.2, presence_penalty=1.5, frequency_penalty=0.5),
        msgspec.structs.replace(HOT, presence_penalty=-2.0),
        msgspec.structs.replace(HOT, min_p=0.02, top_k=0),
    ],
)
def test_the_few_give_the_token_that_all_would_give(sampling: Sampling) -> None:
    command = [sys.executable, "-m", "tests.engine.sampler_check", str(DENSE), "150"]
    done = subprocess.run(
        [*command, msgspec.json.encode(sampling).decode()], capture_output=True, text=True, check=True
    )
    chosen, expected = json.loads(done.stdout)
    assert chosen == expected
    assert len(expected) == 150 and len(set(expected)) > 1


def test_what_raises_logits_or_reaches_over_all_tokens_needs_all_of_them() -> None:
    assert needed_candidates(Sampling(temperature=0.0)) == 1
    assert needed_candidates(Sampling(top_k=20)) == 20
    assert needed_candidates(Sampling(top_k=20, repeat_penalty=1.1, penalty_last_n=64)) == 84
    for sampling in (
        Sampling(top_k=0),
        Sampling(top_k=100_000),
        Sampling(repeat_penalty=0.9),
        Sampling(presence_penalty=-1.0),
        Sampling(frequency_penalty=0.5, penalty_last_n=-1),
    ):
        assert needed_candidates(sampling) == 0
