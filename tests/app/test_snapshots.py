"""What every screen and dialog looks like in the app, text and colours, as files in `tests/data/screens`: first the
terminal's rows, then one letter per cell for its style, then what the letters mean. And that every theme can show them.

After a wanted change: UPDATE_SNAPSHOTS=1 pytest tests/app/test_snapshots.py, and read the difference."""

from __future__ import annotations

import contextlib
import os
import string
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from rich.style import Style
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widgets import Input

from tests.app import hub_scenes
from tests.app.conftest import Person
from tests.conftest import until
from tests.loads import but
from tests.measure.fixed import COMPARISON
from tests.places import DATA
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
    replace_machine,
)
from tests.seeing import NEAREST
from tests.words.pseudo import plain
from tui.app.bindings import Keymap
from tui.app.run import make_app
from tui.app.screens.bench import BenchScreen
from tui.app.screens.conversations import ConversationsScreen
from tui.app.screens.load_guard import guard_screen
from tui.app.screens.load_settings import LoadScreen
from tui.app.screens.palette import PaletteScreen
from tui.app.screens.picker import PickerScreen
from tui.app.widgets.bench_board import BenchState, JobRow
from tui.app.widgets.fold_line import FoldLine
from tui.app.widgets.start_page import StartPage
from tui.chat.conversation import answer_turn, copy_with_new_ids, finished, user_turn
from tui.chat.store import Summary
from tui.config import paths
from tui.config.options import AppOptions
from tui.config.problems import ConfigProblem
from tui.config.settings import ChosenLoad
from tui.measure.history import History
from tui.measure.report import Comparison
from tui.models.library import Library
from tui.planning.guardrail import LoadPermission
from tui.planning.now import MemoryNow
from tui.planning.remedies import remedies
from tui.planning.verdict import judge
from tui.protocol.messages import Prefill
from tui.protocol.records import Device, ErrorInfo
from tui.session.events import AnswerRefused, MachineRead
from tui.session.speed import SpeedNow
from tui.words import use

SNAPSHOTS = DATA / "screens"
LETTERS = string.ascii_letters + string.digits + string.punctuation
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
ALL_SIZES = ((40, 12), (80, 24), (120, 40), (200, 60))
NARROW = ((40, 24), (80, 24), (120, 40))


# What a person does until the screen is there ---------------------------------------------------------------------


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
    person.app.problems += [
        ConfigProblem(file=file, key="load.n_ctx", message='is "many", so 8192 is used. Write a whole number.'),
        ConfigProblem(file=file, key="keys.pick_modell", message='is unknown. Did you mean "pick_model"?'),
        ConfigProblem(file=paths.user_themes_dir() / "我的.toml", key="", message="is no TOML: line 3, column 7."),
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
    screen._state = BenchState(
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
    screen._state = msgspec.structs.replace(screen._state, jobs=rows, comparison=Comparison())
    return screen


async def list_conversations(person: Person) -> None:
    await chat(person)
    hour = 3600
    chats = tuple(
        Summary(
            id=id,
            title=title,
            model_path=str(QWEN.path),
            created_at=0,
            updated_at=NOW.timestamp() - hours * hour,
            n_turns=n,
        )
        for id, title, hours, n in (
            ("c1", CONVERSATION.title, 1, 4),
            ("c2", "中文的標題和一個問題", 26, 12),
            ("c3", "A title that is longer than any column that it could ever stand in", 24 * 90, 2),
        )
    )

    async def load() -> tuple[Summary, ...]:
        return chats

    async def unused(*_: str) -> None:
        raise AssertionError("nothing is changed here")

    screen = ConversationsScreen(load, unused, unused, unused, person.app.keymap, current="c1", now=lambda: NOW)
    person.app.push_screen(screen)


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


class Scene(NamedTuple):
    """How to get to a screen, and a text that is seen when it is there."""

    act: Callable[[Person], Awaitable[None]]
    ready: str
    has_model: bool = True
    theme: str = "graphite"
    sizes: tuple[tuple[int, int], ...] = ((80, 24), (120, 40))


SCENES = {
    "main": Scene(chat, "complete", sizes=((40, 12), (80, 24), (120, 40))),
    "main-light": Scene(chat, "complete", theme="paper"),
    "main-selected": Scene(select_message, "copy · answer again", sizes=NARROW),
    "main-editing": Scene(edit_prompt, "editing", sizes=NARROW),
    "main-prompt-read": Scene(read_prompt, "Meanwhile I type"),
    "main-engine-died": Scene(lose_the_engine, "ErrorDeviceLost"),
    "main-cpu-crashed": Scene(crash_on_the_cpu, "without repacking", sizes=NARROW),
    "main-no-model": Scene(start_empty, "No models were found", has_model=False, sizes=((40, 12), (80, 24), (120, 40))),
    "picker-empty": Scene(pick_of_none, "paste the path", has_model=False),
    "start-page": Scene(start_again, "Lighthouse", sizes=((40, 12), (80, 24), (120, 40), (200, 60))),
    "main-wide": Scene(chat_beside_others, "Lighthouse", sizes=((160, 40), (200, 60))),
    "main-loading": Scene(load_half, "62%"),
    "main-load-failed": Scene(fail_to_load, "could not be loaded"),
    "picker": Scene(pick_model, "half.gguf", sizes=NARROW),
    "load-settings": Scene(change_load_settings, "free after", sizes=NARROW),
    "load-settings-advanced": Scene(change_advanced_settings, "mlock"),
    "load-settings-apu": Scene(dialog(settings_of_apu), "dedicated"),
    "guard": Scene(dialog(guard), "Load anyway"),
    "bench": Scene(dialog(bench), "against run 12", sizes=NARROW),
    "bench-running": Scene(dialog(bench_running), "waiting"),
    "bench-start": Scene(dialog(bench_start), "tg128", sizes=NARROW),
    "picker-low": Scene(pick_model, "NAME", sizes=((40, 12),)),
    "copy-code": Scene(choose_code, "python sort.py", sizes=NARROW),
    "memory": Scene(action("screen.memory_report"), "difference", sizes=NARROW),
    "problems": Scene(read_problems, "keys.pick_modell", sizes=NARROW),
    "rename": Scene(action("screen.rename"), "Rename"),
    "theme": Scene(action("screen.theme"), "midnight"),
    "conversations": Scene(list_conversations, "LAST USED"),
    "sampling": Scene(action("screen.sampling"), "emperature"),
    "system-prompt": Scene(action("screen.system_prompt"), "patient teacher"),
    "help": Scene(action("help"), "pick_model"),
    "log": Scene(action("log_view"), "304.75 MiB"),
    "confirm": Scene(action("screen.delete"), "deletes all its messages"),
    "overflow": Scene(overflow, "The context is full"),
    "palette": Scene(use_the_palette, "Switch thinking", sizes=NARROW),
    "monitor": Scene(watch, "MONITOR", sizes=((40, 12), (80, 24), (120, 40), (200, 60))),
    "find": Scene(hub_scenes.find, "Qwen3-30B-A3B", sizes=ALL_SIZES),
    "find-words": Scene(hub_scenes.find_by_words, "abliterated", sizes=NARROW),
    "find-failed": Scene(hub_scenes.find_without_hubs, "503", sizes=NARROW),
    "repository": Scene(hub_scenes.look_into, "Q4_K_M", sizes=ALL_SIZES),
    "downloads": Scene(hub_scenes.watch_downloads, "Qwen3-0.6B", sizes=ALL_SIZES),
    "downloads-problem": Scene(hub_scenes.watch_a_problem, "Qwen3-0.6B", sizes=NARROW),
    "main-fetching": Scene(hub_scenes.fetch_some, "43%", sizes=NARROW),
}

IN_CHINESE = {
    "main-selected": "重新回答",
    "main": "思考了",
    "main-no-model": "没有找到模型",
    "start-page": "Lighthouse",
    "main-engine-died": "引擎在",
    "picker": "量化",
    "load-settings": "上下文",
    "guard": "内存不足",
    "conversations": "最近使用",
    "sampling": "温度",
    "help": "pick_model",
    "monitor": "监视器",
    "palette": "查找操作",
    "bench-start": "基准测试",
    "bench-running": "等待",
    "load-settings-advanced": "mlock",
    "find": "适合",
    "repository": "推荐",
    "downloads": "下载",
    "main-fetching": "43%",
}
"""Scenes, and what shows that they are there in Chinese."""


@asynccontextmanager
async def shown(scene: Scene, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Person]:
    """The app at that scene, when nothing on it changes any more."""
    replace_machine(monkeypatch, LIBRARY if scene.has_model else Library())
    app = make_app(AppOptions(model=QWEN.path if scene.has_model else None, theme=scene.theme))
    async with app.run_test(size=size, notifications=True) as pilot:
        person = Person(app, pilot)
        await person.wait_for(lambda: person.phase == ("ready" if scene.has_model else "no_model"))
        await scene.act(person)
        await person.wait_for(
            lambda: (
                scene.ready.casefold() in (seen := plain(person.screen_text()).casefold()) and "looking…" not in seen
            )
        )
        await person.wait_for(lambda: app.main.prompt_line.is_settled)
        for line in app.screen.query(Input):
            line.cursor_blink = False
        await app.controller.monitoring.read()
        app.screen.refresh()  # what is behind a dialog too, as it is now
        await pilot.pause()
        yield person
        await app.controller.stop()


# A screen as text -------------------------------------------------------------------------------------------------


def snapshot(strips: list[Strip]) -> str:
    """The rows, their styles cell by cell, and the styles."""
    letters: dict[str, str] = {}
    rows, styles = [], []
    for strip in strips:
        rows.append(strip.text.rstrip())
        styles.append(
            "".join(
                letters.setdefault(_in_words(segment.style or Style()), LETTERS[len(letters)]) * segment.cell_length
                for segment in strip
            )
        )
    legend = [f"{letter} {words}" for words, letter in letters.items()]
    return "\n".join([*rows, "", *styles, "", *legend, ""])


def _in_words(style: Style) -> str:
    """Such as "#e0e0e0 on #202020 bold"."""
    colours = [f"{colour.get_truecolor().hex if colour else 'default'}" for colour in (style.color, style.bgcolor)]
    attributes = [name for name in ("bold", "dim", "italic", "underline", "reverse", "strike") if getattr(style, name)]
    return " ".join([" on ".join(colours), *attributes])


@pytest.mark.parametrize(
    ("name", "size"),
    [
        pytest.param(name, size, id=f"{name}-{size[0]}x{size[1]}")
        for name, scene in SCENES.items()
        for size in scene.sizes
    ],
)
async def test_a_screen_looks_as_it_did(name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    await expect_as_before(SCENES[name], name, size, monkeypatch)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", IN_CHINESE)
async def test_a_screen_looks_as_it_did_in_chinese(
    name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = SCENES[name]._replace(ready=IN_CHINESE[name])
    use("zh")
    try:
        await expect_as_before(scene, f"zh-{name}", size, monkeypatch)
    finally:
        use("en")


async def expect_as_before(scene: Scene, name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold the screen against the file of that name."""
    file = SNAPSHOTS / f"{name}-{size[0]}x{size[1]}.txt"
    async with shown(scene, size, monkeypatch) as person:

        def seen() -> str:
            return snapshot(person.app.screen._compositor.render_strips())

        if os.environ.get("UPDATE_SNAPSHOTS"):
            file.parent.mkdir(exist_ok=True)
            file.write_text(seen())
        expected = file.read_text()
        # A busy machine may still be painting what is behind a dialog.
        with contextlib.suppress(AssertionError):
            await until(lambda: seen() == expected, within_s=5)
        assert seen() == expected


@pytest.mark.parametrize("name", ["picker", "load-settings"])
async def test_themes_show_list_and_form(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shown(SCENES[name], (80, 24), monkeypatch) as person:
        for theme in NEAREST:
            person.app.theme = theme
            await person.pilot.pause()
            assert person.app.theme == theme and SCENES[name].ready in person.screen_text()
