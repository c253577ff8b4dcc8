"""The long lists of a header, which all quantizations of a model share: learned from the first one that is read, lent
to the others, of which only what stands before and behind is fetched then."""

from __future__ import annotations

from tui.models.gguf import ArrayStub, GgufHeader
from tui.models.source import ByteSource

_LONG_BYTES = 64 << 10
"""Of a list that is worth it."""
_SEEN_BYTES = 2 << 10
"""At each end, compared before it is lent. A list that differs between has as many entries, and what they are does not
matter for a header."""
_HEAD_BYTES = 48 << 10
"""In which it has to begin."""


class Vocabulary:
    """That of one repository."""

    def __init__(self) -> None:
        self._lists = b""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was learned yet."""
        return not self._lists

    def learn(self, header: GgufHeader, source: ByteSource) -> None:
        """Remember what stands in a header from its first long list to its last one."""
        if not self.is_empty:
            return
        long = [
            header.spans[key]
            for key, value in header.metadata.items()
            if isinstance(value, ArrayStub) and header.spans[key][1] - header.spans[key][0] >= _LONG_BYTES
        ]
        if long:
            begin, end = min(long)[0], max(long)[1]
            self._lists = source.read_at(begin, end - begin)

    def lent_to(self, source: ByteSource) -> ByteSource:
        """The source with these lists in it where it has the same; else as it is."""
        if self.is_empty:
            return source
        begin = source.read_at(0, _HEAD_BYTES).find(self._lists[:_SEEN_BYTES])
        if begin < 0:
            return source
        end = begin + len(self._lists)
        if source.read_at(end - _SEEN_BYTES, _SEEN_BYTES) != self._lists[-_SEEN_BYTES:]:
            return source
        return _Lent(source, begin, self._lists)


class _Lent:
    """A source of which a part is known."""

    def __init__(self, source: ByteSource, begin: int, known: bytes) -> None:
        self.size = source.size
        self._source = source
        self._begin = begin
        self._known = known

    def read_at(self, offset: int, n: int) -> bytes:
        begin, end, stop = self._begin, self._begin + len(self._known), offset + n
        before = self._source.read_at(offset, min(stop, begin) - offset) if offset < begin else b""
        within = self._known[max(0, offset - begin) : max(0, stop - begin)]
        at = max(offset, end)
        behind = self._source.read_at(at, stop - at) if stop > at else b""
        return before + within + behind
