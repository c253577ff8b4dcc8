"""How many candidates a sampler chain must see to choose as if it saw all of them."""

from __future__ import annotations

from tui.engine.sampler import needed_candidates
from tui.protocol.records import Sampling


def test_what_raises_logits_or_reaches_over_all_tokens_needs_all_of_them() -> None:
    assert needed_candidates(Sampling(temperature=0.0)) == 1
    assert needed_candidates(Sampling(top_k=20)) == 20
    assert needed_candidates(Sampling(top_k=20, repeat_penalty=1.1, penalty_last_n=64)) == 84
    assert needed_candidates(Sampling(top_k=20, dry_multiplier=0.8, dry_last_n=100)) == 120
    assert needed_candidates(Sampling(temperature=0.0, logit_bias={"a": -1.0, "b": -100.0})) == 3
    for sampling in (
        Sampling(top_k=0),
        Sampling(top_k=100_000),
        Sampling(repeat_penalty=0.9),
        Sampling(presence_penalty=-1.0),
        Sampling(frequency_penalty=0.5, penalty_last_n=-1),
        Sampling(dry_multiplier=0.8),
        Sampling(logit_bias={"a": -1.0, "b": 1.0}),
    ):
        assert needed_candidates(sampling) == 0
