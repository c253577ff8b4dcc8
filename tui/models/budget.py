"""How much of a header is read at all. The files of one model share one budget, so that neither one file nor a thousand
small ones cost more than a fraction of a second and some ten MB, whatever they claim to hold."""

from __future__ import annotations

from typing import Literal

from tui.words import mark
from tui.words.later import Later, later

Kind = Literal["bytes", "keys", "tensors", "strings", "values", "text"]

LIMITS: dict[Kind, int] = {
    "bytes": 64 << 20,
    "keys": 1 << 15,
    "tensors": 1 << 14,
    "strings": 1 << 21,
    "values": 1 << 16,
    "text": 4 << 20,
}
"""Several times what the largest models have: 20 MB of header, 100 keys, 2,000 tensors, 800,000 tokens and merges
together, some 1,000 values by layer, 100 KB of text."""

_OVER: dict[Kind, str] = {
    "bytes": mark("more than {n} MiB of header"),
    "keys": mark("more than {n} keys"),
    "tensors": mark("more than {n} tensors"),
    "strings": mark("more than {n} texts in its lists"),
    "values": mark("more than {n} values by layer"),
    "text": mark("more than {n} MiB of text"),
}
_IN_MIB = ("bytes", "text")


class OverBudget(Exception):
    """More of one kind than is read. `why` says of what: "more than 16,384 tensors"."""

    def __init__(self, why: Later) -> None:
        super().__init__(why.english)
        self.why = why


class Budget:
    """What may still be read of a model."""

    def __init__(self) -> None:
        self._left = dict(LIMITS)

    def left(self, kind: Kind) -> int:
        """How much of a kind may still be taken."""
        return self._left[kind]

    def take(self, kind: Kind, n: int) -> None:
        """Count `n` of a kind, before they are read. Raises `OverBudget`."""
        if n > self._left[kind]:
            most = LIMITS[kind] >> 20 if kind in _IN_MIB else LIMITS[kind]
            raise OverBudget(later(_OVER[kind], n=f"{most:,}"))
        self._left[kind] -= n
