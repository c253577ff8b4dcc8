"""Conversations: editing them, titles, and the messages that the engine gets."""

from __future__ import annotations

import msgspec
import pytest
import wcwidth
from hypothesis import given
from hypothesis import strategies as st

from tui.chat import conversation as chat
from tui.chat.conversation import Conversation, Turn
from tui.protocol.records import Message, Timings


def answer(text: str, reasoning: str = "", stop: chat.TurnStop = "stop") -> Turn:
    return chat.finished(chat.answer_turn("Qwen3", ["CPU"]), text=text, reasoning=reasoning, stop=stop)


def talk(*turns: Turn, system_prompt: str = "") -> Conversation:
    conversation = chat.new_conversation(system_prompt=system_prompt)
    for turn in turns:
        conversation = chat.with_turn(conversation, turn)
    return conversation


def test_the_system_prompt_comes_first_and_reasoning_goes_with_its_answer() -> None:
    conversation = talk(chat.user_turn("Hi"), answer("Hello!", "They greet."), system_prompt="Be kind.")

    assert chat.to_messages(conversation) == (
        Message(role="system", content="Be kind."),
        Message(role="user", content="Hi"),
        Message(role="assistant", content="Hello!", reasoning="They greet."),
    )


def test_a_blank_system_prompt_is_not_sent() -> None:
    assert chat.to_messages(talk(chat.user_turn("Hi"), system_prompt=" \n")) == (Message(role="user", content="Hi"),)


@pytest.mark.parametrize(
    "gap", [answer("", stop="crashed"), answer(" ", "Hm", stop="cancelled"), chat.answer_turn("Qwen3")]
)
def test_an_answer_without_text_is_left_out_and_the_questions_around_it_become_one(gap: Turn) -> None:
    conversation = talk(chat.user_turn("One?"), gap, chat.user_turn("Two?"))

    assert chat.to_messages(conversation) == (Message(role="user", content="One?\n\nTwo?"),)


def test_a_crashed_answer_that_has_text_stays_in_the_prompt() -> None:
    conversation = talk(chat.user_turn("Count"), answer("1, 2", stop="crashed"), chat.user_turn("Go on"))

    assert [message.content for message in chat.to_messages(conversation)] == ["Count", "1, 2", "Go on"]


def test_cutting_at_a_turn_gives_what_is_left_and_what_was_cut() -> None:
    question, reply, more = chat.user_turn("One?"), answer("1"), chat.user_turn("Two?")

    left, cut = chat.truncate_from(talk(question, reply, more), reply.id)

    assert left.turns == (question,)
    assert cut == (reply, more)


def test_cutting_at_a_turn_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        chat.truncate_from(talk(chat.user_turn("One?")), "nowhere")


def test_a_turn_of_the_same_id_is_replaced_in_place() -> None:
    streaming = chat.answer_turn("Qwen3")
    conversation = talk(chat.user_turn("One?"), streaming)
    assert conversation.turns[-1].is_streaming

    conversation = chat.with_turn(conversation, chat.finished(streaming, text="1", stop="stop"))

    assert [turn.text for turn in conversation.turns] == ["One?", "1"]
    assert not conversation.turns[-1].is_streaming


def test_an_answer_takes_its_thinking_figures_from_the_timings() -> None:
    turn = chat.finished(
        chat.answer_turn("Qwen3"), text="1", reasoning="Hm", stop="stop", timings=Timings(n_thinking=96, thinking_s=3.2)
    )

    assert (turn.n_reasoning, turn.reasoning_s) == (96, 3.2)


def test_only_a_last_turn_that_a_model_wrote_can_be_regenerated() -> None:
    reply = answer("1")

    assert chat.last_answer(talk(chat.user_turn("One?"), reply)) == reply
    assert chat.last_answer(talk(chat.user_turn("One?"), reply, chat.user_turn("Two?"))) is None
    assert chat.last_answer(talk()) is None


def test_the_first_message_gives_the_title_and_later_ones_leave_it() -> None:
    conversation = talk(chat.user_turn("Why is\n  the sky\tblue?"), answer("Rayleigh."), chat.user_turn("And red?"))

    assert conversation.title == "Why is the sky blue?"


@pytest.mark.parametrize(
    ("text", "columns", "title"),
    [
        ("   \n\t ", 20, chat.UNTITLED),
        ("为什么天空是蓝色的", 10, "为什么天…"),
        ("👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦", 5, "👩‍👩‍👧‍👦👩‍👩‍👧‍👦…"),
        ("e\u0301e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301…"),
        ("a\x1b[31mb\x00c", 20, "a [31mb c"),
        ("user\u202etxt.exe", 20, "usertxt.exe"),
    ],
)
def test_titles_keep_graphemes_whole_and_hold_no_control_characters(text: str, columns: int, title: str) -> None:
    assert chat.title_from(text, columns) == title


@given(st.text(max_size=200), st.integers(2, 60))
def test_a_title_is_one_line_that_fits(text: str, columns: int) -> None:
    title = chat.title_from(text, columns)

    assert title == chat.UNTITLED or 0 <= wcwidth.wcswidth(title) <= columns
    assert "\n" not in title and title


def test_a_copy_has_ids_of_its_own_and_the_same_words() -> None:
    original = talk(chat.user_turn("One?"), answer("1"))
    copy = chat.copy_with_new_ids(original)

    assert {copy.id, *(turn.id for turn in copy.turns)}.isdisjoint({original.id, *(turn.id for turn in original.turns)})
    assert [turn.text for turn in copy.turns] == ["One?", "1"]
    assert msgspec.structs.replace(copy, id="", turns=()) == msgspec.structs.replace(original, id="", turns=())
