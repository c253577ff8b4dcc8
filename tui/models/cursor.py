"""Reads numbers, texts and lists of a GGUF header front to back, none beyond what the source holds or the budget
allows. Knows nothing of keys or tensors."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Literal

from tui.models.budget import Budget
from tui.models.source import ByteSource, FileSource
from tui.words import mark
from tui.words.later import Later, later

if TYPE_CHECKING:
    from tui.models.gguf import Value

GGUFErrorKind = Literal[
    "not_gguf", "unsupported_version", "big_endian", "truncated", "truncated_data", "corrupt", "malformed",
    "unsupported_type", "too_large",
]  # fmt: skip
"""A "malformed" file may be as it was made, but not as llama.cpp takes it; of one that is "too_large" llmtui reads no
more than `tui.models.budget` allows."""
Named = Literal["key", "tensor"]
_TOO_LONG: dict[Named, str] = {
    "key": mark("a key of {n} bytes, more than {most}"),
    "tensor": mark("the name of a tensor has {n} bytes, more than {most}"),
}
NO_TEXT: dict[Named, str] = {
    "key": mark("a key that is not UTF-8"),
    "tensor": mark("the name of a tensor is not UTF-8"),
}

_FIRST_CHUNK, _LARGEST_CHUNK = 16 << 10, 256 << 10
"""Bytes of a file that are read at once: more and more of them, until something is passed over."""
U32, U64 = struct.Struct("<I"), struct.Struct("<Q")


class GGUFError(Exception):
    """A file that cannot be used, and in `detail` why; people are told the detail where it is a text of the catalogue.
    `offset` is where in the file the trouble was met; for `truncated_data` `expected_size` and `actual_size` tell how
    much of the file is missing, for `unsupported_type` `type_id` is the number of the type. `metadata` is what was read
    before, where all of it was."""

    def __init__(
        self,
        kind: GGUFErrorKind,
        offset: int,
        detail: str | Later,
        *,
        expected_size: int = 0,
        actual_size: int = 0,
        type_id: int = 0,
    ) -> None:
        self.detail = detail if isinstance(detail, Later) else Later(detail)
        super().__init__(f"{self.detail.english} (at byte {offset:,})")
        self.kind: GGUFErrorKind = kind
        self.offset = offset
        self.expected_size = expected_size
        self.actual_size = actual_size
        self.type_id = type_id
        self.metadata: dict[str, Value] | None = None


class Cursor:
    """Reads a source front to back through a window of it. What is taken is counted in `budget`."""

    def __init__(self, source: ByteSource, budget: Budget) -> None:
        self.source = source
        self._budget = budget
        self.end = budget.left("bytes") if source.size is None else min(source.size, budget.left("bytes"))
        self._window = b""
        self._start = 0
        self._at = 0
        # To come back for more costs little on a disk, and a request elsewhere.
        self._first_chunk = _FIRST_CHUNK if isinstance(source, FileSource) else _LARGEST_CHUNK
        self._chunk = self._first_chunk

    @property
    def offset(self) -> int:
        """Where in the source the next byte is."""
        return self._start + self._at

    def fail(self, detail: str | Later, kind: GGUFErrorKind = "corrupt") -> GGUFError:
        """An error at this place."""
        return GGUFError(kind, self.offset, detail)

    def need(self, n: int) -> None:
        """See that `n` bytes are ahead, or raise."""
        if n > self.end - self.offset:
            if self.source.size is None or self.source.size > self.end:
                self._budget.take("bytes", self.offset + n)
            raise self.fail("the file ends inside the header", "truncated")

    def window(self, n: int) -> tuple[bytes, int]:
        """A window that holds the next `n` bytes, and where in it they start."""
        if self._at + n > len(self._window):
            self.need(n)
            if len(self.ahead(n)[0]) < n:
                raise self.fail("the file ends inside the header", "truncated")
        return self._window, self._at

    def ahead(self, n: int) -> tuple[bytes, int]:
        """As `window`, with fewer bytes where there are no more."""
        if self._at + n > len(self._window) and self._start + len(self._window) < self.end:
            self._start, self._at = self.offset, 0
            self._window = self.source.read_at(self._start, min(max(n, self._chunk), self.end - self._start))
            self._chunk = min(2 * self._chunk, _LARGEST_CHUNK)
        return self._window, self._at

    def pass_over(self, n: int) -> None:
        """Go on behind `n` bytes of the window."""
        self._at += n

    def number(self, form: struct.Struct) -> int:
        """One number."""
        value: int = self.numbers(form)[0]
        return value

    def numbers(self, form: struct.Struct) -> tuple[Any, ...]:
        """Several at once."""
        at, size = self._at, form.size
        if at + size > len(self._window):
            at = self.window(size)[1]
        self._at = at + size
        return form.unpack_from(self._window, at)

    def string(self, limit: int, what: Named) -> bytes:
        """A text of at most `limit` bytes."""
        n = self.number(U64)
        if n > limit:
            raise self.fail(later(_TOO_LONG[what], n=f"{n:,}", most=f"{limit:,}"))
        return self._take_bytes(n)

    def start_of_string(self, n_kept: int) -> bytes:
        """The first bytes of a string, the rest of which is passed over."""
        n = self.number(U64)
        self.need(n)
        kept = self._take_bytes(min(n, n_kept))
        self.skip(n - len(kept))
        return kept

    def _take_bytes(self, n: int) -> bytes:
        self._budget.take("text", n)
        if self._at + n > len(self._window):
            self.window(n)
        self._at += n
        return self._window[self._at - n : self._at]

    def skip(self, n: int) -> None:
        self.need(n)
        self._at += n
        if self._at > len(self._window):
            self._start, self._window, self._at = self.offset, b"", 0
            self._chunk = self._first_chunk

    def skip_strings(self, count: int) -> None:
        """Walk over `count` strings. The one hot loop: Qwen's vocabulary and merges have 303,000."""
        unpack, n = U64.unpack_from, count
        while n:
            window, at = self.window(8)
            last = len(window) - 8
            for left in range(n, 0, -1):  # noqa: B007
                if at > last:
                    break
                at += 8 + unpack(window, at)[0]
            else:
                left = 0
            n = left
            self.skip(at - self._at)
