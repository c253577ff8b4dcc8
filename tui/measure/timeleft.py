"""How long a benchmark will still take: what is left to read and write, at the speeds measured so far."""

from __future__ import annotations

from tui.engine.messages import BenchSample
from tui.measure.report import Test


class TimeLeft:
    """Counts tokens that are to be read and written, and the seconds that they took. Those of several models are taken
    as equally slow."""

    def __init__(self, tests: list[Test]) -> None:
        """`tests` are all runs that are planned, warm-ups included."""
        self._n_prompt = sum(test.n_depth + test.n_prompt for test in tests)
        self._n_gen = sum(test.n_gen for test in tests)
        self._read, self._read_s = 0, 0.0
        self._written, self._written_s = 0, 0.0

    def did(self, test: Test, sample: BenchSample | None = None) -> None:
        """A run is over, `sample` being what it took where that was measured."""
        self._n_prompt -= test.n_depth + test.n_prompt
        self._n_gen -= test.n_gen
        if sample is None:
            return
        self._read += test.n_prompt
        self._read_s += sample.prefill_s
        self._written += test.n_gen
        self._written_s += sample.elapsed_s - sample.prefill_s

    @property
    def seconds(self) -> float | None:
        """What is left; None while there is no telling."""
        if (self._n_prompt and not self._read) or (self._n_gen and not self._written):
            return None
        read_s = self._n_prompt * self._read_s / self._read if self._n_prompt else 0.0
        return read_s + (self._n_gen * self._written_s / self._written if self._n_gen else 0.0)
