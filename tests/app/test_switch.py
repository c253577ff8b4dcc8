"""The switch of the backend before an answer, in its middle and after it: the answer pauses, moves, goes on in the same
message, and where the other backend cannot be had, all is as it was. llvmpipe is the GPU, slow enough that "in the
middle" is certain; the CPU has to be held back for that."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.app.conftest import Person, StartApp
from tests.engine.vulkan import Driver, require_vulkan, use
from tui.app.widgets.header import Header, ModelInUse
from tui.app.widgets.prompt import Prompt
from tui.chat.export import to_markdown
from tui.engines.local import LocalEngine
from tui.protocol.records import LlamaLoad
from tui.session.events import AnswerGrew, PromptAdvanced
from tui.session.loads import LoadRequest

QUESTION = "Show a table"
LONG = "one two three " * 50
CPU = {"flash_attn": "off"}
SOFTWARE = {"backend": "Vulkan0", "flash_attn": "off"}
OUT_OF_MEMORY = -2


def need_vulkan(person: Person) -> None:
    require_vulkan(tuple(device.name for device in person.app.controller.model.devices))


def loaded(person: Person) -> LlamaLoad:
    return person.loaded.llama


def load(person: Person, *, load_first: bool = False, **changes: Any) -> None:
    """Load the same model with other settings, as the load settings do."""
    controller = person.app.controller
    choice = msgspec.structs.replace(controller.model.choice, **changes)
    assert controller.model.path
    controller.load(
        LoadRequest(path=controller.model.path, choice=choice, load_first=load_first), controller.model.name
    )


async def in_the_middle(person: Person) -> None:
    """Ask, and wait for the first words."""
    begun: list[bool] = []
    person.at_the_first(AnswerGrew, lambda: begun.append(True))  # it may have paused before anyone looks
    await person.send(QUESTION)
    await person.wait_for(lambda: begun)


async def until_answered(person: Person) -> None:
    """And until the screen shows it: on a busy machine it is painted a moment later."""
    await person.wait_for(lambda: person.phase == "ready" and person.turns[-1].stop)
    await person.wait_for(lambda: f"loading {person.app.controller.model.name}" not in shown(person))


async def whole_answer(start: StartApp, question: str = QUESTION) -> tuple[str, str]:
    """Thinking and text of the answer that nothing disturbs."""
    async with start(load=CPU) as person:
        await person.ask(question)
        return person.turns[1].reasoning, person.turns[1].text


def shown(person: Person) -> str:
    """What is left of the sidebar, the lines joined, so that what is wrapped can be found."""
    return " ".join(" ".join(line.split("│")[0] for line in person.screen_text().splitlines()).split())


@pytest.mark.parametrize(("there", "back"), [(SOFTWARE, ("Vulkan0", "CPU")), (CPU, ("CPU", "Vulkan0"))])
async def test_the_answer_goes_on_in_the_same_message_on_the_other_backend(
    start: StartApp, there: dict[str, str], back: tuple[str, ...]
) -> None:
    expected = await whole_answer(start)
    async with start(load=there, software_vulkan=True) as person:
        need_vulkan(person)
        async with person.slowly() if there is CPU else contextlib.nullcontext():
            await in_the_middle(person)
            await person.press("f6")
            await person.wait_for(lambda: person.phase == "loading" or person.turns[-1].stop)
        await until_answered(person)
        turn = person.turns[-1]
        assert [turn.role for turn in person.turns] == ["user", "assistant"]
        assert (turn.reasoning, turn.text) == expected and turn.stop == "stop"
        assert turn.backend == back and len(turn.speeds) == 2 and any(turn.speeds)
        assert turn.timings and turn.timings.n_prefill == turn.timings.n_prompt + 1  # the last token, once more
        assert ("+".join(loaded(person).devices) or "CPU") == back[1]
        footer = shown(person)
        assert back[0] in footer and f"→ {back[1]}" in footer
        assert f"moved to {back[1]} in" in footer and "of context kept" in footer
        assert "would take" not in footer  # nothing was read on the other one yet
        assert f"→ {back[1]}" in to_markdown(person.app.controller.conversation, stats=True)
        conversation_id = person.app.controller.conversation.id
        saved = await person.app.store.open(conversation_id)
        assert saved.turns[-1] == turn


async def test_before_any_answer_and_after_one_f6_goes_there_and_back(start: StartApp) -> None:
    async with start(load=CPU, software_vulkan=True) as person:
        need_vulkan(person)
        await person.press("f6")
        await person.wait_for(lambda: person.phase == "ready" and loaded(person).devices == ("Vulkan0",))
        assert "Moved to Vulkan0 in" in person.told and "would take" not in person.told
        await person.ask("My name is Ada.")
        assert person.turns[-1].backend == ("Vulkan0",)
        await person.press("f6")
        await person.wait_for(lambda: person.phase == "ready" and loaded(person).devices == ())
        assert "Moved to CPU in" in shown(person) and "would take" not in shown(person)
        assert "Ada" in await person.ask("What is my name?")
        assert person.turns[-1].backend == ("CPU",) and person.answer_timings.n_cached > 5


async def test_what_reading_again_would_take_is_said_at_the_speed_of_where_the_model_is_now(start: StartApp) -> None:
    read = 0

    async def move(person: Person, *, says: bool, **changes: Any) -> None:
        nonlocal read
        if changes:
            load(person, **changes)
        else:
            await person.press("f6")
        await person.wait_for(lambda: person.phase == "ready" and person.told.count(" in ") > read)
        read, newest = person.told.count(" in "), person.told.splitlines()[-1]
        assert ("tokens again would take about" in newest) is says and ("of context were kept" in newest) is not says

    async with start(load={**CPU, "n_ctx": 2048, "n_ubatch": 64}, software_vulkan=True) as person:
        need_vulkan(person)
        await person.ask("one two three " * 150)
        await move(person, says=False)  # to Vulkan0
        await move(person, says=True)
        await move(person, says=True, n_ctx=4096)
        await move(person, says=False, n_ubatch=128)
        await person.wait_for(lambda: "prefill" not in person.screen_text())  # it is read once a second


async def test_without_a_gpu_the_footer_does_not_offer_to_switch_and_the_key_says_why(start: StartApp) -> None:
    async with start(load=CPU) as person:
        footer = person.screen_text().splitlines()[-1]
        assert "^o Choose model" in footer and "f6" not in footer
        await person.press("f6")
        await person.wait_for(lambda: "llama.cpp sees no GPU here" in person.told)


async def test_a_gpu_without_layers_is_no_gpu_to_f6(start: StartApp) -> None:
    async with start(load={**SOFTWARE, "n_gpu_layers": 0}, software_vulkan=True) as person:
        need_vulkan(person)
        assert loaded(person).devices == ()
        await person.press("f6")
        await person.wait_for(lambda: person.phase == "ready" and loaded(person).devices == ("Vulkan0",))
        await person.press("f6")
        await person.wait_for(lambda: person.phase == "ready" and loaded(person).devices == ())


async def test_a_pause_while_the_prompt_is_read_reads_nothing_twice(start: StartApp) -> None:
    expected = await whole_answer(start, LONG)
    async with start(load={**CPU, "n_ubatch": 32}) as person:
        person.at_the_first(PromptAdvanced, lambda: load(person, n_ubatch=64))
        async with person.slowly():
            await person.send(LONG)
            await person.wait_for(lambda: person.phase == "loading" or person.turns[-1].stop)
        await until_answered(person)
        turn = person.turns[-1]
        assert (turn.reasoning, turn.text) == expected and loaded(person).n_ubatch == 64
        assert turn.timings and turn.timings.n_prompt > 150 and turn.timings.n_prefill <= turn.timings.n_prompt + 1
        assert turn.backend == ("CPU",) and turn.speeds == ()
        assert "Reloaded on CPU in" in shown(person) and "→ CPU" not in shown(person)


async def test_a_context_that_cannot_come_along_is_told_and_the_answer_goes_on(start: StartApp) -> None:
    async with start(load={"flash_attn": "on"}) as person:
        person.at_the_first(AnswerGrew, lambda: load(person, type_k="q8_0", type_v="q8_0"))
        async with person.slowly():
            await in_the_middle(person)
            await person.wait_for(lambda: person.phase == "loading" or person.turns[-1].stop)
        await until_answered(person)
        turn = person.turns[-1]
        assert loaded(person).type_k == "q8_0" and turn.stop == "stop"
        # All of it, and what was written, once more.
        assert turn.timings and turn.timings.n_prefill > turn.timings.n_prompt
        assert "could not be kept" in person.told
        assert "tokens of context lost" in shown(person)


async def test_when_the_other_settings_cannot_be_loaded_the_answer_goes_on_where_it_was(start: StartApp) -> None:
    expected = await whole_answer(start)
    async with start(load=CPU) as person:
        before = person.app.controller.model.choice
        person.at_the_first(AnswerGrew, lambda: load(person, type_v="q4_0"))
        async with person.slowly():
            await in_the_middle(person)
            await person.wait_for(lambda: person.phase == "loading" or person.turns[-1].stop)
        await until_answered(person)
        turn = person.turns[-1]
        assert (turn.reasoning, turn.text) == expected
        assert turn.backend == ("CPU",) and turn.speeds == () and "CPU" in shown(person)
        assert "could not be loaded" in shown(person) and "[r] reload" in shown(person)
        assert person.app.controller.model.choice == before and loaded(person).type_v == "f16"


async def test_f6_to_a_gpu_without_memory_leaves_the_answer_where_it_was(
    start: StartApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = await whole_answer(start)
    driver = Driver(tmp_path, f"vkAllocateMemory {OUT_OF_MEMORY}")
    use(driver, monkeypatch)
    async with start(load=CPU) as person:
        need_vulkan(person)
        driver.fail()
        async with person.slowly():
            await in_the_middle(person)
            await person.press("f6")
            await person.wait_for(lambda: person.phase == "loading" or person.turns[-1].stop)
        await until_answered(person)
        turn = person.turns[-1]
        assert (turn.reasoning, turn.text) == expected
        assert turn.backend == ("CPU",) and turn.speeds == ()
        assert "could not be loaded" in shown(person)
        assert loaded(person).devices == () and person.app.controller.model.choice.backend == "cpu"
        # The card's key tries once more what failed.
        driver.recover()
        person.app.main.transcript.focus()
        await person.press("r")
        await person.wait_for(lambda: person.phase == "ready" and loaded(person).devices == ("Vulkan0",))
        assert "could not be loaded" not in shown(person)


async def test_esc_during_the_move_keeps_what_was_written(start: StartApp) -> None:
    async with start(load=SOFTWARE, software_vulkan=True) as person:
        need_vulkan(person)
        go_on = person.hold_at_the_pause()
        await in_the_middle(person)
        await person.press("f6")
        await person.wait_for(lambda: person.phase == "loading")
        await person.press("escape")
        go_on()
        await until_answered(person)
        turn = person.turns[-1]
        assert turn.stop == "cancelled" and (turn.reasoning or turn.text)
        assert turn.backend == ("Vulkan0",)
        # What was loaded before is there again, and is what the app believes to be.
        assert loaded(person).devices == ("Vulkan0",) and person.app.controller.model.choice.backend == "Vulkan0"
        await person.ask("ping")
        assert person.turns[-1].text == "pong"


async def test_header_settings_and_engine_agree_after_a_cancel_that_came_too_late(start: StartApp) -> None:
    async with start(load=CPU) as person:
        controller, engine = person.app.controller, person.app.controller.engine
        assert isinstance(engine, LocalEngine)
        hear = engine._on_output

        def too_late(data: bytes) -> None:
            if b"Loaded" in data:
                controller.interrupt()
            hear(data)

        engine._on_output = too_late  # type: ignore[method-assign]
        load(person, n_ctx=2048, load_first=True)
        await person.wait_for(lambda: person.phase == "loading")
        await person.wait_until_ready()
        state = person.app.main.query_one(Header).state
        assert isinstance(state, ModelInUse)
        assert controller.model.choice.n_ctx == person.loaded.n_ctx == state.n_ctx == 2048
        assert await person.ask("ping") == "pong"


async def test_another_conversation_can_be_opened_during_the_move(start: StartApp) -> None:
    async with start(load=CPU) as person:
        go_on = person.hold_at_the_pause()
        person.at_the_first(AnswerGrew, lambda: load(person, n_ctx=2048))
        first = person.app.controller.conversation.id
        async with person.slowly():
            await person.send(QUESTION)
            await person.wait_for(lambda: person.phase == "loading")
        await person.press("ctrl+n")
        await person.wait_for(lambda: person.turns == ())
        go_on()
        await person.wait_until_ready()
        await person.ask("ping")
        assert person.turns[-1].text == "pong" and person.loaded.n_ctx == 2048
        assert (await person.app.store.open(first)).turns[-1].stop == "cancelled"


async def test_an_engine_that_dies_during_the_move_comes_back_as_it_was_before(start: StartApp) -> None:
    async with start(load=SOFTWARE, software_vulkan=True) as person:
        need_vulkan(person)
        before = person.app.controller.model.choice
        person.hold_at_the_pause()
        await in_the_middle(person)
        await person.press("f6")
        await person.wait_for(lambda: person.phase == "loading")
        assert person.app.controller.model.choice.backend == "cpu"
        os.kill(person.engine_pid, signal.SIGKILL)
        await person.wait_for(lambda: person.phase == "dead" and person.turns[-1].stop)
        turn = person.turns[-1]
        assert turn.stop == "crashed" and (turn.reasoning or turn.text) and turn.backend == ("Vulkan0",)
        assert "stopped while loading the model" in shown(person) and "[r] reload as it was before" in shown(person)
        assert person.app.controller.model.choice == before
        await person.press("r")
        await person.wait_until_ready()
        assert loaded(person).devices == ("Vulkan0",)
        await person.ask("ping")
        assert person.turns[-1].text == "pong"


async def test_a_prompt_cannot_be_edited_during_the_move(start: StartApp) -> None:
    expected = await whole_answer(start)
    async with start(load=CPU) as person:
        go_on = person.hold_at_the_pause()
        person.at_the_first(AnswerGrew, lambda: load(person, n_ctx=2048))
        async with person.slowly():
            await person.send(QUESTION)
            await person.wait_for(lambda: person.phase == "loading")
        await person.press("f2")
        assert "stop it first" in person.told and person.app.main.query_one(Prompt).text == ""
        assert person.controller.replacing.cut(person.turns[0].id) == () and len(person.turns) == 2
        await person.press("f6")
        assert "still loading" in person.told
        go_on()
        await until_answered(person)
        assert (person.turns[-1].reasoning, person.turns[-1].text) == expected


@pytest.mark.parametrize(("before", "after"), [("on", "off"), ("off", "on")])
async def test_whether_weights_are_repacked_can_be_changed_in_the_middle_of_an_answer(
    start: StartApp, before: str, after: str
) -> None:
    async with start(load={"repack": before}) as person:
        await person.ask(QUESTION)
        expected = person.turns[1].text
    async with start(load={"repack": before}) as person:
        async with person.slowly():
            await in_the_middle(person)
            load(person, repack=after)
            await person.wait_for(lambda: person.phase == "loading" or person.turns[-1].stop)
        await until_answered(person)
        await person.wait_for(lambda: person.phase == "ready" and person.app.controller.model.choice.repack == after)
        # A model as small as this may have been done before; what it had read comes along either way.
        assert person.turns[1].text == expected and person.loaded.n_lost == 0 < person.loaded.n_kept


async def test_what_takes_another_process_ends_the_answer_and_the_conversation_goes_on_there(start: StartApp) -> None:
    thought, answer = await whole_answer(start)
    async with start(load=CPU) as person:
        engine = person.app.controller.engine
        before = engine.pid
        await in_the_middle(person)
        load(person, numa="distribute", poll=1)
        await person.wait_for(lambda: engine.pid not in (before, None) and person.phase == "ready")
        assert thought.startswith(person.turns[1].reasoning) and answer.startswith(person.turns[1].text)
        await person.ask("ping")
        assert person.turns[-1].text == "pong" and len(person.turns) == 4
