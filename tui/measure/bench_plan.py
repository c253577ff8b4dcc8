"""What a benchmark is to measure: its jobs, its tests, and the room that these need in a context."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tui.measure import endtoend
from tui.measure.repeated_texts import RepeatedText
from tui.measure.report import Test
from tui.measure.timeleft import TimedRun
from tui.models.library import LibraryModel
from tui.protocol.records import LoadSettings, Sampling
from tui.words import trn

N_CTX_STEP = 256
"""llama.cpp pads a context to a multiple of this."""
END_TO_END = Test(n_prompt=endtoend.N_PROMPT, n_gen=endtoend.N_GEN)
SPECULATION_ROOM = Test(n_prompt=2048, n_gen=1536)
"""A context that holds each of `repeated_texts` with its prompt, whatever the vocabulary."""
PARALLEL_WARM_UP = (16, 1)
"""Tokens that each user reads and writes before the clock starts."""


class BenchJob(msgspec.Struct, frozen=True, kw_only=True):
    """One row: a model with the settings that it is to be loaded with. `settings.n_ctx` must hold the tests."""

    model: LibraryModel
    settings: LoadSettings
    sampling: Sampling = Sampling()
    """What end-to-end answers are chosen with."""


class ParallelTest(msgspec.Struct, frozen=True, kw_only=True):
    """`n_parallel` users at once, each with a prompt of `n_prompt` tokens, none of it shared, and `n_gen` written."""

    n_parallel: int
    n_prompt: int
    n_gen: int

    @property
    def name(self) -> str:
        """For people."""
        return trn("{n} user", "{n} users", self.n_parallel)

    def run(self, job: int = 0) -> TimedRun:
        """One repetition."""
        return TimedRun(n_read=self.n_parallel * self.n_prompt, n_steps=self.n_gen, n_users=self.n_parallel, job=job)

    @property
    def warm_up(self) -> ParallelTest:
        """What comes before."""
        n_prompt, n_gen = map(min, PARALLEL_WARM_UP, (self.n_prompt, self.n_gen))
        return ParallelTest(n_parallel=self.n_parallel, n_prompt=n_prompt, n_gen=n_gen)


class BenchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure."""

    jobs: tuple[BenchJob, ...]
    tests: tuple[Test, ...]
    repetitions: int = 5
    bandwidth: bool = True
    """Measure first how fast the memory of the host and of the jobs' devices is: about a second for each."""
    warm_up: Test | None = None
    """Runs once when a model is loaded, in place of the warm-up of each test."""
    budget_s: float = 0.0
    """Begin no repetition of a test, but the first, that would not be over so many seconds after the run began; 0 for
    no such limit."""
    end_to_end: bool = False
    """Time an answer as a user gets it, too; the contexts must hold `END_TO_END`."""
    parallel: tuple[ParallelTest, ...] = ()
    """For which `settings.n_parallel` and `n_ctx` of the jobs must do: see `context_for_users`."""
    speculation: tuple[RepeatedText, ...] = ()
    """Texts to be written without speculation and with it; the contexts must hold `SPECULATION_ROOM`."""


def plan_tests(
    n_prompts: Sequence[int],
    n_gens: Sequence[int],
    n_depths: Sequence[int] = (0,),
    pairs: Sequence[tuple[int, int]] = (),
) -> tuple[Test, ...]:
    """The prompt tests, the generation tests and those of both at each depth, in llama-bench's order, less those of no
    tokens."""
    wanted = (*((p, 0) for p in n_prompts), *((0, g) for g in n_gens), *pairs)
    return tuple(Test(n_prompt=p, n_gen=g, n_depth=d) for d in n_depths for p, g in wanted if p or g)


def tokens_needed(tests: Sequence[Test]) -> int:
    """Tokens of the largest test, which the context must hold."""
    return max(test.n_tokens + test.n_depth for test in tests)


def context_for(tests: Sequence[Test]) -> int:
    """The context that llama-bench would give the largest test: one for all, so that the model is loaded once."""
    return -(-tokens_needed(tests) // N_CTX_STEP) * N_CTX_STEP


def context_for_users(tests: Sequence[ParallelTest]) -> int:
    """The context that holds each of these: a part for each user, all parts of the same size."""
    each = max(test.n_prompt + test.n_gen for test in tests)
    return max(test.n_parallel for test in tests) * -(-each // N_CTX_STEP) * N_CTX_STEP


def visits(n_jobs: int, repetitions: int) -> list[tuple[int, int]]:
    """Jobs in the order in which they are measured, each with its number of repetitions. Several are measured forwards
    and then backwards, so that what changes steadily meanwhile, as a machine gets hot, adds up to the same for each;
    the last one is not loaded twice."""
    if n_jobs == 1 or repetitions == 1:
        return [(job, repetitions) for job in range(n_jobs)]
    there, back = repetitions - repetitions // 2, repetitions // 2
    last = n_jobs - 1
    return [
        *((job, there) for job in range(last)),
        (last, repetitions),
        *((job, back) for job in reversed(range(last))),
    ]
