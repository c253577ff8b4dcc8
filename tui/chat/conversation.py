"""What a conversation is: frozen records of its turns, and the pure functions that edit them or make a prompt of them.

It knows neither the engine process nor the database; `store` keeps these records and `export` writes them out.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from typing import Literal

import msgspec

from tui.base.text import fit_columns, one_line
from tui.chat import tree
from tui.files.attachment import Attachment, with_files
from tui.protocol.records import AnswerFormat, Effort, Message, PartialSampling, Role, Sampling, StopReason, Timings
from tui.words import mark, tr

TurnStop = StopReason | Literal["crashed"]
"""Why a turn ended: the engine's own reasons, or "crashed" when the engine or llmtui failed before the end."""

TITLE_COLUMNS = 48
UNTITLED = mark("New conversation")
"""The title of a conversation that has none."""


class MadeWith(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an answer was asked for with, and how it came."""

    sampling: Sampling
    """Its seed is the one that was drawn with; -1 where that is not known."""
    thinking: bool = True
    effort: str = ""
    thinking_budget: int = 0
    """Tokens; 0 for none."""
    max_tokens: int = 0
    """0 for no limit."""
    n_ctx: int = 0
    pace: tuple[float, ...] = ()
    """Tokens per second over its time, the oldest first."""
    pace_s: float = 0.0
    """Seconds between two of them."""


class Turn(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message of a conversation, with what is known about how an answer came to be."""

    id: str
    role: Role
    text: str
    created_at: float
    """Unix time in seconds."""
    reasoning: str = ""
    """What the model thought before `text`."""
    reasoning_s: float = 0.0
    n_reasoning: int = 0
    """Tokens of `reasoning`."""
    timings: Timings | None = None
    stop: TurnStop | None = None
    """Why an answer ended; None for one that still streams, and for every turn that no model wrote."""
    model: str = ""
    """Name of the model that answered, as shown."""
    backend: tuple[str, ...] = ()
    """Labels of the backends that computed the answer, in the order used: ("CPU", "Vulkan0") after a switch in its
    middle; several devices of one load are one label, "Vulkan0+Vulkan1"."""
    speeds: tuple[float, ...] = ()
    """Decode tok/s with each of `backend`, 0 where unknown; empty for an answer that stayed where it was."""
    error: str | None = None
    """What went wrong, in words for the reader, when `stop` is "crashed"."""
    is_loop: bool = False
    """The answer ended in a repetition of itself."""
    is_thought_cut: bool = False
    """`reasoning` was ended by the thinking budget."""
    is_incomplete: bool = False
    """The answer ended before it was what the conversation's `answer_format` asks for."""
    swapped_bytes: int = 0
    """By how much the machine's swap in use grew while the answer was written."""
    made_with: MadeWith | None = None
    """Of an answer; None where it was not noted."""
    edited_at: float = 0.0
    """Unix time at which a person changed the words of the answer; 0 where they are the model's."""
    files: tuple[Attachment, ...] = ()
    """What a prompt is about: texts that stand before its own where a model gets it."""

    @property
    def is_streaming(self) -> bool:
        """The model has not finished this answer."""
        return self.role == "assistant" and self.stop is None

    @property
    def content(self) -> str:
        """What a model gets of it: its text, after the files that it is about."""
        return with_files(self.files, self.text)


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as it is shown: one path through the tree of its turns, each after the one before it."""

    id: str
    created_at: float
    updated_at: float
    title: str = ""
    """Empty until the first message gives one; see `title_from`."""
    system_prompt: str = ""
    thinking: bool = True
    """Ask the model to think, where its template knows how."""
    effort: Effort = ""
    """How long the model is to think, where its template knows levels; empty leaves it to the template."""
    sampling: PartialSampling | None = None
    """What was chosen for this conversation; the rest is that of the model and the settings."""
    max_tokens: int | None = None
    """Tokens of an answer at most, 0 for no limit; None takes the settings'."""
    thinking_budget: int | None = None
    """Tokens after which a thought is ended, 0 for never; None takes the settings'."""
    answer_format: AnswerFormat | None = None
    """What answers must keep to; None leaves that to the model."""
    preset: str = ""
    """Name of the preset that was taken last; what was changed since is not in it."""
    model_path: str = ""
    turns: tuple[Turn, ...] = ()
    places: tree.Places = ()
    """Where all of its turns stand, those included that are not shown; empty while there is only one path."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a conversation stands among the others."""

    is_pinned: bool = False
    is_archived: bool = False
    tags: tuple[str, ...] = ()


class WholeConversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation with all of its branches."""

    shown: Conversation
    hidden: tuple[Turn, ...] = ()
    """The turns that are not shown; `shown.places` says where they stand."""
    place: Place = Place()


def places_of(conversation: Conversation) -> tree.Places:
    """Where all of its turns stand, whether or not there are branches."""
    return conversation.places or tree.in_line(turn.id for turn in conversation.turns)


def new_id() -> str:
    """An identifier that no other process or machine gives."""
    return uuid.uuid4().hex


def new_conversation(
    *,
    system_prompt: str = "",
    thinking: bool = True,
    effort: Effort = "",
    sampling: PartialSampling | None = None,
    model_path: str = "",
    title: str = "",
) -> Conversation:
    """An empty conversation that starts now."""
    now = time.time()
    return Conversation(
        id=new_id(),
        created_at=now,
        updated_at=now,
        title=encodable(title),
        system_prompt=encodable(system_prompt),
        thinking=thinking,
        effort=effort,
        sampling=sampling,
        model_path=model_path,
    )


def encodable(text: str) -> str:
    """`text` as UTF-8 can hold it, for the wire, the database and files: half a surrogate pair, which a broken paste
    can bring and which is no character, becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def user_turn(text: str, files: Iterable[Attachment] = ()) -> Turn:
    """What the user just sent, and the files that it is about."""
    return Turn(id=new_id(), role="user", text=encodable(text), created_at=time.time(), files=tuple(files))


def answer_turn(model: str, backend: Iterable[str] = ()) -> Turn:
    """An answer that starts to stream now: empty, `is_streaming`."""
    return Turn(id=new_id(), role="assistant", text="", created_at=time.time(), model=model, backend=tuple(backend))


def taken_up(turn: Turn, model: str) -> Turn:
    """An answer that ended, as it is when `model` goes on with it."""
    both = turn.model if turn.model == model else f"{turn.model} → {model}"
    return msgspec.structs.replace(turn, stop=None, error=None, is_loop=False, model=both)


def edited_answer(turn: Turn, text: str) -> Turn:
    """Another answer, with the words that a person gave it in place of the model's."""
    now = time.time()
    return msgspec.structs.replace(turn, id=new_id(), text=encodable(text), created_at=now, edited_at=now)


def finished(
    turn: Turn,
    *,
    text: str,
    reasoning: str = "",
    stop: TurnStop,
    timings: Timings | None = None,
    speeds: tuple[float, ...] = (),
    error: str | None = None,
    is_loop: bool = False,
    is_thought_cut: bool = False,
    is_incomplete: bool = False,
) -> Turn:
    """The answer `turn` at its end; thinking's duration and token count are taken from `timings`."""
    return msgspec.structs.replace(
        turn,
        text=text,
        reasoning=reasoning,
        reasoning_s=timings.thinking_s if timings else turn.reasoning_s,
        n_reasoning=timings.n_thinking if timings else turn.n_reasoning,
        timings=timings,
        speeds=speeds,
        stop=stop,
        error=error,
        is_loop=is_loop,
        is_thought_cut=is_thought_cut,
        is_incomplete=is_incomplete,
    )


def with_turn(conversation: Conversation, turn: Turn) -> Conversation:
    """The conversation with `turn` in the place of the turn of the same id, or else at the end. The first message of
    the user gives a conversation without a title its title."""
    turns, places = list(conversation.turns), conversation.places
    for index, old in enumerate(turns):
        if old.id == turn.id:
            turns[index] = turn
            break
    else:
        turns.append(turn)
        places = places and tree.with_added(places, turn.id)
    title = conversation.title
    if not title and turn.role == "user":
        title = title_from(turn.text)
    return msgspec.structs.replace(conversation, turns=tuple(turns), places=places, title=title, updated_at=time.time())


def truncate_from(conversation: Conversation, turn_id: str) -> tuple[Conversation, tuple[Turn, ...]]:
    """Cut the turn `turn_id` and all that follow it off what is shown; gives what is left and what was cut, which is a
    branch from now on.

    Edit-and-resend cuts from the user's turn, regenerate from the answer. Raises KeyError for a turn that is not there.
    """
    for index, turn in enumerate(conversation.turns):
        if turn.id == turn_id:
            now, turns = time.time(), conversation.turns[:index]
            places = tree.with_shown(places_of(conversation), {turn.id for turn in turns}, now)
            left = msgspec.structs.replace(conversation, turns=turns, places=places, updated_at=now)
            return left, conversation.turns[index:]
    raise KeyError(turn_id)


def last_answer(conversation: Conversation) -> Turn | None:
    """The answer that regenerate would replace: the last turn, when a model wrote it."""
    last = conversation.turns[-1] if conversation.turns else None
    return last if last is not None and last.role == "assistant" else None


def unfinished_answer(conversation: Conversation) -> Turn | None:
    """The last answer, where it ended before the model had said all, or a person has changed it, and can go on."""
    last = last_answer(conversation)
    if last is None or last.is_streaming or not (last.text.strip() or last.reasoning.strip()):
        return None
    return last if last.stop != "stop" or last.edited_at else None


def copy_with_new_ids(conversation: Conversation) -> Conversation:
    """What is shown of the conversation under ids of its own, so that it never meets the original in the store. An
    answer that was being written then is broken off: nobody goes on with it."""
    turns = tuple(_copied(turn, new_id()) for turn in conversation.turns)
    return msgspec.structs.replace(conversation, id=new_id(), turns=turns, places=())


def copy_up_to(conversation: Conversation, turn_id: str) -> Conversation:
    """A new conversation that begins as this one does, up to this turn. Raises KeyError for one that is not shown."""
    n = next((number for number, turn in enumerate(conversation.turns, start=1) if turn.id == turn_id), 0)
    if not n:
        raise KeyError(turn_id)
    now = time.time()
    begun = msgspec.structs.replace(conversation, turns=conversation.turns[:n], created_at=now, updated_at=now)
    return copy_with_new_ids(begun)


def copy_whole_with_new_ids(whole: WholeConversation) -> WholeConversation:
    """As `copy_with_new_ids`, with all branches."""
    shown, hidden = whole.shown, whole.hidden
    names = {turn.id: new_id() for turn in (*shown.turns, *hidden)}
    if not hidden or len(names) < len(shown.turns) + len(hidden):
        return WholeConversation(shown=copy_with_new_ids(shown))
    given = {place.id: place for place in shown.places}
    path = {turn.id for turn in shown.turns}
    places = tree.agreed(
        (place.id, place.parent, 0.0 if place.id in path else place.left_at or shown.updated_at or 1.0)
        for place in given.values()
        if place.id in names
    )
    if tree.shown(places) != tuple(turn.id for turn in shown.turns):  # it does not say how these follow each other
        return WholeConversation(shown=copy_with_new_ids(shown))
    copy = msgspec.structs.replace(
        shown,
        id=new_id(),
        turns=tuple(_copied(turn, names[turn.id]) for turn in shown.turns),
        places=tree.renamed(places, names),
    )
    return WholeConversation(
        shown=copy, hidden=tuple(_copied(turn, names[turn.id]) for turn in hidden if turn.id in given)
    )


def _copied(turn: Turn, id_: str) -> Turn:
    return msgspec.structs.replace(turn, id=id_, stop="crashed" if turn.is_streaming else turn.stop)


def to_messages(conversation: Conversation) -> tuple[Message, ...]:
    """The conversation as the engine takes it: the system prompt first, then every turn with its reasoning.

    Answers without text (crashed or stopped while thinking, or just begun) are left out. The user's turns on both
    sides of such a gap become one message, because many templates reject two of the same role in a row.
    """
    messages: list[Message] = []
    if conversation.system_prompt.strip():
        messages.append(Message(role="system", content=conversation.system_prompt))
    for turn in conversation.turns:
        if turn.role == "assistant":
            if turn.text.strip():
                messages.append(Message(role="assistant", content=turn.text, reasoning=turn.reasoning or None))
        elif turn.role == "user" and messages and messages[-1].role == "user":
            messages[-1] = Message(role="user", content=f"{messages[-1].content}\n\n{turn.content}")
        else:
            messages.append(Message(role=turn.role, content=turn.content))
    return tuple(messages)


def up_to_the_prompt(conversation: Conversation) -> Conversation:
    """Without what stands behind the last prompt: an answer that another window writes at this moment."""
    turns = conversation.turns
    last = max((place for place, turn in enumerate(turns) if turn.role == "user"), default=len(turns) - 1)
    return msgspec.structs.replace(conversation, turns=turns[: last + 1])


def title_from(text: str, columns: int = TITLE_COLUMNS) -> str:
    """A title of one line, at most `columns` terminal cells wide, from the first message; an ellipsis marks a cut."""
    return fit_columns(one_line(text.strip()[: columns * 40]), columns) or tr(UNTITLED)
