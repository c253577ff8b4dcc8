"""How fetching fails: one exception that carries a `Problem` kind, and which of them pass by themselves."""

from __future__ import annotations

from tui.base.oserrors import english_reason
from tui.base.text import one_line
from tui.downloads.records import NO_ROOM, Problem, ProblemKind
from tui.hubs.interface import HubError
from tui.words.later import Later

_TEMPORARY: frozenset[ProblemKind] = frozenset({"unreachable", "timeout", "busy", "server", "elsewhere"})
_MOST_OF_A_DETAIL = 200


class FetchError(Exception):
    """A file could not be fetched. `why` is the sentence of a hub's failure; `retry_after_s` what the server asks to
    wait, 0 when it does not say; `is_temporary`, whether trying again later may help by itself: by the kind, where it
    is not given."""

    def __init__(
        self,
        kind: ProblemKind,
        detail: str = "",
        *,
        why: Later | None = None,
        retry_after_s: float = 0.0,
        is_temporary: bool | None = None,
    ) -> None:
        super().__init__(kind, detail or (why.english if why is not None else ""))
        self.kind, self.why, self.retry_after_s = kind, why, retry_after_s
        self.detail = one_line(detail)[:_MOST_OF_A_DETAIL]
        self.is_temporary = kind in _TEMPORARY if is_temporary is None else is_temporary

    def problem(self, retry_at: float = 0.0) -> Problem:
        """As a record."""
        return Problem(kind=self.kind, detail=self.detail, why=self.why, retry_at=retry_at)


class StoppedError(Exception):
    """Whoever asked for the file does not want it any more, for now."""


def of_the_hub(error: HubError, *, is_temporary: bool | None = None) -> FetchError:
    """What the hub refused, or how it could not be reached."""
    return FetchError(error.kind, why=error.why, retry_after_s=error.retry_after_s, is_temporary=is_temporary)


def of_the_disk(error: OSError) -> FetchError:
    """What the disk refused."""
    if error.errno in NO_ROOM:
        return FetchError("disk_full")
    return FetchError("disk", english_reason(error))
