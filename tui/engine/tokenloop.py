"""The loop that decodes a token and chooses the next one, until text is due; several at once where the conversation
suggests what comes next.

llama.cpp's threads wait between two tokens, so the loop is compiled (`tokenloop.c`, when llmtui is installed). Where
there is no C compiler, `PythonLoop` does the same: 1% slower with a small model on a CPU, more on a fast GPU. Runs in
the engine process only.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

from tui.engine.abort import Aborted
from tui.engine.bindings import lib
from tui.engine.draftmodel import DrafterState, address
from tui.engine.llama import Session
from tui.engine.llamalog import LlamaError
from tui.engine.looprun import Drafted, LoopRun, TokenLoop, can_draft
from tui.engine.promptlookup import EXPECTED, MOST_DRAFT, WEIGHT, hash_size
from tui.engine.pythonloop import LEARNS, PythonLoop
from tui.engine.sampler import NO_NUMBERS, Sampler

LIBRARY = Path(__file__).with_name("libtokenloop.so")
SOURCE = Path(__file__).with_name("tokenloop.c")

_N_MOST = 512
"""Tokens that one run of the compiled loop has room for."""
_BLOCK = 64
_CANDIDATE_BYTES = ctypes.sizeof(lib.llama_token_data)
_IS_END, _IS_ABORTED, _HAS_FAILED, _HAS_NO_NUMBERS = 2, 3, 4, 5


def token_loop(session: Session, sampler: Sampler, *, ignore_end: bool, costs: Sequence[float] = ()) -> TokenLoop:
    """The compiled loop, where it is there and the sampler leaves the choice to llama.cpp alone. `costs` are those of
    decoding 1, 2, 3 … tokens at once, in steps of one; without them no drafts are made, nor for a sampler of another
    kind."""
    library = _library()
    if not sampler.is_compiled:
        return PythonLoop(session, sampler, ignore_end)
    if library is None:
        return PythonLoop(session, sampler, ignore_end, costs)
    return CompiledLoop(library, session, sampler, ignore_end, costs)


class _Loop(ctypes.Structure):
    """`struct token_loop`."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("context", "chain", "vocab")),
        *((name, ctypes.c_void_p) for name in ("decode", "get_logits_ith", "sample", "apply", "accept", "is_eog")),
        *((name, ctypes.c_void_p) for name in ("kinds", "abort", "room", "maxima")),
        *((name, ctypes.c_int32) for name in ("n_vocab", "n_needed", "takes_best", "ignores_end")),
        ("width", ctypes.c_float),
        *((name, ctypes.c_int32) for name in ("status", "n_decoded")),
        *((name, ctypes.c_void_p) for name in ("lookup", "drafter", "memory", "forget", "alone")),
        *((name, ctypes.c_int32) for name in ("n_past", "checks_rounding")),
        ("margin", ctypes.c_float),
        *((name, ctypes.c_int32) for name in ("keeps_first", "next_check", "next_check_past", "n_in_a_row", "n_plain")),
        *((name, ctypes.c_int32) for name in ("n_steps", "n_drafted", "n_accepted", "n_alone")),
        ("dictated", ctypes.c_void_p),
        *((name, ctypes.c_double) for name in ("learns", "plain_s", "total_s", "balance_s")),
        ("seconds", ctypes.c_double * (MOST_DRAFT + 2)),
        ("counts", ctypes.c_int32 * (MOST_DRAFT + 2)),
        ("hiccups", ctypes.c_int32 * (MOST_DRAFT + 2)),
    )


class _Lookup(ctypes.Structure):
    """`struct lookup`."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("text", "before", "heads")),
        *((name, ctypes.c_int32) for name in ("n", "room", "mask", "source", "length", "n_misses", "n_costs")),
        *((name, ctypes.c_double * len(EXPECTED)) for name in ("hits", "trials")),
        ("costs", ctypes.c_double * (MOST_DRAFT + 2)),
    )


class CompiledLoop:
    """The loop in C. The chain sees only the candidates that can be chosen at all, if that can be told (see
    `Sampler.n_needed`): Qwen has 152 thousand. Which of tokens with the very same logit it takes may differ."""

    def __init__(
        self,
        library: ctypes.CDLL,
        session: Session,
        sampler: Sampler,
        ignore_end: bool,
        costs: Sequence[float] = (),
    ) -> None:
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
            decode=address("llama_decode"),
            get_logits_ith=address("llama_get_logits_ith"),
            sample=address("llama_sampler_sample"),
            apply=address("llama_sampler_apply"),
            accept=address("llama_sampler_accept"),
            is_eog=address("llama_vocab_is_eog"),
            kinds=ctypes.cast(self._kinds, ctypes.c_void_p).value,
            abort=session.abort.data,
            room=ctypes.addressof(self._room),
            maxima=ctypes.addressof(self._maxima),
            n_vocab=n_vocab,
            n_needed=sampler.n_needed,
            takes_best=sampler.takes_best,
            ignores_end=ignore_end,
            memory=session.memory.pointer,
            forget=address("llama_memory_seq_rm"),
            keeps_first=session.memory.is_recurrent,
            checks_rounding=sampler.sampling.temperature <= 0,
            learns=LEARNS,
        )
        self._lookup = self._room_for_lookup(costs) if can_draft(session, sampler, costs) else None
        self._tokens = (ctypes.c_int32 * _N_MOST)()
        self._times = (ctypes.c_double * _N_MOST)()
        self._ending = ctypes.c_int32()

    def _room_for_lookup(self, costs: Sequence[float]) -> _Lookup:
        """Have the loop make drafts."""
        room, hashes = self._session.n_ctx, hash_size(self._session.n_ctx)
        self._alone = (ctypes.c_float * self._session.n_vocab)()
        self._text = (ctypes.c_int32 * room)()
        self._before, self._heads = (ctypes.c_int32 * (room + 1))(), (ctypes.c_int32 * hashes)()
        for places in (self._before, self._heads):
            ctypes.memset(places, 0xFF, ctypes.sizeof(places))  # -1 each
        lookup = _Lookup(
            text=ctypes.addressof(self._text),
            before=ctypes.addressof(self._before),
            heads=ctypes.addressof(self._heads),
            room=room,
            mask=hashes - 1,
            source=-1,
            n_costs=min(len(costs), self._session.n_outputs),
        )
        lookup.hits[:] = [rate * WEIGHT for rate in EXPECTED]
        lookup.trials[:] = [WEIGHT] * len(EXPECTED)
        lookup.costs[1 : lookup.n_costs + 1] = costs[: lookup.n_costs]
        self._loop.lookup, self._loop.alone = ctypes.addressof(lookup), ctypes.addressof(self._alone)
        if (draft := self._session.draft) is not None:
            draft.state.n_same = 0
            self._loop.drafter = ctypes.addressof(draft.state)
        return lookup

    def read(self, tokens: Sequence[int]) -> None:
        """See `TokenLoop`."""
        if self._lookup is not None:
            array = (ctypes.c_int32 * len(tokens))(*tokens)
            self._library.token_loop_read(ctypes.byref(self._loop), array, len(tokens))

    def dictate(self, tokens: Sequence[int]) -> None:
        """See `TokenLoop`."""
        self._dictated = (ctypes.c_int32 * len(tokens))(*tokens)
        self._loop.dictated = ctypes.addressof(self._dictated)

    @property
    def drafted(self) -> Drafted:
        """See `TokenLoop`."""
        loop = self._loop
        return Drafted(loop.n_steps, loop.n_drafted, loop.n_accepted, loop.n_alone)

    def step_costs(self) -> dict[int, tuple[int, float]]:
        """See `TokenLoop`."""
        told = zip(self._loop.counts, self._loop.seconds, strict=True)
        return {n: (count, seconds) for n, (count, seconds) in enumerate(told) if count}

    def run(self, pending: int, n_past: int, n_most: int, due: float) -> LoopRun:
        """See `TokenLoop`."""
        loop = self._loop
        loop.n_past = n_past
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


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The compiled loop; None, and a line for the log, when it is not there or of another source than what is here."""
    try:
        library = ctypes.CDLL(str(LIBRARY))
        facts = (ctypes.c_int64 * 8).in_dll(library, "token_loop_facts")
        structs = (_Loop, _Lookup, DrafterState, lib.llama_batch, lib.llama_token_data, lib.llama_token_data_array)
        sources = (SOURCE, *sorted(SOURCE.parent.glob("*.h")))
        checksum = zlib.crc32(b"".join(source.read_bytes() for source in sources))
        expected = [*map(ctypes.sizeof, structs), _BLOCK, checksum]
    except (OSError, ValueError) as error:
        print(f"llmtui: the token loop runs in Python: {error}", file=sys.stderr)
        return None
    if list(facts) != expected:
        print(f"llmtui: the token loop runs in Python: {LIBRARY} is of another version", file=sys.stderr)
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    library.token_loop_run.argtypes = (pointer, number, number, ctypes.c_double, pointer, pointer, pointer)
    library.token_loop_run.restype = number
    library.token_loop_read.argtypes = (pointer, pointer, number)
    library.token_loop_read.restype = None
    library.token_loop_choose.argtypes = (pointer,)
    library.token_loop_choose.restype = number
    return library
