"""The load settings on the tiny models: every field reaches the result, costs move with the values, and what is wrong
stays in the dialog."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from textual.events import MouseMove
from textual.widgets import Static

from tests.app.dialogs import KEYS, OPEN, opened
from tests.app.load_dialog import CPU, GIB, GPU, MIB, ROOMY, dialog, focus, plan_of, show_advanced, write
from tests.conftest import DENSE, MOE, until
from tests.engine.memory_models import build
from tui.app.screens.load_settings import LoadScreen
from tui.app.widgets.choice_line import ChoiceLine
from tui.app.widgets.cost_table import CostTable
from tui.app.widgets.form import FormRow
from tui.app.widgets.number_input import NumberInput
from tui.app.widgets.slider import Slider
from tui.base.format import size
from tui.config.settings import ChosenLoad
from tui.machine.cpus import physical_cores
from tui.models.library import LibraryModel, inspect
from tui.planning.now import MemoryNow
from tui.planning.verdict_words import FITS_ALREADY


async def test_settings_and_costs_are_seen_together() -> None:
    async with opened(dialog()) as stage:
        for size in ((80, 24), (120, 40), (160, 44)):
            await stage.pilot.resize_terminal(*size)
            await stage.shows("Tiny Qwen3", "Context", "2048", "4,096", "Offload", "Vulkan0 Radeon 860M", "Threads")
            await stage.shows("weights", "free after", "RAM", "Vulkan0", "● Fits.", "5/5 layers", "2,048 tokens")
            await stage.shows("━ used", "■ this model", "│ reserve", "Load (enter)", "Fit", "Cancel")


async def test_what_no_threads_come_to_is_said_at_any_width() -> None:
    for terminal in ((80, 24), (120, 40)):
        async with opened(dialog(), terminal) as stage:
            await stage.shows(f"0: {physical_cores()} core")
        async with opened(dialog(ChosenLoad(cpu_range="0")), terminal) as stage:
            await stage.shows("0: 1 core ")


async def test_unchanged_settings_come_back_as_they_were_written() -> None:
    asked = ChosenLoad(backend="auto", n_ctx=0, n_gpu_layers=-1, type_k="q5_1", use_mlock=True, seed=2**32 - 1)
    async with opened(dialog(asked)) as stage:
        await stage.press("f5")
        assert await stage.closes() == asked


async def test_every_field_reaches_the_result_by_keyboard_alone() -> None:
    async with opened(dialog(model=MOE), (120, 40)) as stage:
        await show_advanced(stage)
        for field, text in {
            "n_ctx": "3000",
            "n_gpu_layers": "2",
            "n_cpu_moe": "1",
            "n_threads": "3",
            "n_threads_batch": "4",
            "n_batch": "256",
            "n_ubatch": "128",
            "seed": "-1",
        }.items():
            await write(stage, field, text)
        keys = {"flash_attn": "right", "type_k": "right", "type_v": "end", "use_mmap": "end", "repack": "end"}
        for field, key in keys.items():
            await focus(stage, field)
            await stage.press(key)
        await focus(stage, "use_mlock")
        await stage.press("left", "f5")
        assert await stage.closes() == ChosenLoad(
            n_ctx=3000,
            n_gpu_layers=2,
            n_cpu_moe=1,
            n_threads=3,
            n_threads_batch=4,
            n_batch=256,
            n_ubatch=128,
            flash_attn="on",
            type_k="q8_0",
            type_v="q4_0",
            use_mmap=False,
            use_mlock=True,
            repack="off",
        )


async def test_every_field_can_be_seen_at_every_size() -> None:
    async with opened(dialog(ChosenLoad(backend="cpu"), model=MOE), (120, 40)) as stage:
        await show_advanced(stage)
        for size in ((40, 24), (80, 24), (120, 40)):
            await stage.pilot.resize_terminal(*size)
            seen = set()
            for _ in stage.dialog.focus_chain:
                await stage.press("down")
                await stage.pilot.pause()
                focused = stage.host.focused
                if focused is not None and stage.dialog.get_widget_at(*focused.region.offset)[0] is focused:
                    seen.add(focused.id)
            assert {"flash_attn", "type_k", "type_v", "use_mmap", "use_mlock", "repack", "seed"} <= seen, size


async def test_repacking_is_told_to_be_for_the_cpu_alone() -> None:
    async with opened(dialog(ChosenLoad(backend="Vulkan0")), (120, 40)) as stage:
        row = stage.dialog.query_one("#row-repack", FormRow)
        assert "only without a GPU" in str(row.query_one(".form-note", Static).render())
        stage.dialog.query_one("#backend", ChoiceLine).less()
        await stage.pilot.pause()
        assert "Tune" in str(row.query_one(".form-note", Static).render())


async def test_a_model_with_sliding_windows_has_a_choice_and_shows_what_it_saves(tmp_path: Path) -> None:
    model, cpu = build(tmp_path / "window.gguf", "window"), ChosenLoad(backend="cpu", n_ctx=32768)
    async with opened(dialog(cpu, model=model), (120, 40)) as stage:
        row = stage.dialog.query_one("#row-swa_full", FormRow)
        note = row.query_one(".form-note", Static)
        table = stage.dialog.query_one(CostTable)
        saved = plan_of(table).window_saves_bytes
        assert str(note.render()) == f"auto: on, takes {size(saved)} more" and plan_of(table).swa_full
        full = plan_of(table).kv_bytes
        assert "checkpoints: " in stage.text
        await focus(stage, "swa_full")
        await stage.press("end")
        assert str(note.render()) == f"saves {size(saved)}"
        assert plan_of(table).kv_bytes == full - saved
        await stage.press("f5")
        assert await stage.closes() == msgspec.structs.replace(cpu, swa_full="off")
    async with opened(dialog(cpu), (120, 40)) as stage:
        assert not stage.dialog.query("#row-swa_full") and "checkpoints" not in stage.text


async def test_a_draft_model_is_offered_and_what_it_takes_is_told() -> None:
    draft = inspect(MOE)

    async def drafts() -> list[LibraryModel]:
        return [draft]

    asked = ChosenLoad(n_ctx=2048, backend="cpu")
    screen = LoadScreen(inspect(DENSE).info, asked, (CPU,), ROOMY, KEYS, drafts=drafts)
    async with opened(screen, (120, 50)) as stage:
        await show_advanced(stage)
        await stage.shows("Draft model", f"( ) {draft.info.name}", "ahead")
        without = plan_of(stage.dialog.query_one(CostTable)).total_bytes
        await focus(stage, "model_draft")
        await stage.press("end")
        plan = plan_of(stage.dialog.query_one(CostTable))
        await stage.shows(f"takes {size(plan.draft_bytes)}")
        assert plan.total_bytes == without + plan.draft_bytes > without
        await stage.press("f5")
        assert await stage.closes() == msgspec.structs.replace(asked, model_draft=str(MOE))


async def test_the_context_slider_stops_at_sensible_sizes_up_to_the_trained_one() -> None:
    async with opened(dialog()) as stage:
        context = stage.dialog.query_one("#slide-n_ctx", Slider)
        number = stage.dialog.query_one("#n_ctx", NumberInput)
        seen = []
        for key in ("home", "right", "right", "end", "left"):
            await stage.press(key)
            seen.append(number.number)
        assert context.has_focus and seen == [512, 1024, 2048, 4096, 2048]
        await stage.press("f5")
        assert (await stage.closes()).n_ctx == 2048


async def test_a_typed_size_lies_between_the_steps_and_moves_to_the_next() -> None:
    async with opened(dialog()) as stage:
        await write(stage, "n_ctx", "3000")
        await focus(stage, "slide-n_ctx")
        await stage.press("right")
        assert stage.dialog.query_one("#n_ctx", NumberInput).number == 4096
        await write(stage, "n_ctx", "2k")
        await stage.press("enter")
        assert (await stage.closes()).n_ctx == 2048


async def test_costs_move_with_the_values() -> None:
    async with opened(dialog(memory=msgspec.structs.replace(ROOMY, device_free={"Vulkan0": 520 * MIB}))) as stage:
        table = stage.dialog.query_one(CostTable)
        before = table.verdict
        await stage.press("end")
        assert before and table.verdict and plan_of(table).kv_bytes == 2 * before.plan.kv_bytes
        await write(stage, "n_ctx", "4000000")
        await stage.shows("○ Does not fit:", "too much for Vulkan0")
        await stage.press("ctrl+u", *"4096")
        await stage.shows("◐ Tight: leaves only", "free in Vulkan0")


async def test_on_the_cpu_nothing_is_offloaded_and_the_layers_are_kept_for_later() -> None:
    async with opened(dialog()) as stage:
        await focus(stage, "backend")
        await stage.press("left")
        await stage.shows("CPU only")
        assert stage.dialog.query_one("#slide-n_gpu_layers").disabled
        await stage.press("f5")
        chosen = await stage.closes()
        assert (chosen.backend, chosen.n_gpu_layers) == ("cpu", -1)


async def test_all_layers_is_kept_as_all_whatever_the_model() -> None:
    async with opened(dialog(ChosenLoad(n_gpu_layers=2))) as stage:
        await focus(stage, "slide-n_gpu_layers")
        await stage.press("end", "f5")
        assert (await stage.closes()).n_gpu_layers == -1


async def test_a_wrong_value_is_told_at_its_field_and_is_not_loaded() -> None:
    async with opened(dialog(), (120, 40)) as stage:
        await show_advanced(stage)
        await write(stage, "n_batch", "0")
        await stage.shows("Enter a whole number of 1 or more.")
        await stage.press("f5")
        assert stage.result is OPEN and stage.dialog.query_one("#n_batch").has_focus
        await write(stage, "n_batch", "64")
        await stage.shows("Enter at most 64, the batch size.")
        await write(stage, "n_ubatch", "32")
        await stage.press("f5")
        chosen = await stage.closes()
        assert (chosen.n_batch, chosen.n_ubatch) == (64, 32)


async def test_a_quantized_v_cache_without_flash_attention_is_refused() -> None:
    async with opened(dialog(ChosenLoad(n_ctx=2048, type_v="q8_0", flash_attn="off"))) as stage:
        await stage.press("f5")
        await stage.shows("A quantized V cache needs flash attention.")
        assert stage.result is OPEN
        await focus(stage, "flash_attn")
        await stage.press("home", "f5")
        assert (await stage.closes()).flash_attn == "auto"


async def test_fit_takes_as_many_layers_as_there_is_room_for() -> None:
    memory = msgspec.structs.replace(ROOMY, device_free={"Vulkan0": 15 * MIB // 2}, gpu_reserve_bytes=0)
    async with opened(dialog(memory=memory)) as stage:
        await stage.shows("○ Does not fit")
        await stage.press("ctrl+f")
        await until(lambda: "Does not fit" not in stage.text)
        await stage.press("f5")
        assert (await stage.closes()).n_gpu_layers == 3


async def test_fit_says_so_where_it_changes_nothing() -> None:
    async with opened(dialog()) as stage:
        await stage.press("ctrl+f")
        await until(lambda: [notice.message for notice in stage.host._notifications] == [FITS_ALREADY])
        await stage.press("f5")
        assert await stage.closes() == ChosenLoad(n_ctx=2048)


async def test_fit_takes_a_smaller_context_where_layers_do_not_help() -> None:
    asked = ChosenLoad(backend="cpu", n_ctx=65536)
    memory = MemoryNow(host_free_bytes=1100 * MIB, host_total_bytes=2 * GIB)
    async with opened(dialog(asked, memory=memory)) as stage:
        await stage.click("Fit")
        await stage.shows("● Fits.")
        await stage.press("f5")
        assert 512 <= (await stage.closes()).n_ctx < 65536


async def test_defaults_come_back_with_one_key() -> None:
    async with opened(dialog(ChosenLoad(n_ctx=512, n_threads=3, use_mmap=False))) as stage:
        await stage.press("ctrl+d", "f5")
        assert await stage.closes() == ChosenLoad()


async def test_buttons_and_choices_work_with_the_mouse() -> None:
    async with opened(dialog(), (120, 40)) as stage:
        await stage.click("( ) CPU")
        await stage.click("( ) q8_0")
        await stage.pilot.click("#button-load_apply")
        chosen = await stage.closes()
        assert (chosen.backend, chosen.type_k) == ("cpu", "q8_0")


async def test_the_slider_is_dragged_with_the_mouse() -> None:
    async with opened(dialog(), (120, 40)) as stage:
        slider = stage.dialog.query_one("#slide-n_gpu_layers", Slider)
        await stage.pilot.mouse_down(slider, offset=(slider.size.width - 2, 0))
        await stage.pilot._post_mouse_events([MouseMove], slider, offset=(1, 0), button=1)
        await stage.pilot.mouse_up(slider, offset=(1, 0))
        assert stage.dialog.query_one("#n_gpu_layers", NumberInput).number == 0
        await stage.pilot.click(slider, offset=(slider.size.width // 2, 0))
        assert stage.dialog.query_one("#n_gpu_layers", NumberInput).number in (2, 3)


async def test_a_backend_that_is_gone_is_told_and_not_kept() -> None:
    async with opened(dialog(ChosenLoad(backend="CUDA3")), (120, 40)) as stage:
        await stage.shows("CUDA3 is not here")
        await stage.press("f5")
        assert (await stage.closes()).backend == "Vulkan0"


async def test_a_dense_model_has_no_row_for_experts_and_a_mixture_has() -> None:
    async with opened(dialog(), (120, 40)) as stage:
        assert "Experts on CPU" not in stage.text
    async with opened(dialog(model=MOE), (120, 40)) as stage:
        await stage.shows("Experts on CPU")


async def test_up_and_down_go_through_the_fields_and_escape_changes_nothing() -> None:
    async with opened(dialog()) as stage:
        await stage.press("down", "down")
        assert stage.dialog.focused is stage.dialog.query_one("#slide-n_gpu_layers")
        await stage.press("up", "escape")
        assert await stage.closes() is None


async def test_forty_columns_are_enough() -> None:
    async with opened(dialog(), (40, 24)) as stage:
        await stage.shows("Context", "Offload", "RAM", "free after", "● Fits.")
        await show_advanced(stage)
        await focus(stage, "seed")
        await stage.shows("Seed")


@pytest.mark.parametrize("field", ["slide-n_ctx", "n_ctx", "backend", "n_threads", "flash_attn", "type_k"])
async def test_enter_loads_from_every_field(field: str) -> None:
    async with opened(dialog()) as stage:
        await focus(stage, field)
        await stage.press("enter")
        assert await stage.closes() == ChosenLoad(n_ctx=2048)


async def test_rare_settings_are_folded_away_until_somebody_asks_for_them() -> None:
    async with opened(dialog(), (120, 40)) as stage:
        await stage.shows("Advanced", "▸ batch, ubatch, mmap, mlock, repack, CPUs, …")
        before = stage.text.index("╰")
        assert "Repack" not in stage.text
        await stage.click("▸ batch")
        await stage.shows("▾ batch", "Repack", "mlock", "Seed")
        assert stage.text.index("╰") > before, "the box is as high as what is in it"
        await stage.click("▾ batch")
        await until(lambda: "Repack" not in stage.text)
        assert stage.result is OPEN
        await focus(stage, "advanced")
        await stage.shows("enter Show or hide", "^s Load")
        await stage.press("enter")
        await stage.shows("Repack")


async def test_rare_settings_that_are_not_the_default_are_shown_at_once() -> None:
    async with opened(dialog(ChosenLoad(n_ctx=2048, use_mmap=False)), (120, 40)) as stage:
        await stage.shows("▾ batch", "Repack", "mlock")


async def test_what_is_wrong_with_a_folded_setting_unfolds_it() -> None:
    settings, defaults = ChosenLoad(n_ctx=2048, n_batch=64), ChosenLoad(n_batch=64)
    screen = LoadScreen(inspect(DENSE).info, settings, (CPU, GPU), ROOMY, KEYS, defaults=defaults)
    async with opened(screen, (120, 40)) as stage:
        await stage.press("enter")
        await stage.shows("Enter at most 64, the batch size.")
        assert stage.result is OPEN and stage.dialog.query_one("#n_ubatch").has_focus


async def test_the_row_with_the_focus_has_the_one_mark() -> None:
    async with opened(dialog()) as stage:
        for field, label in (("slide-n_ctx", "Context"), ("n_threads", "Threads"), ("backend", "Backend")):
            await focus(stage, field)
            await until(lambda label=label: f"▶ {label}" in stage.text)  # type: ignore[misc]
            assert stage.text.count("▶ ") - stage.text.count("▶ 4,096") - stage.text.count("▶ 5") == 1


async def test_a_box_on_a_large_terminal_is_no_higher_than_what_is_in_it() -> None:
    async with opened(dialog(), (160, 60)) as stage:
        rows = stage.text.split("\n")
        top, bottom = stage.row_of("╭"), stage.row_of("╰")
        assert bottom - top < 24
        assert not any(rows[at].strip("│ ") == rows[at + 1].strip("│ ") == "" for at in range(top + 1, bottom - 1))
