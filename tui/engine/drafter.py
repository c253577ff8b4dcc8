"""Guesses of a draft model in Python, for those who have no compiled loop: the same as `drafter.h`, step for step, on
the same struct."""

from __future__ import annotations

import ctypes
import math
import time
from bisect import bisect_left
from collections.abc import Sequence

from tui.engine.abort import Aborted
from tui.engine.draftmodel import EXPECTED_RATE, DraftModel
from tui.engine.llamalog import LlamaError
from tui.engine.promptlookup import LEAST_GAIN, MEMORY

FEW_TO_READ = 16
"""Tokens that it may have to read before a guess without a second thought."""
LEAST_WINDOW = 32
"""It reads at least so many of the latest tokens, or none."""
GROWS = 3
"""More is read once so many times as much may be."""
SURENESS = (0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97)
"""How sure a guess of each row of `hits` is, at most; the last has all that are surer."""
SURENESS_WIDTH = 8.0
"""Logits so far below the best are left out of how sure a guess is."""
RATE_RETURNS = 0.002
"""What the rate gets back of what is expected while no guess is made."""
RATE_LEARNS = 0.05
"""What one more guess weighs against what was known."""


class Drafter:
    """A draft model that follows one conversation."""

    def __init__(self, model: DraftModel) -> None:
        self._model, self._state = model, model.state
        self._state.n_same = 0

    def guess(
        self, text: Sequence[int], costs: Sequence[float], plain_s: float, budget_s: float, most: int
    ) -> list[int]:
        """A draft of at most `most` tokens behind the text; empty where none pays. `costs` as in `PromptLookup`; a step
        of the large model takes `plain_s`, `budget_s` may be spent on reading."""
        state = self._state
        state.n_guesses = 0
        most = min(most, len(costs) - 1)
        if self.promise(costs, most) <= LEAST_GAIN:
            state.rate += RATE_RETURNS * (EXPECTED_RATE - state.rate)
            return []
        n_read = self._plan_reading(text, budget_s / plain_s, most)
        if n_read <= 0:
            return []
        try:
            return self._write(text, costs, plain_s, n_read, most)
        except (Aborted, LlamaError) as stopped:
            state.is_off = isinstance(stopped, LlamaError)
            self._cut(0)
            return []

    def _write(self, text: Sequence[int], costs: Sequence[float], plain_s: float, n_read: int, most: int) -> list[int]:
        state = self._state
        began, draft, expected, chance, n_steps = time.perf_counter(), list[int](), [1.0], 1.0, 1
        self._read(text, n_read)
        while True:
            token, sureness = self._likeliest()
            draft.append(token)
            if len(draft) == 1 and n_read > FEW_TO_READ:
                after = time.perf_counter()
                state.read = _learned(state.read, (after - began) / plain_s / n_read, 5 * state.learns)
                began, n_steps = after, 0
            row = bisect_left(SURENESS, sureness)
            chance *= state.hits[row] / state.trials[row]
            n = len(draft)
            state.rows[n - 1] = row
            expected.append(expected[-1] + chance)
            length, best = 0, 1.0 / (1.0 + n * state.step)
            for i in range(1, n + 1):
                if expected[i] / (costs[i] + n * state.step) > best:
                    length, best = i, expected[i] / (costs[i] + n * state.step)
            if n >= most or self._promise(costs, most, n, expected[n], chance) <= best:
                break
            self._decode([token])
            n_steps += 1
        if n_steps:
            state.step = _learned(state.step, (time.perf_counter() - began) / plain_s / n_steps, state.learns)
        state.n_guesses = length
        return draft[:length]

    def learn(self, guess: int, *, is_hit: bool) -> None:
        """Whether a guess of the last draft, counted from 0, was right."""
        state = self._state
        if guess >= state.n_guesses:
            return
        row = state.rows[guess]
        state.hits[row] = state.hits[row] * MEMORY + is_hit
        state.trials[row] = state.trials[row] * MEMORY + 1.0
        state.rate += RATE_LEARNS * (is_hit - state.rate)

    def promise(self, costs: Sequence[float], most: int) -> float:
        """How many times as fast as one by one a draft promises to be now; 0 where none can be made."""
        most = min(most, len(costs) - 1)
        return 0.0 if self._state.is_off or most < 1 else self._promise(costs, most, 0, 1.0, 1.0)

    def rest(self) -> None:
        """The next draft comes from elsewhere."""
        self._state.n_guesses = 0

    def _promise(self, costs: Sequence[float], most: int, n: int, expected: float, chance: float) -> float:
        """The most, for what it costs, that going on from `n` guesses promises."""
        best = 0.0
        while n < most:
            n += 1
            chance *= self._state.rate
            expected += chance
            best = max(best, expected / (costs[n] + n * self._state.step))
        return best

    def _plan_reading(self, text: Sequence[int], budget: float, most: int) -> int:
        """Which part of the text is to be read behind what is held, if `budget` steps of the large model may be spent
        on it: cuts or empties what is held, and gives the number of tokens; 0 where it is too much."""
        state, held, n = self._state, self._model.held, len(text)
        # The last token is read again, if need be: its logits are wanted.
        while (
            state.n_same < state.n_held
            and state.start + state.n_same < n - 1
            and held[state.n_same] == text[state.start + state.n_same if state.n_same else 0]
        ):
            state.n_same += 1
        self._cut(state.n_same)
        missing: int = n - state.start - state.n_held
        may_read = budget / state.read
        most_window: int = n if n + most <= state.n_ctx else state.n_ctx // 2
        if may_read < most_window:
            most_window = max(0, int(may_read))
        has_room = state.n_held + missing + most <= state.n_ctx
        is_little = missing <= FEW_TO_READ or missing <= may_read
        is_narrow = state.start > 0 and most_window >= GROWS * (state.n_held + missing)
        if state.n_held and has_room and is_little and not is_narrow:
            return missing
        if most_window < LEAST_WINDOW and most_window < n:
            return 0
        self._cut(0)
        state.start = n - most_window
        return most_window

    def _read(self, text: Sequence[int], n: int) -> None:
        state = self._state
        while n:
            at, part = state.n_held, min(n, state.n_batch)
            self._decode([text[state.start + i if i else 0] for i in range(at, at + part)])
            n -= part
        state.n_same = state.n_held

    def _decode(self, tokens: list[int]) -> None:
        self._model.decode(tokens)
        self._model.held[self._state.n_held : self._state.n_held + len(tokens)] = tokens
        self._state.n_held += len(tokens)

    def _cut(self, n: int) -> None:
        state = self._state
        if n < state.n_held:
            self._model.forget_from(n)
        state.n_held, state.n_same = min(n, state.n_held), min(n, state.n_same)

    def _likeliest(self) -> tuple[int, float]:
        """The likeliest token, and by how much."""
        import numpy as np  # where the loop is compiled nobody asks for it

        n = self._state.n_vocab
        logits = np.ctypeslib.as_array(ctypes.cast(self._model.logits, ctypes.POINTER(ctypes.c_float)), (n,))
        token = int(logits.argmax())
        best = float(logits[token])
        if not math.isfinite(best):
            raise LlamaError("decode", "the draft model computes no numbers")
        near = logits[logits >= best - SURENESS_WIDTH].astype(np.float64)
        return token, 1.0 / float(np.exp(near - best).sum())


def _learned(before: float, seen: float, weight: float) -> float:
    """What another observation makes of a cost."""
    return before * (1.0 + weight * (min(max(seen / before, 0.2), 5.0) - 1.0))
