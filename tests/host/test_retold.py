"""A screen that comes in the middle of a session, or loses its line at any moment, shows what one shows that was there
from the beginning."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.chat.conversation import Turn, answer_turn, new_conversation, user_turn
from tui.host.event_log import EventLog
from tui.host.messages import Caught, Happened
from tui.host.scene import Scene, after, decode, retold
from tui.protocol.messages import Delta, Prefill, Started
from tui.session import events
from tui.session.standing import ModelStands, SessionStands

STEPS = st.lists(
    st.sampled_from(["ask", "ask", "grow", "grow", "grow", "think", "recast", "end", "cut", "open", "queue", "read"]),
    min_size=1,
    max_size=40,
)


class Screen:
    """What somebody sees."""

    def __init__(self) -> None:
        self.turns: list[tuple[str, str, str]] = []
        self.phase: events.Phase = "starting"
        self.queue: tuple[str, ...] = ()

    def hear(self, event: events.AnySessionEvent) -> None:
        """What is told."""
        match event:
            case events.ConversationOpened(conversation=conversation):
                self.turns = [(turn.id, turn.reasoning, turn.text) for turn in conversation.turns]
            case events.UserSaid(turn=turn) | events.AnswerBegan(turn=turn):
                self.turns.append((turn.id, turn.reasoning, turn.text))
            case events.AnswerGrew(turn_id=turn_id, delta=delta):
                id, reasoning, text = self.turns.pop()
                assert id == turn_id
                more = (delta.text, "") if delta.kind == "thinking" else ("", delta.text)
                self.turns.append((id, reasoning + more[0], text + more[1]))
            case events.AnswerRecast():
                id, reasoning, text = self.turns.pop()
                self.turns.append((id, reasoning + text, ""))
            case events.AnswerEnded(turn=turn):
                self.turns[-1] = (turn.id, turn.reasoning, turn.text)
            case events.TurnsRemoved(turn_id=turn_id):
                del self.turns[[id for id, _, _ in self.turns].index(turn_id) :]
            case events.PhaseChanged(phase=phase):
                self.phase = phase
            case events.QueueChanged(texts=texts):
                self.queue = texts


def told(steps: list[str], chance: Random) -> Iterator[events.AnySessionEvent]:
    """What a session tells that does these."""
    conversation, turns, written = new_conversation(), list[Turn](), ""
    answer: Turn | None = None
    yield ModelStands(alive=True)
    yield SessionStands(head=conversation)
    yield events.ConversationOpened(conversation=conversation)
    for n, step in enumerate(steps):
        delta = Delta(kind="answer", text=f"{n} ", n_decode=n, decode_tps=9.0, n_used=n)
        if step == "ask" and answer is None:
            turns.append(user_turn(f"question {n}"))
            yield events.UserSaid(turn=turns[-1])
            answer, written = answer_turn("a model"), ""
            turns.append(answer)
            yield events.PhaseChanged(phase="answering")
            yield SessionStands(head=conversation, is_writing=True)
            yield events.AnswerBegan(turn=answer, started=Started(n_prompt=1, n_cached=0, n_dropped=0, n_ctx=9))
        elif step == "read" and answer is not None and not written:
            yield events.PromptAdvanced(turn_id=answer.id, progress=Prefill(done=1, total=2, tps=1.0, eta_s=1.0))
        elif step == "grow" and answer is not None:
            written += delta.text
            answer = msgspec.structs.replace(answer, text=answer.text + delta.text)
            yield events.AnswerGrew(turn_id=answer.id, delta=delta)
        elif step == "think" and answer is not None:
            answer = msgspec.structs.replace(answer, reasoning=answer.reasoning + delta.text)
            yield events.AnswerGrew(turn_id=answer.id, delta=msgspec.structs.replace(delta, kind="thinking"))
        elif step == "recast" and answer is not None:
            answer = msgspec.structs.replace(answer, reasoning=answer.reasoning + answer.text, text="")
            yield events.AnswerRecast(turn_id=answer.id)
        elif step == "end" and answer is not None:
            turns[-1] = msgspec.structs.replace(answer, stop="stop")
            answer = None
            yield events.AnswerEnded(turn=turns[-1])
            yield SessionStands(head=conversation, n_used=n)
            yield events.PhaseChanged(phase="ready")
        elif step == "cut" and answer is None and turns:
            first = chance.randrange(len(turns))
            yield events.TurnsRemoved(turn_id=turns[first].id, n=len(turns) - first)
            del turns[first:]
        elif step == "open" and answer is None:
            conversation, turns = new_conversation(), []
            yield SessionStands(head=conversation)
            yield events.ConversationOpened(conversation=conversation)
        elif step == "queue":
            yield events.QueueChanged(texts=(f"{n}",) * chance.randrange(3), is_held=False)


class Viewer:
    """Follows a log over a line that breaks, as a remote session does."""

    def __init__(self) -> None:
        self.screen, self.scene, self.number = Screen(), Scene(), -1

    def hear(self, message: Caught | Happened) -> None:
        """The next message."""
        if isinstance(message, Caught):
            self.scene, self.number = decode(message.scene), message.number
            for event in retold(self.scene):
                self.screen.hear(event)
        else:
            assert message.number == self.number + 1
            self.number, event = message.number, events.decode(message.event)
            self.scene = after(self.scene, event, with_text=False)
            self.screen.hear(event)


@given(STEPS, st.randoms(use_true_random=False), st.sampled_from([0, 800, 1 << 20]))
@settings(max_examples=400)
def test_a_screen_shows_the_same_wherever_it_comes_and_wherever_its_line_breaks(
    steps: list[str], chance: Random, kept: int
) -> None:
    log, viewer, always = EventLog(most_bytes=kept), Viewer(), Screen()
    end = None
    for event in told(steps, chance):
        if end is None and chance.random() < 0.5:
            end = log.follow(viewer.hear, viewer.number)
        log.hear(event)
        always.hear(event)
        if end is not None and chance.random() < 0.3:
            end()
            end = None
    if end is None:
        log.follow(viewer.hear, viewer.number)
    assert vars(viewer.screen) == vars(always)

    # What can be read of the session there is what can be read of it here, but for an answer that grows.
    def plain(scene: Scene) -> Scene:
        turns = tuple(
            msgspec.structs.replace(turn, text="", reasoning="") if turn.is_streaming else turn
            for turn in scene.conversation.turns
        )
        conversation = msgspec.structs.replace(scene.conversation, turns=turns)
        return msgspec.structs.replace(scene, conversation=conversation, newest=None, progress=None)

    assert plain(viewer.scene) == plain(log.scene)
