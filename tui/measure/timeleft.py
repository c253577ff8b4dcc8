"""How long a benchmark will still take: what is left to read and write, at the speeds measured so far."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tui.measure.report import Test


class TimedRun(msgspec.Struct, frozen=True, kw_only=True):
    """What one run reads and writes, timed or not."""

    n_read: int
    """Prompt tokens of all users, and what is in the context before."""
    n_steps: int
    """Steps of generation, each of a token for every user."""
    n_users: int = 1
    job: int = 0

    @classmethod
    def of(cls, test: Test, job: int = 0) -> TimedRun:
        """A test of one user."""
        return cls(n_read=test.n_depth + test.n_prompt, n_steps=test.n_gen, job=job)


class TimeLeft:
    """Counts what is to be read and written, and the seconds that it took. Several models are taken as equally slow; a
    step for more users than were measured as no slower than the slowest that was."""

    def __init__(self, runs: Iterable[TimedRun]) -> None:
        """`runs` are all that are planned, warm-ups included."""
        self._runs = list(runs)
        self._read, self._read_s = 0, 0.0
        self._steps: dict[int, tuple[int, float]] = {}
        """Steps and seconds, by the number of users."""

    def did(self, run: TimedRun) -> None:
        """A run is over that was not measured."""
        self._runs.remove(run)

    def give_up(self, job: int) -> None:
        """Nothing more of this job is run."""
        self._runs = [run for run in self._runs if run.job != job]

    @property
    def n_runs(self) -> int:
        """How many are left."""
        return len(self._runs)

    def measured(self, run: TimedRun, n_read: int, read_s: float, written_s: float) -> None:
        """A run is over: `n_read` of its tokens were read in `read_s` seconds, its steps took `written_s`."""
        self.did(run)
        self._read += n_read
        self._read_s += read_s
        if run.n_steps:
            n, seconds = self._steps.get(run.n_users, (0, 0.0))
            self._steps[run.n_users] = n + run.n_steps, seconds + written_s

    @property
    def seconds(self) -> float | None:
        """What is left; None while there is no telling."""
        n_read = sum(run.n_read for run in self._runs)
        writing = [run for run in self._runs if run.n_steps]
        if (n_read and not self._read) or (writing and not self._steps):
            return None
        read_s = n_read * self._read_s / self._read if n_read else 0.0
        return read_s + sum(run.n_steps * self._step_s(run.n_users) for run in writing)

    def _step_s(self, n_users: int) -> float:
        n, seconds = self._steps.get(n_users) or max(self._steps.values(), key=lambda took: took[1] / took[0])
        return seconds / n
