"""The guardrail in the app: what nobody chose is cut to what fits, what somebody chose is asked about, and nothing that
leaves too little memory is loaded without a second yes. The free memory is invented, the load is real."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest
from textual.widgets import Static

from tests.app.conftest import Person, StartApp
from tests.app.test_flows import opened
from tests.conftest import DENSE, MOE
from tests.engine.vulkan import require_vulkan
from tui.config import paths
from tui.config.settings import ChosenLoad
from tui.config.state import StateStore
from tui.engines.plans import DryRunPlanner
from tui.models.library import LibraryModel, inspect
from tui.planning.now import MemoryNow
from tui.planning.taken import context_bytes
from tui.protocol.records import LoadSettings

MIB = 1 << 20


_asked: dict[tuple[Path, LoadSettings], int] = {}


async def need(n_ctx: int, model: Path = DENSE, **more: Any) -> int:
    """What llama.cpp takes for a load on the CPU, in bytes."""
    settings = LoadSettings(n_ctx=n_ctx, **more)
    if (model, settings) not in _asked:
        planner = DryRunPlanner()
        _asked[model, settings] = (await planner.plan(model, inspect(model).info, settings)).total_bytes
        await planner.close()
    return _asked[model, settings]


class Believe(Protocol):
    def __call__(self, host_free_bytes: int, reserve_bytes: int = 0) -> None: ...


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Believe:
    """Let the app believe in so much free memory."""

    def believe(host_free_bytes: int, reserve_bytes: int = 0) -> None:
        memory = MemoryNow(host_free_bytes=host_free_bytes, host_total_bytes=32 * MIB, reserve_bytes=reserve_bytes)
        monkeypatch.setattr("tui.planning.now.memory_now", lambda *_: memory)

    return believe


def told(person: Person) -> str:
    """The notices of this run."""
    return "\n".join(notice.message for notice in person.app._notifications)


def question(person: Person) -> str:
    """What the open dialog asks."""
    return str(person.app.screen.query_one("#question", Static).content)


async def started_without_a_model(person: Person) -> None:
    await person.wait_without_a_model()


async def test_defaults_that_nobody_chose_are_cut_to_what_fits_and_said_so(start: StartApp, free: Believe) -> None:
    free(await need(2048))
    async with start(load={"n_ctx": None, "backend": "cpu"}) as person:
        assert told(person) == (
            "To fit into memory it is loaded with all layers on the CPU and a context of 2,048 tokens."
        )
        assert person.loaded.n_ctx == 2048
    remembered = StateStore()
    assert remembered.read() == [] and not remembered.load_of(DENSE)


async def test_a_context_of_the_command_line_is_asked_about_and_the_first_answer_mends_it(
    start: StartApp, free: Believe
) -> None:
    free(await need(2048))
    async with start(model=None, load={"n_ctx": 4096}) as person:
        await started_without_a_model(person)
        person.app.main.models.open_model(DENSE)
        await opened(person, "Too little memory")
        assert "4,096 tokens\nDoes not fit: " in question(person) and "too much for RAM" in question(person)
        assert "Smaller context: 2,048" in person.screen_text() and person.app.controller.engine.loaded is None
        await person.press("enter")
        await person.wait_until_ready()
        assert person.loaded.n_ctx == 2048


async def test_a_second_explicit_yes_loads_it_all_the_same(start: StartApp, free: Believe) -> None:
    free(await need(4096) + MIB, reserve_bytes=2 * MIB)
    async with start(model=None, load={"n_ctx": 4096}) as person:
        await started_without_a_model(person)
        person.app.main.models.open_model(DENSE)
        await opened(person, "Too little memory")
        assert re.search(r"leaves only 1\.\d MiB free in RAM, where 2\.0 MiB should stay", question(person))
        await person.press("y")
        await person.wait_until_ready()
        assert person.loaded.n_ctx == 4096


async def test_leaving_the_question_loads_nothing(start: StartApp, free: Believe) -> None:
    free(await need(2048))
    async with start(model=None, load={"n_ctx": 4096}) as person:
        await started_without_a_model(person)
        person.app.main.models.open_model(DENSE)
        await opened(person, "Too little memory")
        await person.press("escape")
        await person.wait_for(lambda: "Too little memory" not in person.screen_text())
        assert person.phase == "no_model" and person.app.controller.engine.loaded is None


async def test_a_quantized_cache_is_one_key_away(start: StartApp, free: Believe) -> None:
    free(await need(4096, type_k="q8_0", type_v="q8_0"))
    async with start(model=None, load={"n_ctx": 4096}) as person:
        await started_without_a_model(person)
        person.app.main.models.open_model(DENSE)
        await opened(person, "KV cache in q8_0")
        await person.press("k")
        await person.wait_until_ready()
        llama = person.loaded.llama
        assert (person.loaded.n_ctx, llama.type_k, llama.type_v) == (4096, "q8_0", "q8_0")


async def test_what_was_chosen_in_the_load_settings_is_asked_about_once_more(start: StartApp, free: Believe) -> None:
    async with start() as person:
        before = person.loaded
        free(await need(2048))
        await person.press("ctrl+l")
        await opened(person, "Load settings")
        await person.press("end", "f5")
        await opened(person, "Too little memory")
        await person.press("s")
        await opened(person, "Load settings")
        await person.press("f5")
        await opened(person, "Too little memory")
        assert person.app.controller.engine.loaded is before
        await person.press("c")
        await person.wait_for(lambda: person.phase == "ready" and person.loaded.n_ctx == 2048)


async def test_a_larger_context_and_what_is_remembered_are_guarded_too(start: StartApp, free: Believe) -> None:
    async with start() as person:
        free(await need(1024))
        person.app.main.models.action_raise_context()
        await opened(person, "Too little memory")
        await person.press("escape")
        await person.wait_for(lambda: "Too little memory" not in person.screen_text())
        assert person.loaded.n_ctx == 1024
    StateStore().remember_load(DENSE, ChosenLoad(n_ctx=4096, backend="cpu"))
    async with start(model=None, load={"n_ctx": None, "backend": None}) as person:
        await opened(person, "Too little memory")
        await person.press("y")
        await person.wait_for(lambda: person.phase == "ready" and person.loaded.n_ctx == 4096)


async def test_the_context_that_goes_along_is_counted_and_only_where_it_does(start: StartApp, free: Believe) -> None:
    async with start() as person:
        free(await need(2048))
        await person.ask("ping")
        assert person.app.controller.context.n_used > 0
        person.app.main.models.action_raise_context()
        await opened(person, "Too little memory")
        assert "too much for RAM" in question(person)
        await person.press("escape")
        await person.wait_for(lambda: "Too little memory" not in person.screen_text())
        kept = context_bytes(person.loaded, person.app.controller.context.n_used)
        assert 0 < kept < sum(b.n_bytes for b in person.loaded.llama.buffers if b.purpose == "kv")
        free(await need(2048) + kept)
        person.app.main.models.action_raise_context()
        await person.wait_for(lambda: person.phase == "ready" and person.loaded.n_ctx == 2048)
        # Another model takes nothing along.
        free(await need(2048, MOE))
        person.app.main.models.open_model(MOE)
        await person.wait_for(lambda: person.phase == "ready" and Path(person.loaded.path) == MOE)


async def test_what_cannot_fit_at_all_leaves_only_the_settings_and_the_yes(start: StartApp, free: Believe) -> None:
    free(64 << 10)
    async with start(model=None) as person:
        await started_without_a_model(person)
        person.app.main.models.open_model(DENSE)
        await opened(person, "Too little memory")
        assert "No single change makes it fit" in question(person)
        assert "Smaller context" not in person.screen_text()
        await person.press("enter")
        await opened(person, "Load settings")
        assert person.phase == "no_model"


async def test_a_smaller_file_of_the_model_is_loaded_in_its_place(
    start: StartApp, free: Believe, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = paths.models_dir()
    folder.mkdir(parents=True)
    small = Path(shutil.copy(DENSE, folder / "small.gguf"))
    large = home / "large.gguf"
    large.write_bytes(b"GGUF, of which llama.cpp can make nothing")
    read = inspect

    def heavier(path: Path) -> LibraryModel:
        """The header of a file of twice the size, and of that name."""
        if path != large:
            return read(path)
        info = read(DENSE).info
        doubled = msgspec.structs.replace(info, weights_bytes=2 * info.weights_bytes, output_bytes=info.weights_bytes)
        return LibraryModel(path=large, paths=(large,), info=doubled, source="folder")

    monkeypatch.setattr("tui.models.library.inspect", heavier)
    async with start() as person:
        free(await need(1024) + MIB // 2)
        person.app.main.models.open_model(large)
        await opened(person, "Smaller file: Q8_0")
        await person.press("m")
        await person.wait_for(lambda: person.phase == "ready" and Path(person.loaded.path) == small)


async def test_force_asks_nothing_and_fit_takes_what_fits(start: StartApp, free: Believe) -> None:
    free(await need(2048))
    async with start(load={"n_ctx": 4096}, force=True) as person:
        assert person.loaded.n_ctx == 4096
    async with start(load={"n_ctx": 4096}, fit=True) as person:
        assert person.loaded.n_ctx == 2048
        assert "with a context of 4,096 tokens: it is cut to 2,048" in told(person)


async def test_a_mixture_of_experts_is_guarded_as_well(start: StartApp, free: Believe) -> None:
    free(await need(2048, MOE))
    async with start(model=MOE, load={"n_ctx": None, "backend": "cpu"}) as person:
        assert person.loaded.n_ctx == 2048


async def test_experts_on_the_cpu_are_said_beside_where_the_model_is(start: StartApp) -> None:
    async with start(model=MOE, load={"backend": "Vulkan0", "n_cpu_moe": 2}, software_vulkan=True) as person:
        require_vulkan(tuple(device.name for device in person.app.controller.model.devices))
        assert "Vulkan0 5/5 · experts on CPU: 2" in person.screen_text()
        await person.press("ctrl+l")
        await opened(person, "Load settings")
        await person.wait_for(lambda: "experts on CPU: 2 layers" in person.screen_text())
