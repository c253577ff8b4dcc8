"""All that is known of a message: in words, and as a dialog."""

from __future__ import annotations

import msgspec
import pytest

from tests.app.conftest import StartApp
from tui.app.message_details import message_details
from tui.app.screens.message_details import MessageDetailsScreen
from tui.app.widgets.detail_lines import as_text
from tui.chat.conversation import MadeWith, Turn, user_turn
from tui.protocol.records import Sampling, Timings
from tui.words import use

MADE = MadeWith(sampling=Sampling(seed=42), thinking_budget=512, n_ctx=8192, pace=(10.0, 20.0, 15.5), pace_s=1.0)
ANSWER = Turn(
    id="a",
    role="assistant",
    text="pong",
    created_at=1.7e9,
    stop="length",
    model="Qwen3",
    backend=("CPU", "Vulkan0"),
    speeds=(5.0, 25.5),
    timings=Timings(n_prompt=120, n_cached=100, n_prefill=20, n_decode=64, decode_s=4.0, n_first=1, ttft_s=0.5),
    made_with=MADE,
)


def told(turn: Turn) -> str:
    return as_text(message_details(turn, 3, 2))


def test_an_answer_tells_what_it_was_made_with_and_how_fast_it_came() -> None:
    text = told(ANSWER)
    for line in (
        *("From: Qwen3", "Branch: 2/3", "End: token limit reached", "Computed on: CPU → Vulkan0"),
        *("Prompt: 120 tokens", "of it kept: 100 tokens", "of it read: 20 tokens", "First token after: 0.5"),
        *("By place: CPU 5.00 tok/s → Vulkan0 25.5 tok/s", "Decode: 15.8 tok/s"),
        *("Seed: 42", "temperature: 0.7", "top_k: 20", "thinking_budget: 512", "Context: 8,192 tokens"),
    ):
        assert line in text
    assert "10.0 to 20.0 tok/s" in text
    assert "dry" not in text and "min_p" not in text  # they did nothing


def test_a_sampler_that_does_something_is_told_of() -> None:
    sampling = Sampling(dry_multiplier=0.8, logit_bias={"the": -2.0})
    text = told(msgspec.structs.replace(ANSWER, made_with=msgspec.structs.replace(MADE, sampling=sampling)))
    assert "dry_multiplier: 0.8" in text and "dry_base: 1.75" in text and "logit_bias: the -2" in text
    assert "Seed: unknown" in text


def test_a_prompt_and_an_answer_of_an_older_version_tell_what_there_is() -> None:
    assert "From: You" in told(user_turn("ping")) and "Settings" not in told(user_turn("ping"))
    old = msgspec.structs.replace(ANSWER, made_with=None, timings=None, model="")
    assert "Speed" not in told(old) and "Length: 4 characters" in told(old)
    assert "Length" not in told(msgspec.structs.replace(old, text="", stop=None))  # it is being written


def test_the_switch_of_thinking_is_a_switch_in_chinese() -> None:
    use("zh")
    try:
        text = told(ANSWER)
    finally:
        use("en")
    assert "思考: 开" in text or "思考：开" in text


@pytest.mark.parametrize("size", [(40, 20), (80, 24)])
async def test_the_details_of_an_answer_are_seen_and_copied(start: StartApp, size: tuple[int, int]) -> None:
    async with start(size=size) as person:
        await person.ask("ping")
        made = person.turns[-1].made_with
        assert made is not None and made.sampling.seed >= 0 and made.n_ctx == person.loaded.n_ctx
        stored = await person.app.store.open(person.app.controller.conversation.id)
        assert stored.turns[-1].made_with == made
        await person.press("ctrl+up", "i")
        await person.wait_for(lambda: isinstance(person.app.screen, MessageDetailsScreen))
        await person.wait_for(lambda: "Computed on" in person.screen_text())
        await person.press("y")
        await person.wait_for(lambda: "Copied" in person.told)
        await person.press("escape")
        await person.wait_for(lambda: person.app.screen is person.app.main)
