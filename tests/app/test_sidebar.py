"""The sidebar and the status line, each in a tiny app: what they show for which records."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from textual.strip import Strip

from tests.app.one_widget import BIG, BLANKS, GIB, HOST, RADEON, SPEED, OneWidgetApp, feed, rows_of
from tests.machine.one_figure import LOAD
from tui.app.markdown.text import width_of
from tui.app.widgets.lines import shorten
from tui.app.widgets.monitor_panels import Past, machine_panels
from tui.app.widgets.readings import Figures, Readings, bar, level
from tui.app.widgets.sidebar import Sidebar
from tui.app.widgets.status_line import StatusLine
from tui.machine.readings import GpuSample, HostSample
from tui.protocol.messages import Prefill
from tui.protocol.records import Placed
from tui.session.speed import AnswerNow, SpeedNow, Spread


async def test_the_sidebar_shows_every_panel_in_its_width() -> None:
    rows = await rows_of(Sidebar(), (100, 40), feed)
    text = "\n".join(rows)
    for part in ("31.4 tok/s", "412.0 tok/s", "ttft 0.60 s", "1,204 / 8,192", "14.0 / 31.0 GiB", "14.0 / 16.0 GiB"):
        assert part in text
    for part in ("0.5 / 8.0 GiB", "Radeon 860M", "92%", "64 °C", "24 W", "11%", "swap"):
        assert part in text
    assert {width_of(row) for row in rows if row} == {31}


async def test_what_is_not_known_has_no_row() -> None:
    rows = await rows_of(
        Sidebar(), (100, 40), lambda sidebar: sidebar.show(replace(sidebar.figures, host=HostSample(time=0)))
    )
    assert [row.split()[0] for row in rows if row.strip(BLANKS)] == ["SPEED"]
    bare = GpuSample(name="Intel GPU", kind="igpu", source="i915", clock_mhz=1250, shared_total_bytes=0)
    rows = await rows_of(Sidebar(), (100, 40), lambda sidebar: sidebar.show(Figures(gpus=(bare,))))
    assert [row.split() for row in rows if row.strip(BLANKS)][1:] == [["GPU", "Intel", "GPU"], ["1.25", "GHz"]]
    assert "n/a" not in "".join(rows)


async def test_the_sidebar_shows_the_answer_its_speeds_and_the_parts_of_the_context() -> None:
    answer = AnswerNow(n_tokens=1280, took_s=41.2, spread=Spread(9.8, 28.14, 31.4))
    figures = Figures(speed=replace(SPEED, answer=answer), context=(2400, 8192), n_prompt=1120, n_system=24)
    rows = [" ".join(row.split()) for row in await rows_of(Sidebar(), (100, 40), lambda it: it.show(figures))]
    assert "min 9.80 avg 28.1 max 31.4" in rows
    assert "answer 1,280 tokens 41.2 s" in rows
    assert "turns 1,096 free 5,792" in rows and "system 24 answer 1,280" in rows


async def test_the_sidebar_shows_what_the_model_takes_in_each_place() -> None:
    placed = (
        Placed(device="CPU", weights_bytes=300 << 20, output_bytes=1 << 10),
        Placed(device="Vulkan0", weights_bytes=13 * GIB, kv_bytes=410 << 20, compute_bytes=200 << 20),
        Placed(device="Vulkan1"),
    )
    rows = await rows_of(Sidebar(), (100, 40), lambda it: it.show(Figures(placed=placed)))
    assert [" ".join(row.split()) for row in table_of(rows)] == [
        "MODEL RAM Vulkan0",
        "weights 300.0 MiB 13.0 GiB",
        "KV 0 410.0 MiB",
        "compute 1.0 KiB 200.0 MiB",
        "",
    ]
    assert {width_of(row) for row in table_of(rows)[:4]} == {31}


async def test_places_that_have_no_room_beside_each_other_show_what_they_hold_in_all() -> None:
    placed = tuple(Placed(device=f"CUDA{n}", weights_bytes=n * GIB, kv_bytes=GIB // 2) for n in range(3))
    rows = await rows_of(Sidebar(), (100, 40), lambda it: it.show(Figures(placed=placed)))
    assert [row.split() for row in table_of(rows)[:4]] == [
        ["MODEL"],
        ["CUDA0", "512.0", "MiB"],
        ["CUDA1", "1.5", "GiB"],
        ["CUDA2", "2.5", "GiB"],
    ]


def table_of(rows: list[str]) -> list[str]:
    """The panel of the model, and what is below it."""
    return rows[next(index for index, row in enumerate(rows) if row.startswith("MODEL")) :][:5]


async def test_the_sidebar_shows_each_core_the_disk_and_how_long_programs_wait_for_memory() -> None:
    figures = {"engine_disk_reads": 1.5 * GIB, "memory_pressure": 12.4}
    host = replace(HOST, core_percents=(0, 12.5, 50, 99, 100), figures=figures)
    rows = await rows_of(Sidebar(), (100, 40), lambda it: it.show(Figures(host=host)))
    text = [" ".join(row.split()) for row in rows]
    assert "▁▂▅██" in text and "disk reads 1.5 GiB/s" in text and "waiting for memory 12%" in text


async def test_a_row_of_the_table_of_figures_is_shown_in_its_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.app.widgets.figure_rows.FIGURES", (LOAD,))
    now = Figures(host=replace(HOST, figures={"load": 1.5}))
    rows = await rows_of(Sidebar(), (100, 40), lambda it: it.show(now))
    (index,) = [index for index, row in enumerate(rows) if row.split()[:1] == ["CPU"]]
    assert rows[index + 1 :] and rows[index + 1].split() == ["tasks", "that", "compute", "1.5"]
    cpu, *_ = machine_panels(now, Past(), 40)
    assert any("tasks that compute" in text for row in cpu.rows for text, _ in row)


@pytest.mark.parametrize(("n_cores", "n_cells"), [(1, 1), (31, 31), (32, 16), (64, 22), (256, 29)])
async def test_many_cores_share_cells_and_the_busiest_counts(n_cores: int, n_cells: int) -> None:
    host = replace(HOST, core_percents=(*(0.0,) * (n_cores - 1), 100.0))
    rows = await rows_of(Sidebar(), (100, 40), lambda it: it.show(Figures(host=host)))
    (row,) = [row for row in rows if row.rstrip().endswith("█")]
    assert row.strip() == "▁" * (n_cells - 1) + "█"


@pytest.mark.parametrize(
    ("reasons", "said"), [(None, []), ((), []), (("heat", "power"), ["throttled heat, power limit"])]
)
async def test_a_gpu_that_is_held_back_says_why(reasons: Any, said: list[str]) -> None:
    gpu = replace(RADEON, throttled_by=reasons)
    rows = await rows_of(Sidebar(), (100, 40), lambda it: it.show(Figures(gpus=(gpu,))))
    assert [" ".join(row.split()) for row in rows if row.startswith("throttled")] == said


async def test_nothing_moves_when_numbers_change() -> None:
    sidebar = Sidebar()
    async with OneWidgetApp(sidebar).run_test(size=(100, 40)) as pilot:
        places = []
        for tps, used, busy, prefill in (
            (0.0, 0, 0, None),
            (3.2, 9, 7, None),
            (1234.0, 131_072, 100, None),
            (99.9, 8192, 50, Prefill(done=1, total=9, tps=3, eta_s=2.5)),
        ):
            sidebar.show(
                replace(sidebar.figures, speed=SpeedNow(decode_tps=tps, prefill=prefill, prefill_tps=tps, ttft_s=tps))
            )
            sidebar.show(replace(sidebar.figures, context=(used, 131_072)))
            sidebar.show(
                replace(
                    sidebar.figures,
                    host=HostSample(time=0, cpu_percent=busy, ram_total_bytes=GIB, ram_available_bytes=GIB // 2),
                )
            )
            await pilot.pause()
            places.append([(row.split()[0], width_of(row)) for row in sidebar.rows_as_text if row[:1].isalpha()])
        assert all(place == places[0] for place in places)


async def test_prefill_shows_its_progress_and_what_is_left() -> None:
    now = SpeedNow(prefill=Prefill(done=1500, total=4000, tps=120, eta_s=20.8))
    rows = await rows_of(Sidebar(), (100, 40), lambda sidebar: sidebar.show(replace(sidebar.figures, speed=now)))
    (row,) = [row for row in rows if row.startswith("prefill")]
    assert "━" in row
    assert row.endswith("38%   21 s left")


@pytest.mark.parametrize(("part", "style"), [(0.5, "good"), (0.85, "tight"), (0.95, "full"), (None, "muted")])
def test_colour_says_whether_it_fits(part: float | None, style: str) -> None:
    assert level(part) == style


@pytest.mark.parametrize(("part", "filled"), [(None, 0), (0.0, 0), (0.001, 1), (0.5, 5), (1.0, 10)])
def test_bars_are_as_long_as_their_share_and_always_as_wide(part: float | None, filled: int) -> None:
    assert tuple(map(len, bar(part, 10))) == (filled, 10 - filled)


async def test_rows_that_would_say_that_nothing_is_wrong_are_left_out() -> None:
    quiet = replace(HOST, figures={"engine_disk_reads": 4096.0, "memory_pressure": 0.4})
    rows = await rows_of(Sidebar(), (100, 40), lambda it: it.show(Figures(host=quiet)))
    assert not [row for row in rows if row.startswith(("disk reads", "waiting for memory"))]


@pytest.mark.parametrize("height", [24, 21, 18, 12, 5])
async def test_a_low_sidebar_leaves_out_the_least_important(height: int) -> None:
    rows = await rows_of(Sidebar(), (100, height), feed)
    assert len(rows) == height
    assert rows[0].startswith("SPEED")
    if height >= 18:
        assert any(row.startswith("CPU") for row in rows)


async def test_each_gpu_has_its_panel() -> None:
    rows = await rows_of(
        Sidebar(), (100, 40), lambda sidebar: sidebar.show(replace(sidebar.figures, gpus=(RADEON, BIG)))
    )
    assert [row.split()[1] for row in rows if row.startswith("GPU")] == ["Radeon", "Big"]
    # A card with memory of its own has no shared part to show.
    assert len([row for row in rows if row.startswith("shared")]) == 1


async def test_a_name_from_a_driver_cannot_break_a_row() -> None:
    evil = GpuSample(name="[red]Evil\x1b[31m\nGPU 超长的名字超长的名字超长的名字", kind="gpu", source="nvml")
    rows = await rows_of(Sidebar(), (100, 40), lambda sidebar: sidebar.show(replace(sidebar.figures, gpus=(evil,))))
    (row,) = [row for row in rows if row.startswith("GPU")]
    assert row.startswith("GPU [red]Evil [31m GPU")
    assert width_of(row) == 31


async def test_new_figures_repaint_their_rows_and_lay_nothing_out() -> None:
    sidebar = Sidebar()
    app = OneWidgetApp(sidebar)
    async with app.run_test(size=(100, 40)) as pilot:
        feed(sidebar)
        await pilot.pause()
        app.n_layouts = 0
        painted: list[int] = []
        original = sidebar.render_line

        def render_line(y: int) -> Strip:
            painted.append(y)
            return original(y)

        sidebar.render_line = render_line  # type: ignore[method-assign]
        feed(sidebar)
        await pilot.pause()
        assert painted == []
        sidebar.show(replace(sidebar.figures, context=(2000, 8192)))
        await pilot.pause()
        title = next(y for y, row in enumerate(sidebar.rows_as_text) if row.startswith("CONTEXT"))
        assert set(painted) == set(range(title, title + 3))  # with its bar and its parts
        assert app.n_layouts == 0


async def test_a_hidden_sidebar_catches_up_when_it_is_shown() -> None:
    sidebar = Sidebar()
    async with OneWidgetApp(sidebar).run_test(size=(100, 40)) as pilot:
        sidebar.display = False
        await pilot.pause()
        sidebar.show(replace(sidebar.figures, context=(77, 100)))
        sidebar.display = True
        await pilot.pause()
        await pilot.pause()
        assert any("77 / 100" in row for row in sidebar.rows_as_text)


@pytest.mark.parametrize(
    ("width", "parts"),
    [
        (100, ["31.4 tok/s", "ctx  15%", "RAM 14.0/31", "GPU 14.0/16", "Vulkan0 48/48"]),
        (60, ["31.4 tok/s", "ctx  15%", "RAM 14.0/31", "GPU 14.0/16"]),
        (40, ["31.4 tok/s", "ctx  15%", "RAM 14.0/31"]),
        (20, ["31.4 tok/s"]),
    ],
)
async def test_the_status_line_keeps_what_matters_most(width: int, parts: list[str]) -> None:
    def act(line: StatusLine) -> None:
        feed(line)
        line.show_place("Vulkan0 48/48")

    (row,) = await rows_of(StatusLine(), (width, 10), act)
    assert all(part in row for part in parts)
    assert width_of(row) <= width - 2
    assert ("Vulkan0" in row) == ("Vulkan0 48/48" in parts)


async def test_the_status_line_shows_the_fullest_gpu() -> None:
    (row,) = await rows_of(StatusLine(), (100, 10), lambda line: line.show(replace(line.figures, gpus=(RADEON, BIG))))
    assert "GPU 79.0/80" in row


@pytest.mark.parametrize("width", range(9))
def test_shortened_text_fits_and_says_that_it_was_cut(width: int) -> None:
    for text in ("abcdefgh", "你好世界", "a👩‍👩‍👧b", "short"):
        cut = shorten(text, width)
        assert width_of(cut) <= width
        assert cut == text or not width or cut.endswith("…")


async def test_colours_follow_the_theme() -> None:
    sidebar = Sidebar()
    app = OneWidgetApp(sidebar)
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.pause()
        dark = sidebar.render_line(0)
        app.theme = "textual-light"
        await pilot.pause()
        await pilot.pause()
        assert [segment.style for segment in sidebar.render_line(0)] != [segment.style for segment in dark]


@pytest.mark.parametrize("tps", [0.004, 9.999, 99.96, 999.96, 9_999.4, 9_999.6, 12_345, 99_960, 999_600, 12_345_678])
@pytest.mark.parametrize("ttft_s", [0.001, 99.96, 6_000, 350_000])
async def test_every_figure_keeps_its_unit_at_every_magnitude(tps: float, ttft_s: float) -> None:
    tib = 2**40
    memory = HostSample(time=0, ram_total_bytes=6 * tib, ram_available_bytes=tib, engine_rss_bytes=4 * tib)

    def show(readings: Readings) -> None:
        readings.show(replace(readings.figures, speed=SpeedNow(decode_tps=tps, prefill_tps=tps, ttft_s=ttft_s)))
        readings.show(replace(readings.figures, context=(1_234_567, 10_485_760)))
        readings.show(replace(readings.figures, host=memory))

    rows = await rows_of(Sidebar(), (100, 40), show)
    assert {width_of(row) for row in rows if row} == {31}
    speed, prefill = rows[0], next(row for row in rows if row.startswith("prefill"))
    assert speed.endswith(" tok/s") and " tok/s ttft " in " ".join(prefill.split())
    assert prefill.endswith((" s", " min", " h"))
    assert any(row.endswith("5,120.0 / 6,144.0 GiB") for row in rows)
    (line,) = await rows_of(StatusLine(), (80, 24), show)
    assert line.split("  ")[0].endswith(" tok/s") and "RAM 5,120.0/6,144 GiB" in line
