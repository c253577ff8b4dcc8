"""Kept contexts that begin as a prompt does, of whatever conversation: found by what stands at the head of their files,
and taken where reading the file is quicker than reading the prompt. Names and deletes no files."""

from __future__ import annotations

import contextlib
import os
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from tui.engine.contextfile import ContextFileError, ContextHead, ContextKey, read, read_head
from tui.engine.prefixcache import PrefixCache
from tui.machine.available import available_bytes
from tui.protocol.records import CONTEXT_SUFFIX

MOST_FILES = 64
"""Of those used last, so many are looked at."""
LEAST_GAIN = 256
"""Tokens: for fewer no file is read."""
SPARE_MEMORY_BYTES = 512 << 20
"""RAM that a copy of a context has to leave free."""
_ASSUMED_BYTES_PER_S = 400e6
"""Of reading a file and taking it over, until one was: a slow solid-state disk."""
_TELLING_BYTES = 32 << 20
"""How long a smaller file took says little of how fast files are read."""
_LEAST_SHARE = 1 / 4
"""Of the tokens of a file, what must be of use while it is not known how fast prompts are read: a token of a file comes
more than four times as fast as one that is computed, wherever the disk is no hard disk."""
_TOKEN_BYTES = 4

_Identity = tuple[int, int, int]
"""Inode, size and time of the last change."""


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    path: Path
    head: ContextHead
    n_tokens: int
    """Of the prompt, what need not be read with it."""


class KeptPrefixes:
    """Those that go with one loaded model. The heads of files stay in memory: looking again costs a `stat` of each."""

    def __init__(self, key: ContextKey) -> None:
        self._key = key
        self._heads: dict[Path, tuple[_Identity, ContextHead | None]] = {}
        self._bytes_per_s = _ASSUMED_BYTES_PER_S
        self.prefill_tps = 0.0
        """How fast prompts are read, in tokens a second; 0 while that is not known."""

    def bring(self, folder: Path, prompt: Sequence[int], prefix: PrefixCache, go_on: Callable[[], None]) -> None:
        """Have `prefix` hold the longest beginning of `prompt` that is worth reading from a file of this folder: it is
        left as it is where none is. `go_on` is called now and then, and raises where it is to stop."""
        found = self._best(folder, prompt, prefix)
        if found is None:
            return
        started = time.perf_counter()
        try:
            snapshot = read(found.path, self._key, go_on)
        except ContextFileError:
            del self._heads[found.path]
            return
        if prefix.take_over(snapshot):
            if found.head.n_bytes >= _TELLING_BYTES:
                self._bytes_per_s = found.head.n_bytes / (time.perf_counter() - started)
            with contextlib.suppress(OSError):
                os.utime(found.path)  # others are deleted first

    def _best(self, folder: Path, prompt: Sequence[int], prefix: PrefixCache) -> _Found | None:
        """The one that saves most; None where none is worth being read."""
        n_have = prefix.would_keep(prompt)
        if len(prompt) - n_have <= LEAST_GAIN:
            return None
        wanted = array("i", prompt[:-1]).tobytes()
        available = available_bytes() - SPARE_MEMORY_BYTES
        best: _Found | None = None
        for path, head in self._files(folder):
            n_tokens = _reach(head, _shared_tokens(head.tokens, wanted), cuts=prefix.cuts_anywhere)
            gain = n_tokens - (best.n_tokens if best else n_have)
            is_possible = head.n_tokens <= prefix.session.n_ctx and head.n_bytes <= available
            if is_possible and gain > 0 and self._is_worth(n_tokens - n_have, head):
                best = _Found(path=path, head=head, n_tokens=n_tokens)
        return best

    def _is_worth(self, gain: int, head: ContextHead) -> bool:
        """Whether the file is read sooner than so many tokens of a prompt."""
        if gain < LEAST_GAIN:
            return False
        if not self.prefill_tps:
            return gain >= _LEAST_SHARE * head.n_tokens
        return head.n_bytes / self._bytes_per_s < gain / self.prefill_tps

    def _files(self, folder: Path) -> Iterator[tuple[Path, ContextHead]]:
        """Those that go with the model, the ones used last first."""
        listed: list[tuple[Path, os.stat_result]] = []
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(CONTEXT_SUFFIX):
                    with contextlib.suppress(OSError):  # deleted meanwhile
                        listed.append((Path(entry.path), entry.stat(follow_symlinks=False)))
        listed.sort(key=lambda one: -one[1].st_mtime_ns)
        known, self._heads = self._heads, {}
        for path, stat in listed[:MOST_FILES]:
            identity = stat.st_ino, stat.st_size, stat.st_mtime_ns
            before = known.get(path)
            head = before[1] if before is not None and before[0] == identity else self._head(path)
            self._heads[path] = identity, head
            if head is not None:
                yield path, head

    def _head(self, path: Path) -> ContextHead | None:
        try:
            head = read_head(path)
        except ContextFileError:
            return None
        return head if head.key == self._key else None


def _shared_tokens(one: bytes, other: bytes) -> int:
    """How many tokens two begin with alike."""
    most = min(len(one), len(other)) // _TOKEN_BYTES
    ends = range(_TOKEN_BYTES, (most + 1) * _TOKEN_BYTES, _TOKEN_BYTES)
    return bisect_left(ends, True, key=lambda end: one[:end] != other[:end])


def _reach(head: ContextHead, n_shared: int, *, cuts: bool) -> int:
    """How much of what is shared can be gone on from. Memory that cannot be cut goes back to one of its places."""
    if cuts or n_shared == head.n_tokens:
        return n_shared
    return max((place for place in head.places if place <= n_shared), default=0)
