"""What a host and who asks it say to each other, in the frames of `tui.protocol.wire`. The first frame is the host's
`Welcome`; of another version, it is the only one that is understood."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tui.protocol.messages import Loaded
from tui.session.events import Phase
from tui.shell.question import Question
from tui.words import Language, tr

HOST_PROTOCOL = 2
"""Version of what is said here, and of the events that travel in it. The two sides differ where llmtui was replaced
while a host ran."""


class HostMessage(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of both directions. Fields that one side does not know are passed over."""


# What a host says -----------------------------------------------------------------------------------------------------


class Welcome(HostMessage, frozen=True):
    """First of all. Its fields stay as they are in every version."""

    version: str
    """Of llmtui."""
    pid: int
    protocol: int = HOST_PROTOCOL


class Begun(HostMessage, frozen=True):
    """It is the question's turn."""

    session: str
    """Id of its session."""
    model: str
    """Name of the model that answers."""
    loaded: Loaded | None = None
    """What is loaded already; None while it has to be loaded first."""


class Happened(HostMessage, frozen=True):
    """Something happened in the session."""

    number: int
    """Of the event since the host began, without gaps."""
    event: bytes
    """As `tui.session.events.encode` writes it."""


class Remark(HostMessage, frozen=True):
    """What the person who asked should know."""

    sentence: str


class Closed(HostMessage, frozen=True):
    """The question is done with. Without a `code` the events have told how."""

    code: int = 0
    """An exit code, where nothing was begun."""
    sentence: str = ""
    """Why not, and what to do."""
    conversation: str = ""
    """Id of the conversation; empty where it is not saved."""


class Caught(HostMessage, frozen=True):
    """Where the session stands, for who follows it from here on or cannot be told all that it missed."""

    number: int
    """Of the last event that is part of it."""
    scene: bytes
    """JSON of a `tui.host.scene.Scene`."""
    session: str = ""
    """Id of a session that can be joined, never given twice."""


class Rested(HostMessage, frozen=True):
    """To who follows: nothing is asked, or the question that was answered is done with."""


OF_LEAVING = 0
"""The `Returned.id` of what went wrong when a session ended because of a `Leave`."""


class Returned(HostMessage, frozen=True):
    """A `Call` is done with. All that it changed was told before."""

    id: int
    result: bytes = b""
    """As `tui.host.operations.encode` writes it."""
    problem: bytes = b""
    """The same of a `Problem`, in the place of a result."""


class KeysMoved(HostMessage, frozen=True):
    """To who has joined: this viewer has the keys now."""

    viewer: str


State = Literal["starting", "no_model", "loading", "ready", "answering", "dead", "waiting", "done", "failed"]
"""Of a session: a `Phase`, or that it waits for its turn, or what became of a question."""
SessionKind = Literal["ask", "app"]


class SessionStatus(HostMessage, frozen=True):
    """One session of a host."""

    id: str
    kind: SessionKind
    """Who has opened it: a question by itself, or the app."""
    title: str
    """Of its conversation; empty for an empty one."""
    conversation: str
    """Id of that; empty where it is not saved."""
    model: str
    """Name of the one that answers, or has answered."""
    state: State
    started_at: float
    """Unix time in seconds."""
    n_before: int = 0
    """Sessions whose turn comes first while it waits."""
    n_viewers: int = 0
    """How many follow it."""


class Fetched(HostMessage, frozen=True):
    """One download of a host."""

    name: str
    n_bytes: int
    size_bytes: int


class HostStatus(HostMessage, frozen=True):
    """What a host has and does."""

    version: str
    pid: int
    started_at: float
    """Unix time in seconds."""
    phase: Phase
    model: str
    """Name of what is loaded; empty for nothing."""
    path: str
    sessions: tuple[SessionStatus, ...]
    """The oldest first; of questions that are over, the newest ones."""
    memory_bytes: int
    """Of the host and its engine, as the system counts what is their own and what is mapped."""
    downloads: tuple[Fetched, ...]
    """What it fetches while no screen is there, or will."""
    survival: str
    """What becomes of it when its user logs out; a `tui.host.survival.Survival`."""
    ends_in_s: float
    """Until it ends by itself if nobody asks; negative for never or not while it works."""


class Stopped(HostMessage, frozen=True):
    """What came of `StopSession`."""

    was_there: bool


# What is said to a host -----------------------------------------------------------------------------------------------


class AskHost(HostMessage, frozen=True):
    """Answer this. `Happened` … with `Begun` and `Remark` between them, and in the end `Closed` come back."""

    question: Question
    language: Language
    """Of what is said about it."""
    key: str = ""
    """Chosen by who asks, never twice: the same question once more is not asked again but followed, for who has lost
    the line."""
    after: int = 0
    """The last event of it that was heard."""


class StopAsking(HostMessage, frozen=True):
    """The question of this connection is not wanted any more; `Closed` comes all the same."""


class FollowHost(HostMessage, frozen=True):
    """Tell what happens in a session: `Happened` with every event after that of this number, or `Caught` first where
    they are not kept any more, or nothing is known yet (-1). `Rested` says when a question is over. `Closed` instead of
    all that where there is no such session."""

    after: int = -1
    session: str = ""
    """Its id, or what `Caught` calls it; empty for the one that was asked last."""


class StopSession(HostMessage, frozen=True):
    """End one session, and what it does; what there is of an answer is saved. `Stopped` comes back."""

    session: str


class Join(HostMessage, frozen=True):
    """Follow a session of screens as with `FollowHost`, and act in it; the keys are this viewer's then. Without a
    `session` it is one that no screen follows, else the newest, else a new one. `Closed` comes where it has ended."""

    viewer: str
    """Chosen by who joins, the same each time that it comes back."""
    language: Language
    """Of what is said to it."""
    session: str = ""
    """As `Caught` told it; empty for who was never there."""
    after: int = -1
    """The last event that was heard of that session."""
    is_new: bool = False
    """Begin another session in any case."""


class Call(HostMessage, frozen=True):
    """Carry this out; `Returned` comes back, once. After a broken line all calls come again that have no answer."""

    id: int
    """Counted by the viewer from 1 on."""
    operation: bytes
    """As `tui.host.operations.encode` writes it."""


class Leave(HostMessage, frozen=True):
    """The viewer goes, and does not come back."""

    ends: bool
    """Nobody else is there: the session is to end, and the host with it if nothing else is to be done."""


class FreeModel(HostMessage, frozen=True):
    """Free what is loaded, unless something is asked. A `HostStatus` comes back."""


class AskStatus(HostMessage, frozen=True):
    """A `HostStatus` comes back."""


FROM_HOST = (
    Welcome | Begun | Happened | Remark | Closed | Caught | Rested | Returned | KeysMoved | HostStatus | Stopped
)  # fmt: skip
TO_HOST = AskHost | StopAsking | FollowHost | StopSession | Join | Call | Leave | FreeModel | AskStatus


def host_decoder() -> msgspec.msgpack.Decoder[Any]:
    """Of what a host says."""
    return msgspec.msgpack.Decoder(FROM_HOST)


def client_decoder() -> msgspec.msgpack.Decoder[Any]:
    """Of what is said to a host."""
    return msgspec.msgpack.Decoder(TO_HOST)


def no_such_session(id: str) -> str:
    """What to say where there is none with this id."""
    return tr("There is no session {id} in the background. llmtui ls lists those that are there.", id=id)
