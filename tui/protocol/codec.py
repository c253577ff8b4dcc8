"""Frames read as commands and events: which there are, what ends each command, and what a frame of another version
has all the same."""

from __future__ import annotations

from typing import Union, get_args

import msgspec

from tui.protocol import bench_messages, messages
from tui.protocol.messages import AnyCommand, Cancel, Command, DryRun, EndThought, Event, Load
from tui.protocol.records import ErrorInfo
from tui.words.later import later

_SUBJECTS = (messages, bench_messages)
_STRUCTS = tuple(kind for subject in _SUBJECTS for kind in vars(subject).values() if isinstance(kind, type))
EVENTS: tuple[type[Event], ...] = tuple(kind for kind in _STRUCTS if issubclass(kind, Event) and kind is not Event)
COMMANDS: tuple[type[AnyCommand], ...] = tuple(
    kind for kind in _STRUCTS if issubclass(kind, Command) and kind is not Command
)
ANSWERS: dict[type[AnyCommand], type[Event]] = {
    kind: get_args(vars(kind)["__orig_bases__"][0])[0] for kind in COMMANDS if kind not in (Cancel, EndThought)
}
"""What ends each command, beside `Failed`. Nothing answers a `Cancel`, or an `EndThought`."""


class Envelope(msgspec.Struct, frozen=True):
    """What every message of every version has, to tell what one is about that cannot be read."""

    type: str
    id: int = 0


class Greeting(msgspec.Struct, frozen=True):
    """What a `Hello` of every version has."""

    protocol: int = 0
    """`Hello.protocol`; 0 of an engine that is older than versions are."""


def command_decoder() -> msgspec.msgpack.Decoder[AnyCommand]:
    """Reads frames of any command. Raises `msgspec.ValidationError` for one that is not among `COMMANDS`."""
    return msgspec.msgpack.Decoder(Union[COMMANDS])  # noqa: UP007 - made from a tuple


def event_decoder() -> msgspec.msgpack.Decoder[Event]:
    """Reads frames of any event. Raises `msgspec.ValidationError` for one that is not among `EVENTS`."""
    return msgspec.msgpack.Decoder(Union[EVENTS])  # noqa: UP007


def not_text(command: AnyCommand) -> ErrorInfo:
    """Why a command cannot be sent that holds what UTF-8 cannot encode."""
    if isinstance(command, Load | DryRun):
        # Shown as it is where nothing else stands for the bytes that are no text.
        path = command.path.encode("utf-8", "replace").decode()
        detail = later("{path}: its name is not UTF-8. Rename the file", path=path)
        return ErrorInfo(kind="model_unreadable", detail=detail)
    detail = later("the text has characters that cannot be encoded (lone surrogates)")
    return ErrorInfo(kind="internal", detail=detail)
