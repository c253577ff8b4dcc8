"""What a llama.cpp context remembers of the one sequence that was read, over llama.cpp's own functions: how far it
goes, forgetting its end, and taking it out and back, whole or the part of it that cannot be cut. Runs in the engine
process only."""

from __future__ import annotations

import ctypes
from typing import Any

from tui.engine.bindings import lib
from tui.engine.promptlookup import MOST_DRAFT

_SEQUENCE = 0
_PART = lib.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY


class ContextMemory:
    """The memory of a context of one sequence. There are three kinds.

    Attention to everything keeps each token apart, so that any end of it can be forgotten. Recurrent layers keep one
    state, of all that was read up to its last token; hybrid models have both. Layers with a sliding window drop what is
    before it, but for `swa_full`, so that little can be forgotten where they have.
    """

    def __init__(self, model: int | None, context: int | None, *, swa_full: bool) -> None:
        self._context = context
        self._memory = lib.llama_get_memory(context)
        self.is_recurrent = bool(lib.llama_model_is_recurrent(model) or lib.llama_model_is_hybrid(model))
        """Has a state that cannot be taken back to an earlier token, in some layers or in all."""
        self.n_rollback = int(lib.llama_n_rs_seq(context)) if self.is_recurrent else MOST_DRAFT
        """Tokens of those decoded at once last that can be taken back, all of them but the first where there is a
        state; 0 where none can."""
        self.window = int(lib.llama_model_n_swa(model))
        """Tokens that layers with a sliding window see; 0 where there are none."""
        self.needs_checkpoints = self.is_recurrent or self.window > 0
        """There are times when it can only go back to where `save_part` was called."""
        self.mostly_goes_back = not self.is_recurrent and (swa_full or not self.window)
        """These times are few. With full windows that is after `restore`, as llama.cpp saves no more than the last one,
        and writes over what is masked from then on."""

    @property
    def n_past(self) -> int:
        """Tokens that were read."""
        return int(lib.llama_memory_seq_pos_max(self._memory, _SEQUENCE)) + 1

    def can_forget_from(self, n_past: int) -> bool:
        """Whether `forget_from` would."""
        if n_past <= 0:
            return True
        is_all = n_past == self.n_past
        if self.window and lib.llama_memory_seq_pos_min(self._memory, _SEQUENCE) > max(0, n_past - self.window + 1):
            return self.is_recurrent and is_all
        return is_all or not self.is_recurrent

    def forget_from(self, n_past: int) -> bool:
        """Forget all from position `n_past` on. False, with nothing changed, where this kind of memory cannot."""
        if n_past <= 0:
            self.clear()
            return True
        if not self.can_forget_from(n_past):
            return False
        return n_past == self.n_past or bool(lib.llama_memory_seq_rm(self._memory, _SEQUENCE, n_past, -1))

    def take_back(self, n_past: int) -> None:
        """Forget the end of what was decoded at once last, `n_rollback` tokens at most, from position `n_past` on:
        windows still hold what comes before, and states are kept of so many tokens."""
        lib.llama_memory_seq_rm(self._memory, _SEQUENCE, n_past, -1)

    @property
    def pointer(self) -> int | None:
        """llama.cpp's memory, for those who call it themselves."""
        return ctypes.cast(self._memory, ctypes.c_void_p).value

    def clear(self) -> None:
        """Forget everything."""
        lib.llama_memory_clear(self._memory, True)

    # The whole --------------------------------------------------------------------------------------------------------

    @property
    def n_bytes(self) -> int:
        """What `save` will come to."""
        return int(lib.llama_state_seq_get_size(self._context, _SEQUENCE))

    def save(self) -> bytearray:
        """All of it as llama.cpp writes it out, for `restore`. Logits are not part of it."""
        state = bytearray(self.n_bytes)
        buffer = _buffer(state)
        written = lib.llama_state_seq_get_data(self._context, buffer, len(state), _SEQUENCE)
        return _cut(state, buffer, written)

    def restore(self, state: bytearray) -> bool:
        """Take it over. False, and empty, when its types, layout or size do not go with this context."""
        if lib.llama_state_seq_set_data(self._context, _buffer(state), len(state), _SEQUENCE):
            return True
        self.clear()
        return False

    # The part that cannot be cut --------------------------------------------------------------------------------------

    @property
    def n_part_bytes(self) -> int:
        """What `save_part` will come to."""
        return int(lib.llama_state_seq_get_size_ext(self._context, _SEQUENCE, _PART))

    def save_part(self) -> bytearray:
        """Recurrent states and windows as they are now, for `restore_part`: with what attention to everything keeps, it
        is all that is remembered here."""
        state = bytearray(self.n_part_bytes)
        buffer = _buffer(state)
        written = lib.llama_state_seq_get_data_ext(self._context, buffer, len(state), _SEQUENCE, _PART)
        return _cut(state, buffer, written)

    def restore_part(self, state: bytearray, n_past: int) -> bool:
        """Go back to where `save_part` gave this, at `n_past` tokens; what was read up to there must be the same.
        False, and empty, when it does not go with this context."""
        if lib.llama_state_seq_set_data_ext(self._context, _buffer(state), len(state), _SEQUENCE, _PART) and bool(
            lib.llama_memory_seq_rm(self._memory, _SEQUENCE, n_past, -1)
        ):
            return True
        self.clear()
        return False


def _buffer(state: bytearray) -> Any:
    return (ctypes.c_uint8 * len(state)).from_buffer(state)


def _cut(state: bytearray, buffer: Any, n: int) -> bytearray:
    """The first `n` bytes. The buffer into it goes: a bytearray that somebody looks into cannot be cut."""
    del buffer
    return state if n == len(state) else state[:n]
