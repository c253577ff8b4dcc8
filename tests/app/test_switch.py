"""The switch of the backend in the middle of an answer: it pauses, moves, goes on in the same message. llvmpipe is slow
enough that "in the middle" is certain."""

from __future__ import annotations

import msgspec
import pytest

from tui.app.controller import Move
from tui.chat.export import to_markdown

QUESTION = "Count to 100"
SOFTWARE = {"backend": "Vulkan0", "flash_attn": "off"}


def need_vulkan(person) -> None:
    if not any(device.name == "Vulkan0" for device in person.app.controller.devices):
        pytest.skip("this llama.cpp was built without Vulkan, or the machine has no Vulkan driver")


async def in_the_middle(person) -> None:
    """Ask, and wait for the first words."""
    await person.send(QUESTION)
    await person.wait_for(lambda: person.app.main._speed.is_decoding)


async def whole_answer(start) -> tuple[str, str]:
    """Thinking and text of the answer that nothing disturbs."""
    async with start(load={"flash_attn": "off"}) as person:
        await person.ask(QUESTION)
        return person.turns[1].reasoning, person.turns[1].text


async def test_the_answer_goes_on_in_the_same_message_on_the_other_backend(start):
    expected = await whole_answer(start)
    async with start(load=SOFTWARE, software_vulkan=True) as person:
        need_vulkan(person)
        await in_the_middle(person)
        await person.press("f6")
        await person.wait_for(lambda: person.phase == "ready" and person.turns[-1].stop)
        turn = person.turns[-1]
        assert [turn.role for turn in person.turns] == ["user", "assistant"]
        assert (turn.reasoning, turn.text) == expected and turn.stop == "stop"
        assert turn.backend == ("Vulkan0", "CPU") and len(turn.speeds) == 2 and all(turn.speeds)
        assert turn.timings.n_prefill == turn.timings.n_prompt + 1  # the last token, once more
        assert person.app.controller.engine.loaded.devices == ()
        assert "Vulkan0" in (footer := person.screen_text()) and "→ CPU" in footer
        assert "→ CPU" in to_markdown(person.app.controller.conversation, stats=True)
        conversation_id = person.app.controller.conversation.id
        saved = await person.app.store.open(conversation_id)
        assert saved.turns[-1] == turn


async def test_when_the_other_backend_cannot_be_loaded_the_answer_goes_on_where_it_was(start):
    expected = await whole_answer(start)
    async with start(load=SOFTWARE, software_vulkan=True) as person:
        need_vulkan(person)
        await in_the_middle(person)
        controller = person.app.controller
        impossible = msgspec.structs.replace(controller.choice, flash_attn="off", type_v="q4_0")
        controller.load(Move(path=controller.model_path, choice=impossible), controller.model_name)
        await person.wait_for(lambda: person.phase == "ready" and person.turns[-1].stop)
        turn = person.turns[-1]
        assert (turn.reasoning, turn.text) == expected
        assert "could not be loaded" in person.screen_text()
        assert controller.engine.loaded.devices == ("Vulkan0",)


async def test_esc_during_the_move_keeps_what_was_written(start):
    async with start(load=SOFTWARE, software_vulkan=True) as person:
        need_vulkan(person)
        await in_the_middle(person)
        controller = person.app.controller
        choice = msgspec.structs.replace(controller.choice, backend="cpu")
        controller.load(Move(path=controller.model_path, choice=choice, load_first=True), controller.model_name)
        await person.wait_for(lambda: person.phase == "loading" or person.turns[-1].stop)
        await person.press("escape")
        await person.wait_for(lambda: person.phase == "ready" and person.turns[-1].stop)
        assert person.turns[-1].stop == "cancelled"
        assert person.turns[-1].reasoning or person.turns[-1].text
        await person.ask("ping")
        assert person.turns[-1].text == "pong"


async def test_another_conversation_can_be_opened_during_the_move(start):
    async with start(load=SOFTWARE, software_vulkan=True) as person:
        need_vulkan(person)
        await in_the_middle(person)
        controller = person.app.controller
        first = controller.conversation.id
        choice = msgspec.structs.replace(controller.choice, backend="cpu")
        controller.load(Move(path=controller.model_path, choice=choice), controller.model_name)
        await person.press("ctrl+n")
        await person.wait_for(lambda: person.turns == () and person.phase == "ready")
        await person.ask("ping")
        assert person.turns[-1].text == "pong" and person.turns[-1].backend == ("CPU",)
        assert (await person.app.store.open(first)).turns[-1].stop == "cancelled"
