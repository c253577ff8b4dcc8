"""Places that a conversation can go back to, where the memory of the model cannot: copies of recurrent states and of
windows, each of a moment. Keeps those that are worth most in the room there is. Knows no llama.cpp."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable

import msgspec

from tui.machine.available import available_bytes
from tui.planning.checkpointroom import room_bytes

_BORDER_WEIGHT = 8.0
"""So many times as likely as any other place is a border between messages to be gone back to."""
_NEAR = 512
"""Tokens from the end within which all places are as likely."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What `ContextMemory.save_part` gave, and when."""

    n_past: int
    """Tokens that had been read."""
    state: bytearray
    """Never changed."""
    is_border: bool = False
    """Later prompts are likely to part from this one here."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What was read, outside llama.cpp."""

    tokens: list[int]
    state: bytearray
    """Empty where nothing was read."""
    checkpoints: tuple[Checkpoint, ...] = ()


class Checkpoints:
    """Those of one conversation: all belong to the text that was read last."""

    def __init__(self, kept: Iterable[Checkpoint] = ()) -> None:
        self._kept = sorted(kept, key=_place)

    @property
    def kept(self) -> tuple[Checkpoint, ...]:
        """All, the earliest first."""
        return tuple(self._kept)

    @property
    def n_bytes(self) -> int:
        """Of all together."""
        return sum(len(kept.state) for kept in self._kept)

    def nearest(self, n_past: int) -> Checkpoint | None:
        """The last one at or before a place."""
        after = bisect_right(self._kept, n_past, key=_place)
        return self._kept[after - 1] if after else None

    def forget_after(self, n_past: int) -> None:
        """What was read behind this place is no longer part of the text."""
        del self._kept[bisect_right(self._kept, n_past, key=_place) :]

    def add(self, checkpoint: Checkpoint) -> None:
        """Keep one more, behind all others or in place of the last."""
        self.forget_after(checkpoint.n_past - 1)
        insort(self._kept, checkpoint, key=_place)

    def fit(self, room_bytes: int) -> None:
        """Forget those that are worth least until the others take no more than this."""
        left = self.n_bytes
        while self._kept and left > room_bytes:
            left -= len(self._kept.pop(self._least()).state)

    def _least(self) -> int:
        """Of which one least is lost: what would have to be read again without it, by how likely that is."""
        end = self._kept[-1].n_past
        before = [0, *(kept.n_past for kept in self._kept)]

        def worth(i: int) -> float:
            kept = self._kept[i]
            likely = (_BORDER_WEIGHT if kept.is_border else 1.0) / (end - kept.n_past + _NEAR)
            return (kept.n_past - before[i]) * likely

        return min(range(len(self._kept)), key=worth)


def _place(checkpoint: Checkpoint) -> int:
    return checkpoint.n_past


def room_now(held_bytes: int, mapped_bytes: int) -> int:
    """What all checkpoints may take now, those of `held_bytes` that there are among them. Of what the system calls
    available, the pages of the model's file, `mapped_bytes`, are not free: each token reads them."""
    available = available_bytes()
    return room_bytes(available + held_bytes - mapped_bytes)
