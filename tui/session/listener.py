"""What the controller tells: the interface that the main screen implements, and the state that it is told of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

from tui.chat.conversation import Conversation, Turn
from tui.config.problems import ConfigProblem
from tui.protocol.death import Death
from tui.protocol.messages import ContextRestored, Delta, Loaded, Prefill, Started
from tui.protocol.records import ErrorInfo
from tui.session.moves import Moved

Phase = Literal["starting", "no_model", "loading", "ready", "answering", "dead"]
"""What the engine is at: only in "ready" a prompt can be answered, only in "answering" an answer be stopped."""


class Listener(Protocol):
    """What a screen hears. Called on the event loop's thread, in the order in which things happen."""

    def phase_changed(self, phase: Phase) -> None: ...
    def load_progressed(self, fraction: float) -> None: ...
    def model_loaded(self, loaded: Loaded) -> None: ...
    def model_moved(self, moved: Moved, turn_id: str = "") -> None:
        """`turn_id` is that of the answer in whose middle it moved."""
        ...

    def load_failed(self, path: Path, info: ErrorInfo) -> None: ...
    def conversation_opened(self, conversation: Conversation) -> None: ...
    def conversation_changed(self, before: Sequence[Turn], now: Conversation, n_same: int) -> None:
        """Another window has changed the open conversation; of the turns `before`, the first `n_same` are as they
        were."""
        ...

    def conversation_replaced(self, before: Sequence[Turn], now: Conversation) -> None:
        """It is a new one with the same turns as `before`, which have other ids."""
        ...

    def changes_elsewhere(self) -> None:
        """Another window changes the conversation in which an answer is being written; that is shown later."""
        ...

    def changed_elsewhere(self, *, has_turns: bool) -> None:
        """Why the conversation looks different: other messages, or another name or settings."""
        ...

    def not_replaced(self) -> None:
        """What others have written came in the way of what was to be replaced."""
        ...

    def conversation_gone(self, *, is_saved: bool, is_anew: bool) -> None:
        """Why it is a new one: it was deleted in another window, or `is_anew` the database."""
        ...

    def turns_removed(self, turn_id: str, n: int) -> None:
        """This turn and all after it, `n` in all, are taken out, to be replaced."""
        ...

    def turns_put_back(self, came: Sequence[Turn], turns: Sequence[Turn]) -> None:
        """Why it looks different: `turns`, which were removed, are there again, and what `came` since is removed."""
        ...

    def queue_changed(self) -> None:
        """Other prompts wait now, or they wait for something else."""
        ...

    def prompts_withdrawn(self, texts: Sequence[str]) -> None:
        """These waited in a conversation that was left, and are not sent."""
        ...

    def user_said(self, turn: Turn) -> None: ...
    def answer_began(self, turn: Turn, started: Started) -> None: ...
    def prompt_progressed(self, turn_id: str, progress: Prefill) -> None: ...
    def answer_grew(self, turn_id: str, delta: Delta) -> None: ...
    def answer_was_thinking(self, turn_id: str) -> None: ...
    def answer_paused(self, turn_id: str) -> None: ...
    def answer_ended(self, turn: Turn) -> None: ...
    def answer_refused(self, info: ErrorInfo) -> None:
        """What the answer was to replace is to be put back, now or later."""
        ...

    def context_restored(self, restored: ContextRestored) -> None: ...
    def context_used(self, n_used: int, n_ctx: int) -> None: ...
    def engine_died(self, death: Death) -> None: ...
    def problem(self, problem: ConfigProblem) -> None: ...
    def fault(self, error: Exception) -> None:
        """Something that llmtui should have been able to do was broken off."""
        ...


class Deaf:
    """A listener that hears nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None
