"""Long arrays of strings that were seen in GGUF headers, such as vocabularies, so that they need not be walked over
again in the next file."""

from __future__ import annotations

from tui.models.source import ByteSource

_N_SAMPLES, _SAMPLE_BYTES = 32, 2048


class ArrayMemo:
    """Remembers long string arrays, so that reading many files with one vocabulary compares samples of its bytes
    instead of walking over 300,000 strings in each. Only the length matters: where a string is longer or shorter, all
    that is behind it has moved, and the samples up to the very end differ."""

    MIN_COUNT = 1 << 10
    """Shorter ones are walked over as fast."""
    MOST_OF_A_COUNT = 3
    MOST_BYTES = 16 << 20

    def __init__(self, max_bytes: int = 48 << 20) -> None:
        self._known: dict[int, list[bytes]] = {}
        self._room = max_bytes

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


def _is_at(array: bytes, source: ByteSource, offset: int) -> bool:
    last = max(0, len(array) - _SAMPLE_BYTES)
    places = {last * step // (_N_SAMPLES - 1) for step in range(_N_SAMPLES)}
    # From the end on: what has moved is seen there first.
    return all(
        source.read_at(offset + at, min(_SAMPLE_BYTES, len(array))) == array[at : at + _SAMPLE_BYTES]
        for at in sorted(places, reverse=True)
    )
