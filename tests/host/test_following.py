"""Following a session over lines that break: nothing is missed, nothing comes twice."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.running import llmtui
from tui.ask.attach import Viewer
from tui.base.exit_codes import ExitCode
from tui.chat.conversation import answer_turn, new_conversation, user_turn
from tui.host.event_log import EventLog
from tui.host.meeting import meeting
from tui.host.messages import Caught, Happened, Rested, Welcome
from tui.protocol.messages import Delta, Started
from tui.protocol.records import ErrorInfo
from tui.protocol.wire import encode
from tui.session import events

Pieces = list[tuple[str, str]]
KINDS = st.sampled_from(["answer", "answer", "answer", "thinking", "recast"])
TEXTS = st.text(alphabet="ab é\n", max_size=8)
ANSWERS = st.lists(st.lists(st.tuples(KINDS, TEXTS), max_size=12), min_size=1, max_size=4)


def told(answers: list[Pieces]) -> Iterator[events.AnySessionEvent]:
    """What a session tells of these answers, the last of which is not whole."""
    yield events.ConversationOpened(conversation=new_conversation())
    for n, pieces in enumerate(answers):
        yield events.PhaseChanged(phase="answering")
        yield events.UserSaid(turn=user_turn(f"question {n}"))
        turn = answer_turn("a model")
        yield events.AnswerBegan(turn=turn, started=Started(n_prompt=1, n_cached=0, n_dropped=0, n_ctx=9))
        text = ""
        for kind, piece in pieces:
            if kind == "recast":
                text = ""
                yield events.AnswerRecast(turn_id=turn.id)
                continue
            text += piece if kind == "answer" else ""
            delta = Delta(kind=kind, text=piece, n_decode=1, decode_tps=1.0, n_used=1)  # type: ignore[arg-type]
            yield events.AnswerGrew(turn_id=turn.id, delta=delta)
        if n < len(answers) - 1:
            yield events.AnswerEnded(turn=msgspec.structs.replace(turn, text=text, stop="stop"))
            yield events.PhaseChanged(phase="ready")


@given(ANSWERS, st.randoms(use_true_random=False), st.sampled_from([0, 500, 2000, 1 << 20]))
@settings(max_examples=300)
def test_who_was_cut_off_anywhere_has_the_same_as_who_never_was(
    answers: list[Pieces], chance: Random, kept: int
) -> None:
    log = EventLog(most_bytes=kept)
    written: dict[str, str] = defaultdict(str)

    def write(text: str) -> None:
        answer = viewer.scene.answer
        assert answer is not None
        written[answer.id] += text

    numbers: list[int] = []

    def hear(message: Caught | Happened) -> None:
        if isinstance(message, Happened):
            assert not numbers or message.number == numbers[-1] + 1
        numbers.append(message.number)
        viewer.take(message)

    viewer = Viewer(write, lambda: None)
    end = None
    for event in told(answers):
        if end is None and chance.random() < 0.5:
            end = log.follow(hear, viewer.number)
        log.hear(event)
        if end is not None and chance.random() < 0.3:
            end()
            end = None
    if end is None:
        log.follow(hear, viewer.number)
    assert (viewer.scene, viewer.number) == (log.scene, log.number)
    answer = log.scene.answer
    if answer is not None:
        assert written[answer.id].endswith(answer.text)
        if not any(kind == "recast" for kind, _ in answers[-1]):
            assert written[answer.id] == answer.text


def test_a_question_that_was_refused_is_no_part_of_the_scene() -> None:
    log = EventLog()
    for event in told([[("answer", "one")], [("answer", "two")]]):
        log.hear(event)
    before = log.scene.conversation.turns
    log.hear(events.UserSaid(turn=user_turn("a question that is too long")))
    log.hear(events.AnswerRefused(info=ErrorInfo(kind="context_overflow", detail="")))
    assert log.scene.conversation.turns == before


def test_what_is_no_text_is_passed_over() -> None:
    log = EventLog()
    log.hear(events.LoadFailed(path=Path("a\udcff.gguf"), info=ErrorInfo(kind="internal", detail="")))
    assert log.number == 0


async def test_who_attaches_while_a_model_is_loaded_sees_the_answer_that_follows() -> None:
    log = EventLog()
    log.hear(events.PhaseChanged(phase="loading"))

    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(encode(Welcome(version="1", pid=1)))
        await reader.read(1)
        log.follow(lambda message: writer.write(encode(message)), -1)
        # Loaded, and nothing is answered yet: that is not the end.
        for event in (events.PhaseChanged(phase="ready"), *told([[("answer", "one")], [("answer", "two")]])):
            log.hear(event)
        writer.write(encode(Rested()))

    place = meeting(is_made=True)
    assert place
    with place:
        lock = place.lock()
        assert lock is not None
        async with await asyncio.start_unix_server(tell, sock=place.listen()):
            done = await asyncio.to_thread(llmtui, "attach")
        place.leave()
        os.close(lock)
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.FINE, "one\ntwo\n", "")
