"""Has a GPU compile its programs for prompts before the first one comes. Runs in the engine process only.

A backend such as Vulkan compiles a program when it is first needed, and has others for prompts of other lengths: after
a load the first prompt would wait for it, unless the driver kept them from an earlier time. Measured on an H200 with a
4B model: 6 s for a prompt that is then read in one.
"""

from __future__ import annotations

import time

from tui.engine.abort import Aborted
from tui.engine.llama import Session
from tui.engine.stepcosts import GPU_SIZES

_REMAINDERS = (24, 56)
"""Tokens in the last batch of a prompt: matrices of up to 32 columns, of up to 64 and of more have programs apart."""
_MORE = 96
"""Tokens that are certainly more."""
_LONGEST_S = 0.5
"""What one batch may take, once nothing is to be compiled: a question that comes meanwhile waits no longer."""


def warm_up(session: Session) -> None:
    """Read throw-away prompts, if a GPU computes and nothing was read yet, and what drafts need behind long ones.
    Raises `Aborted`."""
    loaded = session.loaded.llama
    has_room = session.n_ctx >= sum(_REMAINDERS) + 2 * loaded.n_ubatch + 64 and session.n_batch >= max(_REMAINDERS)
    if not loaded.devices or session.memory.n_past or not has_room:
        return
    try:
        for n in _REMAINDERS:
            _read(session, n)
        token_s = _read(session, _REMAINDERS[0]) / _REMAINDERS[0]
        n_long = min(loaded.n_ubatch, max(_MORE, int(_LONGEST_S / token_s)))
        for _ in range(2):  # the second looks at what the first left, as in a long prompt
            _read(session, n_long)
        for n in GPU_SIZES:
            if n <= session.n_outputs:
                _read(session, n, wants_all=n > 1)
    finally:
        session.memory.clear()


def _read(session: Session, n: int, *, wants_all: bool = False) -> float:
    """Seconds for so many tokens."""
    if session.abort.is_set:
        raise Aborted
    started = time.perf_counter()
    session.decode([max(session.vocabulary.bos, session.vocabulary.eos, 0)] * n, wants_all=wants_all)
    session.synchronize()
    return time.perf_counter() - started
