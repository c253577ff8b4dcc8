"""Steps to what is looked for: in the list of conversations, and in the open one."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from tests.app.conftest import Person
from tests.app.steps import NOW, chat
from tests.recorded import CONVERSATION, QWEN
from tui.app.screens.conversation_shelf import ConversationShelf
from tui.app.screens.conversations import ConversationsScreen
from tui.app.screens.exchanging import Exchanging
from tui.chat.search.query import Hit, Part, Snippet, pattern
from tui.chat.search.searcher import Results
from tui.chat.search.wanted import Wanted
from tui.chat.store import Summary


async def list_conversations(person: Person) -> None:
    await chat(person)
    hour = 3600
    chats = tuple(
        Summary(
            id=id,
            title=title,
            model_path=str(QWEN.path),
            created_at=0,
            updated_at=NOW.timestamp() - hours * hour,
            n_turns=n,
        )
        for id, title, hours, n in (
            ("c1", CONVERSATION.title, 1, 4),
            ("c2", "中文的標題和一個問題", 26, 12),
            ("c3", "A title that is longer than any column that it could ever stand in", 24 * 90, 2),
        )
    )

    class Shelf(ConversationShelf):
        async def list(self) -> tuple[Summary, ...]:
            return chats

        async def search(self, wanted: Wanted) -> AsyncGenerator[Results]:
            yield Results(wanted=wanted, hits=HITS, is_whole=True)

    shelf = Shelf(person.app.controller, Exchanging.write)
    screen = ConversationsScreen(shelf, person.app.keymap, current="c1", now=lambda: NOW)
    person.app.push_screen(screen)


def _hit(conversation_id: str, text: str, role: str = "assistant", part: Part = "text") -> Hit:
    lit = tuple(found.span() for found in pattern(("experts",)).finditer(text))
    return Hit(
        conversation_id=conversation_id,
        turn_id=text,
        role=role,
        part=part,
        created_at=0,
        score=1,
        snippet=Snippet(text, lit),
    )


HITS = (
    _hit("c1", "Only a few experts are read for each token, and where all the experts of a layer lie says the router."),
    _hit("c1", "So experts it is, of which eight are used", part="thinking"),
    _hit("c3", "…and what do 中文的專家 experts cost?", "user"),
)


async def find_text(person: Person) -> None:
    """Something is looked for in the conversation."""
    await chat(person)
    await person.press("alt+s", *"read")


async def search_conversations(person: Person) -> None:
    """Words were typed into the list."""
    await list_conversations(person)
    await person.press(*"experts")
