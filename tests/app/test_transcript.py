"""The transcript as a reader meets it: following, scrolling, folding, selecting, copying."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.pilot import Pilot
from textual.widgets import Static, TextArea

from tests.conftest import until
from tui.app.bindings import bind
from tui.app.widgets.transcript import AnswerMessage, Card, CardChoice, Notice, Transcript, UserMessage
from tui.config.keymap import default_keymap

CODE = "Here:\n\n```python\nprint('hello')\n```\n\nand\n\n```\nplain\n```\n"
MANY = [
    record
    for number in range(1_000)
    for record in (
        UserMessage(f"u{number}", f"question {number}"),
        AnswerMessage(f"a{number}", "Qwen3", f"answer {number} " + "word " * 60, footer="12 tok"),
    )
]


class TranscriptApp(App[None]):
    """A transcript, something beside it, and the messages that it posts."""

    CSS = "#left { width: 1fr; } #side { width: 20; } TextArea { height: 3; }"
    ENABLE_COMMAND_PALETTE = False

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Message] = []

    def compose(self) -> ComposeResult:
        with Horizontal():
            with Vertical(id="left"):
                yield Transcript()
                yield TextArea()
            yield Static("side", id="side")

    def on_transcript_selected(self, message: Message) -> None:
        self.heard.append(message)

    on_transcript_thinking_toggled = on_transcript_selected
    on_transcript_copy_requested = on_transcript_selected
    on_transcript_card_chosen = on_transcript_selected
    on_transcript_new_text = on_transcript_selected

    @property
    def transcript(self) -> Transcript:
        return self.query_one(Transcript)


@asynccontextmanager
async def running(size: tuple[int, int] = (80, 24)) -> AsyncIterator[tuple[TranscriptApp, Transcript, Pilot[None]]]:
    app = TranscriptApp()
    async with app.run_test(size=size) as pilot:
        app.transcript.focus()
        await pilot.pause()
        yield app, app.transcript, pilot


def shown(transcript: Transcript) -> list[str]:
    """The rows in view, without margin and scrollbar."""
    return [transcript.paint_row(y).text[2:-1].rstrip() for y in range(transcript.size.height)]


def stream(transcript: Transcript, text: str, turn_id: str = "a") -> None:
    transcript.begin_answer(turn_id, "Qwen3")
    for start in range(0, len(text), 7):
        transcript.append(turn_id, "answer", text[start : start + 7])


async def test_a_streamed_answer_follows_the_end_and_closes_with_its_footer() -> None:
    async with running() as (_, transcript, _):
        transcript.add_user("u", "Why?")
        stream(transcript, "\n\n".join(f"paragraph {number}" for number in range(60)))
        transcript.end_answer("a", "128 tok · stop")
        rows = [row for row in shown(transcript) if row]
        assert rows[-2:] == ["paragraph 59", "128 tok · stop"]
        assert transcript.following


async def test_progress_shows_where_the_answer_will_come() -> None:
    async with running() as (_, transcript, _):
        transcript.begin_answer("a", "Qwen3")
        transcript.set_progress("a", "reading the prompt… 40%")
        assert "reading the prompt… 40%" in shown(transcript)
        transcript.append("a", "answer", "Because")
        assert shown(transcript)[1:3] == ["Qwen3", "Because"]


async def test_scrolling_up_stays_there_and_tells_of_new_text() -> None:
    async with running() as (app, transcript, pilot):
        stream(transcript, "line\n\n" * 40)
        await pilot.press("pageup")
        before = shown(transcript)
        transcript.append("a", "answer", "more\n\n" * 40)
        assert shown(transcript) == before and transcript.has_new_text
        await pilot.press("end")
        assert transcript.following
        assert "more" in shown(transcript)[-2:]
        assert [message.is_new for message in app.heard if isinstance(message, Transcript.NewText)] == [True, False]


async def test_the_wheel_lets_go_of_the_end_and_takes_it_again() -> None:
    async with running() as (_, transcript, pilot):
        stream(transcript, "line\n\n" * 40)
        transcript.scroll_up(animate=False)
        await pilot.pause()
        assert not transcript.following
        for _ in range(12):
            transcript.scroll_down(animate=False)
            await pilot.pause()
        assert transcript.following


async def test_a_long_conversation_opens_at_its_end_and_lays_out_only_what_is_seen() -> None:
    async with running() as (_, transcript, pilot):
        transcript.load(MANY)
        assert [row for row in shown(transcript) if row][-1] == "12 tok"
        laid_out = sum(transcript.document.is_laid_out(index) for index in range(len(MANY)))
        assert laid_out < 20
        await pilot.press("home")
        assert shown(transcript)[1:3] == ["You", "question 0"]


async def test_scrolling_up_through_estimates_skips_no_row() -> None:
    async with running() as (_, transcript, pilot):
        transcript.load(MANY[:60])
        seen = shown(transcript)
        while transcript.scroll_y > 0:
            top = shown(transcript)[0:3]
            transcript.scroll_up(animate=False)
            await pilot.pause()
            rows = shown(transcript)
            position = next(index for index in range(len(rows)) if rows[index : index + 3] == top)
            seen = rows[:position] + seen
        assert [row for row in seen if row.startswith("question")] == [f"question {number}" for number in range(30)]


async def test_resizing_keeps_the_message_at_the_top() -> None:
    async with running() as (_, transcript, pilot):
        transcript.load(MANY)
        transcript.scroll_to(y=transcript.max_scroll_y // 2)
        await pilot.pause()
        index = transcript.document.at(round(transcript.scroll_y))
        await pilot.resize_terminal(60, 20)
        await pilot.pause()
        assert transcript.document.at(round(transcript.scroll_y)) == index
        assert all(len(row) <= 60 - 20 - 3 for row in shown(transcript))


async def test_following_goes_on_through_any_change_of_size_and_ends_by_scrolling_alone() -> None:
    async with running() as (_, transcript, pilot):
        transcript.load(MANY)
        transcript.begin_answer("a", "Qwen3")
        sizes = [(120, 20), (120, 40), (60, 40), (120, 41), (80, 20), (120, 12), (40, 60), (120, 40)]
        for number, (columns, rows) in enumerate(sizes):
            transcript.append("a", "answer", f"paragraph {number}, which has some words more\n\n" * 3)
            await pilot.resize_terminal(columns, rows)
            transcript.append("a", "answer", f"last {number}\n\n")
            await pilot.pause()
            assert transcript.following and not transcript.has_new_text
            assert f"last {number}" in shown(transcript)
        transcript.scroll_up(animate=False)
        await pilot.resize_terminal(100, 30)
        await pilot.pause()
        assert not transcript.following


async def test_thinking_folds_when_the_answer_begins_and_unfolds_by_click_and_key() -> None:
    async with running() as (app, transcript, pilot):
        transcript.begin_answer("a", "Qwen3")
        transcript.append("a", "thinking", "one\n\ntwo\n\nthree\n\nfour\n\nfive")
        assert shown(transcript)[2:7] == ["▸ thinking…", "│", "│ four", "│", "│ five"]
        transcript.set_thinking_label("a", "thought for 3.2 s · 96 tokens")
        transcript.append("a", "answer", "Because")
        transcript.end_answer("a", "")
        assert shown(transcript)[1:4] == ["Qwen3", "▸ thought for 3.2 s · 96 tokens", "Because"]
        await pilot.click(Transcript, offset=(6, 2))
        assert "│ one" in shown(transcript)
        await pilot.press("enter")
        assert "│ one" not in shown(transcript)
        toggled = [message for message in app.heard if isinstance(message, Transcript.ThinkingToggled)]
        assert [message.expanded for message in toggled] == [True, False]


async def test_an_answer_that_is_unfolded_out_of_view_in_another_language_keeps_its_footer() -> None:
    async with running() as (_, transcript, pilot):
        long = "\n\n".join(["word"] * 6)
        transcript.load([AnswerMessage(str(n), "Q", long, thinking="deep", footer=f"footer {n}") for n in range(3)])
        transcript.scroll_home(animate=False)
        await pilot.pause()
        transcript.scroll_end(animate=False)
        await pilot.pause()
        transcript.reword()
        transcript.toggle_thinking()
        transcript.scroll_home(animate=False)
        await pilot.pause()
        await until(lambda: "│ deep" in shown(transcript))
        assert "footer 0" in "\n".join(shown(transcript))


async def test_all_thinking_toggles_together() -> None:
    async with running() as (_, transcript, _):
        transcript.load(
            [AnswerMessage("a", "Q", "x", thinking="deep"), AnswerMessage("b", "Q", "y", thinking="deeper")]
        )
        transcript.toggle_thinking()
        assert {"│ deep", "│ deeper"} <= set(shown(transcript))
        transcript.toggle_thinking()
        assert not {"│ deep", "│ deeper"} & set(shown(transcript))


async def test_the_copy_label_of_a_fence_gives_its_code() -> None:
    async with running() as (app, transcript, pilot):
        transcript.load([AnswerMessage("a", "Qwen3", CODE)])
        row = [row.rstrip().endswith("copy") for row in shown(transcript)]
        second = len(row) - 1 - row[::-1].index(True)
        await pilot.click(Transcript, offset=(transcript.size.width - 5, second))
        assert [message.text for message in app.heard if isinstance(message, Transcript.CopyRequested)] == ["plain"]
        assert transcript.code_blocks("a") == [("print('hello')", "python"), ("plain", "")]


async def test_messages_are_selected_with_the_keyboard_and_marked() -> None:
    async with running() as (app, transcript, pilot):
        transcript.load([UserMessage("u", "Why?"), Notice("note"), AnswerMessage("a", "Qwen3", "Because")])
        transcript.select_previous()
        assert (transcript.selected, transcript.selected_role) == ("a", "answer")
        marked = [transcript.paint_row(y).text.rstrip() for y in range(transcript.size.height)]
        assert [row for row in marked if row.startswith("▌")] == ["▌", "▌ Qwen3", "▌ Because"]
        transcript.select_previous()
        assert (transcript.selected, transcript.selected_role) == ("u", "user")
        transcript.clear_selection()
        await pilot.pause()
        assert transcript.selected is None
        names = [message.turn_id for message in app.heard if isinstance(message, Transcript.Selected)]
        assert names == ["a", "u", None]


async def test_text_is_given_as_it_was_written() -> None:
    async with running() as (_, transcript, _):
        transcript.load([UserMessage(1, "Why?"), AnswerMessage(1, "Qwen3", "**Because** `x`", thinking="hm")])
        assert transcript.text_of(1) == "Why?"
        assert transcript.text_of(1, "answer") == "**Because** `x`"
        with pytest.raises(KeyError):
            transcript.text_of(2)


async def test_truncating_removes_a_message_and_what_follows() -> None:
    async with running() as (_, transcript, _):
        transcript.load([UserMessage(1, "Why?"), AnswerMessage(1, "Qwen3", "Because"), UserMessage(2, "And?")])
        transcript.truncate_from(1, "answer")
        assert [row for row in shown(transcript) if row] == ["You", "Why?"]
        transcript.clear()
        assert not any(shown(transcript))


def bind_cards(transcript: Transcript, **keys: tuple[str, ...]) -> list[str]:
    """Give the transcript the keys of cards and messages; the result gets what they do."""
    ran: list[str] = []

    class Owner:
        def __getattr__(self, name: str) -> Callable[[], None]:
            if not name.startswith("action_"):
                raise AttributeError(name)
            return lambda: ran.append(name.removeprefix("action_"))

    bind(transcript, {**default_keymap(), **keys}, "card", "transcript", owners=(Owner(),))
    return ran


async def test_a_card_offers_its_choices_to_key_and_mouse() -> None:
    async with running() as (app, transcript, pilot):
        by_key = bind_cards(transcript, card_reload=("r", "f10"), card_cpu=("question_mark",))
        choices = (
            CardChoice("card_reload", ("r", "f10"), "reload"),
            CardChoice("card_cpu", ("question_mark",), "on CPU"),
        )
        transcript.add_card(Card("died", "The engine stopped", "last words", choices))
        row = next(y for y, row in enumerate(shown(transcript)) if "[r]" in row)
        assert "[?] on CPU" in shown(transcript)[row]
        await pilot.press("question_mark", "f10", "g")
        await pilot.click(Transcript, offset=(2 + shown(transcript)[row].index("reload"), row))
        chosen = [message.action for message in app.heard if isinstance(message, Transcript.CardChosen)]
        assert (by_key, chosen) == (["card_cpu", "card_reload"], ["card_reload"])
        transcript.remove_card("died")
        assert not any(shown(transcript))
        await pilot.press("f10")
        assert by_key == ["card_cpu", "card_reload"]


async def test_a_card_has_its_keys_until_something_is_said_below_it() -> None:
    async with running() as (app, transcript, pilot):
        by_key = bind_cards(transcript)
        transcript.add_card(
            Card("died", "The engine stopped", "last words", (CardChoice("card_cpu", ("c",), "on CPU"),))
        )
        transcript.add_notice("a notice")
        await pilot.press("c", "r")  # the card offers no reload
        assert by_key == ["card_cpu"]
        transcript.add_user("u", "hello")
        assert not {"c", "r"} & set(app.screen.active_bindings)
        await pilot.press("c")
        assert by_key == ["card_cpu"]
        transcript.select_previous()
        assert {key: app.screen.active_bindings[key].binding.action for key in "cr"} == {
            "c": "message_copy_code",
            "r": "message_regenerate",
        }


async def test_selecting_with_the_mouse_copies_prose_unwrapped_and_code_without_indent() -> None:
    async with running() as (app, transcript, pilot):
        prose = "word " * 20 + "end"
        transcript.load([AnswerMessage("a", "Qwen3", f"{prose}\n\n```\n  x = 1\n```\n")])
        await pilot.mouse_down(Transcript, offset=(2, 2))
        await pilot.hover(Transcript, offset=(30, 6))
        await pilot.mouse_up(Transcript, offset=(30, 6))
        assert app.screen.get_selected_text() == f"{prose}\n\n\n  x = 1"


async def test_nothing_in_a_message_reaches_the_terminal_as_a_command() -> None:
    async with running() as (_, transcript, _):
        evil = "\x1b[2J\x07\x9b31m\u202e[bold]x[/bold]"
        transcript.load(
            [UserMessage(1, evil), Notice(evil), Card("c", evil, evil), AnswerMessage(2, evil, evil, thinking=evil)]
        )
        transcript.toggle_thinking(2)
        text = "\n".join(shown(transcript))
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(text)
        assert text.count("[bold]x[/bold]") == 7


async def test_a_theme_changes_colours_and_nothing_else() -> None:
    async with running() as (app, transcript, pilot):
        transcript.load([UserMessage(1, "Why?"), AnswerMessage(1, "Qwen3", CODE)])
        before, dark = shown(transcript), list(transcript.paint_row(1))
        app.theme = "textual-light"
        await pilot.pause()
        assert shown(transcript) == before
        assert list(transcript.paint_row(1)) != dark
