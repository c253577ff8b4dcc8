"""Long arrays of strings that were seen in GGUF headers, such as vocabularies, so that they need not be walked over
again in the next file."""

from __future__ import annotations

from tui.models.source import ByteSource

_CHUNK = 256 << 10


class ArrayMemo:
    """Remembers long string arrays, so that reading many files with one vocabulary compares bytes instead of walking
    over 300,000 strings in each: an array of equal bytes and equal count has an equal length."""

    MIN_COUNT = 1 << 10
    """Shorter ones are walked over as fast."""
    MOST_OF_A_COUNT = 3
    MOST_BYTES = 16 << 20

    def __init__(self, max_bytes: int = 48 << 20) -> None:
        self._known: dict[int, list[bytes]] = {}
        self._room = max_bytes

    def length(self, count: int, source: ByteSource, offset: int) -> int | None:
        """Bytes of the array of `count` strings at `offset` if it equals a known one, else None. Of an array that
        differs, what is behind the first difference is not read."""
        return next((len(array) for array in self._known.get(count, []) if _is_at(array, source, offset)), None)

    def remember(self, count: int, source: ByteSource, offset: int, length: int) -> None:
        """Keep the array just walked over, as far as there is room."""
        known = self._known.get(count, [])
        if count < self.MIN_COUNT or length > min(self._room, self.MOST_BYTES) or len(known) >= self.MOST_OF_A_COUNT:
            return
        self._room -= length
        self._known[count] = [*known, source.read_at(offset, length)]


def _is_at(array: bytes, source: ByteSource, offset: int) -> bool:
    return all(
        source.read_at(offset + at, min(_CHUNK, len(array) - at)) == array[at : at + _CHUNK]
        for at in range(0, len(array), _CHUNK)
    )
