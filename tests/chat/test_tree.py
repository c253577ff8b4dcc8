"""The tree of a conversation's messages: paths, siblings, and what is shown after it was changed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui.chat import tree
from tui.chat.tree import Place


def grown() -> tree.Places:
    """q1 with two answers, the first of which has two prompts behind it; the second prompt is shown."""
    return (
        Place(id="q1"),
        Place(id="a1", parent="q1"),
        Place(id="q2", parent="a1", left_at=5),
        Place(id="b2", parent="q2", left_at=5),
        Place(id="q2 edited", parent="a1"),
        Place(id="a2", parent="q1", left_at=3),
        Place(id="q3", parent="a2", left_at=3),
    )


def test_what_has_siblings_knows_which_of_them_it_is() -> None:
    assert tree.forks(grown()) == {"a1": (1, 2), "q2 edited": (2, 2)}
    assert tree.siblings(grown(), "q2") == ("q2", "q2 edited")
    assert tree.siblings(grown(), "q1") == ("q1",)


def test_a_path_goes_on_to_what_was_shown_there_last() -> None:
    assert tree.path_through(grown(), "a2") == ("q1", "a2", "q3")
    assert tree.path_through(grown(), "q1") == tree.shown(grown()) == ("q1", "a1", "q2 edited")
    walked = tree.with_shown(grown(), tree.path_through(grown(), "a2"), 7.0)
    assert tree.shown(walked) == ("q1", "a2", "q3")
    assert tree.path_through(walked, "a1") == ("q1", "a1", "q2 edited")
    assert tree.path_through(walked, "q2") == ("q1", "a1", "q2", "b2")


def test_what_follows_a_deleted_message_follows_the_one_before_it() -> None:
    left = tree.without(grown(), "a1")
    assert tree.siblings(left, "q2") == ("q2", "q2 edited", "a2")
    assert tree.shown(left) == ("q1", "q2 edited")


def test_what_is_added_stands_at_the_end_of_what_is_shown() -> None:
    assert tree.with_added(grown(), "new")[-1] == Place(id="new", parent="q2 edited")
    assert tree.with_added((), "first") == (Place(id="first"),)


NAMES = st.sampled_from("abcdef")


@given(st.lists(st.tuples(NAMES, st.none() | NAMES, st.none() | st.floats(1, 9))))
def test_whatever_a_database_says_becomes_a_tree_with_one_path_shown(
    found: list[tuple[str, str | None, float | None]],
) -> None:
    places = tree.agreed(found)
    assert {place.id for place in places} == {name for name, _, _ in found}
    seen = {""}
    for place in places:
        assert place.parent in seen and place.id not in seen
        seen.add(place.id)
    path = tree.shown(places)
    assert tree.agreed((place.id, place.parent, place.left_at) for place in places) == places
    for place in places:
        through = tree.path_through(places, place.id)
        assert place.id in through
        assert tree.shown(tree.with_shown(places, through, 10.0)) == through
    if path:
        assert tree.path_through(places, path[-1])[: len(path)] == path
