"""Which bytes of a file are there: ranges of it that neither touch nor overlap, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""From the first byte to the one behind the last."""


class Ranges:
    """A set of bytes."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._ranges: list[Range] = []
        for start, end in ranges:
            self.add(start, end)

    def add(self, start: int, end: int) -> None:
        """Put these in, whether or not some are there. Nothing when `end` is not behind `start`."""
        if end <= start:
            return
        kept = []
        for have in self._ranges:
            if have[1] < start or have[0] > end:
                kept.append(have)
            else:
                start, end = min(start, have[0]), max(end, have[1])
        self._ranges = sorted([*kept, (start, end)])

    def __iter__(self) -> Iterator[Range]:
        return iter(self._ranges)

    @property
    def total(self) -> int:
        """Bytes in all."""
        return sum(end - start for start, end in self._ranges)

    @property
    def front(self) -> int:
        """Up to where nothing is missing."""
        return self._ranges[0][1] if self._ranges and self._ranges[0][0] == 0 else 0

    @property
    def end(self) -> int:
        """The byte behind the last one."""
        return self._ranges[-1][1] if self._ranges else 0

    def gaps(self, size: int) -> list[Range]:
        """What is missing of a file of this size, in order."""
        found, at = [], 0
        for start, end in self._ranges:
            if start > at:
                found.append((at, min(start, size)))
            at = max(at, end)
        return [*found, (at, size)] if at < size else [gap for gap in found if gap[1] > gap[0]]
