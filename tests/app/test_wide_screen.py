"""A wide screen: conversations at the left, lines of a length that can be read, and both only where there is room."""

from __future__ import annotations

from datetime import datetime

import msgspec
import pytest
from textual import events

from tests.app.conftest import Person, StartApp
from tests.app.test_start_page import place_of, saved
from tests.app.test_two_windows import another_window
from tui.app.moments import period
from tui.app.widgets.conversation_list import ConversationList
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.transcript import Transcript
from tui.chat.conversation import new_conversation, user_turn
from tui.chat.place import Place
from tui.config.state import StateStore

WIDE = (200, 50)


def column(person: Person) -> ConversationList:
    return person.app.main.query_one(ConversationList)


def titles(person: Person) -> list[str]:
    """Headings and conversations, from the top."""
    return [one.title for one in column(person).items]


def marked(person: Person) -> str:
    """The title of the marked conversation; empty where none is."""
    item = column(person).item
    return item.title if item is not None else ""


async def with_three(person: Person) -> None:
    for number, title in enumerate(("Lighthouse", "Tides", "Foghorns")):
        await person.app.store.create(saved(title, 9 - number))
    await person.wait_for(lambda: titles(person) == ["Older", "Lighthouse", "Tides", "Foghorns"])


async def test_pinned_ones_stand_first_and_archived_ones_are_out_of_the_way(start: StartApp) -> None:
    async with start(size=WIDE) as person:
        await with_three(person)
        _, tides, foghorns = await person.app.store.list()
        await person.app.store.place(foghorns.id, Place(is_pinned=True))
        await person.app.store.place(tides.id, Place(is_archived=True))
        await person.wait_for(lambda: titles(person) == ["Pinned", "Foghorns", "Older", "Lighthouse"])


@pytest.mark.parametrize(("columns", "is_there"), [(120, False), (159, False), (160, True), (250, True)])
async def test_the_list_is_there_from_160_columns_on(start: StartApp, columns: int, is_there: bool) -> None:
    async with start(size=(columns, 30)) as person:
        assert column(person).display is is_there
        await person.pilot.resize_terminal(280 - columns, 30)
        await person.wait_for(lambda: column(person).display is (280 - columns >= 160))


async def test_lines_are_no_longer_than_can_be_read_and_in_the_middle(start: StartApp) -> None:
    async with start(size=(250, 40)) as person:
        await person.ask("hello")
        chat = person.app.main.query_one("#chat").region
        for kind in (Transcript, Prompt):
            region = person.app.main.query_one(kind).region
            assert region.width <= 104
            assert abs((region.x - chat.x) - (chat.right - region.right)) <= 1
    async with start(size=(120, 40)) as person:
        await person.ask("hello")
        assert person.app.main.query_one(Transcript).region.width == 86


async def test_the_wheel_scrolls_the_transcript_from_beside_it(start: StartApp) -> None:
    async with start(size=(250, 20)) as person:
        long = msgspec.structs.replace(new_conversation(), turns=tuple(user_turn("a line\n" * 15) for _ in range(8)))
        await person.app.store.create(long)
        await person.app.main.conversations.open_conversation(long.id)
        transcript = person.app.main.query_one(Transcript)
        await person.wait_for(lambda: transcript.scroll_y > 0)
        before = transcript.scroll_y
        await person.pilot._post_mouse_events([events.MouseScrollUp], person.app.main.query_one("#chat"), offset=(1, 1))
        await person.wait_for(lambda: transcript.scroll_y < before)


async def test_a_click_opens_a_conversation_and_the_open_one_is_marked(start: StartApp) -> None:
    async with start(size=WIDE) as person:
        await with_three(person)
        assert marked(person) == ""  # the open one is empty, and not saved
        await person.pilot.click(column(person), offset=(6, 3))
        await person.wait_for(lambda: [turn.text for turn in person.turns] == ["About Tides"])
        assert marked(person) == "Tides" and person.app.focused is person.app.main.prompt
        await person.press("ctrl+n")
        await person.wait_for(lambda: person.turns == () and marked(person) == "")


async def test_enter_opens_what_the_arrows_lead_to(start: StartApp) -> None:
    async with start(size=WIDE) as person:
        await with_three(person)
        column(person).focus()
        await person.press("down", "down", "up", "enter")
        await person.wait_for(lambda: [turn.text for turn in person.turns] == ["About Tides"])
        column(person).focus()
        await person.press("down")
        assert marked(person) == "Foghorns"
        await person.press("escape")
        await person.wait_for(lambda: marked(person) == "Tides")


async def test_it_follows_what_happens_here_and_in_other_windows(start: StartApp) -> None:
    async with start(size=WIDE) as person, another_window() as other:
        await with_three(person)
        await person.ask("hello")
        await person.wait_for(lambda: titles(person)[:2] == ["Today", "hello"])
        assert marked(person) == "hello"
        person.app.controller.configure(title="Greeting")
        await person.wait_for(lambda: titles(person)[1] == "Greeting")
        lighthouse = next(one for one in await other.list() if one.title == "Lighthouse")
        await other.delete(lighthouse.id)
        await other.create(msgspec.structs.replace(new_conversation(), title="Elsewhere", turns=(user_turn("x"),)))
        await person.wait_for(
            lambda: titles(person) == ["Today", "Elsewhere", "Greeting", "Older", "Tides", "Foghorns"]
        )
        assert marked(person) == "Greeting"


async def test_a_key_hides_it_and_that_is_remembered(start: StartApp) -> None:
    async with start(size=WIDE) as person:
        await person.press("shift+f4")
        assert not column(person).display
        await person.ask("hello")  # from now on nobody sees what the list would show
        await person.app.store.create(saved("Lighthouse", 9))
    remembered = StateStore()
    remembered.read()
    assert remembered.state.conversation_list is False
    async with start(size=WIDE) as person:
        assert not column(person).display
        await person.press("shift+f4")
        await person.wait_for(lambda: "Lighthouse" in titles(person) and column(person).display)


async def test_where_there_is_no_room_the_key_says_so(start: StartApp) -> None:
    async with start() as person:
        await person.press("shift+f4")
        await person.wait_for(lambda: "needs 160 columns or more. The dialog (^r)" in person.told)
        assert StateStore().state.conversation_list is None


async def test_titles_from_anywhere_are_harmless_and_cut(start: StartApp) -> None:
    async with start(size=WIDE) as person:
        await person.app.store.create(saved("\x1b[31mred\n" + "long " * 50, 9))
        await person.wait_for(lambda: "red long" in person.screen_text())
        assert "\x1b" not in person.screen_text()
        x, _ = place_of(person, "red long")
        assert 0 < x < 30


def test_periods_are_those_of_the_calendar() -> None:
    now = datetime(2026, 3, 2, 0, 30)
    found = [
        period(moment.timestamp(), now)
        for moment in (
            datetime(2026, 3, 2, 0, 1),
            datetime(2026, 3, 3),
            datetime(2026, 3, 1, 23, 59),
            datetime(2026, 2, 23),
            datetime(2026, 2, 22),
            datetime(2026, 1, 31),
            datetime(2026, 1, 30),
        )
    ]
    assert found == ["Today", "Today", "Yesterday", "Last 7 days", "Last 30 days", "Last 30 days", "Older"]
    assert period(0, now) == "Older"
