"""An answer that was cut off goes on where it ended, in its thought or behind it; a thought ends when somebody wants
the answer now."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.engine.asking import GREEDY, Reply, ask, user
from tests.tape import CHATML, IM, Tape, build
from tui.engines.interface import Engine
from tui.protocol.messages import Delta, Generate
from tui.protocol.records import LoadSettings, Message, Sampling

pytestmark = pytest.mark.asyncio(loop_scope="module")


def answer(text: str, reasoning: str = "") -> Message:
    return Message(role="assistant", content=text, reasoning=reasoning or None)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("thinking", [True, False])
async def test_what_comes_behind_a_part_of_an_answer_is_the_rest_of_it(
    shared_tiny: Engine, thinking: bool, share: float
) -> None:
    whole = await ask(shared_tiny, user("hello"), thinking=thinking)
    begun = whole.text[: round(share * len(whole.text))].rpartition(" ")[0]
    rest = await ask(
        shared_tiny, user("hello"), answer(begun, whole.thinking.rstrip()), thinking=thinking, goes_on=True
    )
    assert (rest.thinking, begun + rest.text) == ("", whole.text)
    assert rest.done.stop == "stop" and rest.started.n_prompt > whole.started.n_prompt
    assert rest.started.n_cached >= whole.started.n_prompt  # nothing is read again that was


async def test_a_thought_that_was_cut_off_goes_on_and_leads_to_the_answer(shared_tiny: Engine) -> None:
    whole = await ask(shared_tiny, user("hello"))
    begun = whole.thinking[:30].rpartition(" ")[0]
    rest = await ask(shared_tiny, user("hello"), answer("", begun), goes_on=True)
    assert rest.events[1] and (begun + rest.thinking).rstrip() == whole.thinking.rstrip()
    assert rest.text == whole.text


async def test_a_thought_that_was_cut_off_is_over_where_no_thinking_is_wanted_any_more(shared_tiny: Engine) -> None:
    whole = await ask(shared_tiny, user("hello"))
    rest = await ask(shared_tiny, user("hello"), answer("", whole.thinking.rstrip()), goes_on=True, thinking=False)
    assert (rest.thinking, rest.text) == ("", whole.text)


async def test_what_a_person_put_into_the_models_mouth_is_gone_on_with_as_text(shared_tiny: Engine) -> None:
    words = "Hello! <|im_end|> I am"
    rest = await ask(shared_tiny, user("hello"), answer(words), thinking=False, goes_on=True)
    plain = await ask(shared_tiny, user("hello"), answer("Hello! I am"), thinking=False, goes_on=True)
    # A mark in it is text of several tokens, and ends nothing.
    assert rest.started.n_prompt > plain.started.n_prompt + 2 and rest.done.timings.n_decode > 0


async def test_a_thought_ends_when_the_answer_is_wanted_now(shared: Engine, tmp_path: Path) -> None:
    """One that would never end by itself."""
    round_and_round = Tape("<think>\n", ["round", " and ", "round", " and "])
    marks = ("<think>", "</think>", *IM)
    template = CHATML.replace("assistant\n{%", "assistant\n<think>\n{%")
    tapes = [round_and_round, Tape("\n\n", ["Hello", " there!", IM[1]])]
    build(tmp_path / "tape.gguf", tapes, control=marks, eos=IM[1], template=template)
    await shared.load(tmp_path / "tape.gguf", LoadSettings(n_ctx=8192, n_threads=1))
    reply = Reply()
    stream = shared.generate(Generate(messages=(user("Hi"),), sampling=GREEDY, flush_s=0.0))
    async for event in stream:
        reply.add(event)
        if isinstance(event, Delta) and event.kind == "thinking":
            stream.end_thought()
    assert (reply.text, reply.done.stop) == ("Hello there!", "stop")
    assert reply.done.thinking_cut
    assert set(reply.thinking.split()) <= {"round", "and"} and reply.done.timings.n_thinking < 8000


async def test_what_is_asked_after_it_may_think_again_and_an_answer_is_not_disturbed(shared_tiny: Engine) -> None:
    reply = Reply()
    stream = shared_tiny.generate(
        Generate(messages=(user("Count to 100"),), sampling=GREEDY, thinking=False, max_tokens=60, flush_s=0.0)
    )
    stream.end_thought()  # before anything is written
    async for event in stream:
        reply.add(event)
        stream.end_thought()
    plain = await ask(shared_tiny, user("Count to 100"), thinking=False, max_tokens=60)
    assert reply.text == plain.text and not reply.done.thinking_cut
    whole = await ask(shared_tiny, user("hello"))
    assert whole.thinking and not whole.done.thinking_cut


async def test_the_seed_of_an_answer_is_told_and_gives_it_again(shared_tiny: Engine) -> None:
    hot = Sampling(temperature=1.5, top_k=0, top_p=1.0)
    first = await ask(shared_tiny, user("hello"), sampling=hot, max_tokens=40)
    assert first.started.seed >= 0
    again = await ask(
        shared_tiny, user("hello"), sampling=msgspec.structs.replace(hot, seed=first.started.seed), max_tokens=40
    )
    assert (again.thinking, again.text) == (first.thinking, first.text)
