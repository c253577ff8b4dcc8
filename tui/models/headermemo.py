"""What was seen in GGUF headers and is the same in others, so that it need not be walked over again: vocabularies, and
the tables of tensors of models that differ only in what was learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tui.models.source import ByteSource
from tui.models.tensorfacts import TensorFacts, facts_of

if TYPE_CHECKING:
    from tui.models.gguf import TensorInfo

_N_SAMPLES, _SAMPLE_BYTES = 3, 4096


class Table(NamedTuple):
    """A table of tensors, and how many bytes of a header it takes."""

    tensors: tuple[TensorInfo, ...]
    n_bytes: int
    facts: dict[int, TensorFacts]
    """By how many layers the metadata speak of."""


class HeaderMemo:
    """Remembers long string arrays, so that reading many files with one vocabulary compares samples of its bytes
    instead of walking over 300,000 strings in each. Only the length matters: where a string is longer or shorter, all
    that is behind it has moved, and the samples up to the very end differ. A table of tensors is known by all of its
    bytes."""

    MIN_COUNT = 1 << 10
    """Shorter arrays are walked over as fast."""
    MOST_OF_A_COUNT = 3
    MOST_BYTES = 16 << 20
    MOST_TABLES = 64
    LARGEST_TABLE = 256 << 10
    """Bytes; the largest models have half of it."""

    def __init__(self, max_bytes: int = 48 << 20) -> None:
        self._known: dict[int, list[bytes]] = {}
        self._room = max_bytes
        self._tables: dict[tuple[int, int, bytes], Table] = {}
        """By number of tensors, alignment and the bytes; the oldest first."""

    def length(self, count: int, source: ByteSource, offset: int) -> int | None:
        """Bytes of the array of `count` strings at `offset` if it equals a known one, else None. Of an array that
        differs, no more is read than up to the first difference."""
        return next((len(array) for array in self._known.get(count, []) if _is_at(array, source, offset)), None)

    def remember(self, count: int, source: ByteSource, offset: int, length: int) -> None:
        """Keep the array just walked over, as far as there is room."""
        known = self._known.get(count, [])
        if count < self.MIN_COUNT or length > min(self._room, self.MOST_BYTES) or len(known) >= self.MOST_OF_A_COUNT:
            return
        self._room -= length
        self._known[count] = [*known, source.read_at(offset, length)]

    def table(self, n_tensors: int, alignment: int, source: ByteSource, offset: int) -> Table | None:
        """The table of so many tensors at `offset` if it equals a known one."""
        sizes = {len(raw) for n, aligned_to, raw in self._tables if (n, aligned_to) == (n_tensors, alignment)}
        found = (self._tables.get((n_tensors, alignment, source.read_at(offset, size))) for size in sizes)
        return next(filter(None, found), None)

    def facts(self, tensors: tuple[TensorInfo, ...], n_layers: int) -> TensorFacts:
        """What these tell of a model of so many layers; at once where they are a known table."""
        known = next((table for table in self._tables.values() if table.tensors is tensors), None)
        if known is None:
            return facts_of(tensors, n_layers)
        if n_layers not in known.facts:
            known.facts[n_layers] = facts_of(tensors, n_layers)
        return known.facts[n_layers]

    def remember_table(
        self, tensors: tuple[TensorInfo, ...], alignment: int, source: ByteSource, offset: int, length: int
    ) -> None:
        """Keep the table just read, in place of the one that was kept first where there are many."""
        if tensors and length <= self.LARGEST_TABLE:
            if len(self._tables) >= self.MOST_TABLES:
                del self._tables[next(iter(self._tables))]
            key = len(tensors), alignment, source.read_at(offset, length)
            self._tables[key] = Table(tensors, length, {})


def _is_at(array: bytes, source: ByteSource, offset: int) -> bool:
    last = max(0, len(array) - _SAMPLE_BYTES)
    places = {last * step // (_N_SAMPLES - 1) for step in range(_N_SAMPLES)}
    # From the end on: what has moved is seen there first.
    return all(
        source.read_at(offset + at, min(_SAMPLE_BYTES, len(array))) == array[at : at + _SAMPLE_BYTES]
        for at in sorted(places, reverse=True)
    )
