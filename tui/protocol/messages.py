"""Commands and events on the wire between a front end and the engine process, and nothing else.

Every command carries an `id` chosen by the client; every event that answers it carries the same `id`. A frame is a
four-byte little-endian length followed by one MessagePack-encoded tagged struct.

A new command touches two places: a struct below, `class Count(Command[Counted])`, which names the event that answers it
last and says what the engine is `doing` meanwhile; and a function in `tui/engine/handlers.py` that is registered for
it. Front ends send it with `Engine.ask(Count(...))`, which gives a `Counted`. Events are structs of this file too.
Those of measuring are in `bench_messages.py`; `codec.py` reads frames of all of them.

Both sides ignore fields that they do not know, so a field with a default may be added at any time; events that a front
end does not know are left out, and a command that an engine does not know fails as "unknown_command". Whatever changes
what is there already needs another `PROTOCOL`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Literal, Never, TypeVar

import msgspec

from tui.protocol.records import (
    AnswerFormat,
    Device,
    Doing,
    Effort,
    ErrorInfo,
    LlamaLoad,
    LoadSettings,
    Message,
    Placed,
    Sampling,
    StopReason,
    Timings,
    TokenOdds,
)
from tui.words import Language, mark

PROTOCOL = 1
"""Version of what is said here. The two sides differ where llmtui was replaced while it ran."""

LANGUAGE_VARIABLE = "LLMTUI_LANGUAGE"
"""Of an engine's environment: a `Language`, in which it words errors and notes."""

DeltaKind = Literal["thinking", "answer"]

ContextProblem = Literal[
    "empty", "too_large", "memory", "disk", "missing", "damaged",
    "other_model", "other_build", "other_settings", "too_long",
]  # fmt: skip
"""Why a KV cache was not written to a file or not taken from it: "too_large" for a limit, "too_long" for a context."""


# Events ---------------------------------------------------------------------------------------------------------------


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of what the engine tells."""

    id: int = 0


class Hello(Event, frozen=True):
    """First event of a process: it is ready for commands."""

    pid: int
    llama_cpp: str
    """Version of llama-cpp-python and llama.cpp's build features."""
    devices: tuple[Device, ...]
    build_commit: str = ""
    """llama.cpp's commit, "-dirty" where its sources were changed; empty when it does not tell."""
    protocol: int = PROTOCOL


class Ok(Event, frozen=True):
    """Done, nothing to tell."""


class LoadProgress(Event, frozen=True):
    fraction: float
    """0.0 to 1.0."""


MLOCK_FAILED = mark(
    "The model could not be locked into RAM (mlock) and may be swapped out: raise the limit that `ulimit -l` shows, or "
    "switch mlock off."
)
"""What `LlamaLoad.mlock_failed` means, in a sentence."""
PRIORITY_REFUSED = mark(
    "The system does not allow threads a higher priority, so they have the usual one: raise the limit that `ulimit -r` "
    "shows, or choose the priority normal."
)
"""The same of `LlamaLoad.priority_refused`."""


class Loaded(Event, frozen=True):
    """What was really loaded, which may differ from what was asked."""

    path: str
    description: str
    """The engine's own, such as "qwen3moe 30B.A3B Q3_K - Large"."""
    n_params: int
    size_bytes: int
    n_ctx: int
    n_ctx_train: int
    load_s: float
    can_think: bool
    """The chat template knows thinking."""
    can_switch_thinking: bool = False
    """The template has a switch for thinking that has an effect."""
    always_thinks: bool = False
    """The model thinks in each answer, whatever it is asked."""
    efforts: tuple[Effort, ...] = ()
    """Levels of effort that make a difference to the prompt; empty where there are none."""
    n_kept: int = 0
    """Tokens of the KV cache that were taken along; 0 when nothing was there, or it could not be read back."""
    n_lost: int = 0
    """Tokens that were to be taken along and could not: they will be evaluated again."""
    keep_s: float = 0.0
    """What taking it along took, out and in."""
    llama: LlamaLoad = LlamaLoad()

    @property
    def alike(self) -> Loaded:
        """The same for all loads that compute equally fast: without what one load happened to take, and without the
        size of the context, of which only what is filled counts."""
        llama = msgspec.structs.replace(self.llama, buffers=(), footprint=None)
        return msgspec.structs.replace(self, id=0, n_ctx=0, load_s=0.0, n_kept=0, n_lost=0, keep_s=0.0, llama=llama)


class Planned(Event, frozen=True):
    """The outcome of a dry run."""

    placed: tuple[Placed, ...]
    """The host first, then each device that gets anything."""
    n_ctx: int


class Started(Event, frozen=True):
    """The prompt is rendered and tokenized."""

    n_prompt: int
    n_cached: int
    n_dropped: int
    """Messages left out because the context is full."""
    n_ctx: int
    template_note: str = ""
    """As `LlamaLoad.template_note`, which may be another one by now: a template may fail at a later conversation."""
    seed: int = -1
    """That of the draws; -1 where they go on with those of a paused answer."""
    biases_left_out: tuple[str, ...] = ()
    """Texts of `Sampling.logit_bias` that are not one token of this model: they change nothing."""


class Prefill(Event, frozen=True):
    """Progress of the prompt, cached tokens not counted."""

    done: int
    total: int
    tps: float
    """As `Timings.prefill_tps`, so far: 0 while too little was read to tell."""
    eta_s: float
    """At that speed; 0 while it is not known."""


class Delta(Event, frozen=True):
    """Text since the last `Delta`."""

    kind: DeltaKind
    text: str
    n_decode: int
    """Tokens generated so far, thinking included."""
    decode_tps: float
    """Over the last second or so; 0 until two tokens are there."""
    n_used: int
    """Tokens in the context now."""
    is_loop: bool = False
    """The answer goes round in circles now."""
    n_drafted: int = 0
    """Tokens decoded ahead so far, and how many of them were right."""
    n_accepted: int = 0


class Odds(Event, frozen=True):
    """How likely the tokens since the last one were; only with `Generate.n_alternatives`."""

    tokens: tuple[TokenOdds, ...]


class Recast(Event, frozen=True):
    """What was told of the answer so far was thinking: models that were never told where to begin a thought only mark
    its end."""


class Done(Event, frozen=True):
    """The answer is complete."""

    stop: StopReason
    timings: Timings
    n_used: int
    n_ctx: int
    is_loop: bool = False
    """The answer ended in a repetition."""
    is_incomplete: bool = False
    """The answer ended before it was what `Generate.answer_format` asks for."""
    thinking_cut: bool = False
    """The thought was ended by `Generate.thinking_budget`."""
    draft_failed: bool = False
    """The draft model has failed, and nothing more is asked of it; told once for each load."""


class Counted(Event, frozen=True):
    n_tokens: int
    n_ctx: int


class Aside(Event, frozen=True):
    """What came of `AskAside`."""

    text: str
    """What the model said, its thoughts left out."""
    is_whole: bool
    """It came to its end by itself."""


class ContextSaved(Event, frozen=True):
    """The outcome of `SaveContext`; `n_bytes` is 0 when there is a `problem`, and the file is as it was."""

    n_tokens: int = 0
    n_bytes: int = 0
    held_up_s: float = 0.0
    """What the copy took: for so long the next command had to wait."""
    problem: ContextProblem | None = None
    detail: str = ""


class ContextRestored(Event, frozen=True):
    """The outcome of `RestoreContext`. With a `problem` the cache is as it was, or empty."""

    n_tokens: int = 0
    """Tokens that need not be evaluated again."""
    restore_s: float = 0.0
    problem: ContextProblem | None = None
    detail: str = ""


class Devices(Event, frozen=True):
    devices: tuple[Device, ...]


class Failed(Event, frozen=True):
    """The command with this id failed; the engine lives on."""

    error: ErrorInfo
    loaded: Loaded | None = None
    """For a `Load`: what is loaded now. A model that stayed, or was loaded again, is told as it was told at first."""


# Commands -------------------------------------------------------------------------------------------------------------


AnswerT = TypeVar("AnswerT", bound=Event)


class Command(msgspec.Struct, Generic[AnswerT], frozen=True, kw_only=True, tag=True):
    """Base of what a front end asks of the engine. A `Command[Counted]` is answered by a `Counted`, before which other
    events may come, or by `Failed`; nothing comes after these."""

    doing: ClassVar[Doing] = "idle"
    """What the engine does while this runs, for whoever wants to know why it died."""
    id: int = 0
    """Given by the client that sends it, and never twice for one process."""


AnyCommand = Command[Any]


class Load(Command[Loaded], frozen=True):
    """Load a model, freeing the one that is loaded. Answered by `LoadProgress` … `Loaded` or `Failed`."""

    doing = "loading"
    path: str
    settings: LoadSettings
    keep_context: bool = False
    """Take the KV cache of the loaded model along: for the same file on another device or with another offload. When
    the load fails or is cancelled, the model that was loaded before is loaded again and stays."""
    load_first: bool = False
    """Free the model that is loaded only once the new one is there, which takes memory for both: when that fails, or is
    cancelled, nothing has changed."""


def not_granted(loaded: Loaded) -> tuple[str, ...]:
    """What the system refused of what the settings ask for: sentences to be translated."""
    llama = loaded.llama
    return (MLOCK_FAILED,) * llama.mlock_failed + (PRIORITY_REFUSED,) * llama.priority_refused


class Unload(Command[Ok], frozen=True):
    """Free the model."""


class Generate(Command[Done], frozen=True):
    """Answer a conversation. Answered by `Started`, `Prefill` …, `Delta` … and perhaps `Recast` or `Odds`, `Done`; or
    `Failed`. Cancelled while it is looked for what of a long conversation fits, it is answered by `Done` alone."""

    doing = "answering"
    messages: tuple[Message, ...] = ()
    """Empty with `resume`."""
    sampling: Sampling = Sampling()
    resume: bool = False
    """Go on with the answer that was cancelled last, from its last token, also after a load that kept the context. With
    the same `sampling`, the draws go on too: what comes is what would have come without the pause."""
    thinking: bool = True
    effort: Effort = ""
    """How long to think, where `Loaded.efforts` names levels; without effect elsewhere."""
    thinking_budget: int = 0
    """End a thought after this many tokens, so that the answer comes; 0 lets it take its time."""
    max_tokens: int = 0
    """Stop after this many tokens; 0 goes on to the end of the context."""
    answer_format: AnswerFormat | None = None
    """What the answer must keep to. One that is wrong fails as "bad_format". Nothing is drafted then."""
    n_alternatives: int = 0
    """Tell of each token how likely it was, and so many of the likeliest (20 at most), in `Odds`; 0 tells nothing.
    Nothing is drafted then."""
    goes_on: bool = False
    """The last message is an answer that is not complete: what comes goes on where it ends."""
    drop_oldest: bool = False
    """When the prompt does not fit, leave out the oldest turns; otherwise `Failed` with `context_overflow` tells."""
    ignore_end: bool = False
    """Go on after the model's end token, for benchmarks."""
    contexts: str = ""
    """A folder of kept contexts, of any conversation: the beginning of the prompt is taken from one that has it, where
    that is quicker than reading it. Empty looks at none."""
    step_costs: tuple[float, ...] = ()
    """What decoding 1, 2, 3 … tokens at once costs, as `StepCosts` tells; without it nothing is drafted."""
    flush_s: float = 0.1
    """Least time between two `Delta` of one kind, so that a fast model does not flood a slow screen."""


class Cancel(Command[Never], frozen=True):
    """Stop the command whose id is `target`, whatever its phase. It ends with `Done` (`cancelled`) or `Failed`."""

    target: int


class EndThought(Command[Never], frozen=True):
    """End the thought of the answer that is being written by the command with the id `target`, as if it were over its
    budget, so that the answer comes. Where it does not think yet, the thought ends as soon as it begins."""

    target: int


class Count(Command[Counted], frozen=True):
    """Count the tokens that these messages come to as a prompt."""

    messages: tuple[Message, ...]
    thinking: bool = True
    effort: Effort = ""


class WarmUp(Command[Ok], frozen=True):
    """Have a GPU compile what a first prompt would wait for, if nothing was read yet. To people the engine is idle
    meanwhile: it stops for a question, though a program that is being compiled is finished first."""


class DryRun(Command[Planned], frozen=True):
    """Say what loading would put where, without allocating it. Answered by `Planned` or `Failed`; what is loaded stays.

    Only the header of the file, and of all parts of a split one, is read; the weights need not be there.
    """

    doing = "planning"
    path: str
    settings: LoadSettings
    device_free: tuple[int, ...] = ()
    """Bytes to count as free on each of the devices, which decides how layers are split over several of them; without
    it they are as they are now."""


class ReadAhead(Command[Ok], frozen=True):
    """Evaluate what the next prompt will begin with, these messages being all before it: most templates drop what was
    thought, so that all behind it is to be evaluated again."""

    doing = "reading ahead"
    messages: tuple[Message, ...]
    text: str = ""
    """What is written of the next message. Not read where going back in it would cost more than it saves."""
    thinking: bool = True
    effort: Effort = ""
    contexts: str = ""
    """As `Generate.contexts`."""


class AskAside(Command[Aside], frozen=True):
    """Ask something about a conversation that is to be no part of it, without thoughts. What was read of the
    conversation is used and stays. Nobody waits for it: cancelled, it fails as "cancelled"."""

    messages: tuple[Message, ...]
    """The conversation, and the question as the last one."""
    thinking: bool = True
    """How prompts of the conversation are rendered, as is `effort`."""
    effort: Effort = ""
    max_tokens: int = 32


class SaveContext(Command[ContextSaved], frozen=True):
    """Write the KV cache to a file; the next command waits for a copy only. Answered when it is on the disk."""

    path: str
    max_bytes: int = 0
    """Write nothing when the cache is larger; 0 writes any."""


class RestoreContext(Command[ContextRestored], frozen=True):
    """Take the KV cache from a file."""

    path: str


class ListDevices(Command[Devices], frozen=True):
    """Answered at once, even while a model loads or answers."""


class UseLanguage(Command[Ok], frozen=True):
    """Word errors and notes in this language from now on; carried out at once. What a process begins with stands in its
    environment, as `LANGUAGE_VARIABLE`."""

    language: Language
