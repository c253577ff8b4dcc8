"""Guesses of what comes next, by what was said before: when there are any, how long, and what is learned from them."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from tui.engine.promptlookup import LEAST_GAIN, MOST_DRAFT, MOST_MISSES, SHORTEST, PromptLookup

CHEAP = tuple(1 + 0.01 * n for n in range(MOST_DRAFT + 1))
TYPICAL = (1.0, 1.3, 1.6, 1.7, 2.0, 2.3, 2.7, 3.0)
DEAR = tuple(float(n) for n in range(1, MOST_DRAFT + 2))
"""As if each token of a draft cost a step of its own."""
TEXT = random.Random(1).sample(range(10_000), 300)


def reading(tokens: Sequence[int], costs: Sequence[float] = CHEAP, room: int = 10_000) -> PromptLookup:
    lookup = PromptLookup(room, costs)
    lookup.read(tokens)
    return lookup


def written(lookup: PromptLookup, answer: Sequence[int], costs: Sequence[float]) -> float:
    """How many times as fast as one by one an answer is written."""
    at, spent = 0, 0.0
    while at < len(answer):
        draft = lookup.draft(lookup.length(min(MOST_DRAFT, len(answer) - at - 1)))
        right = next((i for i, token in enumerate(draft) if token != answer[at + i]), len(draft))
        for token in answer[at : at + right + 1]:
            lookup.add(token)
        at += right + 1
        spent += costs[len(draft)]
    return len(answer) / spent


def test_a_text_without_repetition_suggests_nothing() -> None:
    lookup = reading(TEXT)
    assert lookup.length(MOST_DRAFT) == 0
    assert written(lookup, random.Random(2).sample(range(10_000, 20_000), 300), CHEAP) == pytest.approx(1.0)


def test_three_tokens_that_were_there_before_suggest_what_followed() -> None:
    for n_same in range(1, 6):
        lookup = reading([*TEXT, *TEXT[40 : 40 + n_same]])
        if n_same < SHORTEST:
            assert lookup.length(MOST_DRAFT) == 0
        else:
            assert lookup.draft(5) == TEXT[40 + n_same : 45 + n_same]
            assert 0 < lookup.length(MOST_DRAFT) <= MOST_DRAFT


def test_the_place_with_the_longest_match_is_followed_not_the_latest() -> None:
    a, b, c = TEXT[:3]
    lookup = reading([7, 8, 9, a, b, c, 111, 5, a, b, c, 222, 7, 8, 9, a, b, c])
    assert lookup.draft(1) == [111]


def test_a_longer_match_is_trusted_with_a_longer_draft() -> None:
    lengths = [reading([*TEXT, *TEXT[40 : 40 + n]], TYPICAL).length(MOST_DRAFT) for n in (3, 6, 12, 40)]
    assert lengths == sorted(lengths) and lengths[0] < lengths[-1]


def test_no_draft_is_made_that_costs_what_it_brings() -> None:
    assert reading([*TEXT, *TEXT[:40]], DEAR).length(MOST_DRAFT) == 0
    assert LEAST_GAIN > 1


def test_a_draft_is_never_longer_than_asked_nor_than_its_cost_is_known() -> None:
    lookup = reading([*TEXT, *TEXT[:40]])
    assert [lookup.length(most) for most in (0, 1, 4)] == [0, 1, 4]
    assert reading([*TEXT, *TEXT[:40]], CHEAP[:4]).length(MOST_DRAFT) == 3


def test_behind_the_end_of_the_text_a_draft_goes_on_with_itself() -> None:
    lookup = reading([1, 2, 3, 4, 1, 2, 3])
    assert lookup.draft(9) == [4, 1, 2, 3, 4, 1, 2, 3, 4]


def test_a_place_is_followed_over_a_name_that_was_replaced_and_given_up_after_several() -> None:
    lookup = reading([*TEXT, *TEXT[:10]])
    lookup.add(-1)
    assert lookup.draft(3) == TEXT[11:14]
    for i in range(MOST_MISSES):
        lookup.add(-2 - i)
    assert lookup.length(MOST_DRAFT) == 0


def test_guesses_that_were_wrong_are_not_made_again_and_right_ones_are() -> None:
    """A word whose continuation is another one each time, and one whose is not, look the same at first."""
    chance = random.Random(3)
    wrong, right = reading([]), reading([])
    for _ in range(40):
        for token in (1, 2, 3, chance.randrange(10_000), chance.randrange(10_000)):
            wrong.add(token)
        for token in (1, 2, 3, 4, 5, chance.randrange(10_000)):
            right.add(token)
    wrong.read([1, 2, 3])
    right.read([1, 2, 3])
    for lookup in (wrong, right):
        lookup._costs = list(TYPICAL)
    assert (wrong.length(MOST_DRAFT), right.length(MOST_DRAFT) > 0) == (0, True)


def test_an_edit_is_written_several_times_as_fast_and_other_text_no_slower() -> None:
    edited = [token + 20_000 if i % 37 == 0 else token for i, token in enumerate(TEXT)]
    assert written(reading(TEXT, TYPICAL), edited, TYPICAL) > 1.8
    traps = [token for i in range(60) for token in (*TEXT[5 * i : 5 * i + 3], 30_000 + 2 * i, 30_001 + 2 * i)]
    assert written(reading(TEXT, TYPICAL), traps, TYPICAL) > 0.9


def test_a_cost_that_turns_out_higher_makes_drafts_shorter() -> None:
    lookup = reading([*TEXT, *TEXT[:40]], TYPICAL)
    before = lookup.length(MOST_DRAFT)
    for _ in range(30):
        lookup.learn_cost(8, 9.0, 0.2)
    assert lookup.length(MOST_DRAFT) < before


def test_nothing_is_suggested_once_there_is_no_room_for_more() -> None:
    lookup = reading([1, 2, 3, 4, 1, 2, 3], room=7)
    assert lookup.length(MOST_DRAFT) > 0
    lookup.add(4)
    assert lookup.length(MOST_DRAFT) == 0
