"""A grammar in GBNF over the tokens of a vocabulary, by llama.cpp: which tokens may come next. Runs in the engine
process only."""

from __future__ import annotations

import os
import re
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from tui.base.text import one_line
from tui.engine.bindings import lib
from tui.engine.candidates import CANDIDATE
from tui.engine.llamalog import LOG, LlamaError
from tui.engine.vocabulary import Vocabulary
from tui.words.later import Later, later

MOST_BYTES = 256 * 1024
_DEEPEST = 200
"""Of brackets in each other, which llama.cpp reads by calling itself."""
_ROOT = b"root"
_SAYS = b"error parsing grammar: "
_UNDEFINED = re.compile(r"Undefined rule identifier '(.*)'")

Ids = np.ndarray[tuple[int], np.dtype[Any]]


class Grammar:
    """What was written so far, held against a grammar."""

    def __init__(self, vocabulary: Vocabulary, text: str) -> None:
        """Raises `LlamaError` of the kind "bad_format", which says what is wrong, and where."""
        raw = text.encode("utf-8", "replace")
        if len(raw) > MOST_BYTES or b"\0" in raw:
            raise LlamaError("bad_format", later("the grammar is too large (256 KiB at most), or no text"))
        if _depth(text) > _DEEPEST:
            raise LlamaError("bad_format", later("the grammar is nested too deeply"))
        self._vocabulary = vocabulary
        with LOG.step():
            sampler, said = _listened(lambda: lib.llama_sampler_init_grammar(vocabulary.pointer, raw, _ROOT))
            if not sampler:
                raise LlamaError("bad_format", _reason(text, said))
        self._sampler = sampler
        self.close = weakref.finalize(self, lib.llama_sampler_free, sampler)
        """Free what llama.cpp holds of it; done too when nobody holds this any more."""
        self._marks: Any = None

    def allowed(self, ids: Ids) -> Any:
        """For each of these tokens whether it may come next, as a numpy array. Marks, such as one that ends a thought,
        never may, but for the end of the answer: what the grammar takes is text."""
        room = np.zeros(len(ids), CANDIDATE)
        room["id"] = ids
        array = lib.llama_token_data_array(
            data=room.ctypes.data_as(lib.llama_token_data_p), size=len(ids), selected=-1, sorted=False
        )
        lib.llama_sampler_apply(self._sampler, lib.ctypes.byref(array))
        fits = np.asarray(room["logit"] > -np.inf)
        fits[fits] = ~self._are_marks(ids[fits])
        return fits

    def _are_marks(self, ids: Ids) -> Any:
        vocabulary = self._vocabulary
        if len(ids) > 1024:  # looked up one by one, all of them, once
            if self._marks is None:
                every = range(vocabulary.n_tokens)
                self._marks = np.fromiter(map(self._is_mark, every), np.bool_, vocabulary.n_tokens)
            return self._marks[ids]
        return np.fromiter(map(self._is_mark, ids.tolist()), np.bool_, len(ids))

    def _is_mark(self, token: int) -> bool:
        return self._vocabulary.mark_text(token) is not None and not self._vocabulary.is_end(token)

    def accept(self, token: int) -> None:
        """It comes next; only one that is `allowed`."""
        lib.llama_sampler_accept(self._sampler, token)

    @property
    def is_complete(self) -> bool:
        """Whether the text may end here."""
        eos = self._vocabulary.eos
        ends = [eos] if eos >= 0 and self._vocabulary.is_end(eos) else []
        ends = ends or [one for one in range(self._vocabulary.n_tokens) if self._vocabulary.is_end(one)][:1]
        return bool(ends) and bool(self.allowed(np.array(ends, np.int32))[0])


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    return deepest


def _listened(do: Callable[[], Any]) -> tuple[Any, bytes]:
    """What llama.cpp makes of it, and what it prints on stderr meanwhile, which goes there all the same."""
    sys.stderr.flush()
    kept, aside = os.dup(2), os.memfd_create("grammar")
    try:
        os.dup2(aside, 2)
        try:
            made = do()
            sys.stderr.flush()
        finally:
            os.dup2(kept, 2)
        said = os.pread(aside, 4 * MOST_BYTES, 0)
    finally:
        os.close(kept)
        os.close(aside)
    for line in said.decode("utf-8", "replace").splitlines()[:20]:
        print(line, file=sys.stderr)
    return made, said


def _reason(text: str, said: bytes) -> Later:
    """What is wrong with a grammar, and where. llama.cpp says it with all that follows the place."""
    raw = text.encode("utf-8", "replace")
    _, says, rest = said.partition(_SAYS)
    if not says:
        return later("the grammar cannot be used: {reason}", reason=one_line(LOG.why("llama.cpp refuses it")[:200]))
    what = rest[: rest.rfind(b"\n\n" + raw)] if raw in rest else rest.partition(b"\n\n")[0]
    for at in re.finditer(rb" at ", what):
        tail = what[at.end() :]
        if raw.endswith(tail):
            return _at(raw[: len(raw) - len(tail)], what[: at.start()])
    if found := _UNDEFINED.match(what.decode("utf-8", "replace")):
        use = re.search(rf"(?<![\w-]){re.escape(found[1])}(?![\w-])", text)
        return _at(text[: use.start() if use else 0].encode(), f'there is no rule "{found[1]}"'.encode())
    return _at(raw, what)


def _at(before: bytes, what: bytes) -> Later:
    lines = before.decode("utf-8", "replace").split("\n")
    return later(
        "the grammar is wrong at line {line}, column {column}: {reason}",
        line=str(len(lines)),
        column=str(len(lines[-1]) + 1),
        reason=one_line(what.decode("utf-8", "replace")[:200]),
    )
