"""The full-screen monitor: what it shows of which records, in the app by its key, and alone from the command line."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual.events import AppBlur, AppFocus, Paste

from tests.app.conftest import Person, StartApp
from tests.app.one_widget import BLANKS, HOST, RADEON, SPEED, rows_of
from tests.app.test_flows import opened
from tests.app.test_races import FULL
from tests.conftest import DENSE, MOE
from tests.measure.reports import report
from tests.on_pty import LLMTUI, on_pty
from tui.app.markdown.text import width_of
from tui.app.screens.monitor import MonitorScreen
from tui.app.widgets.key_bar import KeyBar
from tui.app.widgets.monitor_board import MonitorBoard
from tui.app.widgets.monitor_panels import Past
from tui.app.widgets.readings import Figures
from tui.chat.conversation import Turn
from tui.config import paths
from tui.measure.history import History
from tui.measure.known_roofline import known_roofline
from tui.measure.machine import this_machine
from tui.measure.report import Comparison, Roofline
from tui.models.library import inspect
from tui.protocol.records import LlamaLoad, LoadSettings, Placed, Timings
from tui.session.events import AnswerRefused, LoadFailed
from tui.session.loads import LoadRequest
from tui.session.machine_history import Reading
from tui.session.speed import AnswerNow, Spread

TIMINGS = Timings(
    n_prompt=900, n_prefill=900, n_steady=900, steady_s=2.0, ttft_s=2.1, n_decode=128, decode_s=4.05, n_first=1
)
ANSWER = Turn(
    id="a",
    role="assistant",
    text="## Because\n\n**only**\n[few](https://a.b)",
    created_at=0,
    timings=TIMINGS,
    stop="stop",
    backend=("CPU", "Vulkan0"),
)
READINGS = tuple(
    Reading(
        host=replace(HOST, time=second, cpu_percent=second % 100, cpu_power_w=20.0),
        gpus=(RADEON,),
        decode_tps=second % 40,
        prefill_tps=float(second % 7),
    )
    for second in range(600)
)
FIGURES = Figures(
    speed=replace(SPEED, answer=AnswerNow(n_tokens=128, took_s=4.7, spread=Spread(10.0, 20.0, 31.4))),
    context=(1204, 8192),
    host=replace(HOST, core_percents=(5.0,) * 16, engine_cpu_percent=8.0, engine_private_bytes=1 << 29,
                 engine_shared_bytes=1 << 29),
    gpus=(RADEON,),
    placed=(Placed(device="Vulkan0", weights_bytes=13 << 30, kv_bytes=1 << 28),),
)  # fmt: skip
PAST = Past(
    readings=READINGS,
    answers=(ANSWER,),
    model="Qwen3-30B-A3B",
    roofline=Roofline(tps=46.8, read_bytes={"CPU": 1}, bandwidth={"CPU": 1.0}),
)
ENGINE = ("DECODE", "PREFILL", "CONTEXT", "ROOFLINE", "LAST ANSWERS")
MACHINE = ("CPU", "RAM", "GPU", "POWER")


async def board(size: tuple[int, int], figures: Figures = FIGURES, past: Past = PAST) -> list[str]:
    def show(it: MonitorBoard) -> None:
        it.past = past
        it.show(figures)

    return await rows_of(MonitorBoard(), size, show)


def titles(rows: list[str]) -> list[str]:
    """Of the panels, wherever they stand."""
    cells = [part.strip() for row in rows for part in row.split("   ")]
    return [name for name in (*ENGINE, *MACHINE) if any(cell.startswith(name) and "──" in cell for cell in cells)]


@pytest.mark.parametrize("size", [(120, 40), (200, 60), (100, 50)])
async def test_everything_has_a_place_on_a_screen_of_usual_size(size: tuple[int, int]) -> None:
    rows = await board(size)
    assert titles(rows) == [*ENGINE, *MACHINE]
    text = " ".join(" ".join(rows).split())
    for part in ("MONITOR Qwen3-30B-A3B", "46.8 tok/s that memory allows", "67%", "min 10.0", "1,204 / 8,192"):
        assert part in text
    for part in ("weights 13.0 GiB", "CPU→Vulkan0 128 31.4 2.1 s 900", "its own 0.5 GiB", "24 W"):
        assert part in text
    assert len(rows) == size[1] and max(map(width_of, rows)) <= size[0] - 2


async def test_a_wide_screen_tells_the_last_answers_by_their_first_words() -> None:
    text = " ".join(" ".join(await board((200, 60))).split())
    assert "Because only few CPU→Vulkan0 128" in text


@pytest.mark.parametrize("size", [(80, 24), (99, 40), (40, 12), (200, 10), (30, 5), (20, 2)])
async def test_a_small_screen_keeps_what_matters_most(size: tuple[int, int]) -> None:
    rows = await board(size)
    assert len(rows) == size[1] and max(map(width_of, rows)) <= size[0] - 2
    shown = titles(rows)
    if size[1] >= 12:
        assert {"DECODE", "CPU", "RAM", "GPU"} <= set(shown)


async def test_a_graph_fills_the_height_that_is_left_and_shows_the_last_minutes() -> None:
    low, high = await board((120, 40)), await board((120, 60))
    drawn = [sum(any("⠀" < letter <= "⣿" for letter in row) for row in rows) for rows in (low, high)]
    assert 0 < drawn[0] < drawn[1]
    assert "last 6 min" in low[0] and "last 5 min" in (await board((80, 24)))[0]


async def test_without_a_model_there_is_only_the_machine_and_what_it_does_not_tell_is_left_out() -> None:
    machine = Figures(host=HOST, gpus=(RADEON,))
    assert titles(await board((120, 40), machine, Past(readings=READINGS))) == list(MACHINE)
    assert titles(await board((120, 40), Figures(host=HOST), Past())) == ["CPU", "RAM"]
    nothing = await board((120, 40), Figures(), Past())
    assert "".join(nothing[1:]).strip(BLANKS) == ""


async def test_energy_per_token_is_told_where_power_is_known() -> None:
    text = " ".join(" ".join(await board((200, 60))).split())
    assert "energy per token 1.2" in text  # 24 W at a mean of 20 tok/s
    silent = Past(readings=tuple(replace(one, decode_tps=0.0) for one in READINGS))
    assert "energy per token" not in " ".join(await board((200, 60), past=silent))


# In the app


def monitor(person: Person) -> str:
    """What it shows, blanks as one."""
    return " ".join(person.screen_text().split())


async def test_its_key_opens_it_over_the_conversation_and_closes_it(start: StartApp) -> None:
    async with start() as person:
        await person.ask("Count to 20")
        await person.press("f3")
        await person.wait_for(lambda: isinstance(person.app.screen, MonitorScreen))
        await person.wait_for(lambda: "LAST ANSWERS" in monitor(person) and "RAM ─" in monitor(person))
        n_tokens = person.answer_timings.n_decode
        assert f"{n_tokens:,}" in monitor(person)
        assert "esc Close" in person.app.screen.query_one(KeyBar).rows_as_text[0]
        assert "Palette" not in person.app.screen.query_one(KeyBar).rows_as_text[0]
        await person.press("f3")
        await person.wait_for(lambda: person.app.screen is person.app.main)
        await person.press("f3", "escape")
        await person.wait_for(lambda: person.app.screen is person.app.main)


async def test_it_shows_nothing_of_another_model_or_conversation(start: StartApp) -> None:
    async with start() as person:
        controller = person.app.controller
        await person.ask("Count to 20")
        await controller.monitoring.read()
        await person.press("f3")
        await person.wait_for(lambda: "LAST ANSWERS" in monitor(person) and "DECODE" in monitor(person))
        controller.load(LoadRequest(path=MOE, choice=controller.model.choice))
        await person.wait_for(lambda: person.phase == "ready" and person.loaded.path == str(MOE))
        await person.wait_for(lambda: "DECODE" in monitor(person) and "LAST ANSWERS" not in monitor(person))
        assert not any(reading.decode_tps for reading in controller.machine.readings)
        await controller.unload()
        await person.wait_for(lambda: "DECODE" not in monitor(person) and "CONTEXT" not in monitor(person))
        assert "RAM" in monitor(person)


async def test_a_load_that_is_refused_while_it_is_open_leaves_the_context_of_the_model_that_stays(
    start: StartApp, home: Path
) -> None:
    async with start() as person:
        await person.ask("Count to 20")
        used = f"{person.app.controller.context.n_used:,} / 1,024"
        os.kill(person.engine_pid, signal.SIGSTOP)
        failed = asyncio.Event()
        person.at_the_first(LoadFailed, failed.set)
        person.app.controller.load(LoadRequest(path=home / "nowhere.gguf", choice=person.app.controller.model.choice))
        await person.wait_for(lambda: person.phase == "loading")
        await person.press("f3")
        await person.wait_for(lambda: "RAM ─" in monitor(person) and "CONTEXT" not in monitor(person))
        os.kill(person.engine_pid, signal.SIGCONT)
        await person.wait_for(failed.is_set)
        await person.wait_for(lambda: used in monitor(person))


async def test_what_has_to_be_asked_is_asked_over_it(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        await person.press("f3", "f1")
        await opened(person, "In settings.toml, [keys]")
        person.app.main.hear(AnswerRefused(info=FULL))
        await person.press("escape")
        await opened(person, "The context is full")
        await person.press("n")
        await person.wait_for(lambda: isinstance(person.app.screen, MonitorScreen))
        await person.press("f3")
        await person.wait_for(lambda: "Not answered" in person.screen_text())


async def test_the_roofline_is_that_of_the_bandwidth_which_a_benchmark_has_measured(start: StartApp) -> None:
    async with start() as person:
        await person.ask("Count to 20")
        measured = replace(
            report(), machine=this_machine(), roofline=Roofline(tps=1.0, read_bytes={"CPU": 1}, bandwidth={"CPU": 1e9})
        )
        History(paths.bench_file()).add(Comparison(reports=(measured,)))
        await person.press("f3")
        await person.wait_for(lambda: "tok/s that memory allows" in monitor(person))


def test_a_roofline_is_known_of_this_machine_and_of_all_devices_only(tmp_path: Path) -> None:
    history = History(tmp_path / "bench.sqlite")
    info, settings = inspect(DENSE).info, LoadSettings()
    loaded = replace(report().loaded, llama=LlamaLoad(n_layers=9))
    assert known_roofline(history, info, loaded, settings) is None
    elsewhere = replace(report(), roofline=Roofline(tps=1.0, read_bytes={}, bandwidth={"CPU": 1e9}))
    other = replace(
        elsewhere, machine=this_machine(), roofline=Roofline(tps=1.0, read_bytes={}, bandwidth={"Vulkan0": 1e9})
    )
    history.add(Comparison(reports=(report(), elsewhere, other)))
    assert known_roofline(history, info, loaded, settings) is None
    history.add(Comparison(reports=(replace(elsewhere, machine=this_machine()),)))
    found = known_roofline(history, info, loaded, settings)
    assert found is not None and found.tps == pytest.approx(1e9 / found.read_bytes["CPU"])


# Alone


@pytest.mark.parametrize("keys", [b"q", b"\x1b", b"\x11"], ids=["q", "escape", "ctrl+q"])
def test_alone_it_needs_no_model_starts_no_engine_and_ends_by_its_key(home: Path, keys: bytes) -> None:
    with on_pty(*LLMTUI, "--monitor") as program:
        program.wait_for("MONITOR")
        program.wait_for("RAM ──")
        assert len(program.processes()) == 1
        program.type(keys)
        assert program.wait_for_end() == 0


def test_help_opens_over_the_monitor_and_a_model_is_refused(home: Path) -> None:
    with on_pty(*LLMTUI, "--monitor") as program:
        program.wait_for("MONITOR")
        program.type(b"\x1bOP")  # f1
        program.wait_for("In settings.toml, [keys]")
        program.type(b"\x1b")
        program.wait_for("RAM ──")
    with on_pty(*LLMTUI, "--monitor", DENSE) as program:
        program.wait_for("--monitor loads no model: leave out MODEL.")
        assert program.wait_for_end() == 2


async def test_hardly_anything_wakes_while_nobody_looks_and_who_types_looks(start: StartApp) -> None:
    async with start() as person:
        monitoring = person.app.controller.monitoring
        person.app.post_message(AppBlur())
        await person.wait_for(lambda: not monitoring.seen.is_set())
        await person.wait_for(lambda: monitoring.is_resting)
        await person.press("h")  # as through a multiplexer that says nothing of the focus
        assert monitoring.seen.is_set()
        person.app.post_message(AppBlur())
        await person.wait_for(lambda: not monitoring.seen.is_set())
        person.app.post_message(Paste("i"))
        await person.wait_for(monitoring.seen.is_set)
        person.app.post_message(AppBlur())
        await person.wait_for(lambda: not monitoring.seen.is_set())
        person.app.post_message(AppFocus())
        await person.wait_for(monitoring.seen.is_set)
