"""Finding text in the open conversation: hits are counted and lit, gone to in a circle, and unfolded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.app import App, ComposeResult

from tests.app.conftest import Person, StartApp
from tests.conftest import until
from tui.app.screens.conversations import ConversationsScreen
from tui.app.widgets.find_line import FindLine
from tui.app.widgets.transcript import AnswerMessage, Transcript, UserMessage
from tui.chat.conversation import answer_turn, finished, new_conversation, user_turn, with_turn

PROMPT = "\n".join(f"line {number}" for number in range(40)) + "\nthe needle at its end"


class TranscriptApp(App[None]):
    """A transcript, and what it tells."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[tuple[int, int]] = []

    def compose(self) -> ComposeResult:
        yield Transcript()

    def on_transcript_found(self, event: Transcript.Found) -> None:
        self.counts.append((event.number, event.n))


@asynccontextmanager
async def transcript(*records: UserMessage | AnswerMessage) -> AsyncIterator[tuple[TranscriptApp, Transcript]]:
    app = TranscriptApp()
    async with app.run_test(size=(60, 16)) as pilot:
        shown = app.query_one(Transcript)
        shown.load(records)
        await pilot.pause()
        yield app, shown


def lit(shown: Transcript) -> list[str]:
    """What is lit on the screen; what was gone to in brackets."""
    paint = shown.row_painter(shown.size)
    named = shown.named_styles()
    found = []
    for y in range(shown.size.height):
        for text, style, _ in paint(y):
            if style is not None and style.bgcolor == named["found.now"].bgcolor:
                found.append(f"[{text}]")
            elif style is not None and style.bgcolor == named["found"].bgcolor:
                found.append(text)
    return found


async def counted(app: TranscriptApp, shown: Transcript) -> tuple[int, int]:
    """What was told last."""
    shown.call_later(app.counts.append, (-1, -1))
    await until(lambda: (-1, -1) in app.counts)
    app.counts.remove((-1, -1))
    return app.counts[-1]


async def test_hits_are_counted_lit_and_gone_to_in_a_circle() -> None:
    async with transcript(
        UserMessage("u", "Needle and needle"),
        AnswerMessage("a", "Qwen3", "A **needle** in `needles`\n\n| needle | x |\n|---|---|\n| 1 | NEEDLE |"),
    ) as (app, shown):
        shown.find(["needle"])
        assert await counted(app, shown) == (1, 6)
        assert lit(shown) == ["[Needle]", "needle", "needle", "needle", "needle", "NEEDLE"]
        shown.find_next(-1)
        assert await counted(app, shown) == (6, 6)
        assert lit(shown)[-1] == "[NEEDLE]"
        shown.find_next()
        assert await counted(app, shown) == (1, 6)
        shown.end_find()
        assert lit(shown) == []


async def test_words_that_are_wrapped_or_in_chinese_are_found_whole() -> None:
    text = "word " * 8 + "the lighthouse keeper " + "灯塔看守人" * 20
    async with transcript(UserMessage("u", text)) as (app, shown):
        shown.find(["lighthouse keeper"])
        assert await counted(app, shown) == (1, 1)
        assert "".join(lit(shown)).replace("[", "").replace("]", "") == "lighthousekeeper"
        shown.find(["守人灯"])
        assert (await counted(app, shown))[1] == 19


async def test_folded_thoughts_and_prompts_are_opened_where_the_hit_is_inside() -> None:
    async with transcript(
        UserMessage("u", PROMPT),
        AnswerMessage("a", "Qwen3", "No.", thinking="Where is the needle?"),
        AnswerMessage("b", "Qwen3", "Yes.", thinking="Something else"),
    ) as (app, shown):
        shown.find(["needle"])
        assert await counted(app, shown) == (1, 2)
        assert lit(shown) == ["[needle]"]
        shown.find_next()
        assert await counted(app, shown) == (2, 2)
        assert lit(shown)[-1] == "[needle]"
        assert [entry.expanded for entry in shown.document.entries[1:]] == [True, None]  # type: ignore[attr-defined]


async def test_what_stands_only_in_marks_is_passed_over() -> None:
    async with transcript(
        AnswerMessage("a", "Qwen3", "[here](https://needle.example)"), AnswerMessage("b", "Qwen3", "A needle.")
    ) as (app, shown):
        shown.find(["needle"])
        shown.find_next()
        assert lit(shown)[-1:] == ["[needle]"]
        shown.find_next()
        assert (await counted(app, shown))[0] > 0


async def test_a_long_conversation_is_counted_whole_and_gone_to_anywhere() -> None:
    records = [UserMessage(f"u{number}", f"needle {number}.\n" * 5) for number in range(200)]
    async with transcript(*records) as (app, shown):
        shown.find(["needle"])
        number, n = await counted(app, shown)
        assert n == 1000 and number > 980
        shown.find(["needle 7."], "u7")
        assert await counted(app, shown) == (1, 5)
        assert lit(shown).count("[needle 7.]") == 1


async def test_text_that_streams_is_lit_as_it_comes() -> None:
    async with transcript(UserMessage("u", "needle")) as (app, shown):
        shown.find(["needle"])
        shown.begin_answer("a", "Qwen3")
        shown.append("a", "answer", "a need")
        shown.append("a", "answer", "le and more")
        assert lit(shown) == ["[needle]", "needle"]
        shown.find_next()
        assert await counted(app, shown) == (2, 2)


async def open_story(person: Person) -> None:
    conversation = new_conversation(title="A story")
    conversation = with_turn(conversation, user_turn("Tell me of the lighthouse"))
    answer = finished(
        answer_turn("Qwen3"), text="The lighthouse.\n\n" + "and the sea\n\n" * 60 + "lighthouse", stop="stop"
    )
    await person.app.store.create(with_turn(conversation, answer))
    await person.app.main.conversations.open_conversation(conversation.id)


async def test_a_person_finds_with_keys_and_escape_ends(start: StartApp) -> None:
    async with start(size=(80, 24)) as person:
        await open_story(person)
        await person.press("alt+s", *"LIGHT")
        await person.wait_for(lambda: "3/3" in person.screen_text())
        await person.press("enter", "n")
        await person.wait_for(lambda: "1/3" in person.screen_text() and "Tell me of the" in person.screen_text())
        await person.press("N")
        await person.wait_for(lambda: "3/3" in person.screen_text())
        await person.press("slash")
        await person.press(*"nothing")
        await person.wait_for(lambda: "no hits" in person.screen_text())
        await person.press("escape")
        await person.wait_for(lambda: not person.app.main.query(FindLine))
        await person.press(*"hi")
        assert person.app.main.prompt.text == "hi" and person.app.main.transcript.search is None


async def test_clicks_on_the_signs_go_on_and_end(start: StartApp) -> None:
    async with start(size=(40, 16)) as person:
        await open_story(person)
        await person.press("alt+s", *"light")
        await person.wait_for(lambda: "3/3" in person.screen_text())
        count = person.app.main.query_one("FindCount")
        await person.pilot.click(count, offset=(count.size.width - 3, 0))
        await person.wait_for(lambda: "1/3" in person.screen_text())
        await person.pilot.click(count, offset=(count.size.width - 5, 0))
        await person.wait_for(lambda: "3/3" in person.screen_text())
        await person.pilot.click(count, offset=(count.size.width - 1, 0))
        await person.wait_for(lambda: not person.app.main.query(FindLine))
        assert person.app.main.prompt.has_focus


async def test_what_the_list_found_is_gone_to_and_lit(start: StartApp) -> None:
    async with start(size=(80, 24)) as person:
        await open_story(person)
        await person.app.main._controller.new()
        await person.press("ctrl+r", *"lighthouse")
        await person.wait_for(lambda: "Tell me of the" in person.screen_text())
        assert isinstance(person.app.screen, ConversationsScreen)
        await person.press("enter")
        await person.wait_for(lambda: bool(person.app.main.query(FindLine)) and "/3" in person.screen_text())
        assert person.app.main.transcript.has_focus
        await person.press("n")
        await person.wait_for(lambda: "lighthouse" in person.screen_text())
