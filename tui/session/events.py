"""What a session tells, as records: every change that a screen, a log or another process has to know of to follow it.

Every event is a tagged struct, so that `encode` makes one line of JSON of any of them and `decode` the same event of
that line. `announcer` tells each event to all who listen.
"""

from __future__ import annotations

from pathlib import Path

from tui.base.pathtext import PathJson
from tui.chat.conversation import Conversation, Turn
from tui.chat.schema import StoreFault
from tui.config.problems import ConfigProblem
from tui.downloads.records import Download, Order, Problem
from tui.machine.pressure import Shortage
from tui.machine.readings import GpuSample, HostSample, NpuSample
from tui.protocol.death import Death
from tui.protocol.messages import ContextRestored, Delta, Loaded, Prefill, Started
from tui.protocol.records import ErrorInfo, TokenOdds
from tui.session.event_base import Phase as Phase
from tui.session.event_base import SessionEvent as SessionEvent
from tui.session.loads import Reload
from tui.session.speed import SpeedNow
from tui.session.standing import ModelStands, SessionStands

# Engine and model -----------------------------------------------------------------------------------------------------


class PhaseChanged(SessionEvent, frozen=True):
    """The engine is at something else now."""

    phase: Phase


class LoadAdvanced(SessionEvent, frozen=True):
    """A part of the model is loaded."""

    fraction: float
    """0.0 to 1.0."""


class ModelLoaded(SessionEvent, frozen=True):
    """A model can be used."""

    loaded: Loaded
    """What the engine says of it."""


class ModelReloaded(SessionEvent, frozen=True):
    """The model that was loaded is loaded again, on another backend or with other settings."""

    reload: Reload
    """What that took."""
    turn_id: str = ""
    """The answer in whose middle that was done; empty between answers."""


class LoadFailed(SessionEvent, frozen=True):
    """A model could not be loaded. What was loaded before may be loaded still, or be gone."""

    path: Path
    """The file that was to be loaded."""
    info: ErrorInfo
    """Why it was not."""


class TurnAwaited(SessionEvent, frozen=True):
    """Other sessions of the same engine are served first."""

    n_before: int
    """How many, the one included that is served now; 0 when it is this one's turn after all."""


class EngineLost(SessionEvent, frozen=True):
    """The engine died, or could not be started."""

    death: Death
    """How, and why as far as known."""


class CacheRestored(SessionEvent, frozen=True):
    """The KV cache of the open conversation came from its file, or could not be used."""

    restored: ContextRestored
    """How much of it, or why not."""


class ContextUsed(SessionEvent, frozen=True):
    """How much of the context the open conversation takes."""

    n_used: int
    """Tokens."""
    n_ctx: int
    """Size of the context in tokens."""
    n_system: int = 0
    """Of those tokens, what the system prompt takes; 0 without one, and until it was counted."""
    n_files: int = 0
    """Of those tokens, what files take that prompts are about; 0 without any, and until they were counted."""


# The open conversation ------------------------------------------------------------------------------------------------


class ConversationOpened(SessionEvent, frozen=True):
    """Another conversation is open, a new or a saved one."""

    conversation: Conversation
    """All of it."""


class ConversationChanged(SessionEvent, frozen=True):
    """The open conversation has other turns or settings, and not because of an answer or a prompt."""

    before: tuple[Turn, ...]
    """The turns that it had."""
    now: Conversation
    """All of it, as it is."""
    n_same: int
    """So many turns from the first on are as they were."""
    focus: str = ""
    """The message that somebody wanted to see; empty where it is not about one."""


class ConversationReplaced(SessionEvent, frozen=True):
    """The open conversation is a new one with the same turns, which have new ids."""

    before: tuple[Turn, ...]
    """The turns under their old ids."""
    now: Conversation
    """The new one."""


class ConversationGone(SessionEvent, frozen=True):
    """Why a `ConversationReplaced` came just before: the conversation was deleted in another window."""

    is_saved: bool
    """What is shown is saved as a new conversation already; else it will be with the next prompt."""
    is_other_database: bool
    """It was not deleted alone: the whole database is another one."""


class OtherWindowWrites(SessionEvent, frozen=True):
    """Another window changes the conversation in which an answer is being written; that is shown after the answer."""


class OtherWindowWrote(SessionEvent, frozen=True):
    """Why a `ConversationChanged` came just before: another window did it."""

    has_turns: bool
    """It wrote or replaced messages; else it changed the name or settings."""


class ReplaceConflict(SessionEvent, frozen=True):
    """What other windows have written came in the way of what was to be replaced: nothing is replaced."""


class TurnsRemoved(SessionEvent, frozen=True):
    """Messages are taken out of the conversation, to be replaced."""

    turn_id: str
    """The first of them."""
    n: int
    """How many: this one and all after it."""


class TurnsPutBack(SessionEvent, frozen=True):
    """Why a `ConversationChanged` came just before: what was to be replaced is there again."""

    came: tuple[Turn, ...]
    """What had come in its place, and is removed."""
    turns: tuple[Turn, ...]
    """What is there again."""


# Prompts and answers --------------------------------------------------------------------------------------------------


class QueueChanged(SessionEvent, frozen=True):
    """Other prompts wait now, or they wait for something else."""

    texts: tuple[str, ...]
    """The prompts that wait, in the order in which they are sent."""
    is_held: bool
    """They wait until somebody asks for an answer."""


class PromptsWithdrawn(SessionEvent, frozen=True):
    """Prompts that waited in a conversation that was left. They are not sent."""

    texts: tuple[str, ...]
    """In the order in which they would have been sent; none where none waited."""


class UserSaid(SessionEvent, frozen=True):
    """A prompt is part of the conversation now."""

    turn: Turn
    """The prompt."""


class AnswerBegan(SessionEvent, frozen=True):
    """The engine reads the prompt of an answer."""

    turn: Turn
    """The answer, empty yet, or with what it has where it goes on."""
    started: Started
    """What the engine says of the prompt."""
    goes_on: bool = False
    """It had ended before, and is shown."""


class PromptAdvanced(SessionEvent, frozen=True):
    """A part of the prompt is read."""

    turn_id: str
    """The answer."""
    progress: Prefill
    """How much of it, and how fast."""


class AnswerGrew(SessionEvent, frozen=True):
    """More of an answer is there."""

    turn_id: str
    """The answer."""
    delta: Delta
    """What came since the last time, and how fast."""


class OddsTold(SessionEvent, frozen=True):
    """How likely more tokens of an answer were."""

    turn_id: str
    """The answer."""
    tokens: tuple[TokenOdds, ...]
    """Those since the last time."""


class AnswerRecast(SessionEvent, frozen=True):
    """What was told of an answer so far was thinking."""

    turn_id: str
    """The answer."""


class AnswerPaused(SessionEvent, frozen=True):
    """An answer waits while its model is loaded again."""

    turn_id: str
    """The answer."""


class AnswerEnded(SessionEvent, frozen=True):
    """An answer is complete, or was broken off."""

    turn: Turn
    """The answer as it is saved, with why it ended."""


class DraftModelLeftOut(SessionEvent, frozen=True):
    """The model answers without a draft model that it was to have."""

    why: str = ""
    """A sentence; empty where the draft model failed in the middle of an answer."""


class TuningOffered(SessionEvent, frozen=True):
    """A model has given its first longer answer, and nobody has looked for the fastest settings for it."""

    name: str
    """Of the model."""
    seconds: float
    """What looking for them may take."""


class AnswerRefused(SessionEvent, frozen=True):
    """An answer that was asked for does not come. What it was to replace is there again, unless `info` says that the
    context is too small and `n_drop` messages could be left out: then whoever listens decides."""

    info: ErrorInfo
    """Why not."""


# The machine ----------------------------------------------------------------------------------------------------------


class MachineRead(SessionEvent, frozen=True):
    """Once a second: what was read of the machine, and the speed of the engine."""

    host: HostSample
    """CPU, memory, swap."""
    gpus: tuple[GpuSample, ...]
    """None for a machine without one."""
    npus: tuple[NpuSample, ...]
    """NPUs and other accelerators that the machine has."""
    speed: SpeedNow
    """Of the second that has passed."""


class SpeedReset(SessionEvent, frozen=True):
    """Another model or conversation: what was measured before says nothing of it."""

    speed: SpeedNow
    """What is known already."""


class MemoryShort(SessionEvent, frozen=True):
    """Memory begins to run out."""

    shortage: Shortage
    """How it showed."""


# Downloads ------------------------------------------------------------------------------------------------------------


class DownloadsChanged(SessionEvent, frozen=True):
    """Something is fetched, or stands otherwise than before. At most once a second where only figures have grown."""

    downloads: tuple[Download, ...]
    """All there are, in the order of the queue."""


class ModelFetched(SessionEvent, frozen=True):
    """A download is whole: the model can be loaded."""

    order: Order
    path: Path
    """What llama.cpp wants."""


class DownloadFailed(SessionEvent, frozen=True):
    """A download stands still, and a person has to do something."""

    download: Download


class DownloadRefused(SessionEvent, frozen=True):
    """What was asked of the downloads could not be noted down."""

    problem: Problem


# What went wrong ------------------------------------------------------------------------------------------------------


class ProblemFound(SessionEvent, frozen=True):
    """Settings or state cannot be used or written as they are."""

    problem: ConfigProblem
    """What, where, and what to do."""


class FaultFound(SessionEvent, frozen=True):
    """Something was broken off because of a fault of llmtui itself. The log has the traceback."""

    kind: str
    """Name of the exception's class."""
    detail: str
    """What the exception says."""


class SavingFailed(SessionEvent, frozen=True):
    """A session elsewhere cannot save conversations, or can again. Of one in this process the store tells that."""

    error: StoreFault | None
    """Why not; None when all is saved again."""


class NoHost(SessionEvent, frozen=True):
    """The session runs in this process, and ends with it: it could not be in the background."""

    why: str
    """A sentence."""


class LineBroken(SessionEvent, frozen=True):
    """The line to a session elsewhere is broken, and is taken up again as soon as that can be."""

    why: str
    """A sentence; empty when it is there again."""


class KeysMoved(SessionEvent, frozen=True):
    """Another screen acts in the session now, or this one again."""

    are_here: bool


class HostLost(SessionEvent, frozen=True):
    """The process of a session elsewhere has ended, and its engine with it. What it had saved is there."""

    was_writing: bool
    """It was in the middle of an answer."""
    is_ended: bool = False
    """Somebody, or the system, has asked it to end."""
    why: str = ""
    """A sentence on why no other one can be started, after that was tried."""


AnySessionEvent = (
    PhaseChanged | LoadAdvanced | ModelLoaded | ModelReloaded | LoadFailed | TurnAwaited | EngineLost | CacheRestored
    | ContextUsed
    | ConversationOpened | ConversationChanged | ConversationReplaced | ConversationGone
    | OtherWindowWrites | OtherWindowWrote | ReplaceConflict | TurnsRemoved | TurnsPutBack
    | QueueChanged | PromptsWithdrawn | UserSaid | AnswerBegan | PromptAdvanced | AnswerGrew | OddsTold | AnswerRecast
    | AnswerPaused | AnswerEnded | TuningOffered | AnswerRefused | MachineRead | SpeedReset | MemoryShort
    | DownloadsChanged | ModelFetched | DownloadFailed | DownloadRefused | ProblemFound | FaultFound
    | DraftModelLeftOut | ModelStands | SessionStands | SavingFailed | NoHost | LineBroken | KeysMoved | HostLost
)  # fmt: skip


_JSON: PathJson[AnySessionEvent] = PathJson(AnySessionEvent)
encode, decode = _JSON.encode, _JSON.decode
"""An event as a line of JSON, and back; see `PathJson`."""
