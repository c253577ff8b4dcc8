"""Has a GPU compile its programs for prompts before the first one comes. Runs in the engine process only.

A backend such as Vulkan compiles a program when it is first needed, and has others for prompts of other lengths: after
a load the first prompt would wait for it, unless the driver kept them from an earlier time. Measured on an H200 with a
4B model: 6 s for a prompt that is then read in one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tui.engine.abort import Aborted
from tui.engine.llama import Session

_REMAINDERS = (24, 56)
"""Tokens in the last batch of a prompt: matrices of up to 32 columns, of up to 64 and of more have programs apart."""
BUDGET_S = 20.0
"""No further size is begun after so long."""


def warm_up(session: Session, clock: Callable[[], float] = time.perf_counter) -> None:
    """Read throw-away prompts, if a GPU computes and nothing was read yet. Raises `Aborted`."""
    if not session.loaded.llama.devices or session.memory.n_past:
        return
    full = session.loaded.llama.n_ubatch
    token = max(session.vocabulary.bos, session.vocabulary.eos, 0)
    started = clock()
    try:
        for n in (*_REMAINDERS, full, full):  # the last one looks at what the one before left, as in a long prompt
            if session.abort.is_set:
                raise Aborted
            if clock() - started > BUDGET_S or session.memory.n_past + n > session.n_ctx:
                return
            session.decode([token] * n)
            session.synchronize()
    finally:
        session.memory.clear()
