"""The prompt in a tiny app: keys in, text and messages out."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from textual import events
from textual.app import App, ComposeResult
from textual.message import Message
from textual.pilot import Pilot
from textual.widgets import Button

from tui.app.widgets.prompt import Prompt
from tui.app.widgets.prompt_text import cells, grapheme_after, grapheme_start, row_breaks
from tui.config.keymap import default_keymap, resolve

FAMILY = "👨‍👩‍👧‍👦"
GERMANY, FRANCE = "🇩🇪", "🇫🇷"
GRAPHEMES = ["a", "é", "你", "好", FAMILY, GERMANY, FRANCE, "👍🏽", "❤️", "각", "e\u0323\u0301"]


class PromptApp(App[None]):
    CSS = "Prompt { dock: bottom; }"

    def __init__(self, prompt: Prompt) -> None:
        super().__init__()
        self.prompt = prompt
        self.heard: list[Message] = []

    def compose(self) -> ComposeResult:
        yield Button("other")
        yield self.prompt

    def on_mount(self) -> None:
        self.prompt.focus()

    def on_prompt_submitted(self, message: Prompt.Submitted) -> None:
        self.heard.append(message)

    def on_prompt_refused(self, message: Prompt.Refused) -> None:
        self.heard.append(message)

    def on_prompt_history_changed(self, message: Prompt.HistoryChanged) -> None:
        self.heard.append(message)

    @property
    def sent(self) -> list[str]:
        return [message.text for message in self.heard if isinstance(message, Prompt.Submitted)]


def prompt_app(**options: Any) -> PromptApp:
    return PromptApp(Prompt(default_keymap(), **options))


async def paste(pilot: Pilot[None], text: str) -> None:
    pilot.app.post_message(events.Paste(text))
    await pilot.pause()


def shown(app: PromptApp) -> list[str]:
    """The rows of the prompt without its border."""
    prompt = app.prompt
    return [prompt.render_line(y).text.rstrip() for y in range(prompt.content_size.height)]


async def test_enter_sends_the_text_and_empties_the_prompt() -> None:
    app = prompt_app()
    async with app.run_test() as pilot:
        await pilot.press(*"hello", "enter")
        assert app.sent == ["hello"]
        assert app.prompt.text == ""


@pytest.mark.parametrize("keys", [["enter"], ["space", "enter"], ["ctrl+j", "enter"]])
async def test_nothing_but_blanks_is_not_sent(keys: list[str]) -> None:
    app = prompt_app()
    async with app.run_test() as pilot:
        await pilot.press(*keys)
        assert app.heard == []


@pytest.mark.parametrize("key", ["ctrl+j", "alt+enter", "shift+enter"])
async def test_a_new_line_is_written_not_sent(key: str) -> None:
    app = prompt_app()
    async with app.run_test() as pilot:
        await pilot.press("a", key, "b")
        assert app.prompt.text == "a\nb"
        assert app.heard == []


async def test_keys_come_from_the_keymap() -> None:
    keymap, problems = resolve({"send": "ctrl+j", "newline": "enter", "history_previous": "alt+q"})
    assert problems == []
    app = PromptApp(Prompt(keymap, past=["earlier"]))
    async with app.run_test() as pilot:
        await pilot.press("a", "enter", "b", "up", "up", "ctrl+j")
        assert app.sent == ["a\nb"]
        await pilot.press("alt+q")
        assert app.prompt.text == "a\nb"


@pytest.mark.parametrize("pasted", ["one\ntwo\n", "one\r\ntwo\r\n", "one\rtwo\r"])
async def test_pasted_line_breaks_stay_and_do_not_send(pasted: str) -> None:
    app = prompt_app()
    async with app.run_test() as pilot:
        await paste(pilot, pasted)
        assert app.prompt.text == "one\ntwo\n"
        assert app.heard == []


@pytest.mark.parametrize("key", ["ctrl+x", "ctrl+k", "ctrl+shift+k"])
@pytest.mark.parametrize("text", ["", "one", "one\n", "one\n\n"])
async def test_deleting_the_last_line_deletes_it(text: str, key: str) -> None:
    app = prompt_app()
    async with app.run_test() as pilot:
        app.prompt.set_text(text)
        await pilot.press("home", key)
        assert app.prompt.text == text[: text.rfind("\n") + 1]


async def test_a_paste_cannot_carry_commands_for_the_terminal() -> None:
    app = prompt_app()
    async with app.run_test() as pilot:
        await paste(pilot, "a\x1b[31mred\x07 \u202eevil")
        assert app.prompt.text == "a␛[31mred␇ evil"


async def test_text_is_never_markup() -> None:
    app = prompt_app(placeholder="[bold]ask[/bold]")
    async with app.run_test() as pilot:
        assert shown(app)[0] == "[bold]ask[/bold]"
        await paste(pilot, "[red]x[/]")
        assert shown(app)[0] == "[red]x[/]"


async def test_it_grows_with_its_text_up_to_a_third_of_the_screen() -> None:
    app = prompt_app()
    async with app.run_test(size=(80, 24)) as pilot:
        assert app.prompt.size.height == 1
        await pilot.press("a", "ctrl+j", "b")
        assert app.prompt.size.height == 2
        await paste(pilot, "x\n" * 100)
        assert app.prompt.outer_size.height == 8
        # The cursor, at the end of it all, is in view.
        assert app.prompt.scroll_offset.y == 102 - app.prompt.size.height
        app.prompt.set_text("")
        await pilot.pause()
        assert app.prompt.size.height == 1


async def test_without_a_model_typing_works_and_sending_does_not() -> None:
    app = prompt_app()
    async with app.run_test() as pilot:
        app.prompt.can_send = False
        await pilot.press(*"hi", "enter")
        assert [type(message) for message in app.heard] == [Prompt.Refused]
        assert app.prompt.text == "hi"
        assert app.prompt.has_class("-not-ready")
        app.prompt.can_send = True
        await pilot.press("enter")
        assert app.sent == ["hi"]


async def test_tab_moves_the_focus_and_other_control_keys_go_to_the_app() -> None:
    pressed = []

    class WithKeys(PromptApp):
        BINDINGS = [("ctrl+t", "note('ctrl+t')"), ("escape", "note('escape')"), ("f6", "note('f6')")]  # noqa: RUF012

        def action_note(self, key: str) -> None:
            pressed.append(key)

    app = WithKeys(Prompt(default_keymap()))
    async with app.run_test() as pilot:
        await pilot.press("a", "ctrl+t", "escape")
        assert pressed == ["ctrl+t", "escape"]
        await pilot.press("tab")
        assert not app.prompt.has_focus
        assert app.prompt.text == "a"


# History


async def test_up_and_down_go_through_what_was_sent_and_back_to_the_draft() -> None:
    app = prompt_app(past=["first", "second"])
    async with app.run_test() as pilot:
        await pilot.press(*"draft", "up")
        assert app.prompt.text == "second"
        await pilot.press("up")
        assert app.prompt.text == "first"
        await pilot.press("up")
        assert app.prompt.text == "first"
        await pilot.press("down", "down")
        assert app.prompt.text == "draft"
        await pilot.press("down")
        assert app.prompt.text == "draft"


async def test_inside_several_lines_up_and_down_move_the_cursor() -> None:
    app = prompt_app(past=["one\ntwo"])
    async with app.run_test() as pilot:
        await pilot.press(*"a", "ctrl+j", *"b", "up")
        assert app.prompt.text == "a\nb"
        assert app.prompt.cursor_location == (0, 1)
        await pilot.press("up")
        assert app.prompt.text == "one\ntwo"
        await pilot.press("down")
        assert app.prompt.cursor_location[0] == 1
        assert app.prompt.text == "one\ntwo"
        await pilot.press("down")
        assert app.prompt.text == "a\nb"


async def test_rows_of_one_long_line_count_as_lines_for_up() -> None:
    app = prompt_app(past=["earlier"])
    async with app.run_test(size=(40, 24)) as pilot:
        await paste(pilot, "word " * 20)
        for _ in range(app.prompt.size.height - 1):
            await pilot.press("up")
        assert app.prompt.text.startswith("word")
        await pilot.press("up")
        assert app.prompt.text == "earlier"


async def test_an_edited_entry_is_kept_until_something_is_sent() -> None:
    app = prompt_app(past=["first", "second"])
    async with app.run_test() as pilot:
        await pilot.press("up", "X", "up", "down")
        assert app.prompt.text == "secondX"
        await pilot.press("enter", "up", "up")
        assert app.sent == ["secondX"]
        assert app.prompt.text == "second"


async def test_the_history_is_posted_without_repeats_and_limited() -> None:
    app = prompt_app(past=["a", "b", "c"], history_size=2)
    async with app.run_test() as pilot:
        assert app.prompt.past == ("b", "c")
        await pilot.press("c", "enter")
        await pilot.press("d", "enter")
        histories = [message.past for message in app.heard if isinstance(message, Prompt.HistoryChanged)]
        assert histories == [("c", "d")]


async def test_a_history_of_none_remembers_none() -> None:
    app = prompt_app(history_size=0)
    async with app.run_test() as pilot:
        await pilot.press("a", "enter", "up")
        assert app.prompt.text == ""
        assert app.sent == ["a"]


# Graphemes


@pytest.mark.parametrize("grapheme", GRAPHEMES)
async def test_the_cursor_moves_by_grapheme(grapheme: str) -> None:
    app = prompt_app()
    async with app.run_test() as pilot:
        app.prompt.set_text(f"x{grapheme}y")
        places = []
        for _ in range(3):
            await pilot.press("left")
            places.append(app.prompt.cursor_location[1])
        assert places == [1 + len(grapheme), 1, 0]
        await pilot.press("right", "right")
        assert app.prompt.cursor_location[1] == 1 + len(grapheme)


@pytest.mark.parametrize("grapheme", GRAPHEMES)
async def test_backspace_and_delete_take_a_whole_grapheme(grapheme: str) -> None:
    app = prompt_app()
    async with app.run_test() as pilot:
        app.prompt.set_text(f"{grapheme}y{grapheme}")
        await pilot.press("backspace")
        assert app.prompt.text == f"{grapheme}y"
        await pilot.press("ctrl+a", "delete")
        assert app.prompt.text == "y"
        await pilot.press("ctrl+underscore")
        assert app.prompt.text == f"{grapheme}y"


@pytest.mark.parametrize("grapheme", GRAPHEMES)
async def test_the_cursor_covers_the_whole_grapheme_and_rows_keep_their_width(grapheme: str) -> None:
    app = prompt_app()
    async with app.run_test() as pilot:
        app.prompt.set_text(f"ab{grapheme}cd")
        await pilot.press("home", "right", "right")
        strip = app.prompt.render_line(0)
        assert grapheme in [segment.text for segment in strip]
        assert sum(segment.cell_length for segment in strip) == app.prompt.scrollable_content_region.width


async def test_words_end_with_their_accents() -> None:
    app = prompt_app()
    async with app.run_test() as pilot:
        app.prompt.set_text("un cafe\u0301 noir")
        await pilot.press("home", "ctrl+right", "ctrl+right")
        assert app.prompt.cursor_location[1] != len("un cafe")
        app.prompt.move_cursor((0, len("un cafe\u0301")))
        await pilot.press("ctrl+w")
        assert "\u0301" not in app.prompt.text
        assert app.prompt.text.endswith(" noir")


async def test_a_click_lands_between_graphemes() -> None:
    app = prompt_app()
    async with app.run_test() as pilot:
        app.prompt.set_text(f"{GERMANY}{FAMILY}你x")
        await pilot.pause()
        places = []
        for x in range(9):
            await pilot.click(Prompt, offset=(2 + x, 1))
            places.append(app.prompt.cursor_location[1])
        flag, family = len(GERMANY), len(GERMANY + FAMILY)
        assert places == [0, 0, flag, flag, family, family, family + 1, family + 2, family + 2]


async def test_chinese_is_wrapped_between_characters_and_up_keeps_the_column() -> None:
    app = prompt_app()
    async with app.run_test(size=(30, 24)) as pilot:
        app.prompt.set_text("hi " + "你好世界" * 10)
        await pilot.pause()
        rows = [row for row in shown(app) if row]
        assert rows[0].startswith("hi 你好")
        assert all(cells(row) <= app.prompt.content_size.width for row in rows)
        assert "".join(rows) == app.prompt.text
        offset_of = app.prompt.wrapped_document.location_to_offset
        await pilot.press("home", "right", "right")
        x, y = offset_of(app.prompt.cursor_location)
        assert x == 4
        await pilot.press("up")
        assert offset_of(app.prompt.cursor_location) == (x, y - 1)


async def test_blanks_at_the_end_of_a_row_leave_the_cursor_in_view() -> None:
    app = prompt_app()
    async with app.run_test(size=(30, 24)):
        for n_blanks in range(60):
            app.prompt.set_text(" " * n_blanks)
            x, _y = app.prompt.wrapped_document.location_to_offset(app.prompt.cursor_location)
            assert x < app.prompt.scrollable_content_region.width


async def test_a_tab_is_kept_and_shown_as_four_blanks() -> None:
    app = prompt_app()
    async with app.run_test() as pilot:
        await paste(pilot, "all:\n\tmake\n")
        assert app.prompt.text == "all:\n\tmake\n"
        assert shown(app)[1] == "    make"
        app.prompt.move_cursor((1, 1))
        assert app.prompt.wrapped_document.location_to_offset((1, 1)) == (4, 1)


@pytest.mark.parametrize(
    ("piece", "times"),
    [("x", 1_000_000), ("word ", 200_000), ("你好世界，", 70_000), (GERMANY, 130_000), ("line of text\n", 80_000)],
)
async def test_a_paste_of_a_megabyte_is_taken_and_can_be_edited(piece: str, times: int) -> None:
    text = piece * times
    app = prompt_app()
    async with app.run_test() as pilot:
        await paste(pilot, text)
        await pilot.press("a", "b", "backspace", "up", "left", "down", "end")
        # Compared first: pytest would otherwise spend minutes on the difference of two megabytes.
        is_kept = app.prompt.text == text + "a"
        assert is_kept
        await pilot.press("enter")
        is_sent = app.sent == [text + "a"]
        assert is_sent


# Rows

ALPHABET = st.sampled_from([*GRAPHEMES, " ", " ", "-", "word", "。", "\t", "\u200d", "\u0301", "\U0001f1e9"])


@example("aaaaaaa🇩🇪a你 ", 4)
@given(st.lists(ALPHABET, max_size=60).map("".join), st.integers(4, 30))
def test_every_row_fits_and_starts_with_a_grapheme(line: str, width: int) -> None:
    breaks = row_breaks(line, width)
    assert breaks == sorted(set(breaks))
    assert all(0 < start < len(line) and grapheme_start(line, start) == start for start in breaks)
    bounds = [0, *breaks, len(line)]
    rows = [line[start:end] for start, end in pairwise(bounds)]
    # One cell is for a blank at the end, or half of a flag; the cursor comes after it.
    assert all(cells(row) <= width + 1 for row in rows)


@given(st.lists(ALPHABET, max_size=30).map("".join))
def test_going_right_and_going_left_stop_at_the_same_places(line: str) -> None:
    rightward = [0]
    while rightward[-1] < len(line):
        rightward.append(grapheme_after(line, rightward[-1]))
    leftward = [len(line)]
    while leftward[-1] > 0:
        leftward.append(grapheme_start(line, leftward[-1] - 1))
    assert rightward == leftward[::-1]


EDITS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400), st.lists(ALPHABET | st.just("\n"), max_size=8)))


@given(st.lists(ALPHABET | st.just("\n"), max_size=60).map("".join), EDITS, st.integers(5, 20))
def test_rows_after_edits_are_those_of_the_text_as_if_it_were_new(
    text: str, edits: list[tuple[int, int, list[str]]], width: int
) -> None:
    from textual.document._document import Document

    from tui.app.widgets.prompt_text import PromptRows

    document = Document(text)
    rows = PromptRows(document, width)
    places = [(number, column) for number, line in enumerate(document.lines) for column in range(len(line) + 1)]
    for first, second, new in edits:
        places = [(number, column) for number, line in enumerate(document.lines) for column in range(len(line) + 1)]
        start, end = sorted((places[first % len(places)], places[second % len(places)]))
        result = document.replace_range(start, end, "".join(new))
        rows.wrap_range(start, end, result.end_location)
    fresh = PromptRows(document, width)
    assert rows.height == fresh.height
    assert [rows.get_sections(line) for line in range(document.line_count)] == [
        fresh.get_sections(line) for line in range(document.line_count)
    ]
