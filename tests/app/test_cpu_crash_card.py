"""When llama.cpp's code for this processor crashes, a card says so and one key goes on, never with what was in use."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import Person, StartApp
from tests.app.dialogs import KEYS
from tests.app.scenes import Scene, shown
from tests.app.steps import crash_on_the_cpu
from tests.conftest import TINY
from tests.engine.model_files import N_VOCAB, with_vocabulary
from tests.engine.preloaded import Processor
from tests.models.gguf_files import Shape
from tests.recorded import CPU_CRASH
from tui.app.death_card import engine_stopped
from tui.engines.local import LocalEngine
from tui.protocol.death import Cause, Computing, Death, rebuild_command


def each(*signals: signal.Signals) -> pytest.MarkDecorator:
    """The signals with which code crashes, two with each card; both cards are made of the same cause."""
    return pytest.mark.parametrize("number", signals, ids=lambda number: number.name)


def offered(person: Person) -> list[str]:
    """The keys of the card on the screen."""
    return re.findall(r"\[(\w)\] (?=reload|show engine log)", person.screen_text())


def words(person: Person) -> str:
    return " ".join(person.screen_text().split())


AS_ASKED = {"speculative": "off"}
"""Nothing is computed before a question; what speculation costs is measured right after a load."""


def use(processor: Processor, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in processor.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """In a quantization that most CPUs repack."""
    return with_vocabulary(Shape(n_vocab=N_VOCAB), tmp_path / "model.gguf")


async def is_repacked_here(model: Path) -> bool:
    async with LocalEngine() as engine:
        return bool((await engine.load(model, TINY)).llama.repacked)


@each(signal.SIGILL, signal.SIGSEGV)
async def test_a_first_load_that_crashes_in_repacked_weights_goes_on_without_them(
    start: StartApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path, number: signal.Signals
) -> None:
    if not await is_repacked_here(model):
        pytest.skip("this CPU repacks no weights, so that none can crash it")
    processor = Processor(tmp_path, number, "repacked")
    use(processor, monkeypatch)
    processor.fail()
    async with start(model=None) as person:
        await person.wait_without_a_model()
        person.app.main.models.open_model(model)
        await person.wait_for(lambda: person.phase == "dead")
        said = words(person)
        assert number.name in said and "crashed" in said and "without repacking" in said
        assert "rebuild" in said and "on the CPU" not in said
        assert offered(person) == ["n", "d"]
        await person.press("n")
        await person.wait_until_ready()
        controller = person.app.controller
        assert person.loaded.llama.repacked == () and controller.model.choice.repack == "off"
        # From now on this model is loaded so.
        await person.wait_for(lambda: controller.state.load_of(model).get("repack") == "off")


async def test_a_crash_in_an_answer_keeps_the_conversation_and_goes_on_without_repacking(
    start: StartApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    if not await is_repacked_here(model):
        pytest.skip("this CPU repacks no weights, so that none can crash it")
    processor = Processor(tmp_path, signal.SIGSEGV, "repacked")
    use(processor, monkeypatch)
    async with start(model=model, load=AS_ASKED) as person:
        processor.fail()
        await person.send("My name is Ada.")
        await person.wait_for(lambda: person.phase == "dead")
        assert offered(person) == ["n", "d"]
        await person.press("n")
        await person.wait_until_ready()
        assert person.turns[0].text == "My name is Ada."


@each(signal.SIGFPE, signal.SIGBUS)
async def test_where_nothing_was_repacked_the_card_names_a_rebuild_and_nothing_that_was_in_use(
    start: StartApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    processor = Processor(tmp_path, number, "always")
    use(processor, monkeypatch)
    async with start(load={"repack": "off", **AS_ASKED}) as person:
        processor.fail()
        await person.send("My name is Ada.")
        await person.wait_for(lambda: person.phase == "dead")
        said = words(person)
        assert number.name in said and "llama.cpp's code for this processor crashed" in said
        assert "repack" not in said and "on the CPU" not in said and "or the CPU" not in said
        card = person.app.main.transcript.document.entries[-1].text  # the screen may break the command in two
        assert "CMAKE_ARGS=-DGGML_NATIVE=off make run" in card
        assert offered(person) == ["d"] and "load settings" in person.screen_text()
        processor.recover()
        await person.press("s")
        await person.wait_for(lambda: "Context" in person.screen_text())
        await person.press("f5")
        await person.wait_for(lambda: person.app.controller.can_answer)
        await person.press("f5")
        await person.wait_for(lambda: person.phase == "ready" and person.turns[-1].stop == "stop")
        assert "Ada" in person.turns[-1].text


async def test_a_change_of_settings_that_crashes_can_be_taken_back(
    start: StartApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    if not await is_repacked_here(model):
        pytest.skip("this CPU repacks no weights, so that none can crash it")
    processor = Processor(tmp_path, signal.SIGILL, "repacked")
    use(processor, monkeypatch)
    processor.fail()
    async with start(model=model, load={"repack": "off", **AS_ASKED}) as person:
        person.app.controller.restart(repack="on")
        await person.wait_for(lambda: person.phase == "dead")
        assert "n" in offered(person)
        await person.press("n")
        await person.wait_until_ready()
        assert person.loaded.llama.repacked == ()


async def test_a_gpu_that_is_there_is_offered_and_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    async with shown(Scene(crash_on_the_cpu, "AMX"), (120, 40), monkeypatch) as person:
        assert offered(person) == ["n", "g", "d"]
        await person.press("ctrl+up", "g")
        await person.wait_until_ready()
        assert (person.app.controller.model.choice.backend, person.app.controller.model.choice.n_gpu_layers) == (
            "Vulkan0",
            -1,
        )


def on_cpu(cause: Cause, **changes: Any) -> Death:
    facts: dict[str, Any] = {
        "exit_code": None,
        "signal_name": "SIGABRT",
        "last_words": "",
        "log": (),
        "running": "answering",
    }
    return Death(cause=cause, **{**facts, "computing": Computing(on_cpu=True), **changes})


@pytest.mark.parametrize("cause", ["killed", "out_of_memory", "assertion", "crashed", "not_stopped", "cpu_code"])
def test_on_the_cpu_neither_the_cpu_nor_layers_on_a_gpu_are_advised(cause: Cause) -> None:
    card = engine_stopped(on_cpu(cause), 0, 512, KEYS)
    assert "the CPU" not in card.body and "layers" not in card.body
    assert not {choice.action for choice in card.choices} & {"card_cpu", "card_fewer_layers", "card_small_ubatch"}


def test_on_a_gpu_only_what_the_processor_refuses_is_not_answered_with_the_cpu() -> None:
    refused = engine_stopped(on_cpu("cpu_code", computing=Computing()), 20, 512, KEYS, gpu="Vulkan0")
    assert [choice.action for choice in refused.choices] == ["card_load_settings", "card_other_model", "card_details"]
    crashed = engine_stopped(on_cpu("crashed", computing=Computing()), 20, 512, KEYS, gpu="Vulkan0")
    assert "card_cpu" in [choice.action for choice in crashed.choices] and "the CPU" in crashed.body


@pytest.mark.parametrize(
    ("gpus", "backend", "arguments"),
    [
        ((), "cpu", "-DGGML_NATIVE=off"),
        (("Vulkan0",), "vulkan", "-DGGML_NATIVE=off"),
        (("CUDA0", "CUDA1"), "cpu", "'-DGGML_NATIVE=off -DGGML_CUDA=on'"),
    ],
)
def test_a_rebuild_keeps_the_gpus_that_there_are(gpus: tuple[str, ...], backend: str, arguments: str) -> None:
    assert rebuild_command(gpus) == f"LLMTUI_BACKEND={backend} CMAKE_ARGS={arguments} make run"


def test_a_load_that_could_not_be_stopped_is_not_answered_with_a_smaller_ubatch() -> None:
    card = engine_stopped(on_cpu("not_stopped", running="loading"), 0, 512, KEYS)
    assert "Try it again, or another file of this model." in card.body and "ubatch" not in card.body
    assert "a smaller ubatch" in engine_stopped(on_cpu("not_stopped"), 0, 512, KEYS).body


def test_amx_is_named_with_what_is_known_of_it() -> None:
    card = engine_stopped(CPU_CRASH, 0, 512, KEYS, gpu="Vulkan0")
    assert "AMX code crashed, which some compilers build wrong (SIGSEGV)" in card.body
    assert "Try it without repacking or on the GPU." in card.body
    assert "LLMTUI_BACKEND=vulkan CMAKE_ARGS=-DGGML_NATIVE=off make run" in card.body
