"""What travels inside commands and events, and is used beside them: settings, devices, messages of a conversation, what
a load took, errors. Plain records, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tui.base.text import one_line
from tui.words.later import Later

MOST = 2**31 - 1
"""llama.cpp counts in 32 bits."""
Natural = Annotated[int, Meta(ge=0, le=MOST)]
Positive = Annotated[int, Meta(ge=1, le=MOST)]
FlashAttention = Literal["auto", "on", "off"]
Repack = Literal["auto", "on", "off"]
SwaFull = Literal["auto", "on", "off"]
Speculative = Literal["auto", "off"]
SplitMode = Literal["layer", "row", "none"]
Priority = Literal["low", "normal", "medium", "high", "realtime"]
Numa = Literal["off", "distribute", "isolate", "numactl"]
CpuRange = Annotated[str, Meta(pattern=r"^(all|performance|\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*)$", max_length=200)]
"""Names of CPUs: all, the performance cores, or a list such as "0-7,16"."""
CacheType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]
Role = Literal["system", "user", "assistant"]
Effort = Literal["", "minimal", "low", "medium", "high", "xhigh", "max"]
"""How long a model is to think, where its template asks that; "" is the template's own default."""
StopReason = Literal["stop", "length", "context", "cancelled"]
DeviceKind = Literal["cpu", "gpu", "igpu", "accel", "software"]
ErrorKind = Literal[
    "model_not_found", "model_unreadable", "model_unsupported", "model_refused", "out_of_memory", "bad_settings",
    "no_model", "template", "context_overflow", "bad_format", "decode", "cancelled", "unknown_command", "internal",
]  # fmt: skip
"""A file that is damaged or cut off is "model_unreadable", one that this llama.cpp does not know how to load is
"model_unsupported"; one that is whole and still not to be loaded, as an embedding model or a part under another name,
is "model_refused", and `detail` says what to do. A "bad_format" is an `AnswerFormat` that no
answer can keep to. An "unknown_command" is of another version of llmtui."""
Doing = Literal["starting", "loading", "answering", "reading ahead", "benchmark", "planning", "idle"]
"""What an engine is at."""

_REPACKED = re.compile(r"_REPACK$|^AMX$|_KLEIDIAI$|_SPACEMIT$")
CONTEXT_SUFFIX = ".kv"
"""Of the names of files with a kept context."""
TELLING_PROMPT = 256
"""The speed at which fewer prompt tokens were read says little of how long a prompt takes."""
TELLING_STEPS = 16
"""The same of tokens written."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of plain records that travel inside commands and events. Fields that are not known are ignored."""


class LoadValues(Record, frozen=True):
    """How a model is loaded, apart from where: type, range, default and meaning of each setting. The zero or empty
    value always means "let the engine choose". `tui.config.loadtable` has a row for each field: what people call it,
    its option, and the parameter of llama.cpp that it becomes."""

    n_ctx: Natural = 8192
    """Context size in tokens; 0 takes the size that the model was trained with."""
    n_gpu_layers: Annotated[int, Meta(ge=-1, le=MOST)] = -1
    """Layers to offload to the GPU, the output layer counted as one; -1 offloads all. Ignored on the CPU alone."""
    n_cpu_moe: Natural = 0
    """Keep the experts of this many layers, from the first, on the CPU (mixture-of-experts models only)."""
    n_threads: Natural = 0
    """Threads for decode; 0 takes the physical (performance) cores."""
    n_threads_batch: Natural = 0
    """Threads for prefill; 0 takes `n_threads`."""
    n_batch: Positive = 2048
    """Tokens of a prompt that are handed to llama.cpp at once."""
    n_ubatch: Positive = 512
    """Tokens that are computed at once, `n_batch` at most; less needs a smaller compute buffer."""
    flash_attn: FlashAttention = "auto"
    """Flash attention. A quantized V cache needs it."""
    type_k: CacheType = "f16"
    """Type of the K cache: "f16", or "q8_0" for half and "q4_0" for about a quarter of the memory."""
    type_v: CacheType = "f16"
    """Type of the V cache, as for K."""
    swa_full: SwaFull = "auto"
    """Whether layers with a sliding window keep the whole context, so that any prefix of it can be taken up again; if
    not, they keep little more than the window, and go back to checkpoints. "auto" is "on" where a plan says that there
    is ample room (`tui.planning.windows`); what the engine gets as "auto" is "off", as in llama.cpp's own programs."""
    use_mmap: bool = True
    """Map the file into memory instead of reading it; quicker to start."""
    use_mlock: bool = False
    """Keep the model from being swapped out; needs a high enough `ulimit -l`."""
    repack: Repack = "auto"
    """Whether the CPU may keep weights in an order of its own (repacked, AMX tiles), in private memory; "auto" leaves
    it to llama.cpp, which does. Without effect on what lies on devices, and on most loads with a device at all."""
    split_mode: SplitMode = "layer"
    """How a model lies on several GPUs: layer by layer, rows of each layer ("row", of which few backends know), or on
    the first GPU alone."""
    cpu_range: CpuRange = "all"
    """The CPUs that threads may run on, of those that the process may use."""
    priority: Priority = "normal"
    """How threads compete with other programs; above "normal" the system must allow real-time scheduling."""
    poll: Annotated[int, Meta(ge=-1, le=100)] = -1
    """How long threads look for work before they sleep: 0 not at all, 100 longest; -1 leaves it to the system's OpenMP.
    Holds for the whole process of an engine."""
    numa: Numa = "off"
    """How threads are spread over the nodes of a machine with several. Holds for the whole process of an engine."""
    speculative: Speculative = "auto"
    """Whether several tokens may be decoded at once where the conversation suggests them, so that repeated text comes
    faster; "auto" does it where it pays. What rounding can do to the text: docs/performance.md."""
    model_draft: str = "auto"
    """A small model of the same vocabulary that guesses what this one writes: its path, or its name in the library;
    "off" takes none. "auto" takes one that is there, suitable and fits beside (`tui.planning.draftload`); what the
    engine gets as "auto" is "off"."""
    seed: Annotated[int, Meta(ge=-1, le=2**32 - 1)] = -1
    """Seed of the sampler when `Sampling.seed` is unset; -1 draws a new one for every answer."""


def poll_of(settings: LoadValues) -> int:
    """How long threads look for work, as llama.cpp calls what it does by itself too."""
    return settings.poll if settings.poll >= 0 else 50


def is_same_process(one: LoadValues, other: LoadValues) -> bool:
    """Whether a process that has loaded one way can load the other way, and take its context along."""
    return (one.poll, one.numa) == (other.poll, other.numa)


class LoadSettings(LoadValues, frozen=True):
    """What an engine is asked for: the values, and where."""

    devices: tuple[str, ...] = ()
    """llama.cpp device names such as "Vulkan0"; empty means the CPU alone."""
    chat_template: str = ""
    """Source of a Jinja template to be used instead of the file's own; empty takes the file's."""
    stop: tuple[str, ...] = ()
    """Texts that end an answer, beside the template's own ends."""
    n_parallel: int = 1
    """Sequences that `n_ctx` is divided between, each with its own part of it: one, but for `BenchParallel`."""


SamplingValue = float | dict[str, float]
"""One value of `Sampling`: a number, or what `logit_bias` holds."""
BANNED = -100.0
"""The least bias of a logit: the token is never chosen."""


class Sampling(Record, frozen=True):
    """How the next token is chosen; `tui.config.settings.SamplingValues` says what each value means. `temperature` 0 is
    greedy: only penalties, DRY and biases then have an effect."""

    temperature: float = 0.7
    top_k: int = 20
    top_p: float = 0.8
    min_p: float = 0.0
    typical_p: float = 1.0
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    penalty_last_n: int = 64
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_last_n: int = -1
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    logit_bias: dict[str, float] = {}
    """Text of a token to what is added to its logit; `BANNED` keeps it from being chosen."""
    seed: int = -1
    """-1 takes the seed of the load settings."""


class PartialSampling(Record, frozen=True, omit_defaults=True):
    """Some of the values of `Sampling`, as a file, a user or a conversation has them; None leaves one to others."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    penalty_last_n: int | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    dry_last_n: int | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    logit_bias: dict[str, float] | None = None
    seed: int | None = None

    @property
    def given(self) -> dict[str, SamplingValue]:
        """The values that there are, by the names of `Sampling`."""
        named = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return {name: value for name, value in named if value is not None}


class TokenOdds(Record, frozen=True):
    """A token that was chosen, by how the model alone saw it: values of sampling come after that."""

    text: str
    """As bytes like \\xe4 where it is a part of a character."""
    p: float
    """Its probability, 0 to 1."""
    others: tuple[tuple[str, float], ...] = ()
    """The likeliest tokens, the likeliest first, with their probabilities; this one may be among them."""
    is_thought: bool = False
    """It is part of what was thought."""


class AnswerFormat(Record, frozen=True):
    """What an answer must keep to; what is thought before it need not."""

    kind: Literal["json_schema", "gbnf"]
    """A JSON schema, or a grammar in llama.cpp's notation, whose rule `root` is the answer."""
    text: str


class Message(Record, frozen=True):
    """One turn of a conversation as the chat template sees it."""

    role: Role
    content: str
    reasoning: str | None = None
    """What the model thought before `content`; most templates drop it for earlier turns."""


class Timings(Record, frozen=True):
    """What one answer took; all durations in seconds, measured in the engine with a monotonic clock."""

    n_prompt: int = 0
    """Tokens of the whole prompt, cached ones included."""
    n_cached: int = 0
    """Tokens of the prompt that the KV cache held already."""
    n_prefill: int = 0
    """Tokens of the prompt that were evaluated."""
    prefill_s: float = 0.0
    n_steady: int = 0
    """Of `n_prefill`, those read at once in no larger number than was read before: the first such batch after a load
    is a warm-up, which compiles shaders and touches memory for the first time."""
    steady_s: float = 0.0
    """What these took."""
    ttft_s: float = 0.0
    """From the engine's receipt of the command to the first token sampled."""
    n_decode: int = 0
    """Tokens generated, thinking included, the end-of-generation token not."""
    decode_s: float = 0.0
    """From the first token to the last; of an answer that was paused, without the pause."""
    n_first: int = 1
    """Of `n_decode`, those that no time in `decode_s` belongs to: the first of each part of an answer."""
    n_thinking: int = 0
    thinking_s: float = 0.0
    n_drafted: int = 0
    """Tokens that were decoded ahead, because the conversation suggested them."""
    n_accepted: int = 0
    """Of these, the ones that the model would have chosen; of `n_decode`, those that came without a step of their
    own."""
    n_alone: int = 0
    """Tokens that were decoded once more by themselves, so that the text is the same as without drafts."""

    def plus(self, later: Timings) -> Timings:
        """Of an answer that went on after a pause; the prompt is that of the first part."""
        return Timings(
            n_prompt=self.n_prompt,
            n_cached=self.n_cached,
            n_prefill=self.n_prefill + later.n_prefill,
            prefill_s=self.prefill_s + later.prefill_s,
            n_steady=self.n_steady + later.n_steady,
            steady_s=self.steady_s + later.steady_s,
            ttft_s=self.ttft_s or later.ttft_s,
            n_decode=self.n_decode + later.n_decode,
            decode_s=self.decode_s + later.decode_s,
            n_first=sum(part.n_first for part in (self, later) if part.n_decode),
            n_thinking=self.n_thinking + later.n_thinking,
            thinking_s=self.thinking_s + later.thinking_s,
            n_drafted=self.n_drafted + later.n_drafted,
            n_accepted=self.n_accepted + later.n_accepted,
            n_alone=self.n_alone + later.n_alone,
        )

    @property
    def prefill_tps(self) -> float:
        """As `prefill_tps` says of what was read."""
        return prefill_tps(self.n_steady, self.steady_s)

    @property
    def decode_tps(self) -> float:
        """Tokens per second after the first one, as llama.cpp counts them; 0 for fewer than `TELLING_STEPS`."""
        n_steps = self.n_decode - self.n_first
        return n_steps / self.decode_s if n_steps >= TELLING_STEPS and self.decode_s > 0 else 0.0


def prefill_tps(n_steady: int, steady_s: float) -> float:
    """Prompt tokens read per second, warm-up left out; 0 for fewer than `TELLING_PROMPT`."""
    return n_steady / steady_s if n_steady >= TELLING_PROMPT and steady_s > 0 else 0.0


class Device(Record, frozen=True):
    """A compute device as llama.cpp sees it."""

    name: str
    """llama.cpp's name: "CPU", "Vulkan0", "CUDA0"."""
    description: str
    kind: DeviceKind
    total_bytes: int
    free_bytes: int


def backend_family(device: str) -> str:
    """The backend of a device's name, as llama-bench calls it: "Vulkan" of "Vulkan0"."""
    return device.rstrip("0123456789")


class Buffer(Record, frozen=True):
    """Memory that llama.cpp reported while loading: weights, KV cache, compute or output, on one device or the host."""

    device: str
    purpose: Literal["weights", "kv", "compute", "output"]
    n_bytes: int


def is_repacked(kind: str) -> bool:
    """Whether this kind of memory, by ggml's name, holds weights in an order of the CPU's own."""
    return _REPACKED.search(kind) is not None


def repacked(buffers: Sequence[Buffer]) -> tuple[str, ...]:
    """Kinds of memory in which the CPU keeps weights in an order of its own: "CPU_REPACK", "AMX"."""
    return tuple(part.device for part in buffers if part.purpose == "weights" and is_repacked(part.device))


class Placed(Record, frozen=True):
    """What a load puts into the host's or one device's memory, in bytes."""

    device: str
    """ "CPU" for the host."""
    weights_bytes: int = 0
    mapped_bytes: int = 0
    """Of the weights, what is used as it lies in the file: page cache that the system can drop and read again."""
    repacked_bytes: int = 0
    """Of the weights, what the CPU keeps in an order of its own: private memory, even where the file is mapped."""
    kv_bytes: int = 0
    compute_bytes: int = 0
    output_bytes: int = 0
    """Logits."""


class ProcessMemory(Record, frozen=True):
    """The engine process's own memory, in bytes, as the system counts it."""

    resident_bytes: int
    """Its own, written to already, so that it lies in RAM."""
    file_bytes: int
    """Pages of mapped files that it has looked at, libraries included: the system can drop them."""


class Footprint(Record, frozen=True):
    """What a load really took: figures of the system from before and after it, and llama.cpp's books."""

    before: ProcessMemory
    after: ProcessMemory
    device_free_before: dict[str, int]
    device_free_after: dict[str, int]
    placed: tuple[Placed, ...] = ()
    """By llama.cpp's books, the host first; empty where they cannot be read."""


class LlamaLoad(Record, frozen=True):
    """What llama.cpp alone tells of a load. Of another engine all of it is as it stands here: not known."""

    n_layers: int = 0
    """Layers that can be offloaded, the output layer included."""
    n_gpu_layers: int = 0
    devices: tuple[str, ...] = ()
    """Those of the devices asked for that really hold weights; empty for the CPU alone."""
    n_cpu_moe: int = 0
    """Of how many layers, from the first on, the experts were kept in host memory; 0 without devices."""
    n_batch: int = 0
    n_ubatch: int = 0
    n_threads: int = 0
    n_threads_batch: int = 0
    flash_attn: bool = False
    swa_full: bool = False
    """Layers with a sliding window keep the whole context; False also where no layer has one."""
    type_k: str = ""
    type_v: str = ""
    buffers: tuple[Buffer, ...] = ()
    footprint: Footprint | None = None
    """None where the system does not tell."""
    n_drafts: int = 0
    """Tokens that may be decoded ahead at once; 0 where that is off, or what the model remembers cannot be taken back
    by a few tokens."""
    draft: str = ""
    """Path of the draft model; empty without one."""
    mlock_failed: bool = False
    """The system did not let the model be locked into memory, as was asked."""
    priority_refused: bool = False
    """The system did not let the threads have the priority that was asked for."""
    template_note: str = ""
    """Why another template than the file's own is used, in words for the user; empty when it is the file's."""

    @property
    def repacked(self) -> tuple[str, ...]:
        """As `repacked` tells it of the buffers. Empty where nothing is repacked, because of the settings or because
        this CPU has no use for it."""
        return repacked(self.buffers)


_MOST_OF_A_DETAIL = 4096
"""Characters that are shown."""


class ErrorInfo(Record, frozen=True):
    """What went wrong, as facts; the sentence is made where it is shown."""

    kind: ErrorKind
    detail: str | Later
    """The last words of llama.cpp, or of the exception, on the matter; what llmtui says itself can be worded later."""
    n_prompt: int = 0
    n_ctx: int = 0
    n_drop: int = 0
    """For `context_overflow`: how many of the oldest messages, never the system prompt, would have to go; 0 when even
    the last message alone does not fit."""

    @property
    def text(self) -> str:
        """The detail in the language in use, made safe for a terminal, as it may quote a file."""
        return one_line(str(self.detail)[:_MOST_OF_A_DETAIL])
