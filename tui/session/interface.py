"""What a screen may ask of a session, wherever that runs: what can be read of it at any time, and what it can be asked
to do. Every change is told as an event (`events.py`). A session in this process is a `Controller`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tui.chat import tree
from tui.chat.conversation import Conversation, Turn, copy_up_to
from tui.chat.store import Node, StoreError
from tui.config.sampling import Source
from tui.config.settings import ChosenLoad
from tui.files.attachment import Attachment
from tui.models.info import ModelInfo
from tui.protocol.records import Device, SamplingValue
from tui.session.answer_settings import default_values
from tui.session.beside import Beside
from tui.session.context_meter import TextLength
from tui.session.engine_seen import EngineSeen
from tui.session.events import Phase
from tui.session.loads import LoadRequest
from tui.session.prompt_queue import QueuedPrompt


class ModelSeen(Protocol):
    """The model of a session: what is loaded, or was last; see `ModelLoading`."""

    @property
    def devices(self) -> tuple[Device, ...]: ...
    @property
    def path(self) -> Path | None: ...
    @property
    def name(self) -> str: ...
    @property
    def choice(self) -> ChosenLoad: ...
    @property
    def fatal_choice(self) -> ChosenLoad | None: ...
    @property
    def info(self) -> ModelInfo | None: ...
    @property
    def headers(self) -> Mapping[str, ModelInfo]: ...


class ContextSeen(Protocol):
    """How full the context is; see `ContextMeter`."""

    @property
    def n_used(self) -> int: ...
    @property
    def n_system(self) -> int: ...
    @property
    def n_files(self) -> int: ...

    async def measure(self) -> None:
        """Have the open conversation counted, and tell."""


class PromptsSeen(Protocol):
    """What waits to be answered; see `PromptQueue`."""

    is_load_coming: Callable[[], bool]
    """Whether a load is being prepared, for which prompts wait; whoever prepares loads sets it."""

    @property
    def texts(self) -> tuple[str, ...]: ...
    @property
    def is_held(self) -> bool: ...

    def send(self, text: str, replaces: str = "", files: tuple[Attachment, ...] = ()) -> None:
        """Send what the user wrote, at once or when all that goes before it is answered."""

    def release(self) -> None:
        """Go on with what waits."""

    def send_next(self) -> None:
        """Send what can be sent now."""


class Session(Beside, ABC):
    """One engine and one open conversation. What only begins something returns at once; what waits may raise
    `StoreError` or `EngineDied`."""

    engine: EngineSeen
    model: ModelSeen
    context: ContextSeen
    queue: PromptsSeen

    outlives = False
    """It can go on when this process ends."""
    leaves_running = True
    """If so, it does when this is closed; else all of it ends, if no other screen is there."""

    @property
    def is_busy(self) -> bool:
        """Something runs, or waits to be answered."""
        is_waiting = bool(self.queue.texts) and not self.queue.is_held
        return self.phase in ("loading", "answering") or self.is_writing or is_waiting

    async def connect(self) -> bool:
        """Reach the session, before anything is asked of it. Whether it was there before and has something in it,
        which is told now and stays open."""
        return False

    @abstractmethod
    async def start(self) -> None:
        """Start the engine, and to read the machine; nothing is loaded yet."""

    @abstractmethod
    async def close(self, patience_s: float | None = None) -> None:
        """Stop everything and write what waits, once: whoever comes later waits for the same end. `patience_s` is that
        of `end_work`."""

    # What can be read -------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def phase(self) -> Phase:
        """What the engine is at."""

    @property
    @abstractmethod
    def conversation(self) -> Conversation:
        """The one that is open."""

    @property
    @abstractmethod
    def is_writing(self) -> bool:
        """An answer is being written, or waits while its model is loaded again."""

    @property
    @abstractmethod
    def can_answer(self) -> bool:
        """A model is loaded, and an answer that is asked for now is given: at once, or as soon as what is left to do of
        a load or of the answer before is done."""

    @property
    def has_keys(self) -> bool:
        """No other screen has acted in this session since this one did: questions about it are asked here."""
        return True

    @property
    def n_unsaved(self) -> int:
        """Conversations' changes that could not be saved yet, and are tried again."""
        return self.store.n_unsaved

    @property
    def is_written_elsewhere(self) -> bool:
        """One of the answers is not complete; another window writes it, unless that is done here."""
        return any(turn.is_streaming for turn in self.conversation.turns)

    def default_values(self) -> dict[str, tuple[SamplingValue, Source]]:
        """What the next answer would be made with if the conversation had nothing of its own; see
        `answer_settings.default_values`."""
        return default_values(self.conversation, self.settings, self.engine.loaded, self.model.info)

    @abstractmethod
    async def engine_log(self) -> Sequence[str]:
        """The last lines of the engine's log, oldest first."""

    # Model ------------------------------------------------------------------------------------------------------------

    @abstractmethod
    def load(
        self, request: LoadRequest, name: str = "", info: ModelInfo | None = None, *, then_answer: bool = False
    ) -> None:
        """Load a model in place of the present one; the outcome is told. An answer of the same model waits meanwhile
        and goes on then; whatever else runs is stopped. `info` is what its file tells. With `then_answer`, the
        conversation, whose last turn is the user's, is answered once it is loaded."""

    @abstractmethod
    def retry(self) -> None:
        """Try the load that failed last once more."""

    @abstractmethod
    def restart(self, **changes: Any) -> None:
        """A new engine with the same model. `changes` are made to the load settings, after a death to those that it
        died with."""

    @abstractmethod
    async def unload(self) -> None:
        """Free the model, if there is one; the conversation stays."""

    @abstractmethod
    async def share_language(self) -> None:
        """The engine's processes word errors and notes in the language that this one speaks now."""

    # Conversation -----------------------------------------------------------------------------------------------------

    @abstractmethod
    async def new(self) -> None:
        """Leave the conversation, which is saved, for an empty one."""

    @abstractmethod
    async def open(self, conversation_id: str, *, keeps_prompts: bool = False) -> None:
        """Show a saved conversation; with `keeps_prompts`, what waits is for it. Raises `StoreError` when it cannot be
        read."""

    @abstractmethod
    async def delete(self, conversation_id: str) -> None:
        """Delete a conversation for good; the open one is left before, and an answer in it stopped. Raises
        `StoreError`."""

    @property
    def is_settled(self) -> bool:
        """No answer is being written, here or in another window: what was said can be changed."""
        return not (self.is_writing or self.is_written_elsewhere)

    def siblings(self, turn_id: str) -> tuple[str, ...]:
        """What stands in the place of a message that is shown, itself among them; only itself where that is all."""
        places = self.conversation.places
        return tree.siblings(places, turn_id) if any(place.id == turn_id for place in places) else (turn_id,)

    async def nodes(self) -> tuple[Node, ...]:
        """The whole tree of the open conversation, as a list of its messages. Raises `StoreError`."""
        await self.settled()
        return await self.store.nodes(self.conversation.id)

    async def turn(self, turn_id: str) -> Turn:
        """A message, shown or not. Raises `StoreError`."""
        shown = next((turn for turn in self.conversation.turns if turn.id == turn_id), None)
        return await self.store.turn(turn_id) if shown is None else shown

    @abstractmethod
    async def show_branch(self, turn_id: str) -> bool:
        """Show the branch that holds this message, with what was shown behind it last. False when nothing may be
        changed now. Raises `StoreError`."""

    async def step_branch(self, turn_id: str, by: int) -> bool:
        """Show the sibling that is so many before or after this message, around at the ends. False when it has none, or
        nothing may be changed now. Raises `StoreError`."""
        alike = self.siblings(turn_id)
        return len(alike) > 1 and await self.show_branch(alike[(alike.index(turn_id) + by) % len(alike)])

    @abstractmethod
    async def remove_turn(self, turn_id: str) -> bool:
        """Delete one message for good; what follows it stays. False when nothing may be changed now. Raises
        `StoreError`."""

    @abstractmethod
    async def edit_answer(self, turn_id: str, text: str) -> bool:
        """Put other words in the place of an answer: a branch, as the old ones stay. False when nothing may be changed
        now, or it is no answer that is shown."""

    async def branch_off(self, turn_id: str) -> None:
        """Open a new conversation that begins as this one does up to this message. Raises `StoreError`, and KeyError
        for a message that is not shown."""
        copy = copy_up_to(self.conversation, turn_id)
        try:
            await self.store.create(copy)
        except StoreError as error:
            if not error.is_retried:
                raise
        await self.open(copy.id)

    @abstractmethod
    def configure(self, **changes: Any) -> None:
        """Change any field of the open conversation but its turns."""

    @abstractmethod
    async def save_now(self) -> None:
        """Save what there is at once, of an answer that is being written too."""

    @abstractmethod
    async def settled(self) -> None:
        """What was asked for before is saved, or waits for another try."""

    @abstractmethod
    async def keep_draft(self) -> None:
        """Keep what is written and not sent as it is now, in case llmtui is killed."""

    # Answers ----------------------------------------------------------------------------------------------------------

    @abstractmethod
    def answer(self, *, drop_oldest: bool = False, replaces: str = "", goes_on: bool = False) -> None:
        """Answer the conversation as it stands, its last turn being the user's, or in the place of the answer with the
        id `replaces`; with `goes_on`, go on with the last answer, which ended before it was complete. What waits is
        sent after that."""

    @abstractmethod
    def end_thought(self) -> None:
        """Have the thought of the answer that is being written end, so that the answer comes; one that has not begun
        ends at once. Nothing happens where no answer is written, or no thought."""

    @abstractmethod
    def put_back(self) -> None:
        """Undo what is to be replaced, as long as no answer has come."""

    @abstractmethod
    async def take_back(self) -> QueuedPrompt | None:
        """Take the newest prompt that waits out; None where none does any more."""

    @abstractmethod
    def interrupt(self) -> None:
        """Ask an answer or a load to stop; what there is of an answer stays, and what waits is held. Returns at
        once."""

    @abstractmethod
    async def length_of(self, text: str, *, is_next: bool = True) -> TextLength | None:
        """How long a text is as a message; None while no model can say. With `is_next` it is the beginning of the next
        prompt, and is read ahead."""
