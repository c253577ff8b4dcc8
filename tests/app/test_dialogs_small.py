"""The small dialogs: questions, choices, texts, keys, logs and sampling."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from textual.events import Resize
from textual.widgets import Input, TextArea

from tests.app.dialogs import KEYS, OPEN, Stage, opened
from tests.conftest import until
from tui.app.screens.choice import Choice, ChoiceScreen
from tui.app.screens.confirm import ConfirmScreen
from tui.app.screens.help import HelpScreen
from tui.app.screens.log_view import LogScreen
from tui.app.screens.sampling import SamplingChoice, SamplingScreen
from tui.app.screens.text_edit import LineEditScreen, TextEditScreen
from tui.app.widgets.number_input import NumberInput
from tui.config.actions import ACTIONS
from tui.config.biastext import bias_text
from tui.config.keymap import resolve
from tui.config.sampling import Source
from tui.protocol.records import PartialSampling, Sampling, SamplingValue

SIZES = ((40, 24), (80, 24), (120, 40))
AT_EACH_SIZE = pytest.mark.parametrize("size", SIZES, ids=str)


# Questions


@pytest.mark.parametrize(
    ("keys", "answer", "size"),
    [
        (["y"], True, SIZES[0]),
        (["n"], False, SIZES[1]),
        (["enter"], False, SIZES[2]),
        (["left", "enter"], True, SIZES[1]),
        (["escape"], False, SIZES[0]),
    ],
)
async def test_a_question_is_answered_by_key(size: tuple[int, int], keys: list[str], answer: bool) -> None:
    async with opened(ConfirmScreen("Delete [b]it[/b]?", KEYS, detail="For good.", yes="Delete"), size) as stage:
        await stage.shows("Delete [b]it[/b]?", "For good.", "Delete (y)", "No (n)")
        await stage.press(*keys)
        assert await stage.closes() is answer


async def test_a_question_is_answered_by_mouse() -> None:
    async with opened(ConfirmScreen("Quit?", KEYS)) as stage:
        await stage.click("Yes (y)")
        assert await stage.closes() is True


# Choices

CHOICES = (
    Choice(id="drop", label="Leave out the oldest", note="4 messages", key="l"),
    Choice(id="raise", label="Load with a larger context", key="c"),
    Choice(id="leave", label="Do neither", key="n"),
)


async def test_a_choice_is_taken_with_its_letter_or_by_moving_to_it() -> None:
    answers = ((["c"], "raise"), (["down", "down", "enter"], "leave"), (["escape"], None))
    for size, (keys, answer) in zip(SIZES, answers, strict=True):
        async with opened(ChoiceScreen("Full", CHOICES, KEYS, question="What now?"), size) as stage:
            await stage.shows("What now?", "l  Leave out the oldest", "n  Do neither")
            await stage.press(*keys)
            assert await stage.closes() == answer


async def test_a_click_on_a_choice_takes_it() -> None:
    async with opened(ChoiceScreen("Full", CHOICES, KEYS)) as stage:
        await stage.click("Load with a larger context")
        assert await stage.closes() == "raise"


async def test_a_preview_follows_the_highlight_and_is_undone_by_closing() -> None:
    seen: list[str] = []
    themes = [Choice(id=name, label=name) for name in ("ember", "graphite", "paper")]
    async with opened(ChoiceScreen("Theme", themes, KEYS, current="graphite", on_highlight=seen.append)) as stage:
        await stage.press("down")
        await until(lambda: seen[-1:] == ["paper"])
        await stage.press("escape")
        assert await stage.closes() is None
        assert seen[-1] == "graphite"


async def test_more_choices_than_rows_can_be_scrolled() -> None:
    many = [Choice(id=str(number), label=f"Theme {number}") for number in range(60)]
    async with opened(ChoiceScreen("Theme", many, KEYS)) as stage:
        await stage.press("ctrl+end")
        await stage.shows("▶ Theme 59", "Choose")
        await stage.press("enter")
        assert await stage.closes() == "59"


# Texts


@AT_EACH_SIZE
async def test_a_text_of_many_lines_is_edited_and_saved(size: tuple[int, int]) -> None:
    async with opened(TextEditScreen("System prompt", "Be 好.", KEYS, hint="Sent first."), size) as stage:
        await stage.shows("System prompt", "Sent first.", "Be 好.")
        await stage.press("enter")
        await stage.type("Be kind.")
        await stage.press("ctrl+s")
        assert await stage.closes() == "Be 好.\nBe kind."


async def test_a_text_is_saved_with_the_button_and_may_be_empty() -> None:
    async with opened(TextEditScreen("System prompt", "x", KEYS)) as stage:
        await stage.press("backspace")
        await stage.pilot.click("#button-form_save")
        assert await stage.closes() == ""


async def test_a_text_goes_back_to_its_default_and_closing_changes_nothing() -> None:
    async with opened(TextEditScreen("System prompt", "mine", KEYS, default="theirs")) as stage:
        await stage.press("ctrl+d")
        await stage.shows("theirs")
        await stage.press("escape")
        assert await stage.closes() is None


async def test_pasted_text_loses_what_a_terminal_would_obey() -> None:
    from textual.events import Paste

    async with opened(TextEditScreen("System prompt", "", KEYS)) as stage:
        stage.host.post_message(Paste("a\x1b[31mb"))
        await stage.shows("b")
        await stage.press("ctrl+s")
        assert "\x1b" not in await stage.closes()


@AT_EACH_SIZE
async def test_a_line_is_edited_and_saved_with_enter(size: tuple[int, int]) -> None:
    async with opened(LineEditScreen("Rename", "Plum cake", KEYS), size) as stage:
        await stage.shows("Rename", "Plum cake", "Save")
        await stage.press("ctrl+u")
        await stage.press("enter")
        await stage.shows("Enter something.")
        assert stage.result is OPEN
        await stage.type("  Cake 好 ")
        await stage.press("enter")
        assert await stage.closes() == "Cake 好"


# Keys


@AT_EACH_SIZE
async def test_the_help_lists_every_action_with_its_keys(size: tuple[int, int]) -> None:
    async with opened(HelpScreen(KEYS), size) as stage:
        await stage.shows("Model", "^o", f"{len(ACTIONS)} actions" if size[0] >= 64 else "^o")
        titles = {entry.title for entry in stage.dialog.rows.items if not isinstance(entry, str)}  # type: ignore[attr-defined]
        assert titles == {action.title for action in ACTIONS}
        await stage.press("escape")
        assert await stage.closes() is None


async def test_the_help_cuts_neither_keys_nor_titles_at_eighty_columns() -> None:
    async with opened(HelpScreen(KEYS), (80, 24)) as stage:
        await stage.type("load downloaded")
        await stage.shows("alt+l or shift+f2 or f14", "Load downloaded model")
        await stage.press("escape")


async def test_of_many_keys_the_help_shows_those_that_fit_whole() -> None:
    async with opened(HelpScreen(KEYS), (80, 24)) as stage:
        await stage.type("shift+enter")
        await stage.shows("^j or alt+enter   ", "New line")


async def test_the_help_finds_actions_and_tells_how_to_change_their_keys() -> None:
    async with opened(HelpScreen(KEYS)) as stage:
        await stage.type("fold all")
        await stage.shows("Fold all thinking", 'In settings.toml, [keys]: fold_all = "f9"')
        await stage.type(" nonsense")
        await stage.shows("No action matches.")


async def test_the_help_shows_the_users_own_keys() -> None:
    keymap, problems = resolve({"theme": "alt+q"})
    assert not problems
    async with opened(HelpScreen(keymap)) as stage:
        await stage.type("choose a theme")
        await stage.shows("alt+q")


# Logs

LINES = [f"line {number} " + "with a long tail " * (10 * (number == 5)) for number in range(300)]


@AT_EACH_SIZE
async def test_a_log_shows_its_end_and_scrolls_to_its_start(size: tuple[int, int]) -> None:
    async with opened(LogScreen(LINES, KEYS), size) as stage:
        await stage.shows("line 299")
        await stage.press("home")
        await stage.shows("line 0", "line 5")
        await stage.press("end")
        await stage.shows("line 299")


async def test_a_log_is_copied_whole() -> None:
    copied: list[str] = []

    async def copy(text: str) -> None:
        copied.append(text)

    async with opened(LogScreen(LINES, KEYS, copy=copy)) as stage:
        await stage.shows("line 299")
        await stage.press("ctrl+y")
        await until(lambda: copied)
        assert copied == ["\n".join(LINES)]


async def test_a_log_without_lines_or_with_markup_is_shown_as_it_is() -> None:
    async with opened(LogScreen((), KEYS, title="Problems")) as stage:
        await stage.shows("Problems", "There is nothing yet.")
    async with opened(LogScreen(("[red]no markup[/red]", "\x1b[31mno escape"), KEYS)) as stage:
        await stage.shows("[red]no markup[/red]", "no escape")


async def test_a_log_that_was_painted_before_its_lines_were_wrapped_anew_loses_no_word() -> None:
    words = [f"word-{n:02}" for n in range(30)]
    async with opened(LogScreen([" ".join(words)], KEYS)) as stage:
        await stage.shows(words[-1])
        area = stage.dialog.query_one(TextArea)
        area.wrapped_document.wrap(area.wrap_width + 8)
        area.notify_style_update()
        area.refresh()
        assert not all(word in stage.text for word in words), "painted with ends that are cut off"
        area.post_message(Resize(area.size, area.virtual_size, area.container_size))
        await stage.shows(*words)


# Sampling


def sampling(sources: dict[str, Source] | None = None, **own: SamplingValue) -> SamplingScreen:
    defaults: dict[str, SamplingValue] = {**msgspec.structs.asdict(Sampling()), "max_tokens": 0, "thinking_budget": 0}
    from_where = sources or {}
    return SamplingScreen(
        own, KEYS, defaults={name: (value, from_where.get(name, "built-in")) for name, value in defaults.items()}
    )


async def write(stage: Stage[SamplingChoice], field: str, text: str) -> None:
    stage.dialog.query_one(f"#{field}").focus()
    await stage.pilot.pause()
    keys = {"-": "minus", ".": "full_stop", ",": "comma", '"': "quotation_mark", "=": "equals_sign", " ": "space"}
    keys["!"] = "exclamation_mark"
    await stage.press("ctrl+u", *(keys.get(character, character) for character in text))


async def test_every_sampling_value_reaches_the_result_on_a_terminal_that_changes_its_size() -> None:
    wanted = PartialSampling(
        temperature=0.65,
        top_k=40,
        top_p=0.95,
        min_p=0.05,
        repeat_penalty=1.1,
        presence_penalty=-0.5,
        frequency_penalty=0.25,
        penalty_last_n=-1,
        dry_multiplier=0.8,
        dry_base=2.0,
        dry_allowed_length=3,
        dry_last_n=512,
        xtc_probability=0.5,
        xtc_threshold=0.2,
        typical_p=0.9,
        logit_bias={" delve": -100.0, "!": -2.5},
        seed=2**32 - 1,
    )
    async with opened(sampling()) as stage:
        for field, size in zip(wanted.__struct_fields__, itertools.cycle(SIZES), strict=False):
            await stage.pilot.resize_terminal(*size)
            value = getattr(wanted, field)
            await write(stage, field, bias_text(value) if isinstance(value, dict) else str(value))
        await write(stage, "max_tokens", "2k")
        await write(stage, "thinking_budget", "300")
        await stage.press("ctrl+s")
        assert await stage.closes() == SamplingChoice(sampling=wanted, max_tokens=2048, thinking_budget=300)


async def test_unchanged_sampling_comes_back_exactly() -> None:
    odd: dict[str, Any] = {"temperature": 0.123456789, "top_p": 1 / 3}
    async with opened(sampling(**odd, top_k=20, max_tokens=77)) as stage:
        await stage.shows("this conversation, else 0.7")
        await stage.press("enter")
        # Top k is the default now, and may not be that of the next model: it stays the conversation's own.
        own = PartialSampling(**odd, top_k=20)
        assert await stage.closes() == SamplingChoice(sampling=own, max_tokens=77, thinking_budget=None)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
async def test_each_sampling_value_says_where_it_comes_from(size: tuple[int, int]) -> None:
    sources: dict[str, Source] = {"temperature": "model", "top_k": "settings", "penalty_last_n": "model"}
    async with opened(sampling(sources, min_p=0.1, top_k=3), size) as stage:
        await stage.shows("0 is greedy · from the model file")
        await stage.shows("tokens back, -1 is all · from the model file")
        await stage.shows("this conversation, else 20 (your settings)", "this conversation, else 0 ")
        await write(stage, "temperature", "0.9")
        await stage.shows("this conversation, else 0.7 (model file)")
        await write(stage, "temperature", "0.7")
        await stage.shows("0 is greedy · from the model file")


WRONG = (
    ("temperature", "9", "Enter a number from 0 to 5."),
    ("temperature", "nan", "Enter a number from 0 to 5."),
    ("top_k", "1.5", "Enter a whole number of 0 or more."),
    ("top_p", "", "Enter a number from 0 to 1."),
    ("repeat_penalty", "0", "Enter a number above 0, at most 5."),
    ("penalty_last_n", "-2", "Enter a whole number of -1 or more."),
    ("top_k", "2147483648", "Enter a whole number from 0 to 2,147,483,647."),
    ("seed", "4294967296", "Enter a whole number from -1 to 4,294,967,295."),
    ("max_tokens", "9" * 30, "Enter a whole number from 0 to 2,147,483,647."),
    ("logit_bias", "delve", 'Write it as " delve" = -100.'),
    ("logit_bias", '"a" = -200', "From -100 (never) to 100."),
)


async def test_a_wrong_sampling_value_is_told_at_its_field() -> None:
    async with opened(sampling()) as stage:
        for field, text, complaint in WRONG:
            before = stage.dialog.query_one(f"#{field}", Input).value
            await write(stage, field, text)
            await stage.shows(complaint)
            stage.dialog.query_one("#min_p").focus()
            await stage.press("ctrl+s")
            assert stage.result is OPEN, (field, text)
            assert stage.dialog.query_one(f"#{field}").has_focus, (field, text)
            await write(stage, field, before)
            assert complaint not in stage.text, (field, text)


async def test_a_key_lays_the_form_out_only_where_a_text_beside_a_field_changes() -> None:
    async with opened(sampling()) as stage:
        await write(stage, "temperature", "1")
        await stage.shows("this conversation, else 0.7")
        laid_out: list[object] = []
        stage.dialog.screen_layout_refresh_signal.subscribe(stage.dialog, laid_out.append, immediate=True)
        await stage.press("full_stop", "2", "5")
        assert stage.dialog.query_one("#temperature", NumberInput).number == 1.25 and laid_out == []
        await stage.press("ctrl+u", "9")
        await stage.shows("Enter a number from 0 to 5.")
        assert laid_out


async def test_sampling_goes_back_to_the_defaults_with_key_or_button() -> None:
    async with opened(sampling(temperature=2.0, top_k=1, thinking_budget=5)) as stage:
        await write(stage, "min_p", "7")
        await stage.pilot.click("#button-form_reset")
        await until(lambda: stage.dialog.query_one("#temperature", NumberInput).number == 0.7)
        await stage.press("ctrl+s")
        assert await stage.closes() == SamplingChoice(sampling=None, max_tokens=None, thinking_budget=None)


async def test_a_decimal_comma_is_understood() -> None:
    async with opened(sampling()) as stage:
        await write(stage, "temperature", "0,9")
        await stage.press("ctrl+s")
        assert (await stage.closes()).sampling.temperature == 0.9
