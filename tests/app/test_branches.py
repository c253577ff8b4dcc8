"""Branches on the screen: siblings are shown at their messages, walked by key and mouse, and seen as a tree."""

from __future__ import annotations

import functools

import pytest

from tests.app.conftest import Person, StartApp
from tests.app.test_transcript import running, shown
from tui.app.branch_rows import MOST_LEVELS, branch_rows
from tui.app.screens.branches import BranchesScreen
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.transcript import AnswerMessage, Transcript, UserMessage
from tui.chat.store import Node
from tui.chat.tree import Place
from tui.protocol.messages import Started
from tui.session import events


def row_of(person: Person, text: str) -> str:
    return next((row for row in shown(person.app.main.transcript) if text in row), "")


def said(person: Person) -> list[str]:
    return [turn.text for turn in person.turns]


async def has(person: Person, *texts: str) -> None:
    await person.wait_for(functools.partial(lambda wanted: said(person) == wanted, list(texts)))


async def edit_last(person: Person, text: str) -> None:
    """Send the last prompt again with other words, and wait for the answer."""
    await person.press("f2")
    person.app.main.query_one(Prompt).set_text(text)
    await person.press("enter")
    await person.wait_for(lambda: person.turns[-2].text == text and bool(person.turns[-1].stop))
    await person.wait_until_ready()


async def test_an_edited_prompt_and_a_new_answer_are_siblings_and_walked_by_key(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        await person.ask("ping")
        hello = person.turns[1].text
        await edit_last(person, "two plus three")
        assert "‹ 2/2 ›" in row_of(person, "You") or "You  ‹ 2/2 ›" in person.screen_text()
        five = person.turns[-1].text
        await person.press("ctrl+up", "k", "h")
        await has(person, "hello", hello, "ping", "pong")
        assert "You  ‹ 1/2 ›" in person.screen_text() and "pong" in person.screen_text()
        assert person.app.main.transcript.selected == person.turns[2].id
        await person.press("l")
        await has(person, "hello", hello, "two plus three", five)
        await person.press("right")  # around
        await has(person, "hello", hello, "ping", "pong")
        stored = await person.app.store.open(person.app.controller.conversation.id)
        assert [turn.text for turn in stored.turns] == said(person)


async def test_walking_back_to_a_sibling_reads_only_what_is_new(start: StartApp) -> None:
    async with start() as person:
        began: list[Started] = []
        person.app.controller.listen(
            lambda event: began.append(event.started) if isinstance(event, events.AnswerBegan) else None
        )
        await person.ask("hello")
        await person.ask("one two three " * 40)
        await edit_last(person, "ping")
        await person.press("ctrl+up", "k", "h")
        await person.wait_for(lambda: person.turns[2].text != "ping")
        await person.press("escape")
        before = len(began)
        await person.ask("two plus three")
        started = began[before]
        whole = person.turns[-1].timings
        assert whole is not None
        # What both branches begin with was kept: the branch and the new prompt were read, and not the rest again.
        assert started.n_cached > 0 and whole.n_prefill == started.n_prompt - started.n_cached
        await person.press("ctrl+up", "k", "k", "k", "l")
        await person.wait_for(lambda: person.turns[2].text == "ping")
        await person.press("escape")
        await person.ask("hello")
        assert began[-1].n_cached > 0


async def test_siblings_are_walked_by_mouse_and_the_focus_stays_in_the_prompt(start: StartApp) -> None:
    async with start(size=(40, 20)) as person:
        await person.ask("hello")
        first = person.turns[-1].id
        await person.press("f5")
        await person.wait_for(lambda: person.turns[-1].id != first and bool(person.turns[-1].stop))
        await person.wait_until_ready()
        rows = shown(person.app.main.transcript)
        y = next(y for y, row in enumerate(rows) if "‹ 2/2 ›" in row)
        x = 2 + rows[y].index("‹")
        assert await person.pilot.click(Transcript, offset=(x, y))
        await person.wait_for(lambda: person.turns[-1].id == first)
        assert person.app.focused is person.app.main.query_one(Prompt)
        rows = shown(person.app.main.transcript)
        y = next(y for y, row in enumerate(rows) if "‹ 1/2 ›" in row)
        assert await person.pilot.click(Transcript, offset=(2 + rows[y].index("›"), y))
        await person.wait_for(lambda: person.turns[-1].id != first)


async def test_the_tree_leads_to_any_message(start: StartApp) -> None:
    async with start() as person:
        await person.press("alt+t")
        await person.wait_for(lambda: "There are no messages yet." in person.told)
        await person.ask("hello")
        await person.ask("ping")
        before = said(person)
        await person.press("ctrl+up", "k", "k", "k", "e")
        person.app.main.query_one(Prompt).set_text("谢谢")
        await person.press("enter")
        await person.wait_for(lambda: len(person.turns) == 2 and bool(person.turns[-1].stop))
        await person.wait_until_ready()
        assert "4 messages stay in another branch" in person.told
        await person.press("alt+t")
        await person.wait_for(lambda: isinstance(person.app.screen, BranchesScreen))
        text = person.screen_text()
        assert "├─○ You: hello" in text and "│ ○ pong" in text and "● You: 谢谢" in text and "6 messages" in text
        await person.press(*"ping")
        await person.wait_for(lambda: "1 of 6 messages" in person.screen_text())
        await person.press("enter")
        await person.wait_for(lambda: said(person) == before)
        assert person.app.main.transcript.selected == person.turns[2].id
        await person.press("alt+t")
        await person.wait_for(lambda: isinstance(person.app.screen, BranchesScreen))
        await person.press("escape")
        await person.wait_for(lambda: person.app.screen is person.app.main)
        assert said(person) == before


async def test_a_new_conversation_begins_at_any_message(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        await person.ask("ping")
        old = person.app.controller.conversation
        await person.press("ctrl+up", "k", "k", "b")
        await person.wait_for(lambda: person.app.controller.conversation.id != old.id)
        assert said(person) == [turn.text for turn in old.turns[:2]]
        assert await person.ask("ping") == "pong"
        timings = person.turns[-1].timings
        assert timings is not None and timings.n_cached > 0  # what both begin with was not read again
        assert (await person.app.store.open(old.id)).turns == old.turns


async def test_nothing_is_walked_while_an_answer_is_written(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        await person.press("f5")
        await person.wait_for(lambda: person.phase == "ready" and bool(person.turns[-1].stop))
        async with person.slowly():
            await person.press("f5")
            await person.wait_for(lambda: person.app.controller.is_writing)
            now = person.turns
            await person.press("ctrl+up", "h")
            assert [turn.id for turn in person.turns[:1]] == [turn.id for turn in now[:1]]
            person.app.controller.interrupt()
        await person.wait_until_ready()


def node(id_: str, parent: str, left_at: float = 0.0) -> Node:
    place = Place(id=id_, parent=parent, left_at=left_at)
    return Node(place=place, is_answer=False, words=id_, model="", created_at=0, decode_tps=0, n_decode=0)


def test_what_is_shown_is_a_straight_line_and_what_was_left_hangs_beside_it() -> None:
    rows = branch_rows((node("a", ""), node("b", "a", 1), node("c", "b", 1), node("d", "b", 2), node("e", "a")))
    assert [f"{row.lines}{row.id}" for row in rows] == ["a", "├─b", "│ ├─c", "│ d", "e"]


def test_branches_of_branches_do_not_leave_the_screen() -> None:
    nodes = [node("0", "")]
    for number in range(1, 200):
        nodes += [node(f"x{number}", nodes[-1].place.id if number > 1 else "0", 1), node(f"{number}", "0", number + 1)]
    chain = [node("r", "")]
    for number in range(60):
        parent = chain[-1].place.id
        chain += [node(f"s{number}", parent, 9), node(f"t{number}", parent, 1)]
    assert max(len(row.lines) for row in branch_rows(chain)) <= 2 * MOST_LEVELS + 2
    assert len(branch_rows(nodes)) == len(nodes)


def test_a_tree_of_thousands_of_messages_is_laid_out() -> None:
    nodes = tuple(node(str(number), str(number - 1) if number else "") for number in range(10_000))
    assert [row.lines for row in branch_rows(nodes)] == [""] * 10_000


@pytest.mark.parametrize("width", [80, 50])
async def test_siblings_are_shown_at_prompts_and_answers(width: int) -> None:
    async with running(size=(width, 20)) as (_, transcript, _):
        transcript.load([UserMessage("u", "Why?"), AnswerMessage("a", "Qwen3", "Because")])
        transcript.show_forks({"a": (2, 3)})
        rows = [row.strip() for row in shown(transcript)]
        assert "Qwen3  ‹ 2/3 ›" in rows and "You" in rows
        transcript.show_forks({"u": (1, 2)})
        rows = [row.strip() for row in shown(transcript)]
        assert "Qwen3" in rows and "You  ‹ 1/2 ›" in rows
        transcript.show_forks({})
        assert "You" in [row.strip() for row in shown(transcript)]
