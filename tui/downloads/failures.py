"""How fetching fails: one exception that carries a `Problem` kind, and which of them pass by themselves."""

from __future__ import annotations

from tui.base.oserrors import english_reason
from tui.base.text import one_line
from tui.downloads.records import NO_ROOM, Problem, ProblemKind

TEMPORARY: frozenset[ProblemKind] = frozenset({"unreachable", "timeout", "busy", "server", "elsewhere"})
"""What is tried again without anybody doing something."""
_MOST_OF_A_DETAIL = 200


class FetchError(Exception):
    """A file could not be fetched. `retry_after_s` is what the server asks to wait; 0 when it does not say."""

    def __init__(self, kind: ProblemKind, detail: str = "", *, retry_after_s: float = 0.0) -> None:
        super().__init__(kind, detail)
        self.kind, self.retry_after_s = kind, retry_after_s
        self.detail = one_line(detail)[:_MOST_OF_A_DETAIL]

    @property
    def is_temporary(self) -> bool:
        """Whether trying again later may help by itself."""
        return self.kind in TEMPORARY

    def problem(self, retry_at: float = 0.0) -> Problem:
        """As a record."""
        return Problem(kind=self.kind, detail=self.detail, retry_at=retry_at)


class StoppedError(Exception):
    """Whoever asked for the file does not want it any more, for now."""


def of_the_disk(error: OSError) -> FetchError:
    """What the disk refused."""
    if error.errno in NO_ROOM:
        return FetchError("disk_full")
    return FetchError("disk", english_reason(error))
