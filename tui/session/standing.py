"""How a session stands, as records: what can be read of it at any time and no other event tells. A host tells them
before whatever they changed with, so that a session elsewhere reads the same when it hears that."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tui.chat.conversation import Conversation
from tui.config.settings import ChosenLoad
from tui.models.info import ModelInfo
from tui.protocol.messages import Hello, Loaded
from tui.protocol.records import Device
from tui.session.event_base import SessionEvent


class ModelStands(SessionEvent, frozen=True):
    """Engine and model are otherwise now; see `EngineSeen` and `ModelSeen`."""

    alive: bool = False
    pid: int | None = None
    hello: Hello | None = None
    loaded: Loaded | None = None
    devices: tuple[Device, ...] = ()
    path: Path | None = None
    name: str = ""
    choice: ChosenLoad = ChosenLoad()
    fatal_choice: ChosenLoad | None = None
    headers: dict[str, ModelInfo] = msgspec.field(default_factory=dict)
    """Of what is loaded and of `path`, by path."""
    prefill_tps: float = 0.0
    """How fast prompts are read with what is loaded; 0 when that is not known."""

    @property
    def info(self) -> ModelInfo | None:
        """What the file of the loaded model tells; None while none is loaded."""
        return self.headers.get(self.loaded.path) if self.loaded else None


class SessionStands(SessionEvent, frozen=True):
    """The session is otherwise now."""

    head: Conversation
    """The open conversation without its turns."""
    is_saved: bool = False
    is_writing: bool = False
    can_answer: bool = False
    n_used: int = 0
    """Tokens in the context; an answer that is being written tells of more."""
    n_system: int = 0
    n_files: int = 0
    n_unsaved: int = 0
    """Writes to the store that wait for another try."""
