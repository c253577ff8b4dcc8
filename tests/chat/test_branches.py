"""Branches in the conversations' database: nothing is lost of what was replaced, and what is shown is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tests.chat.imported import only
from tests.chat.stored import done, until
from tui.chat import conversation as chat
from tui.chat import export, tree
from tui.chat.conversation import Conversation, Turn
from tui.chat.schema import MIGRATIONS, connect, migrate
from tui.chat.store import Store, StoreError


def asked(text: str, answer: str) -> tuple[Turn, Turn]:
    return chat.user_turn(text), done(chat.answer_turn("Qwen3"), answer)


def ids(turns: Sequence[Turn]) -> tuple[str, ...]:
    return tuple(turn.id for turn in turns)


class Grown:
    """q1, a1, q2, a2; of q2 and of q1 there is an edited version, and the last is shown."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.first = (*asked("q1", "a1"), *asked("q2", "a2"))
        self.second = (*self.first[:2], *asked("q2 edited", "b2"))
        self.third = asked("q1 edited", "b1")
        self.id = ""

    async def grow(self) -> None:
        conversation = chat.new_conversation()
        self.id = conversation.id
        self.store.create(conversation)
        for turn in self.first:
            self.store.append_turn(self.id, turn)
        self.store.supersede(self.id, ids(self.first[2:]))
        for turn in self.second[2:]:
            self.store.append_turn(self.id, turn)
        self.store.supersede(self.id, ids(self.second))
        for turn in self.third:
            await self.store.append_turn(self.id, turn)

    async def now(self) -> Conversation:
        return await self.store.open(self.id)

    async def show(self, turn: Turn) -> tuple[Turn, ...]:
        await self.store.show(self.id, turn.id, ids((await self.now()).turns))
        return (await self.now()).turns


async def test_every_branch_can_be_shown_again_up_to_where_it_was_left(store: Store) -> None:
    grown = Grown(store)
    await grown.grow()
    assert (await grown.now()).turns == grown.third
    assert tree.forks((await grown.now()).places) == {grown.third[0].id: (2, 2)}
    assert await grown.show(grown.first[0]) == grown.second
    assert tree.forks((await grown.now()).places) == {grown.first[0].id: (1, 2), grown.second[2].id: (2, 2)}
    assert await grown.show(grown.first[2]) == grown.first
    assert await grown.show(grown.third[0]) == grown.third
    assert await grown.show(grown.first[0]) == grown.first  # as it was left


async def test_who_walks_through_branches_leaves_the_list_as_it_is_and_others_see_it(store: Store, path: Path) -> None:
    grown = Grown(store)
    await grown.grow()
    newer = chat.new_conversation(title="Newer")
    await store.create(newer)
    elsewhere = Store(path)
    told: list[bool] = []
    elsewhere.on_change = told.append
    await elsewhere.start()
    elsewhere.watch(grown.id)
    await elsewhere.settled()

    await grown.show(grown.first[0])

    assert [one.id for one in await store.list()] == [newer.id, grown.id]
    await until(lambda: bool(told))
    await elsewhere.close()


async def test_what_is_shown_is_remembered_and_the_tree_has_all(path: Path) -> None:
    store = Store(path)
    grown = Grown(store)
    await grown.grow()
    await grown.show(grown.first[2])
    await store.close()
    again = Store(path)
    assert (await again.open(grown.id)).turns == grown.first
    nodes = await again.nodes(grown.id)
    assert [node.words for node in nodes] == ["q1", "a1", "q2", "a2", "q2 edited", "b2", "q1 edited", "b1"]
    assert [not node.place.left_at for node in nodes] == [True] * 4 + [False] * 4
    assert nodes[1].decode_tps == done(grown.first[1], "").timings.decode_tps  # type: ignore[union-attr]
    assert [one.n_turns for one in await again.list()] == [4]
    await again.close()


async def test_nothing_is_shown_in_the_place_of_what_has_changed_meanwhile(store: Store, path: Path) -> None:
    grown = Grown(store)
    await grown.grow()
    seen = ids((await grown.now()).turns)
    other = Store(path)
    await other.append_turn(grown.id, chat.user_turn("from another window"))
    for change in (
        store.show(grown.id, grown.first[0].id, seen),
        store.remove_turn(grown.id, grown.third[0].id, seen),
    ):
        with pytest.raises(StoreError) as caught:
            await change
        assert caught.value.kind == "changed"
    assert (await grown.now()).turns[-1].text == "from another window"
    with pytest.raises(StoreError) as caught:
        await store.show(grown.id, "nobody", ids((await grown.now()).turns))
    assert caught.value.kind == "not_found"
    await other.close()


async def test_one_message_is_deleted_and_what_follows_stays(store: Store) -> None:
    grown = Grown(store)
    await grown.grow()
    await grown.show(grown.first[0])
    await store.remove_turn(grown.id, grown.second[1].id, ids(grown.second))
    now = await grown.now()
    assert now.turns == (grown.second[0], *grown.second[2:])
    assert [node.words for node in await store.nodes(grown.id)] == [
        *("q1", "q2", "a2", "q2 edited", "b2", "q1 edited", "b1")
    ]
    assert await grown.show(grown.first[2]) == (grown.first[0], *grown.first[2:])


async def test_where_a_deleted_message_was_the_last_its_sibling_is_shown(store: Store) -> None:
    grown = Grown(store)
    await grown.grow()
    for turn in reversed(grown.third):
        await store.remove_turn(grown.id, turn.id, ids((await grown.now()).turns))
    assert (await grown.now()).turns == grown.second
    assert tree.forks((await grown.now()).places) == {grown.second[2].id: (2, 2)}


async def test_an_answer_that_ended_before_its_first_word_is_no_branch(store: Store) -> None:
    question, answer = asked("q", "a")
    conversation = chat.with_turn(chat.new_conversation(), question)
    store.create(conversation)
    wordless = done(chat.answer_turn("Qwen3"), "", "cancelled")
    store.append_turn(conversation.id, wordless)
    store.supersede(conversation.id, [wordless.id])
    await store.append_turn(conversation.id, answer)
    assert tree.forks((await store.open(conversation.id)).places) == {}


async def test_what_an_older_llmtui_replaced_is_a_branch(path: Path) -> None:
    """Its rows had parents already, and its columns are those of today's first steps."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(connect(path)) as old:
        migrate(old, path, MIGRATIONS[:1])
        old.execute("INSERT INTO conversations VALUES ('c', 'Old', '', 1, NULL, '', 1, 1)")
        rows = [("q", None, None), ("a1", "q", 5.0), ("q2", "a1", 5.0), ("a2", "q", None)]
        for number, (id_, parent, left) in enumerate(rows):
            role = "user" if id_.startswith("q") else "assistant"
            values = (number, id_, "c", parent, role, id_, "", 0, 0, None, None, "", "[]", None, number, left, None)
            old.execute(f"INSERT INTO turns VALUES ({', '.join('?' * len(values))})", values)
    store = Store(path)
    await store.start()
    now = await store.open("c")
    assert ids(now.turns) == ("q", "a2") and tree.forks(now.places) == {"a2": (2, 2)}
    await store.show("c", "a1", ("q", "a2"))
    assert ids((await store.open("c")).turns) == ("q", "a1", "q2")
    await store.close()


async def test_an_export_as_json_keeps_the_tree_and_its_import_is_another_conversation(
    store: Store, tmp_path: Path
) -> None:
    grown = Grown(store)
    await grown.grow()
    whole = await store.whole(grown.id)
    file = export.write(whole.shown, tmp_path, "json", hidden=whole.hidden)
    copy = only(file)
    await store.create(copy.shown, copy.hidden)
    assert [turn.text for turn in (await store.open(copy.shown.id)).turns] == ["q1 edited", "b1"]
    assert [node.words for node in await store.nodes(copy.shown.id)] == [
        node.words for node in await store.nodes(grown.id)
    ]
    first = next(turn for turn in copy.hidden if turn.text == "q2")
    await store.show(copy.shown.id, first.id, ids(copy.shown.turns))
    assert [turn.text for turn in (await store.open(copy.shown.id)).turns] == ["q1", "a1", "q2", "a2"]
    assert (await grown.now()).turns == grown.third
    markdown = export.to_markdown(whole.shown)
    assert "q1 edited" in markdown and "q2" not in markdown


def test_an_import_whose_tree_does_not_fit_its_turns_has_what_was_shown() -> None:
    turns = asked("q", "a")
    hidden = (chat.user_turn("other"),)
    conversation = msgspec.structs.replace(
        chat.new_conversation(), turns=turns, places=tree.in_line([turns[1].id, hidden[0].id, turns[0].id])
    )
    copy = chat.copy_whole_with_new_ids(export.from_json(export.to_json(conversation, hidden)))
    assert [turn.text for turn in copy.shown.turns] == ["q", "a"]
    assert copy.hidden == () and copy.shown.places == ()
