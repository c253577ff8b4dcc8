"""One number for a machine and a model: llmtui's own quick score, and LocalScore as its makers publish it. The two are
computed differently and are never to be compared with each other."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tui.measure.report import BenchResult, Test
from tui.measure.stats import mean
from tui.words import mark
from tui.words.later import Later, later

QUICK_NAME, LOCALSCORE_NAME = mark("llmtui quick score"), "LocalScore"
QUICK_TEST = Test(n_prompt=256, n_gen=32)
"""What the quick score reads and writes: few tokens, so that a 4B model on two cores is done within a minute."""
QUICK_WARM_UP = Test(n_prompt=32, n_gen=1)
QUICK_BUDGET_S = 50.0
"""No repetition of the quick score's test begins that would not be over so many seconds after the run began."""

LOCALSCORE_TESTS = tuple(
    Test(n_prompt=n_prompt, n_gen=n_gen)
    for n_prompt, n_gen in (
        *((1024, 16), (4096, 256), (2048, 256), (2048, 768), (1024, 1024)),
        *((1280, 3072), (384, 1152), (64, 1024), (16, 1536)),
    )
)
"""LocalScore's nine tests in its order, as its source lists them (github.com/Mozilla-Ocho/llamafile,
localscore/localscore.cpp)."""
LOCALSCORE_WARM_UP = Test(n_prompt=1024, n_gen=16)
LOCALSCORE_LOAD = {"flash_attn": "off", "type_k": "f16", "type_v": "f16"}
"""The load settings that published results were measured with (localscore/cmd.cpp there)."""


class Phases(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt with its generation, timed by phase, in seconds."""

    n_prompt: int
    n_gen: int
    prefill_s: float
    """The prompt alone."""
    ttft_s: float
    """From the start to the end of the first generated token's evaluation."""
    elapsed_s: float

    @property
    def prefill_tps(self) -> float:
        """Prompt tokens per second."""
        return self.n_prompt / self.prefill_s if self.prefill_s > 0 else 0.0

    @property
    def decode_tps(self) -> float:
        """Generated tokens per second."""
        decode_s = self.elapsed_s - self.prefill_s
        return self.n_gen / decode_s if decode_s > 0 else 0.0


def phases(result: BenchResult) -> tuple[Phases, ...]:
    """Each repetition of a test that reads and writes."""
    test = result.test
    samples = zip(result.samples_ns, result.prefill_ns, result.ttft_ns, strict=True)
    return tuple(
        Phases(
            n_prompt=test.n_prompt,
            n_gen=test.n_gen,
            prefill_s=prefill_ns / 1e9,
            ttft_s=ttft_ns / 1e9,
            elapsed_s=ns / 1e9,
        )
        for ns, prefill_ns, ttft_ns in samples
    )


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """A number with what it was made of."""

    name: str
    """In English; for `tr`."""
    value: float
    definition: Later
    prefill_tps: float
    decode_tps: float
    ttft_s: float


def quick_score(results: Sequence[BenchResult]) -> Score | None:
    """llmtui's quick score: 100 for a machine that reads 100 tokens/s, writes 10 and needs a second to the first token;
    twice the speed in everything is twice the score. None before its test has run."""
    if not _are_complete(results, [QUICK_TEST]):
        return None
    prefill_tps, decode_tps, ttft_s = _means(results)
    n_prompt, n_gen = QUICK_TEST.n_prompt, QUICK_TEST.n_gen
    return Score(
        name=QUICK_NAME,
        value=100 * ((prefill_tps / 100) * (decode_tps / 10) * (1 / ttft_s)) ** (1 / 3),
        definition=later(
            "100 x cube root of ({read} / 100 tok/s) x ({written} / 10 tok/s) x (1 s / time to first token)",
            read=f"pp{n_prompt}",
            written=f"tg{n_gen}",
        ),
        prefill_tps=prefill_tps,
        decode_tps=decode_tps,
        ttft_s=ttft_s,
    )


def localscore(results: Sequence[BenchResult]) -> Score | None:
    """LocalScore over its nine tests, each with equal weight: 10 times the cube root of the mean prompt speed, the mean
    generation speed, and 1000 over the mean time to first token in ms. None until all of them have run."""
    if not _are_complete(results, LOCALSCORE_TESTS):
        return None
    prefill_tps, decode_tps, ttft_s = _means(results)
    return Score(
        name=LOCALSCORE_NAME,
        value=10 * (prefill_tps * decode_tps / ttft_s) ** (1 / 3),
        definition=later(
            "10 x cube root of (mean pp tok/s) x (mean tg tok/s) x (1000 / mean time to first token in ms)"
        ),
        prefill_tps=prefill_tps,
        decode_tps=decode_tps,
        ttft_s=ttft_s,
    )


def _are_complete(results: Sequence[BenchResult], tests: Sequence[Test]) -> bool:
    return [result.test for result in results if result.samples_ns] == list(tests)


def _means(results: Sequence[BenchResult]) -> tuple[float, float, float]:
    """Prompt tokens per second, generated ones per second, seconds to the first token: means over the tests of the
    means over their repetitions."""
    tests = [phases(result) for result in results]
    return (
        mean([mean([run.prefill_tps for run in runs]) for runs in tests]),
        mean([mean([run.decode_tps for run in runs]) for runs in tests]),
        mean([mean([run.ttft_s for run in runs]) for runs in tests]),
    )
