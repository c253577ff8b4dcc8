"""Tokens of several sequences to be decoded together: llama.cpp's batch with positions and sequence ids. Runs in the
engine process only."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from tui.engine.bindings import lib

_ARRAYS = ("token", "pos", "n_seq_id", "seq_id", "logits")


class Batch:
    """Up to `n_max` tokens, each of one sequence. A context manager: llama.cpp's memory is freed at its end."""

    def __init__(self, n_max: int) -> None:
        self._n_max = n_max
        self._batch = lib.llama_batch_init(n_max, 0, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lib.llama_batch_free(self._batch)

    def __len__(self) -> int:
        return int(self._batch.n_tokens)

    def clear(self) -> None:
        """Take all tokens out."""
        self._batch.n_tokens = 0

    def add(self, token: int, position: int, sequence: int, *, wants_logits: bool) -> None:
        """Append a token. Raises `IndexError` when the batch is full."""
        batch, at = self._batch, len(self)
        if at >= self._n_max:
            raise IndexError(f"a batch of {self._n_max} tokens is full")
        batch.token[at], batch.pos[at] = token, position
        batch.n_seq_id[at], batch.seq_id[at][0] = 1, sequence
        batch.logits[at] = wants_logits
        batch.n_tokens = at + 1

    def parts(self, n_most: int) -> Iterator[Any]:
        """The batch in pieces of at most `n_most` tokens, which look into it, as `llama_decode` takes them."""
        for at in range(0, len(self), n_most):
            part = lib.llama_batch(n_tokens=min(n_most, len(self) - at), embd=None)
            for name in _ARRAYS:
                array = getattr(self._batch, name)
                setattr(
                    part, name, ctypes.cast(ctypes.byref(array.contents, at * ctypes.sizeof(array._type_)), type(array))
                )
            yield part
