"""Measures what it costs to decode several tokens at once, and what a guess of the draft model costs, in steps of one
token. Runs in the engine process only."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from tui.engine.abort import Aborted
from tui.engine.costcurve import filled, stepped
from tui.engine.llama import Session
from tui.engine.llamalog import LlamaError

SIZES = (1, 2, 4, 8, 3, 16, 6, 12, 5, 7)
"""Tokens at once, in the order in which they are tried: some are cheaper than those before, as kernels compute several
rows together."""
GPU_SIZES = (1, 2, 4, 8)
"""On a GPU, which compiles programs for each size when it comes first, up to a second for each: that round is not
counted."""
ROUNDS = 3
BUDGET_S = 1.5


def measure(session: Session, budget_s: float = BUDGET_S) -> tuple[float, ...]:
    """The cost of 1, 2, 3 … tokens at once, as far as there was time and room; empty where drafts cannot be made. What
    is in the KV cache stays as it is. Raises `Aborted`."""
    n_past = session.memory.n_past
    is_on_gpu = bool(session.loaded.llama.devices)
    wanted = GPU_SIZES if is_on_gpu else SIZES
    sizes = [n for n in wanted if n <= min(session.n_outputs, session.n_ctx - n_past)]
    if session.n_outputs < 2 or len(sizes) < 2:
        return ()
    token = max(session.vocabulary.bos, session.vocabulary.eos, 0)
    best: dict[int, float] = {}
    state = session.memory.save_part() if session.memory.is_recurrent and n_past else None
    if is_on_gpu:
        for n in sizes:
            _step(session, n_past, state, [token] * n)
    started = time.perf_counter()
    for n in sizes * ROUNDS:
        if len(best) > 1 and time.perf_counter() - started > budget_s:
            break
        took = _step(session, n_past, state, [token] * n)
        best[n] = min(best.get(n, took), took)
    if len(best) < 2:
        return ()
    if session.draft is not None:
        try:
            session.draft.measure(token, best[1], warm_up=is_on_gpu)
        except LlamaError as error:  # repeated text can be guessed without it
            print(f"llmtui: the draft model is not used: {error.detail}", file=sys.stderr)
            session.draft.state.is_off = 1
    costs = {n: took / best[1] for n, took in best.items()}
    return stepped(costs) if is_on_gpu else filled(costs)


def _step(session: Session, n_past: int, state: bytearray | None, tokens: Sequence[int]) -> float:
    """Seconds that it takes; the memory then is as it was, `state` being the part of it that cannot be cut."""
    if session.abort.is_set:
        raise Aborted
    started = time.perf_counter()
    try:
        session.decode(tokens, wants_all=len(tokens) > 1)
        session.synchronize()
        return time.perf_counter() - started
    finally:
        if state is not None:
            session.memory.restore_part(state, n_past)
        elif n_past:
            session.memory.take_back(n_past)
        else:
            session.memory.clear()
