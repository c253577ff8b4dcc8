"""Whoever asks whether a load fits gets the same verdict in the same words: the picker, the load settings, the question
before a load, the bench of the app and `llmtui --bench`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.app.dialogs import KEYS, Stage, opened
from tests.conftest import until
from tests.planning.shapes import CPU, GIB, GPU, HEAD_80, MIB, QWEN3_8B, machine
from tui.app.screens.bench import BenchScreen
from tui.app.screens.load_guard import guard_screen
from tui.app.screens.load_settings import LoadScreen
from tui.app.screens.picker import PickerScreen
from tui.app.widgets.bench_board import BenchBoard
from tui.bench.guard import NotMeasured, settle
from tui.config.load import engine_settings
from tui.config.options import BenchOptions
from tui.config.settings import ChosenLoad
from tui.measure.bench_plan import BenchJob, context_for, plan_tests
from tui.measure.history import History
from tui.models.info import ModelInfo
from tui.models.library import Library, LibraryModel
from tui.planning.exact import Confirmed
from tui.planning.formula import estimate
from tui.planning.guardrail import LoadPermission, may_load
from tui.planning.now import MemoryNow
from tui.planning.verdict_words import in_words, sentence
from tui.protocol.records import Device

TESTS = plan_tests([512], [128])
N_CTX = context_for(TESTS)
SIZE = (200, 50)


async def seen(stage: Stage[Any], text: str) -> None:
    """Wait until it can be read, however it is wrapped."""
    await until(lambda: text in " ".join(stage.text.replace("│", " ").split()))


class Case:
    """A model, what it would be loaded with, and what is free; no planner, so that the formula has the last word."""

    def __init__(
        self, info: ModelInfo, choice: ChosenLoad, memory: MemoryNow, devices: tuple[Device, ...] = (CPU, GPU)
    ) -> None:
        self.info, self.choice, self.memory, self.devices = info, choice, memory, devices
        path = Path("/models/a.gguf")
        self.model = LibraryModel(path=path, paths=(path,), info=info, source="folder")

    async def permission(self, *_: object) -> LoadPermission:
        confirmed = Confirmed(None, self.model.path, self.info, self.devices, self.memory)
        return await may_load(confirmed, self.choice)

    async def in_picker(self, expected: str) -> None:
        library = Library(models=(self.model,))
        screen = PickerScreen(lambda: library, self.memory, KEYS, devices=self.devices, load_for=lambda _: self.choice)
        async with opened(screen, SIZE) as stage:
            await seen(stage, expected)

    async def in_load_settings(self, expected: str) -> None:
        """There is room for one line."""
        async with opened(LoadScreen(self.info, self.choice, self.devices, self.memory, KEYS), SIZE) as stage:
            await seen(stage, expected[:38])

    async def in_question(self, expected: str) -> None:
        async with opened(guard_screen(self.info.name, await self.permission(), KEYS), SIZE) as stage:
            await seen(stage, expected)

    async def in_bench(self, expected: str) -> None:
        async def make_room() -> Callable[..., Awaitable[LoadPermission]]:
            return self.permission

        history = History(Path("/nowhere/bench.sqlite"))
        screen = BenchScreen(lambda: (self.model,), self.model, (CPU,), self.choice, make_room, {}, history, KEYS)
        async with opened(screen, SIZE) as stage:
            await stage.press("enter")
            await seen(stage, expected)
            assert screen.query_one(BenchBoard).state.comparison.reports == ()

    async def on_command_line(self, expected: str) -> None:
        job = BenchJob(model=self.model, settings=engine_settings(self.choice, self.devices)[0])
        with pytest.raises(NotMeasured) as refused:
            await settle(BenchOptions(), job, TESTS, self.devices, self.memory)
        assert expected in str(refused.value)


Door = Callable[[Case, str], Awaitable[None]]
ON_CPU = ChosenLoad(n_ctx=N_CTX, backend="cpu")
NEED = estimate(QWEN3_8B, engine_settings(ON_CPU, (CPU,))[0]).total_bytes


def on_gpu(n_gpu_layers: int) -> ChosenLoad:
    return ChosenLoad(n_ctx=N_CTX, backend="Vulkan0", n_gpu_layers=n_gpu_layers)


CASES = {
    "too large for the card": (Case(QWEN3_8B, on_gpu(37), machine(64 * GIB, 3 * GIB)), "GiB too much for Vulkan0."),
    "too large for the machine": (Case(QWEN3_8B, ON_CPU, machine(2 * GIB), (CPU,)), "GiB too much for RAM."),
    "less free than should stay": (
        Case(QWEN3_8B, ON_CPU, machine(NEED + 100 * MIB, reserve=GIB), (CPU,)),
        "leaves only 100.0 MiB free in RAM, where 1.0 GiB should stay.",
    ),
    "a cache that does not go with the model": (
        Case(HEAD_80, msgspec.structs.replace(ON_CPU, type_k="q8_0"), machine(64 * GIB), (CPU,)),
        "this model's head size of 80: use f16.",
    ),
}
DOORS = (Case.in_load_settings, Case.in_question, Case.in_bench, Case.on_command_line)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
@pytest.mark.parametrize(("case", "words"), CASES.values(), ids=CASES)
async def test_every_door_gives_the_same_verdict_in_the_same_words(case: Case, words: str, door: Door) -> None:
    permission = await case.permission()
    expected = sentence(permission.verdict)
    assert not permission.is_given and expected.endswith(words)
    await door(case, expected)


@pytest.mark.parametrize("case", [case for case, _ in CASES.values()], ids=CASES)
async def test_the_picker_says_so_too_of_what_does_not_fit_and_marks_what_is_tight(case: Case) -> None:
    verdict = (await case.permission()).verdict
    await case.in_picker(f"○ {in_words(verdict, 'no')}" if verdict.fit == "no" else "◐ tight")
