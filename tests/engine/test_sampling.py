"""What the values of sampling do to the text that the real engine writes."""

from __future__ import annotations

import msgspec
import pytest

from tests.engine.asking import GREEDY, Reply, ask, user
from tui.engines.interface import Engine
from tui.protocol.records import Sampling

HELLO = "Hello! I am Tiny Qwen. How can I help you today?"


async def written(engine: Engine, n: int, sampling: Sampling) -> str:
    """So many tokens of a text that never ends."""
    reply = await ask(engine, user("hello"), sampling=sampling, thinking=False, max_tokens=n, ignore_end=True)
    return reply.text


async def said(engine: Engine, sampling: Sampling) -> Reply:
    return await ask(engine, user("hello"), sampling=sampling, thinking=False)


def biased(**biases: float) -> Sampling:
    return msgspec.structs.replace(GREEDY, logit_bias={text.replace("_", " "): bias for text, bias in biases.items()})


@pytest.mark.asyncio(loop_scope="module")
async def test_a_banned_token_is_never_written_and_a_wanted_one_sooner(shared_tiny: Engine) -> None:
    assert (await said(shared_tiny, GREEDY)).text == HELLO
    banned = (await said(shared_tiny, biased(H=-100))).text
    assert banned and not banned.startswith("H")
    assert (await said(shared_tiny, biased(H=-100, I=100))).text.startswith("I")
    hot = Sampling(temperature=5, top_k=0, top_p=1, seed=3, logit_bias={" I": -100})
    assert " I" not in (await written(shared_tiny, 200, hot)).replace(" In", "").replace(" It", "")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_text_of_several_tokens_has_no_bias_and_that_is_told(shared_tiny: Engine) -> None:
    reply = await said(shared_tiny, biased(H=0.5, Hello=-100))
    assert reply.started.biases_left_out == ("Hello",) and reply.text == HELLO


@pytest.mark.asyncio(loop_scope="module")
async def test_penalties_over_the_whole_context_reach_over_all_of_it(shared_tiny: Engine) -> None:
    strong = msgspec.structs.replace(GREEDY, frequency_penalty=2.0)
    texts = [
        await written(shared_tiny, 120, msgspec.structs.replace(strong, penalty_last_n=n)) for n in (-1, 100_000, 0)
    ]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.asyncio(loop_scope="module")
async def test_dry_keeps_a_text_from_repeating_itself(shared_tiny: Engine) -> None:
    def n_repeated(text: str) -> int:
        pieces = [text[i : i + 24] for i in range(len(text) - 24)]
        return len(pieces) - len(set(pieces))

    plain = await written(shared_tiny, 400, GREEDY)
    dry = await written(shared_tiny, 400, msgspec.structs.replace(GREEDY, dry_multiplier=3.0))
    assert n_repeated(plain) > 30 > 10 > n_repeated(dry)


@pytest.mark.asyncio(loop_scope="module")
async def test_xtc_takes_other_words_than_the_likeliest_and_the_same_ones_for_a_seed(shared_tiny: Engine) -> None:
    sampling = Sampling(temperature=1.0, top_p=1.0, seed=5, xtc_probability=1.0, xtc_threshold=0.0001)
    first = await written(shared_tiny, 60, sampling)
    assert first == await written(shared_tiny, 60, sampling)
    assert first != await written(shared_tiny, 60, msgspec.structs.replace(sampling, xtc_probability=0.0))
