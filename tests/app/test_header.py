"""The header: the model and how it is loaded, or why there is none."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.app.one_widget import MODEL, OneWidgetApp, rows_of
from tui.app.markdown.text import width_of
from tui.app.widgets.header import EngineStopped, Header, HeaderState, LoadingModel, NoModelLoaded


async def test_the_header_names_the_model_and_how_it_is_loaded() -> None:
    (row,) = await rows_of(Header(), (120, 5), lambda header: header.show_state(MODEL))
    assert row.startswith("Qwen3-30B-A3B · Q3_K_L · 128 experts, 8 used  ")
    assert row.endswith("  Vulkan0 48/48 · 8 threads · ctx 8,192 · FA auto · KV f16")
    assert width_of(row) == 118


async def test_a_narrow_header_gives_up_the_details_before_the_name() -> None:
    kept = []
    details = ("KV", "FA", "experts", "threads", "ctx", "Q3", "Vulkan0", "Qwen3")
    for width in (120, 104, 92, 80, 60, 40, 20):
        (row,) = await rows_of(Header(), (width, 5), lambda header: header.show_state(MODEL))
        assert width_of(row) <= width - 2
        kept.append([part for part in details if part in row])
    for more, less in pairwise(kept):
        assert more[-len(less) :] == less
    assert kept[-1] == ["Qwen3"]


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (NoModelLoaded(hint="^o chooses one"), "No model is loaded"),
        (EngineStopped(name="Qwen3", hint="r loads it again"), "The engine stopped · Qwen3"),
        (LoadingModel(name="Qwen3", fraction=0.42), "loading Qwen3"),
    ],
)
async def test_the_header_says_why_there_is_no_model(state: HeaderState, text: str) -> None:
    (row,) = await rows_of(Header(), (80, 5), lambda header: header.show_state(state))
    assert row.startswith(text)
    if isinstance(state, LoadingModel):
        assert row.endswith(" 42%")
        assert row.count("━") == round(0.42 * (row.count("━") + row.count("─")))


async def test_resizing_recomposes_the_rows() -> None:
    header = Header()
    async with OneWidgetApp(header).run_test(size=(120, 10)) as pilot:
        header.show_state(MODEL)
        await pilot.resize_terminal(60, 10)
        await pilot.pause()
        assert width_of(header.rows_as_text[0]) == 58
