"""What a person does, on a machine of records, until a screen or dialog is there."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from textual.screen import ModalScreen

from tests.app.conftest import Person
from tests.conftest import MOE
from tests.loads import but
from tests.measure.fixed import COMPARISON, TUNED
from tests.planning.shapes import QWEN3_30B_A3B
from tests.recorded import (
    CHINESE,
    CONVERSATION,
    CPU_CRASH,
    GIB,
    HOST,
    LIBRARY,
    LOADED,
    PROMPT_HALF_READ,
    QUESTION,
    QWEN,
    RADEON,
    RecordedEngine,
)
from tui.app.bindings import Keymap
from tui.app.screens.bench import BenchScreen
from tui.app.screens.details import DetailsScreen
from tui.app.screens.load_guard import guard_screen
from tui.app.screens.load_settings import LoadScreen
from tui.app.screens.palette import PaletteScreen
from tui.app.screens.picker import PickerScreen
from tui.app.screens.picker_details import here
from tui.app.screens.picker_table import Facts
from tui.app.screens.tune import TuneScreen
from tui.app.widgets.bench_board import BenchState, JobRow
from tui.app.widgets.fold_line import FoldLine
from tui.app.widgets.start_page import StartPage
from tui.chat.conversation import answer_turn, copy_with_new_ids, finished, user_turn
from tui.config import paths
from tui.config.keymap import resolve
from tui.config.overlay import overlay
from tui.config.problems import read_toml
from tui.config.settings import ChosenLoad, Settings
from tui.measure.expectation import Forecast, Range
from tui.measure.history import History
from tui.measure.report import Comparison
from tui.measure.tune import TuneOutcome, TuneProgress
from tui.planning.guardrail import LoadPermission
from tui.planning.now import MemoryNow
from tui.planning.remedies import remedies
from tui.planning.verdict import judge
from tui.protocol.messages import Prefill
from tui.protocol.records import Device, ErrorInfo
from tui.session.events import AnswerRefused, MachineRead
from tui.session.speed import SpeedNow

NOW = datetime(2026, 3, 2, 12, 0)


GPU = Device(name="Vulkan0", description="Radeon 860M", kind="igpu", total_bytes=16 * GIB, free_bytes=16 * GIB)


APU = MemoryNow(
    host_free_bytes=12 * GIB,
    host_total_bytes=23 * GIB,
    device_free={"Vulkan0": 17 * GIB},
    shared_free={"Vulkan0": 11 * GIB},
    own_total={"Vulkan0": 8 * GIB},
    shared_total={"Vulkan0": 12 * GIB},
    shared_used={"Vulkan0": GIB},
)


def recorded(person: Person) -> RecordedEngine:
    """The engine that plays what was recorded."""
    assert isinstance(person.app.controller.engine, RecordedEngine)
    return person.app.controller.engine


async def chat(person: Person) -> None:
    """A conversation from the store, and one more answer."""
    await person.app.store.create(CONVERSATION)
    await person.app.main.conversations.open_conversation(CONVERSATION.id)
    await person.ask(QUESTION)


async def select_message(person: Person) -> None:
    await chat(person)
    await person.press("ctrl+up")


async def edit_prompt(person: Person) -> None:
    await chat(person)
    await person.press("f2")


async def read_prompt(person: Person) -> None:
    await chat(person)
    recorded(person).events = PROMPT_HALF_READ
    await person.send("Summarize this chapter for me.")
    await person.wait_for(lambda: "42%" in person.screen_text())
    await person.type("Meanwhile I type")


async def lose_the_engine(person: Person) -> None:
    await read_prompt(person)
    recorded(person).die_of()
    await person.wait_for(lambda: person.turns[-1].stop)


async def crash_on_the_cpu(person: Person) -> None:
    engine = recorded(person)
    engine.loads = but(LOADED, devices=(), n_gpu_layers=0)
    person.app.controller.restart(backend="cpu")
    await person.wait_for(lambda: person.phase == "ready" and engine.loaded and not engine.loaded.llama.devices)
    person.app.clear_notifications()  # how long that took
    await read_prompt(person)
    recorded(person).die_of(CPU_CRASH)
    await person.wait_for(lambda: person.turns[-1].stop)


async def start_empty(person: Person) -> None:
    await person.wait_for(lambda: person.app.main.query_one(StartPage).state.first_steps)


async def pick_of_none(person: Person) -> None:
    await start_empty(person)
    await person.press("ctrl+o")


async def start_again(person: Person) -> None:
    """A model is loaded, and there are conversations to go on with."""
    for number, (title, day) in enumerate(
        (
            ("Why is a mixture of experts fast?", 9),
            ("中文的標題和一個問題", 8),
            ("A title that is longer than any column that it could ever stand in", 3),
            ("Lighthouse story", 2),
            ("Older than the four that are shown", 1),
        )
    ):
        moment = datetime(2024, 3, day, 12).timestamp()
        turns = CONVERSATION.turns if number == 0 else (user_turn("hello"),)
        conversation = msgspec.structs.replace(
            copy_with_new_ids(CONVERSATION), id=f"c{number}", title=title, turns=turns, updated_at=moment
        )
        await person.app.store.create(conversation)


async def chat_beside_others(person: Person) -> None:
    await start_again(person)
    await person.app.main.conversations.open_conversation("c0")


async def pick_model(person: Person) -> None:
    await chat(person)
    favourites = (str(LIBRARY.models[-1].path),)
    person.app.controller.remember(favourites=favourites)
    await person.wait_for(lambda: person.app.controller.state.state.favourites == favourites)
    await person.press("ctrl+o")
    await person.wait_for(lambda: isinstance(person.app.screen, PickerScreen))
    picker = person.app.screen
    assert isinstance(picker, PickerScreen)
    await person.wait_for(lambda: picker.rows.item and picker._next_to_judge() is None)


async def use_the_palette(person: Person) -> None:
    """What was run from it last comes first."""
    await chat(person)
    recent = ("theme", "export")
    person.app.controller.remember(actions=recent)
    await person.wait_for(lambda: person.app.controller.state.state.actions == recent)
    await person.press("ctrl+p")
    await person.wait_for(lambda: isinstance(person.app.screen, PaletteScreen))


async def change_advanced_settings(person: Person) -> None:
    """On the field that is farthest down."""
    await change_load_settings(person)
    await person.wait_for(lambda: isinstance(person.app.screen, LoadScreen))
    person.app.screen.query_one(FoldLine).more()
    seed = person.app.screen.query_one("#seed")
    await person.wait_for(lambda: seed.region)
    seed.focus()
    await person.wait_for(lambda: seed.has_focus)


async def change_load_settings(person: Person) -> None:
    await chat(person)
    await person.press("ctrl+l")


async def load_half(person: Person) -> None:
    await chat(person)
    recorded(person).load_stops_at = 0.62
    person.app.main.models.open_model(QWEN.path)


async def fail_to_load(person: Person) -> None:
    await chat(person)
    detail = "ggml_vulkan: Device memory allocation of size 15569256448 failed."
    recorded(person).load_error = ErrorInfo(kind="out_of_memory", detail=detail)
    person.app.main.models.open_model(QWEN.path)


async def read_problems(person: Person) -> None:
    await chat(person)
    file = paths.user_settings_file()
    theme = paths.user_themes_dir() / "我的.toml"
    theme.parent.mkdir(parents=True)
    theme.write_text('name = "mine"\n\ndark = maybe')
    broken = read_toml(theme)[1]
    theme.unlink()  # before the app, which looks for other themes, tells of it too, with the whole path of this test
    person.app.problems += [
        *overlay(Settings(), {"load": {"n_ctx": "many"}}, file=file)[1],
        *resolve({"pick_modell": "^o"}, file=file)[1],
        *filter(None, (broken,)),
    ]
    await person.app.run_action("show_problems")


async def choose_code(person: Person) -> None:
    """Of an answer with several blocks; the one with none in it is long."""
    await chat(person)
    long = "```\n" + "a line that is longer than any list of code blocks could show\n" * 12 + "```\n"
    turn = finished(answer_turn("Qwen3"), text=f"{CHINESE}\n```sh\npython sort.py\n```\n{long}", stop="stop")
    conversation = msgspec.structs.replace(CONVERSATION, id="c2", turns=(turn,))
    await person.app.store.create(conversation)
    await person.app.main.conversations.open_conversation(conversation.id)
    await person.press("f7")


def dialog(make: Callable[[Keymap], ModalScreen[Any]]) -> Callable[[Person], Awaitable[None]]:
    """The conversation, and over it a dialog about what this machine of records does not have."""

    async def act(person: Person) -> None:
        await chat(person)
        person.app.push_screen(make(person.app.keymap))

    return act


def settings_of_apu(keymap: Keymap) -> ModalScreen[Any]:
    return LoadScreen(QWEN3_30B_A3B, ChosenLoad(n_cpu_moe=4), (GPU,), APU, keymap)


def guard(keymap: Keymap) -> ModalScreen[Any]:
    too_much = ChosenLoad(n_ctx=32768)
    verdict = judge(QWEN3_30B_A3B, too_much, (GPU,), APU)
    found = remedies(QWEN3_30B_A3B, too_much, (GPU,), APU)
    permission = LoadPermission(verdict=verdict, is_given=False, remedies=found)
    return guard_screen(QWEN3_30B_A3B.name, permission, keymap)


def details(keymap: Keymap) -> ModalScreen[Any]:
    """Of the tiny mixture of experts, as if it were the one of this machine of records."""
    folder = Path.home() / "models"
    folder.mkdir()
    file = Path(shutil.copy(MOE, folder / "Tiny-Qwen3-MoE-Q8_0.gguf"))
    verdict = judge(QWEN3_30B_A3B, ChosenLoad(n_cpu_moe=4), (GPU,), APU)
    speed = Forecast(decode_tps=Range(tps=31.0, low=28.0, high=33.0, basis="own", n_runs=4))
    facts = Facts(permission=LoadPermission(verdict=verdict, is_given=True), speed=speed)
    return DetailsScreen(file, keymap, here=here(facts))


async def never() -> Any:
    raise AssertionError("nothing is measured here")


def bench_start(keymap: Keymap) -> ModalScreen[Any]:
    """Before anything is measured."""
    history = History(Path("/nowhere/bench.sqlite"))
    return BenchScreen(lambda: LIBRARY.models, QWEN, (GPU,), ChosenLoad(), never, {}, history, keymap)


def bench(keymap: Keymap) -> ModalScreen[Any]:
    """Six models on two backends, measured, and one more being measured."""
    history = History(Path("/nowhere/bench.sqlite"))
    screen = BenchScreen(lambda: (), QWEN, (GPU,), ChosenLoad(), never, {}, history, keymap)
    screen.state = BenchState(
        comparison=COMPARISON,
        fraction=0.62,
        doing="Qwen3 32B tg128 run 2 · 40 s left",
        notes={1: "against run 12 of 2026-02-27: pp512 +4.1%, tg128 -0.6% (may be chance)"},
    )
    return screen


def bench_running(keymap: Keymap) -> ModalScreen[Any]:
    """The second of four jobs is running."""
    screen = bench(keymap)
    assert isinstance(screen, BenchScreen)
    measured = COMPARISON.reports[0]
    rows = (
        JobRow(name="Qwen3-4B Q4_K_M", on="CPU", state="done", report=measured),
        JobRow(name="Qwen3-4B Q4_K_M", on="Vulkan0", state="running", fraction=0.66, doing="4 of 6 runs"),
        JobRow(name="Qwen3-32B Q3_K_L", on="CPU", state="failed"),
        JobRow(name="Qwen3-32B Q3_K_L", on="Vulkan0", state="waiting"),
    )
    screen.state = msgspec.structs.replace(screen.state, jobs=rows, comparison=Comparison())
    return screen


class Found:
    """A search that has found something at once."""

    async def run(self, _: object) -> TuneOutcome:
        return TUNED

    def stop(self) -> None:
        """It is over."""


async def kept(_: TuneOutcome) -> None:
    """Nothing is remembered here."""


def tune_running(keymap: Keymap) -> ModalScreen[Any]:
    """Single changes are being tried."""

    async def waits() -> Any:
        await asyncio.Event().wait()

    screen = TuneScreen(f"{QWEN.info.name} {QWEN.info.quant}", 110.0, waits, kept, keymap)
    outcome = msgspec.structs.replace(TUNED, gain=None, best=TUNED.start, trials=TUNED.trials[:-1])
    trying = TUNED.trials[3].choice
    progress = TuneProgress(stage="changes", choice=trying, spent_s=43.0, budget_s=110.0, outcome=outcome)
    screen.state = msgspec.structs.replace(screen.state, doing="", progress=progress, outcome=outcome)
    return screen


def tune_over(keymap: Keymap) -> ModalScreen[Any]:
    """It has found something."""

    async def found() -> Any:
        return Found()

    return TuneScreen(f"{QWEN.info.name} {QWEN.info.quant}", 110.0, found, kept, keymap)


def action(name: str) -> Callable[[Person], Awaitable[None]]:
    """The conversation, and then this action."""

    async def act(person: Person) -> None:
        await chat(person)
        await person.app.run_action(name)

    return act


async def open_palette(person: Person) -> None:
    await chat(person)
    await person.press("ctrl+p")
    await person.wait_for(lambda: isinstance(person.app.screen, PaletteScreen))


async def watch(person: Person) -> None:
    """The monitor after five minutes in which a prompt was read and an answer written."""
    await chat(person)
    controller = person.app.controller
    for second in range(-300, 0):
        host = msgspec.structs.replace(HOST, time=float(second), cpu_percent=5 + 30 * (second % 60 < 20))
        gpu = msgspec.structs.replace(RADEON, busy_percent=92 * (second % 60 < 20), power_w=6 + 18 * (second % 60 < 20))
        is_read, is_written = second % 60 < 4, 4 <= second % 60 < 20
        speed = SpeedNow(
            decode_tps=28 + second % 5,
            is_decoding=is_written,
            prefill=Prefill(done=1, total=9, tps=380 + 10 * (second % 3), eta_s=1) if is_read else None,
        )
        controller.machine.hear(MachineRead(host=host, gpus=(gpu,), npus=(), speed=speed))
    await person.press("f3")


async def overflow(person: Person) -> None:
    await chat(person)
    info = ErrorInfo(kind="context_overflow", detail="", n_prompt=9410, n_ctx=8192, n_drop=2)
    person.app.main.hear(AnswerRefused(info=info))
