"""What can be done with a message by mouse and key, long prompts that are folded, what stands under an answer while it
is written, and what an edited prompt is about to replace."""

from __future__ import annotations

import functools

from tests.app.conftest import Person, StartApp
from tests.app.test_transcript import bind_cards, running, shown
from tests.conftest import until
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.transcript import AnswerMessage, Notice, Transcript, UserMessage

PASTED = "\n".join(f"line {number}" for number in range(1, 321))


def acts(transcript: Transcript) -> list[str]:
    """The rows that offer something at their end, from their last word but two on."""
    return [" ".join(row.split()[-7:]) for row in shown(transcript) if row.endswith(("again", " copy"))]


def place(person: Person, text: str) -> tuple[int, int]:
    """Where a text of the transcript stands in it."""
    for y, row in enumerate(shown(person.app.main.transcript)):
        if text in row:
            return 2 + row.index(text), y
    raise AssertionError(f"{text} is not seen")


async def click(person: Person, text: str) -> None:
    assert await person.pilot.click(Transcript, offset=place(person, text))
    await person.pilot.pause()


async def test_the_message_below_the_mouse_and_the_selected_one_show_what_can_be_done_with_them() -> None:
    async with running() as (_, transcript, pilot):
        bind_cards(transcript)
        transcript.load([UserMessage("u", "Why?"), Notice("note"), AnswerMessage("a", "Qwen3", "Because")])
        assert acts(transcript) == []
        await pilot.hover(Transcript, offset=(10, 2))
        assert acts(transcript) == ["You copy · edit · answer again"]
        transcript.select_previous()
        assert acts(transcript) == ["You copy · edit · answer again", "Qwen3 copy · answer again"]
        await pilot.hover(Transcript, offset=(10, 4))
        assert acts(transcript) == ["Qwen3 copy · answer again"]


async def test_an_answer_whose_head_is_out_of_view_offers_it_at_its_end() -> None:
    async with running() as (_, transcript, pilot):
        bind_cards(transcript)
        transcript.load([AnswerMessage("a", "Qwen3", "\n\n".join(["word"] * 40), footer="12 tok")])
        await pilot.hover(Transcript, offset=(10, 5))
        assert [row for row in shown(transcript) if row][-1].split("  ")[0] == "12 tok"
        assert acts(transcript) == ["12 tok copy · answer again"]


async def test_what_is_written_can_be_copied_and_no_more() -> None:
    async with running() as (_, transcript, _):
        bind_cards(transcript)
        transcript.begin_answer("a", "Qwen3")
        transcript.append("a", "answer", "Bec")
        transcript.select_previous()
        assert [row.split() for row in shown(transcript)][1] == ["Qwen3", "copy"]


async def test_a_click_selects_a_message_and_another_one_ends_that() -> None:
    async with running() as (_, transcript, pilot):
        bind_cards(transcript)
        transcript.load([UserMessage("u", "Why?"), Notice("note"), AnswerMessage("a", "Qwen3", "Because")])
        for row, selected in ((2, "u"), (7, "a"), (7, None), (2, "u"), (4, None)):
            await pilot.click(Transcript, offset=(4, row))
            assert transcript.selected == selected
            pilot.app._chained_clicks = 0  # people are slower


async def test_text_that_is_marked_with_the_mouse_selects_no_message() -> None:
    async with running() as (_, transcript, pilot):
        bind_cards(transcript)
        transcript.load([AnswerMessage("a", "Qwen3", "Because of that")])
        await pilot.mouse_down(Transcript, offset=(2, 2))
        await pilot.hover(Transcript, offset=(9, 2))
        await pilot.mouse_up(Transcript, offset=(9, 2))
        assert transcript.selected is None


async def test_a_message_is_copied_edited_and_answered_again_by_click(start: StartApp) -> None:
    async with start() as person:
        await person.ask("ping")
        prompt, transcript = person.app.main.query_one(Prompt), person.app.main.transcript
        await person.pilot.hover(Transcript, offset=place(person, "pong"))
        await click(person, "copy · answer")
        await person.wait_for(lambda: "Copied 4 characters" in person.told)
        assert person.app.focused is prompt and transcript.selected is None
        person.app.clear_notifications()  # they are where the mouse goes now
        await person.pilot.pause()
        await person.pilot.hover(Transcript, offset=place(person, "ping"))
        await click(person, "edit · answer")
        assert prompt.text == "ping" and "editing" in prompt.words_on("top")
        await person.press("escape")
        first = person.turns[-1].id
        await person.pilot.hover(Transcript, offset=place(person, "pong"))
        await click(person, "answer again")
        await person.wait_for(lambda: person.turns[-1].id != first and person.phase == "ready")
        assert [turn.text for turn in person.turns] == ["ping", "pong"]


async def test_a_message_that_was_clicked_has_its_keys(start: StartApp) -> None:
    async with start() as person:
        await person.ask("ping")
        await click(person, "ping")
        await person.press("y")
        await person.wait_for(lambda: "Copied 4 characters" in person.told)
        await person.press("e")
        assert person.app.main.query_one(Prompt).text == "ping"


async def test_a_long_prompt_is_folded_until_it_is_clicked() -> None:
    async with running() as (_, transcript, pilot):
        transcript.load([UserMessage("u", PASTED)])
        rows = [row for row in shown(transcript) if row]
        assert rows[0] == "You" and rows[-2:] == ["line 10", "▸ show all 320 lines"]
        assert transcript.text_of("u") == PASTED
        await pilot.click(Transcript, offset=(5, shown(transcript).index("▸ show all 320 lines")))
        assert "line 15" in shown(transcript) and transcript.document.height == 323
        await pilot.press("ctrl+end")
        assert "line 320" in shown(transcript)
        await pilot.click(Transcript, offset=(5, shown(transcript).index("▾ show less")))
        assert transcript.document.height == 13 and shown(transcript)[1] == "You"


async def test_a_prompt_of_twenty_lines_is_shown_whole() -> None:
    async with running() as (_, transcript, _):
        transcript.load([UserMessage("u", "\n".join(["word"] * 20))])
        assert [row for row in shown(transcript) if row] == ["You", *["word"] * 20]


async def test_a_key_unfolds_the_selected_prompt_and_says_where_there_is_nothing_to_fold(start: StartApp) -> None:
    async with start(load={"n_ctx": 4096}) as person:
        transcript = person.app.main.transcript
        await person.ask("ping")
        await person.ask(PASTED[:200])
        await person.press("ctrl+up", "k", "space")
        await until(lambda: "line 20" in shown(transcript))
        await person.press("k", "k", "space")
        await person.wait_for(lambda: "nothing to fold in this message" in person.told)


async def test_how_an_answer_goes_stands_where_its_footer_will_be() -> None:
    async with running() as (_, transcript, _):
        transcript.begin_answer("a", "Qwen3")
        transcript.set_progress("a", "reading the prompt…")
        transcript.append("a", "thinking", "hm")
        transcript.set_live("a", "⠙ 2 tok · 1 s")
        assert shown(transcript)[1:7] == ["Qwen3", "▸ thinking…", "│ hm", "", "⠙ 2 tok · 1 s", ""]
        transcript.append("a", "answer", "one")
        assert shown(transcript)[1:7] == ["Qwen3", "▸ thoughts", "one", "", "⠙ 2 tok · 1 s", ""]
        # It moves when the text has come to it, and then by a few rows: each move costs.
        transcript.append("a", "answer", "\n\ntwo\n\n")
        assert shown(transcript)[3:12] == ["one", "", "two", "", "", "", "", "⠙ 2 tok · 1 s", ""]
        transcript.append("a", "answer", "three")
        assert shown(transcript)[5:12] == ["two", "", "three", "", "", "⠙ 2 tok · 1 s", ""]
        transcript.set_progress("a", "paused")
        assert shown(transcript)[7:11] == ["three", "", "", "paused"]
        transcript.append("a", "answer", " four")
        assert shown(transcript)[7:11] == ["three four", "", "", "⠙ 2 tok · 1 s"]
        transcript.end_answer("a", "4 tok · complete")
        assert shown(transcript)[7:11] == ["three four", "", "4 tok · complete", ""]


async def test_tokens_and_time_are_told_while_an_answer_comes(start: StartApp) -> None:
    async with start() as person:
        async with person.slowly():
            await person.send("Count to 100")
            await person.wait_for(lambda: " tok · " in person.screen_text())
            assert person.phase == "answering"
        await person.wait_until_ready()
        assert "complete" in shown(person.app.main.transcript)[-1] or "complete" in person.screen_text()


async def test_what_an_edited_prompt_will_replace_is_dimmed_until_that_is_over(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        await person.ask("ping")
        transcript = person.app.main.transcript

        def dimmed() -> list[str]:
            return [entry.text for entry in transcript.document.entries if entry.is_replaced]

        def colour(text: str) -> object:
            row = transcript.paint_row(place(person, text)[1])
            return next(segment.style.color for segment in row if text in segment.text and segment.style)

        before = colour("pong")
        await person.press("f2")
        assert dimmed() == ["ping", "pong"] and colour("pong") != before
        await person.press("escape")
        assert dimmed() == [] and colour("pong") == before
        await person.press("f2")
        person.app.main.query_one(Prompt).set_text("hello")
        await person.press("enter")
        await person.wait_for(lambda: person.phase == "ready" and person.turns[-1].stop and len(person.turns) == 4)
        assert dimmed() == []


async def test_following_ends_only_when_somebody_scrolls(start: StartApp) -> None:
    async with start(size=(80, 24)) as person:
        await person.ask("Count to 100")
        transcript = person.app.main.transcript
        for act in (
            functools.partial(person.press, "f4"),
            functools.partial(person.press, "f2", "escape"),
            functools.partial(click, person, "100"),
            functools.partial(person.press, "escape"),
            functools.partial(person.pilot.resize_terminal, 60, 20),
        ):
            await act()
            await person.pilot.pause()
            assert transcript.following
        await person.press("pageup")
        assert not transcript.following
