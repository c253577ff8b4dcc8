"""Where a session stands, made of what it tells: the host keeps one, and whoever follows it makes the same of the same
events."""

from __future__ import annotations

import msgspec

from tui.chat.conversation import Conversation, Turn, new_conversation, title_from
from tui.session import events
from tui.session.events import Phase


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What a viewer that comes now has to know."""

    phase: Phase = "starting"
    model: str = ""
    """Path of what was loaded last."""
    conversation: Conversation = msgspec.field(default_factory=new_conversation)
    """The open one; an answer that is being written has its text so far."""

    @property
    def answer(self) -> Turn | None:
        """The newest answer, whether it is whole or not; None where the last word is the user's."""
        turns = self.conversation.turns
        return turns[-1] if turns and turns[-1].role == "assistant" else None


def after(scene: Scene, event: events.AnySessionEvent) -> Scene:
    """How it stands once this has happened."""
    match event:
        case events.PhaseChanged(phase=phase):
            return msgspec.structs.replace(scene, phase=phase)
        case events.ModelLoaded(loaded=loaded):
            return msgspec.structs.replace(scene, model=loaded.path)
        case events.ConversationOpened(conversation=now):
            return msgspec.structs.replace(scene, conversation=now)
        case events.ConversationChanged(now=now) | events.ConversationReplaced(now=now):
            return msgspec.structs.replace(scene, conversation=now)
        case events.UserSaid(turn=turn) | events.AnswerBegan(turn=turn) | events.AnswerEnded(turn=turn):
            return _with(scene, turn)
        case events.AnswerRefused():
            return _without_prompt(scene)
        case events.AnswerGrew(delta=delta):
            kind = "reasoning" if delta.kind == "thinking" else "text"
            return _grown(scene, kind, delta.text)
        case events.AnswerRecast():
            return _recast(scene)
        case _:
            return scene


def _grown(scene: Scene, field: str, more: str) -> Scene:
    turn = scene.answer
    return (
        scene if turn is None else _with(scene, msgspec.structs.replace(turn, **{field: getattr(turn, field) + more}))
    )


def _recast(scene: Scene) -> Scene:
    turn = scene.answer
    if turn is None:
        return scene
    return _with(scene, msgspec.structs.replace(turn, reasoning=turn.reasoning + turn.text, text=""))


def _without_prompt(scene: Scene) -> Scene:
    """A question that was refused is no part of a conversation (`Asking`)."""
    turns = scene.conversation.turns
    if not turns or turns[-1].role != "user":
        return scene
    return msgspec.structs.replace(scene, conversation=msgspec.structs.replace(scene.conversation, turns=turns[:-1]))


def _with(scene: Scene, turn: Turn) -> Scene:
    """With the turn in the place of the last one, where it is that, or else behind it."""
    conversation, turns = scene.conversation, scene.conversation.turns
    if turns and turns[-1].id == turn.id:
        turns = turns[:-1]
    title = conversation.title or (title_from(turn.text) if turn.role == "user" else "")
    now = msgspec.structs.replace(conversation, turns=(*turns, turn), title=title)
    return msgspec.structs.replace(scene, conversation=now)
