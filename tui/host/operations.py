"""What a screen asks of a session in a host: one record for each operation, which names what answers it, and the
errors that come back. `served.py` carries them out, `remote_session.py` asks for them.

A new operation touches three places: a record here, a function in `served.py`, a method of `RemoteSession`.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from tui.base.pathtext import from_text, to_text
from tui.chat.conversation import Conversation
from tui.chat.schema import StoreError, StoreFault
from tui.config.state import RememberedLoad
from tui.engines.interface import EngineError
from tui.files.attachment import Attachment
from tui.models.info import ModelInfo
from tui.protocol.death import Death, EngineDied
from tui.protocol.records import ErrorInfo
from tui.session.context_meter import TextLength
from tui.session.loads import LoadRequest
from tui.session.prompt_queue import QueuedPrompt
from tui.words import Language

ResultT = TypeVar("ResultT")


class Operation(msgspec.Struct, Generic[ResultT], frozen=True, kw_only=True, tag=True):
    """Base of what can be asked: an `Operation[int]` is answered by an int."""

    result: ClassVar[Any] = None
    """The type of what answers it, for reading that."""
    acts: ClassVar[bool] = True
    """Somebody wants it: whoever sends it has the keys. Else it is only looked at something."""


class StartEngine(Operation[None], frozen=True):
    """Start the engine, if it does not run."""

    acts = False


class EngineLog(Operation[tuple[str, ...]], frozen=True):
    """The last lines of its log."""

    result, acts = tuple[str, ...], False


class AskEngine(Operation[bytes], frozen=True):
    """Ask the engine itself; both are frames of `tui.protocol.codec`."""

    result, acts = bytes, False
    command: bytes


class Load(Operation[None], frozen=True):
    request: LoadRequest
    name: str
    info: ModelInfo | None
    then_answer: bool


class Retry(Operation[None], frozen=True):
    """Load once more what could not be loaded."""


class Restart(Operation[None], frozen=True):
    """A new engine, with these fields of `ChosenLoad` changed."""

    changes: RememberedLoad


class Unload(Operation[None], frozen=True):
    """Free the model."""


class Speak(Operation[None], frozen=True):
    """Word errors and notes in this language."""

    acts = False
    language: Language


class New(Operation[None], frozen=True):
    """Open an empty conversation."""


class Open(Operation[None], frozen=True):
    conversation_id: str
    keeps_prompts: bool


class Delete(Operation[None], frozen=True):
    conversation_id: str


class ShowBranch(Operation[bool], frozen=True):
    """Show the branch that this message is in."""

    result = bool
    turn_id: str


class RemoveTurn(Operation[bool], frozen=True):
    """Delete one message."""

    result = bool
    turn_id: str


class EditAnswer(Operation[bool], frozen=True):
    """Put other words in the place of an answer."""

    result = bool
    turn_id: str
    text: str


class Configure(Operation[None], frozen=True):
    """Take these fields of the conversation over."""

    fields: tuple[str, ...]
    values: Conversation
    """Without its turns."""


class Flush(Operation[None], frozen=True):
    """Save what there is, of an answer that is being written too."""

    acts = False


class Settle(Operation[None], frozen=True):
    """Wait until all that was asked for before is saved."""

    acts = False


class Answer(Operation[None], frozen=True):
    drop_oldest: bool
    replaces: str
    goes_on: bool


class AnswerNow(Operation[None], frozen=True):
    """Have the answer come now."""


class PutBack(Operation[None], frozen=True):
    """Undo what is to be replaced."""


class Interrupt(Operation[None], frozen=True):
    """Stop an answer or a load."""


class Send(Operation[None], frozen=True):
    text: str
    replaces: str
    files: tuple[Attachment, ...]
    is_load_coming: bool
    """Whoever sends it prepares a load, for which prompts wait."""


class Release(Operation[None], frozen=True):
    """Go on with the prompts that wait."""

    is_load_coming: bool


class SendNext(Operation[None], frozen=True):
    """Send what can be sent."""

    acts = False
    is_load_coming: bool


class TakeBack(Operation[QueuedPrompt | None], frozen=True):
    """Take out the newest prompt that waits."""

    result = QueuedPrompt | None


class LengthOf(Operation[TextLength | None], frozen=True):
    result, acts = TextLength | None, False
    text: str
    is_next: bool


class MeasureContext(Operation[None], frozen=True):
    """Have the open conversation counted."""

    acts = False


AnyOperation = (
    StartEngine | EngineLog | AskEngine | Load | Retry | Restart | Unload | Speak | New | Open | Delete | ShowBranch
    | RemoveTurn | EditAnswer | Configure | Flush | Settle | Answer | AnswerNow | PutBack | Interrupt | Send | Release
    | SendNext | TakeBack | LengthOf | MeasureContext
)  # fmt: skip


# Errors ---------------------------------------------------------------------------------------------------------------


class Fault(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A fault of llmtui itself; the host's log has the traceback."""

    kind: str
    detail: str


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An `EngineError`."""

    info: ErrorInfo


class Died(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An `EngineDied`."""

    death: Death


class Unsaved(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A `StoreError`."""

    fault: StoreFault


Problem = Fault | Refused | Died | Unsaved


class HostFault(Exception):
    """Something was broken off in the host because of a fault of llmtui itself."""


def problem_of(error: Exception) -> Problem:
    """An error as it crosses."""
    match error:
        case EngineError(info=info):
            return Refused(info=info)
        case EngineDied(death=death):
            return Died(death=death)
        case StoreError(fault=fault):
            return Unsaved(fault=fault)
    return Fault(kind=type(error).__name__, detail=str(error))


def error_of(problem: Problem) -> Exception:
    """And on the other side, to be raised."""
    match problem:
        case Refused(info=info):
            return EngineError(info)
        case Died(death=death):
            return EngineDied(death)
        case Unsaved(fault=fault):
            return fault.error
        case Fault(kind=kind, detail=detail):
            return HostFault(f"{kind}: {detail}")


# As bytes -------------------------------------------------------------------------------------------------------------

_ENCODER = msgspec.json.Encoder(enc_hook=to_text)


def encode(value: object) -> bytes:
    """An operation, a result or a problem. Raises UnicodeEncodeError for a file name that is no text."""
    return _ENCODER.encode(value)


def operation_of(data: bytes) -> AnyOperation:
    """Raises `msgspec.MsgspecError`."""
    operation: AnyOperation = _operations().decode(data)
    return operation


@cache
def _operations() -> msgspec.json.Decoder[Any]:
    """Made when it is wanted: who asks needs none."""
    return msgspec.json.Decoder(AnyOperation, dec_hook=from_text)


def result_of(operation: Operation[ResultT], data: bytes) -> ResultT:
    """Raises `msgspec.MsgspecError`."""
    result: ResultT = msgspec.json.decode(data, type=operation.result, dec_hook=from_text)
    return result


def read_problem(data: bytes) -> Problem:
    """Raises `msgspec.MsgspecError`."""
    problem: Problem = msgspec.json.decode(data, type=Problem)
    return problem


def new_viewer() -> str:
    """A name for one screen, never given twice."""
    return os.urandom(12).hex()
