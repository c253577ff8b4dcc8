"""About how long a benchmark will take, before anything of it was measured: by earlier runs where there are any, else
by what a small laptop does."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tui.measure.bench_plan import BenchJob, visits
from tui.measure.forecast import forecast
from tui.measure.known_speeds import KnownSpeeds
from tui.measure.report import Test
from tui.planning.formula import estimate, reads

_LOADS = 1e9
"""Bytes of a file that are loaded in a second."""
_STARTS_S = 1.5
"""An engine process takes to start, and the bandwidth of its memory to be measured."""
_READS = 15e9
"""Bytes of memory that decoding reads in a second, if nothing is known."""
_COMPUTES = {False: 150e9, True: 1500e9}
"""Operations in a second of a CPU and of a GPU, if nothing is known; a token takes two for each parameter."""


class Duration(msgspec.Struct, frozen=True, kw_only=True):
    """Of a benchmark."""

    seconds: float
    is_known: bool
    """All speeds are known by what was measured on this machine; else it is a rough guess."""


def about(jobs: Sequence[BenchJob], tests: Sequence[Test], repetitions: int, speeds: KnownSpeeds) -> Duration:
    """A test is run once more than it is repeated, to warm up; of tokens that are written, one is enough for that."""
    seconds, is_known = 0.0, True
    n_loads = len(visits(len(jobs), repetitions))
    n_tokens_read = sum(test.n_prompt + test.n_depth for test in tests) * (repetitions + 1)
    n_tokens_written = sum(test.n_gen for test in tests) * repetitions
    for job in jobs:
        info, settings = job.model.info, job.settings
        plan = estimate(info, settings)
        found = forecast(info, plan, speeds, n_threads=settings.n_threads)
        decode, prompt = (found.decode_tps, found.prompt_tps) if found else (None, None)
        is_known = is_known and prompt is not None and decode is not None and decode.basis != "roofline"
        decode_tps, prefill_tps = decode.tps if decode else 0.0, prompt.tps if prompt else 0.0
        prefill_tps = prefill_tps or _COMPUTES[bool(plan.n_gpu_layers)] / (2 * max(1, info.n_params_active))
        decode_tps = decode_tps or _READS / max(1, sum(reads(info, settings).values()))
        seconds += n_tokens_read / prefill_tps + n_tokens_written / decode_tps
        seconds += (_STARTS_S + info.size_bytes / _LOADS) * n_loads / len(jobs)
    return Duration(seconds=seconds, is_known=is_known)
