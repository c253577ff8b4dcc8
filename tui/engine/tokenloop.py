"""The loop that decodes a token and chooses the next one, until text is due.

llama.cpp's threads wait between two tokens, so the loop is compiled (`tokenloop.c`, when llmtui is installed). Where
there is no C compiler, `PythonLoop` does the same: 1% slower with a small model on a CPU, more on a fast GPU. Runs in
the engine process only.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tui.engine.abort import Aborted
from tui.engine.bindings import lib
from tui.engine.llama import LlamaError, Session
from tui.engine.prompt import ENDS, LOOKED_AT, PLAIN
from tui.engine.sampler import NO_NUMBERS, NoNumbers, Sampler

NO_TOKEN = -1
LIBRARY = Path(__file__).with_name("libtokenloop.so")
SOURCE = Path(__file__).with_name("tokenloop.c")

_N_MOST = 512
"""Tokens that one run of the compiled loop has room for."""
_BLOCK = 64
_CANDIDATE_BYTES = ctypes.sizeof(lib.llama_token_data)
_IS_END, _IS_ABORTED, _HAS_FAILED, _HAS_NO_NUMBERS = 2, 3, 4, 5


@dataclass(frozen=True)
class LoopRun:
    """What a run of the loop did."""

    tokens: list[int]
    """Those chosen. The last one is not in the KV cache yet, and never one that ends the answer."""
    times: list[float]
    """When each was chosen, as `time.perf_counter` tells."""
    n_decoded: int
    """Of the pending token and those chosen: how many went into the KV cache."""
    is_end: bool = False
    """The model ended its answer."""
    error: Aborted | LlamaError | None = None
    """What stopped the run; the rest holds all the same."""


class TokenLoop(Protocol):
    """One answer's loop over a session and a sampler."""

    def run(self, pending: int, n_most: int, due: float) -> LoopRun:
        """Decode `pending`, unless that is `NO_TOKEN`, choose the next token from the newest logits, decode it, and so
        on: until about `n_most` are chosen (never more), one at or after the time `due`, one that is to be looked at
        (see `Session.token_kinds`), or something ends it."""


def token_loop(session: Session, sampler: Sampler, *, ignore_end: bool) -> TokenLoop:
    """The compiled loop, where it is there."""
    library = _library()
    return CompiledLoop(library, session, sampler, ignore_end) if library else PythonLoop(session, sampler, ignore_end)


class PythonLoop:
    """The loop in Python."""

    def __init__(self, session: Session, sampler: Sampler, ignore_end: bool) -> None:
        self._session, self._sampler, self._ignore_end = session, sampler, ignore_end

    def run(self, pending: int, n_most: int, due: float) -> LoopRun:
        """See `TokenLoop`."""
        session, tokens, times, n_decoded = self._session, list[int](), list[float](), 0
        try:
            while True:
                if session.abort.is_set:
                    raise Aborted  # noqa: TRY301 - as from `decode_one`
                if pending != NO_TOKEN:
                    session.decode_one(pending)
                    n_decoded += 1
                    if session.abort.is_set:
                        raise Aborted  # noqa: TRY301
                pending = self._sampler.sample()
                kind = PLAIN if self._ignore_end else session.token_kinds[pending]
                if kind == ENDS or (kind == PLAIN and not self._ignore_end and session.vocabulary.is_end(pending)):
                    return LoopRun(tokens, times, n_decoded, is_end=True)
                tokens.append(pending)
                times.append(time.perf_counter())
                if len(tokens) >= n_most or times[-1] >= due or kind == LOOKED_AT:
                    return LoopRun(tokens, times, n_decoded)
        except (Aborted, LlamaError) as error:
            return LoopRun(tokens, times, n_decoded, error=error)
        except NoNumbers:
            return LoopRun(tokens, times, n_decoded, error=LlamaError("decode", NO_NUMBERS))


class _Loop(ctypes.Structure):
    """`struct token_loop`."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("context", "chain", "vocab")),
        *((name, ctypes.c_void_p) for name in ("decode", "get_logits_ith", "sample", "apply", "accept", "is_eog")),
        *((name, ctypes.c_void_p) for name in ("kinds", "abort", "room", "maxima")),
        *((name, ctypes.c_int32) for name in ("n_vocab", "n_needed", "takes_best", "ignores_end")),
        ("width", ctypes.c_float),
        *((name, ctypes.c_int32) for name in ("status", "n_decoded")),
    )


class CompiledLoop:
    """The loop in C. The chain sees only the candidates that can be chosen at all, if that can be told (see
    `Sampler.n_needed`): Qwen has 152 thousand. Which of tokens with the very same logit it takes may differ."""

    def __init__(self, library: ctypes.CDLL, session: Session, sampler: Sampler, ignore_end: bool) -> None:
        self._library, self._session = library, session
        n_vocab = session.n_vocab
        # Of memory from the kernel, only what is used becomes real.
        self._room = ctypes.c_char.from_buffer(mmap.mmap(-1, max(1, n_vocab * _CANDIDATE_BYTES)))
        self._maxima = (ctypes.c_float * -(-n_vocab // _BLOCK))()
        self._kinds = ctypes.c_char_p(session.token_kinds)
        self._keep_alive = sampler
        self._loop = _Loop(
            context=session.context,
            chain=ctypes.cast(sampler.chain, ctypes.c_void_p).value,
            vocab=session.vocabulary.pointer,
            decode=_address("llama_decode"),
            get_logits_ith=_address("llama_get_logits_ith"),
            sample=_address("llama_sampler_sample"),
            apply=_address("llama_sampler_apply"),
            accept=_address("llama_sampler_accept"),
            is_eog=_address("llama_vocab_is_eog"),
            kinds=ctypes.cast(self._kinds, ctypes.c_void_p).value,
            abort=session.abort.data,
            room=ctypes.addressof(self._room),
            maxima=ctypes.addressof(self._maxima),
            n_vocab=n_vocab,
            n_needed=sampler.n_needed,
            takes_best=sampler.takes_best,
            ignores_end=ignore_end,
        )
        self._tokens = (ctypes.c_int32 * _N_MOST)()
        self._times = (ctypes.c_double * _N_MOST)()
        self._ending = ctypes.c_int32()

    def run(self, pending: int, n_most: int, due: float) -> LoopRun:
        """See `TokenLoop`."""
        loop = self._loop
        n = self._library.token_loop_run(
            ctypes.byref(loop),
            pending,
            min(n_most, _N_MOST),
            due,
            self._tokens,
            self._times,
            ctypes.byref(self._ending),
        )
        ending = self._ending.value
        error: Aborted | LlamaError | None = None
        if ending == _IS_ABORTED:
            error = Aborted()
        elif ending == _HAS_FAILED:
            error = self._session.failure(loop.status, 1)
        elif ending == _HAS_NO_NUMBERS:
            error = LlamaError("decode", NO_NUMBERS)
        return LoopRun(self._tokens[:n], self._times[:n], loop.n_decoded, ending == _IS_END, error)

    def choose(self) -> int:
        """Choose a token from the newest logits, as `run` does."""
        return int(self._library.token_loop_choose(ctypes.byref(self._loop)))


def _address(function: str) -> int | None:
    return ctypes.cast(getattr(lib._lib, function), ctypes.c_void_p).value


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The compiled loop; None, and a line for the log, when it is not there or of another source than what is here."""
    try:
        library = ctypes.CDLL(str(LIBRARY))
        facts = (ctypes.c_int64 * 6).in_dll(library, "token_loop_facts")
        structs = (_Loop, lib.llama_batch, lib.llama_token_data, lib.llama_token_data_array)
        expected = [*map(ctypes.sizeof, structs), _BLOCK, zlib.crc32(SOURCE.read_bytes())]
    except (OSError, ValueError) as error:
        print(f"llmtui: the token loop runs in Python: {error}", file=sys.stderr)
        return None
    if list(facts) != expected:
        print(f"llmtui: the token loop runs in Python: {LIBRARY} is of another version", file=sys.stderr)
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    library.token_loop_run.argtypes = (pointer, number, number, ctypes.c_double, pointer, pointer, pointer)
    library.token_loop_run.restype = number
    library.token_loop_choose.argtypes = (pointer,)
    library.token_loop_choose.restype = number
    return library
