"""How likely the tokens of an answer were, as the real engine tells it."""

from __future__ import annotations

import msgspec
import pytest

from tests.engine.asking import GREEDY, Reply, ask, user
from tui.engines.interface import Engine
from tui.protocol.messages import Odds
from tui.protocol.records import AnswerFormat, Sampling, TokenOdds

HELLO = "Hello! I am Tiny Qwen. How can I help you today?"


def odds_of(reply: Reply) -> list[TokenOdds]:
    return [one for event in reply.events if isinstance(event, Odds) for one in event.tokens]


@pytest.mark.asyncio(loop_scope="module")
async def test_each_token_has_its_probability_and_the_likeliest_beside_it(shared_tiny: Engine) -> None:
    plain = await ask(shared_tiny, user("hello"), thinking=True)
    assert odds_of(plain) == []
    reply = await ask(shared_tiny, user("hello"), thinking=True, n_alternatives=5)
    assert (reply.thinking, reply.text) == (plain.thinking, plain.text)
    found = odds_of(reply)
    answer = "".join(one.text for one in found if not one.is_thought).removeprefix("<think>")
    assert answer.strip() == f"{HELLO}<|im_end|>"
    assert "greets" in "".join(one.text for one in found if one.is_thought)
    for one in found:
        shares = [p for _, p in one.others]
        assert len(shares) == 5 and shares == sorted(shares, reverse=True) and sum(shares) <= 1.0001
        assert one.others[0] == (one.text, one.p)  # greedy


@pytest.mark.asyncio(loop_scope="module")
async def test_they_are_those_of_the_model_whatever_is_chosen(shared_tiny: Engine) -> None:
    hot = Sampling(temperature=5.0, top_k=0, top_p=1.0, seed=1)
    reply = await ask(shared_tiny, user("hello"), thinking=False, n_alternatives=3, sampling=hot, max_tokens=20)
    assert len(odds_of(reply)) == 20 and any(one.p < one.others[-1][1] for one in odds_of(reply))
    same = await ask(shared_tiny, user("hello"), thinking=False, sampling=hot, max_tokens=20)
    assert same.text == reply.text
    wanted = AnswerFormat(kind="gbnf", text='root ::= "yes"')
    forced = await ask(shared_tiny, user("hello"), thinking=False, n_alternatives=50, answer_format=wanted)
    assert forced.text == "yes" and odds_of(forced)[0].p < 0.5 and len(odds_of(forced)[0].others) == 20
    penalized = msgspec.structs.replace(GREEDY, repeat_penalty=1.5)
    assert odds_of(await ask(shared_tiny, user("hello"), thinking=False, n_alternatives=1, sampling=penalized))
