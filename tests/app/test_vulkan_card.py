"""When Vulkan fails, one card says so, and one key goes on with the conversation: a smaller ubatch, fewer layers, or
the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.conftest import Person, StartApp
from tests.conftest import DENSE
from tests.engine.vulkan import Driver, require_vulkan, use
from tui.app.widgets.prompt import Prompt

DEVICE_LOST, OUT_OF_MEMORY, UNKNOWN = -4, -2, -13
GPU = {"backend": "Vulkan0"}
AT_ONCE = "[chat]\nthinking = false\n[sampling.plain]\ntemperature = 0\n"
"""Answers without a thought before them: each token takes a processor that plays a GPU a good while. And without
chance, which may lead so small a model to an answer that never ends."""


def offered(person: Person) -> list[str]:
    """The choices of the card on the screen, such as "[r] reload"."""
    return [f"[{key}]" for key in "rulcd" if f"[{key}] " in person.screen_text()]


async def lose_the_device(person: Person, driver: Driver) -> None:
    """Ask something on a device that is lost as soon as work is sent to it, and wait for the card."""
    require_vulkan(tuple(device.name for device in person.app.controller.model.devices))
    assert person.loaded.llama.devices == ("Vulkan0",)
    await person.ask("My name is Ada.")
    driver.fail()
    await person.send("What is my name?")
    await person.wait_for(lambda: person.phase == "dead")
    driver.recover()


@pytest.mark.parametrize(
    ("key", "n_gpu_layers", "n_ubatch", "devices"),
    [("u", 5, 128, ("Vulkan0",)), ("l", 3, 512, ("Vulkan0",)), ("c", 0, 512, ()), ("r", 5, 512, ("Vulkan0",))],
)
async def test_a_lost_device_is_a_card_and_each_of_its_keys_goes_on(
    start: StartApp,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    n_gpu_layers: int,
    n_ubatch: int,
    devices: tuple[str, ...],
) -> None:
    driver = Driver(tmp_path, f"vkQueueSubmit {DEVICE_LOST}")
    use(driver, monkeypatch)
    async with start(load=GPU, more_settings=AT_ONCE) as person:
        await lose_the_device(person, driver)
        shown = " ".join(person.screen_text().split())
        assert "the GPU driver lost the device" in shown and "ErrorDeviceLost" in shown
        assert offered(person) == ["[r]", "[u]", "[l]", "[c]", "[d]"]
        assert "reload with ubatch 128" in shown and "3 of 5 layers on the GPU" in shown
        await person.press(key)
        await person.wait_until_ready()
        loaded = person.loaded.llama
        assert (loaded.n_gpu_layers, loaded.n_ubatch, loaded.devices) == (
            n_gpu_layers,
            n_ubatch,
            devices,
        )
        assert person.turns[0].text == "My name is Ada."
        await person.wait_for(lambda: person.app.controller.can_answer)
        await person.press("f5")
        await person.wait_for(lambda: person.phase == "ready" and person.turns[-1].stop == "stop")
        assert "Ada" in person.turns[-1].text


async def test_a_shader_that_fails_in_the_first_load_is_a_card_with_a_way_out(
    start: StartApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driver(tmp_path, f"vkCreateComputePipelines {UNKNOWN}")
    use(driver, monkeypatch)
    async with start(model=None, load=GPU) as person:
        await person.wait_without_a_model()
        require_vulkan(tuple(device.name for device in person.app.controller.model.devices))
        driver.fail()
        person.app.main.models.open_model(DENSE)
        await person.wait_for(lambda: person.phase == "dead")
        assert "could not compile a shader" in " ".join(person.screen_text().split())
        assert offered(person) == ["[r]", "[u]", "[l]", "[c]", "[d]"]
        await person.press("c")
        await person.wait_until_ready()
        assert person.loaded.llama.devices == ()
        assert person.app.main.query_one(Prompt).can_send


async def test_a_switch_that_kills_the_engine_can_be_taken_back(
    start: StartApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driver(tmp_path, f"vkCreateComputePipelines {UNKNOWN}")
    use(driver, monkeypatch)
    async with start() as person:
        require_vulkan(tuple(device.name for device in person.app.controller.model.devices))
        before = person.app.controller.model.choice
        await person.ask("My name is Ada.")
        driver.fail()
        await person.press("f6")
        await person.wait_for(lambda: person.phase == "dead")
        assert offered(person) == ["[r]", "[u]", "[l]", "[c]", "[d]"]
        assert "[r] reload as it was before" in person.screen_text()
        await person.press("r")
        await person.wait_until_ready()
        assert person.loaded.llama.devices == () and person.app.controller.model.choice == before
        assert "Ada" in await person.ask("What is my name?")


async def test_an_allocation_that_cannot_succeed_is_one_card_and_one_key_goes_on(
    start: StartApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driver(tmp_path, f"vkAllocateMemory {OUT_OF_MEMORY}")
    use(driver, monkeypatch)
    async with start(load=GPU, more_settings=AT_ONCE) as person:
        require_vulkan(tuple(device.name for device in person.app.controller.model.devices))
        driver.fail()
        await person.send("My name is Ada.")
        await person.wait_for(lambda: person.phase == "dead")
        driver.recover()
        shown = " ".join(person.screen_text().split())
        assert "a device ran out of memory" in shown and "The conversation is safe" in shown
        assert person.turns[0].text == "My name is Ada."
        await person.press("r")
        await person.wait_until_ready()
        assert person.loaded.llama.devices == ("Vulkan0",)
        await person.wait_for(lambda: person.app.controller.can_answer)
        await person.press("f5")
        await person.wait_for(lambda: person.phase == "ready" and person.turns[-1].stop == "stop")
        assert "Ada" in person.turns[-1].text


async def test_what_cannot_help_is_not_offered(
    start: StartApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driver(tmp_path, f"vkQueueSubmit {DEVICE_LOST}")
    use(driver, monkeypatch)
    async with start(load={**GPU, "n_ubatch": 64, "n_gpu_layers": 1}) as person:
        await lose_the_device(person, driver)
        assert offered(person) == ["[r]", "[c]", "[d]"]
