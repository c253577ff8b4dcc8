"""Commands and events of measuring: what a benchmark has the engine do, and what it took."""

from __future__ import annotations

from tui.protocol.messages import Command, Event


class BenchSample(Event, frozen=True):
    """Wall time of the timed part of one repetition, from its start to the end of each of its phases."""

    elapsed_s: float
    """The whole."""
    prefill_s: float = 0.0
    """To the end of the prompt's evaluation; 0 without a prompt."""
    ttft_s: float = 0.0
    """To the end of the first generated token's evaluation; 0 without generation."""


class ParallelSample(Event, frozen=True):
    """Wall time of the two phases of one repetition, all sequences together."""

    prefill_s: float
    decode_s: float


class SpeculationSample(Event, frozen=True):
    """Wall time of one text, written token by token and with speculation, from its first token to its last."""

    n_prompt: int
    n_gen: int
    """Tokens of the text."""
    plain_s: float
    ahead_s: float
    n_drafted: int
    """Tokens that were decoded ahead, and those of them that were right."""
    n_accepted: int


class Bandwidths(Event, frozen=True):
    """The outcome of `MeasureBandwidth`."""

    bytes_per_s: dict[str, float]
    """By device. Those are left out that there are not, that failed, or that had too little free memory."""


class StepCosts(Event, frozen=True):
    """The outcome of `MeasureSteps`."""

    costs: tuple[float, ...]
    """Of decoding 1, 2, 3 … tokens at once, in times of what one takes; empty where drafts cannot be made."""


class BenchTest(Command[BenchSample], frozen=True):
    """One timed repetition, the KV cache cleared before: `depth` random tokens untimed, then `n_prompt` random tokens
    as a prompt and `n_gen` decoded one by one, synchronised, without sampling, as llama-bench does."""

    doing = "benchmark"
    n_prompt: int
    n_gen: int
    depth: int = 0
    n_threads: int = 0
    """Threads in this repetition alone; 0 takes those of the load, whatever `n_threads_batch` is."""
    n_threads_batch: int = 0
    """Threads for prompts, the depth included; 0 takes `n_threads`."""


class BenchParallel(Command[ParallelSample], frozen=True):
    """One timed repetition with several users at once, the KV cache cleared before: `n_parallel` prompts of `n_prompt`
    random tokens, none of them shared, then `n_gen` times a token of each decoded together, as llama-batched-bench does
    it. `n_prompt` is 1 at least."""

    doing = "benchmark"
    n_parallel: int
    n_prompt: int
    n_gen: int


class BenchSpeculation(Command[SpeculationSample], frozen=True):
    """Have the model write `answer` behind `prompt`, whatever it would have chosen, without speculation and with it.
    The KV cache is empty before and after."""

    doing = "benchmark"
    prompt: str
    answer: str
    step_costs: tuple[float, ...]
    """As `StepCosts` told."""
    ahead_first: bool = False
    """Begin with speculation: what changes from one to the other is then not always to the gain of the same one."""


class MeasureBandwidth(Command[Bandwidths], frozen=True):
    """Measure how fast memory can be read, which takes about a second for each device and, while it lasts, at most a
    fourth of the free memory. Answered by `Bandwidths`; what is loaded stays."""

    doing = "benchmark"
    devices: tuple[str, ...]
    """llama.cpp's names; "CPU" for the host's memory."""
    n_threads: int = 0
    """Threads that read on the CPU; 0 takes the physical (performance) cores."""


class MeasureSteps(Command[StepCosts], frozen=True):
    """Measure what decoding several tokens at once costs, which takes about a second. Answered by `StepCosts`; what was
    read stays. To people the engine is idle meanwhile: it stops at once for a question."""
