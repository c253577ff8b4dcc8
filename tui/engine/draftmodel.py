"""A draft model: a second, small model with a context of its own that guesses what the large one writes. Loads it and
keeps what is known of it from one answer to the next; when it guesses, and how long, is in `drafter`. Runs in the
engine process only."""

from __future__ import annotations

import ctypes
import sys
import time
from pathlib import Path
from typing import Any

from tui.base.splitfile import part_of
from tui.engine import anatomy
from tui.engine.abort import Aborted, AbortSwitch
from tui.engine.bindings import lib
from tui.engine.llamalog import LOG, LlamaError, open_model
from tui.engine.pagecache import read_ahead
from tui.engine.params import context_params, model_params
from tui.engine.promptlookup import MOST_DRAFT
from tui.engine.vocabulary import Vocabulary
from tui.planning.draftload import draft_settings
from tui.protocol import loadlog
from tui.protocol.records import LoadSettings, Placed
from tui.words.later import later

EXPECTED = (0.12, 0.25, 0.4, 0.55, 0.7, 0.82, 0.9, 0.96)
"""How often a guess is right, by how sure it is, as long as nothing better is known."""
WEIGHT = 4.0
"""So many guesses these count for."""
EXPECTED_RATE = 0.6
"""The same of all guesses."""
LEARNS = 0.1
"""What one more step weighs against what was known of its cost."""
READS_AT_ONCE = 16.0
"""Reading a token of many costs so many times less than a guess, as long as nothing better is known."""
_MEASURED = 64
"""Tokens at once from which is learned what reading costs."""
_WARMED = (1, 2, 3, 4, 8, 16, _MEASURED)
_SEQUENCE = 0


class DrafterState(ctypes.Structure):
    """`struct drafter`: what both token loops know of a draft model."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("context", "memory", "decode", "get_logits_ith", "forget")),
        *((name, ctypes.c_void_p) for name in ("abort", "held", "maxima")),
        *((name, ctypes.c_int32) for name in ("n_held", "n_ctx", "n_batch", "n_vocab")),
        *((name, ctypes.c_int32) for name in ("start", "n_same", "is_off", "n_guesses")),
        ("rows", ctypes.c_int32 * MOST_DRAFT),
        *((name, ctypes.c_double) for name in ("step", "read", "learns", "rate")),
        *((name, ctypes.c_double * len(EXPECTED)) for name in ("hits", "trials")),
    )


class DraftModel:
    """A loaded draft model and its context. Raises `LlamaError` from the constructor when it cannot be loaded or does
    not go with the vocabulary of the large model, and `Aborted` when `abort` was set meanwhile."""

    def __init__(self, path: Path, settings: LoadSettings, abort: AbortSwitch, vocabulary: Vocabulary) -> None:
        """`settings` and `vocabulary` are the large model's."""
        self.path, self._abort = path, abort
        self._model: int | None = None
        self._context: int | None = None
        self._was_off = False
        self._keep: list[object] = []
        try:
            self._load(path, draft_settings(settings))
            own = Vocabulary(lib.llama_model_get_vocab(self._model))
            self._refuse_what_cannot_draft(own, vocabulary)
            self.state = self._first_state(min(own.n_tokens, vocabulary.n_tokens))
        except BaseException:
            self.close()
            raise

    def _load(self, path: Path, settings: LoadSettings) -> None:
        print(f"{loadlog.LOADING}{path.name!r}", file=sys.stderr)
        with LOG.step() as self._log:
            is_ahead = settings.use_mmap and settings.numa == "off"  # else the threads that compute bring each page in
            if is_ahead and not read_ahead(part_of(path)[1], lambda _: not self._abort.is_set):
                raise Aborted
            self._model = open_model(path, self._params(settings))
            if not self._model:
                raise Aborted if self._abort.is_set else LOG.error("llama.cpp gave no reason")
            params = context_params(settings)
            params.abort_callback, params.abort_callback_data = self._abort.callback, self._abort.data
            self._context = lib.llama_init_from_model(self._model, params)
            if not self._context:
                raise LOG.error("llama.cpp could not create the draft model's context")
        self.n_bytes = int(lib.llama_model_size(self._model))
        self.memory = lib.llama_get_memory(self._context)
        self.n_ctx = int(lib.llama_n_ctx_seq(self._context))

    def _params(self, settings: LoadSettings) -> Any:
        params = model_params(settings, self._keep)
        callback = lib.llama_progress_callback(lambda _fraction, _data: not self._abort.is_set)
        params.progress_callback = callback
        self._keep.append(callback)
        return params

    def _refuse_what_cannot_draft(self, own: Vocabulary, vocabulary: Vocabulary) -> None:
        if lib.llama_model_is_recurrent(self._model) or lib.llama_model_is_hybrid(self._model):
            detail = later("Its state cannot be rolled back, so it cannot be a draft model.")
            raise LlamaError("bad_settings", detail)
        n = min(own.n_tokens, vocabulary.n_tokens)
        if any(own.spelled(token) != vocabulary.spelled(token) for token in range(n)):
            raise LlamaError("bad_settings", later("The draft model has another vocabulary than the model."))

    def _first_state(self, n_vocab: int) -> DrafterState:
        self._held = (ctypes.c_int32 * self.n_ctx)()
        self._maxima = (ctypes.c_float * n_vocab)()
        state = DrafterState(
            context=self._context,
            memory=ctypes.cast(self.memory, ctypes.c_void_p).value,
            decode=address("llama_decode"),
            get_logits_ith=address("llama_get_logits_ith"),
            forget=address("llama_memory_seq_rm"),
            abort=self._abort.data,
            held=ctypes.addressof(self._held),
            maxima=ctypes.addressof(self._maxima),
            n_ctx=self.n_ctx,
            n_batch=int(lib.llama_n_ubatch(self._context)),
            n_vocab=n_vocab,
            learns=LEARNS,
            rate=EXPECTED_RATE,
        )
        state.hits[:] = [rate * WEIGHT for rate in EXPECTED]
        state.trials[:] = [WEIGHT] * len(EXPECTED)
        return state

    def expect(self, n_large_bytes: int) -> None:
        """What a guess costs, as long as it was not measured, by the weights of the large model."""
        self.state.step = min(1.0, 0.02 + self.n_bytes / max(1, n_large_bytes))
        self.state.read = self.state.step / READS_AT_ONCE

    def decode(self, tokens: list[int]) -> None:
        """Evaluate tokens behind what is held; for `drafter`, which keeps the books. Raises `Aborted` and
        `LlamaError`."""
        array = (lib.llama_token * len(tokens))(*tokens)
        if lib.llama_decode(self._context, lib.llama_batch_get_one(array, len(tokens))) != 0:
            raise Aborted if self._abort.is_set else LlamaError("decode", "the draft model failed")

    @property
    def held(self) -> Any:
        """The tokens in its KV cache, of which `state.n_held` are there."""
        return self._held

    @property
    def logits(self) -> Any:
        """llama.cpp's buffer of the newest ones, as an address."""
        return lib.llama_get_logits_ith(self._context, -1)

    def forget_from(self, n: int) -> None:
        """Forget all but the first `n` tokens."""
        lib.llama_memory_seq_rm(self.memory, _SEQUENCE, n, -1)

    def measure(self, token: int, plain_s: float, *, warm_up: bool) -> None:
        """Learn what a guess and reading cost, a step of the large model taking `plain_s`; what is held stays. With
        `warm_up` all sizes are computed once before, as a GPU compiles programs for each. Raises `Aborted` and
        `LlamaError`."""
        n_many = min(_MEASURED, self.state.n_batch)
        if self.state.n_held + n_many > self.n_ctx:
            self.state.n_held = self.state.n_same = 0
            self.forget_from(0)
        for n in _WARMED if warm_up else ():
            self._took(token, min(n, n_many))
        self.state.step = min(self._took(token, 1) for _ in range(3)) / plain_s
        self.state.read = min(self._took(token, n_many) for _ in range(2)) / n_many / plain_s

    def _took(self, token: int, n: int) -> float:
        """Seconds that so many tokens take."""
        started = time.perf_counter()
        try:
            self.decode([token] * n)
            lib.llama_synchronize(self._context)
        finally:
            self.forget_from(self.state.n_held)
        return time.perf_counter() - started

    def has_failed_since(self) -> bool:
        """Whether it has failed since this was asked last."""
        was_off, self._was_off = self._was_off, bool(self.state.is_off)
        return self._was_off and not was_off

    @property
    def context(self) -> int | None:
        """llama.cpp's context, for those who call it themselves."""
        return self._context

    def placed(self, *, mapped: bool) -> tuple[Placed, ...]:
        """What of it lies where. Raises `BooksUnreadable`."""
        if self._model is None or self._context is None:
            return ()
        output = sum(buffer.n_bytes for buffer in loadlog.buffers(self._log) if buffer.purpose == "output")
        return anatomy.placed(self._model, self._context, output, mapped=mapped)

    def close(self) -> None:
        """Free all. Safe to call twice."""
        if self._context:
            lib.llama_free(self._context)
        if self._model:
            lib.llama_model_free(self._model)
        self._context = self._model = None


def address(function: str) -> int | None:
    """Of a function of llama.cpp's."""
    return ctypes.cast(getattr(lib._lib, function), ctypes.c_void_p).value
