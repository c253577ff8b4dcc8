"""Choosing the next token without the compiled loop: numpy finds the candidates that a sampler chain needs to see. Runs
in the engine process only, and only there where `sampler` asks for it: numpy takes long to import."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from tui.engine.bindings import lib
from tui.engine.sampler import NOT_SURE, NoNumbers

_START_WIDTH = 8.0
CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""`llama_token_data`."""

# As the Python package declares it, but for the result, which is wanted as a number.
_logits_address = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)(("llama_get_logits_ith", lib._lib))


class Candidates:
    """The newest logits of a context, and the few of them that `n_needed` asks for; `takes_best` when the likeliest one
    is what the chain would choose."""

    def __init__(self, context: int | None, n_vocab: int, n_needed: int, *, takes_best: bool) -> None:
        self._context, self._n_vocab, self._n_needed, self._takes_best = context, n_vocab, n_needed, takes_best
        self._width = _START_WIDTH
        self._address = 0
        self._logits = np.empty(0, np.float32)
        self._is_likely = np.empty(n_vocab, np.bool_)
        self._make_room(0)

    def are_numbers(self, row: int) -> bool:
        """Whether the greatest logit is a number: with one that is none among them it is not."""
        return -np.inf < float(np.maximum.reduce(self.newest_logits(row))) < np.inf

    def choose_from_few(self, chain: Any, row: int, margin: float) -> int | None:
        """The token that `chain` chooses among those that it needs to see, remembered for its penalties. None when it
        cannot be told which they are, `NOT_SURE` as `Sampler.sample` says. Raises `NoNumbers`."""
        logits = self.newest_logits(row)
        if self._takes_best:
            best = int(logits.argmax())
            if not np.isfinite(logits[best]):  # one that is no number counts as the greatest
                best = int(np.where(np.isnan(logits), -np.inf, logits).argmax())
            if not np.isfinite(logits[best]):
                raise NoNumbers
            if margin > 0 and np.count_nonzero(logits >= logits[best] - np.float32(margin)) > 1:
                return NOT_SURE
            return best
        ids = self._likeliest(logits)
        if ids is None:
            return None
        self._fill(ids, logits)
        n, array = len(ids), self._array
        lib.llama_sampler_apply(chain, self._array_pointer)
        if margin > 0:
            # A chain that leaves nothing to chance only lowers logits, where they are.
            least = self._room_logits[array.selected] - np.float32(margin)
            if np.count_nonzero(self._room_logits[:n] >= least) > 1:
                return NOT_SURE
        token = int(array.data[array.selected].id)
        lib.llama_sampler_accept(chain, token)
        return token

    def choose(self, chain: Any, row: int, ids: Any) -> int:
        """The token that `chain` chooses among these, or all where `ids` is None; it is not told of it."""
        logits = self.newest_logits(row)
        ids = np.arange(self._n_vocab, dtype=np.int32) if ids is None else ids
        self._fill(ids, logits)
        lib.llama_sampler_apply(chain, self._array_pointer)
        return int(self._array.data[self._array.selected].id)

    def likeliest(self, row: int, n: int) -> Any:
        """Ids, ascending, of the `n` tokens with the greatest logits; of fewer where not so many are finite."""
        logits = self.newest_logits(row)
        ids = np.arange(len(logits)) if n >= len(logits) else np.argpartition(logits, -n)[-n:]
        ids = ids[logits[ids] > -np.inf].astype(np.int32)
        ids.sort()
        return ids

    def _fill(self, ids: Any, logits: Any) -> None:
        n = len(ids)
        if n > len(self._room_ids):
            self._make_room(2 * n)
        self._room_ids[:n], self._room_logits[:n] = ids, logits[ids]
        array = self._array
        array.data, array.size, array.selected, array.sorted = self._data, n, -1, False

    def _make_room(self, n: int) -> None:
        room = np.zeros(n, CANDIDATE)
        self._room_ids, self._room_logits = room["id"], room["logit"]
        self._data = room.ctypes.data_as(lib.llama_token_data_p)
        self._array = lib.llama_token_data_array(data=self._data, size=n, selected=-1, sorted=False)
        self._array_pointer = ctypes.byref(self._array)

    def newest_logits(self, row: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        """A view of llama.cpp's own buffer, which mostly stays where it is."""
        address = _logits_address(self._context, row)
        if address != self._address:
            self._address = address
            self._logits = np.ctypeslib.as_array((ctypes.c_float * self._n_vocab).from_address(address))
        return self._logits

    def _likeliest(self, logits: np.ndarray[tuple[int], np.dtype[np.float32]]) -> np.ndarray | None:
        """Ids, ascending, of the tokens within `_width` of the best: at least as many as are needed. The width follows
        the model, from token to token. None when there is no telling, as with logits that are not numbers."""
        best = float(np.maximum.reduce(logits))  # `max()`, less a function of Python
        if best - best != 0:
            return None
        while True:
            (ids,) = np.greater_equal(logits, best - self._width, self._is_likely).nonzero()
            if len(ids) >= self._n_needed:
                break
            if self._width > 1e4:
                return None
            self._width *= 1.5
        if len(ids) > 8 * self._n_needed + 256:
            self._width *= 0.9
        return ids
