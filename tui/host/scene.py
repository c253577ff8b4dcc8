"""Where a session stands, made of what it tells: the host keeps one, and whoever follows it makes the same of the same
events."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tui.base.pathtext import PathJson
from tui.chat.conversation import Conversation, Turn, new_conversation, title_from
from tui.protocol.messages import Delta, Started
from tui.session import events
from tui.session.events import Phase
from tui.session.standing import ModelStands, SessionStands


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What a viewer that comes now has to know."""

    phase: Phase = "starting"
    model: str = ""
    """Path of what was loaded last."""
    conversation: Conversation = msgspec.field(default_factory=new_conversation)
    """The open one; an answer that is being written has its text so far."""
    engine: ModelStands | None = None
    """None of a session that is not for screens, as the next."""
    stands: SessionStands | None = None
    queue: events.QueueChanged | None = None
    context: events.ContextUsed | None = None
    loading: events.LoadAdvanced | None = None
    """How far a load is."""
    lost: events.EngineLost | None = None
    """What the engine died of, while it is dead."""
    started: Started | None = None
    """What the engine said of the prompt of the answer that is being written."""
    progress: events.PromptAdvanced | None = None
    """How much of that prompt is read, as long as nothing is written."""
    newest: Delta | None = None
    """What came last of the answer that is being written."""

    @property
    def answer(self) -> Turn | None:
        """The newest answer, whether it is whole or not; None where the last word is the user's."""
        turns = self.conversation.turns
        return turns[-1] if turns and turns[-1].role == "assistant" else None


def after(scene: Scene, event: events.AnySessionEvent, *, with_text: bool = True) -> Scene:
    """How it stands once this has happened. Without `with_text`, an answer has its text when it is whole: it is for who
    has seen it grow."""
    change = msgspec.structs.replace
    match event:
        case events.PhaseChanged(phase=phase):
            return change(
                scene,
                phase=phase,
                loading=scene.loading if phase == "loading" else None,
                lost=scene.lost if phase == "dead" else None,
            )
        case events.ModelLoaded(loaded=loaded):
            return change(scene, model=loaded.path)
        case ModelStands():
            return change(scene, engine=event)
        case SessionStands(head=head):
            return change(scene, stands=event, conversation=change(head, turns=scene.conversation.turns))
        case events.QueueChanged():
            return change(scene, queue=event)
        case events.ContextUsed():
            return change(scene, context=event)
        case events.LoadAdvanced():
            return change(scene, loading=event)
        case events.EngineLost():
            return change(scene, lost=event)
        case events.ConversationOpened(conversation=now):
            return change(scene, conversation=now, started=None, progress=None, newest=None)
        case events.ConversationChanged(now=now) | events.ConversationReplaced(now=now):
            return change(scene, conversation=now)
        case events.TurnsRemoved(turn_id=turn_id):
            return _cut(scene, turn_id)
        case events.UserSaid(turn=turn):
            return _with(scene, turn)
        case events.AnswerBegan(turn=turn, started=started):
            return _with(change(scene, started=started, progress=None, newest=None), turn)
        case events.PromptAdvanced():
            return change(scene, progress=event)
        case events.AnswerEnded(turn=turn):
            return _with(change(scene, started=None, progress=None, newest=None), turn)
        case events.AnswerRefused() if scene.stands is None:
            return _without_prompt(scene)
        case events.AnswerGrew(delta=delta) if with_text:
            kind = "reasoning" if delta.kind == "thinking" else "text"
            return _grown(change(scene, progress=None, newest=delta), kind, delta.text)
        case events.AnswerRecast() if with_text:
            return _recast(scene)
        case _:
            return scene


_JSON: PathJson[Scene] = PathJson(Scene)
encode, decode = _JSON.encode, _JSON.decode
"""A scene as JSON, and back; see `PathJson`."""


def retold(scene: Scene) -> Iterator[events.AnySessionEvent]:
    """What tells a screen all of it that knows nothing, or something else."""
    engine, conversation, written = scene.engine, scene.conversation, None
    if scene.started is not None and (answer := scene.answer) is not None and answer.is_streaming:
        written = answer
        conversation = msgspec.structs.replace(conversation, turns=conversation.turns[:-1])
    yield events.ConversationOpened(conversation=conversation)
    yield events.PhaseChanged(phase=scene.phase)
    if engine is not None and engine.loaded is not None:
        yield events.ModelLoaded(loaded=engine.loaded)
    yield from (told for told in (scene.loading, scene.lost, scene.queue, scene.context) if told is not None)
    if written is None or scene.started is None:
        return
    yield events.AnswerBegan(turn=msgspec.structs.replace(written, text="", reasoning=""), started=scene.started)
    if scene.progress is not None:
        yield scene.progress
    if (newest := scene.newest) is not None:
        for kind, text in (("thinking", written.reasoning), ("answer", written.text)):
            if text:
                delta = msgspec.structs.replace(newest, kind=kind, text=text)
                yield events.AnswerGrew(turn_id=written.id, delta=delta)


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


def _cut(scene: Scene, turn_id: str) -> Scene:
    turns = scene.conversation.turns
    first = next((n for n, turn in enumerate(turns) if turn.id == turn_id), len(turns))
    return msgspec.structs.replace(scene, conversation=msgspec.structs.replace(scene.conversation, turns=turns[:first]))


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
