"""About how long a benchmark will take, before anything of it was measured: by earlier runs where there are any, else
by what a small laptop does."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tui.measure.known_speeds import KnownSpeeds, how_loaded
from tui.measure.report import Test
from tui.measure.runner import BenchJob, visits
from tui.planning.formula import reads

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
    """All speeds were measured on this machine; else it is a rough guess."""


def about(jobs: Sequence[BenchJob], tests: Sequence[Test], repetitions: int, speeds: KnownSpeeds) -> Duration:
    """A test is run once more than it is repeated, to warm up; of tokens that are written, one is enough for that."""
    seconds, is_known = 0.0, True
    n_loads = len(visits(len(jobs), repetitions))
    n_tokens_read = sum(test.n_prompt + test.n_depth for test in tests) * (repetitions + 1)
    n_tokens_written = sum(test.n_gen for test in tests) * repetitions
    for job in jobs:
        info, settings = job.model.info, job.settings
        n_all = info.n_layers + 1
        n_gpu_layers = (settings.n_gpu_layers if 0 <= settings.n_gpu_layers < n_all else n_all) * bool(settings.devices)
        loaded = how_loaded(info, settings.devices, n_gpu_layers)
        prefill_tps = speeds.prefill.get(loaded, 0.0)
        read_bytes = reads(info, settings)
        decode_tps = speeds.measured.get(loaded) or speeds.expected(read_bytes) or 0.0
        is_known = is_known and bool(prefill_tps and decode_tps)
        prefill_tps = prefill_tps or _COMPUTES[bool(n_gpu_layers)] / (2 * max(1, info.n_params_active))
        decode_tps = decode_tps or _READS / max(1, sum(read_bytes.values()))
        seconds += n_tokens_read / prefill_tps + n_tokens_written / decode_tps
        seconds += (_STARTS_S + info.size_bytes / _LOADS) * n_loads / len(jobs)
    return Duration(seconds=seconds, is_known=is_known)
