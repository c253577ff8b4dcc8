"""The token loop in Python, for those who have no compiled one: the same as `tokenloop.c`, step for step."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from tui.engine.abort import Aborted
from tui.engine.drafter import Drafter
from tui.engine.llama import Session
from tui.engine.llamalog import LlamaError
from tui.engine.looprun import NO_TOKEN, Drafted, LoopRun, can_draft
from tui.engine.prompt import ENDS, LOOKED_AT, PLAIN
from tui.engine.promptlookup import MOST_DRAFT, PromptLookup
from tui.engine.sampler import NO_NUMBERS, NOT_SURE, NoNumbers, Sampler

MOST_LOST_STEPS = 2
MOST_LOST_SHARE = 0.005
"""What drafts may lose: so many steps of one token, and so much of all the time."""
READING_SHARE = 0.5
"""Of that, what the draft model may spend on reading at once."""
HICCUP = 5
"""So many times what it should have taken, a step with a draft says nothing of the next: a GPU compiles a program when
so many tokens come first. The first of each number is not held against drafts either."""
MOST_IN_A_ROW = 64
"""Steps with drafts in a row, before one without tells what a step takes now."""
LEARNS = 0.2
"""What the cost of one more step weighs against what was known of it."""
LIKELY = 4.0
"""Logits so far below the best belong to tokens that could become the likeliest."""
ROUNDING_SAFETY = 3.0
"""So many times what rounding was seen to change counts as what it may change."""


class PythonLoop:
    """The loop in Python; see `TokenLoop`."""

    def __init__(self, session: Session, sampler: Sampler, ignore_end: bool, costs: Sequence[float] = ()) -> None:
        self._session, self._sampler, self._ignore_end = session, sampler, ignore_end
        self._lookup = (
            PromptLookup(session.n_ctx, costs[: session.n_outputs]) if can_draft(session, sampler, costs) else None
        )
        self._drafter = Drafter(session.draft) if self._lookup and session.draft else None
        self._keeps_first = session.memory.is_recurrent
        self._checks_rounding = sampler.sampling.temperature <= 0
        self._margin, self._learns = 0.0, LEARNS
        self._next_check = self._next_check_past = 0
        self._n_in_a_row = self._n_plain = 0
        self._plain_s = self._total_s = self._balance_s = 0.0
        self._n_steps = self._n_drafted = self._n_accepted = self._n_alone = 0
        self._costs: dict[int, list[float]] = defaultdict(list)
        self._hiccups: set[int] = set()
        """Numbers of tokens at once that have taken far too long once."""
        self._n_past = 0
        self._dictated: Iterator[int] | None = None

    def read(self, tokens: Sequence[int]) -> None:
        """See `TokenLoop`."""
        if self._lookup:
            self._lookup.read(tokens)

    def dictate(self, tokens: Sequence[int]) -> None:
        """See `TokenLoop`."""
        self._dictated = iter(tokens)

    @property
    def drafted(self) -> Drafted:
        """See `TokenLoop`."""
        return Drafted(self._n_steps, self._n_drafted, self._n_accepted, self._n_alone)

    def step_costs(self) -> dict[int, tuple[int, float]]:
        """See `TokenLoop`."""
        return {n: (len(took), sum(took)) for n, took in self._costs.items()}

    def run(self, pending: int, n_past: int, n_most: int, due: float) -> LoopRun:
        """See `TokenLoop`."""
        tokens, times, decoded = list[int](), list[float](), list[int]()
        self._n_past = n_past
        error: Aborted | LlamaError | None = None
        is_end = is_over = False
        try:
            while not (is_over or (times and times[-1] >= due)):
                self._session.raise_if_aborted()
                is_end, is_over = self._step(pending, n_most, tokens, times, decoded)
                pending = tokens[-1] if tokens else NO_TOKEN
        except (Aborted, LlamaError) as stopped:
            error = stopped
        except NoNumbers:
            error = LlamaError("decode", NO_NUMBERS)
        return LoopRun(tokens, times, len(decoded), is_end, error)

    def _step(
        self, pending: int, n_most: int, tokens: list[int], times: list[float], decoded: list[int]
    ) -> tuple[bool, bool]:
        """One step; whether the model ended its answer, and whether the run is over. `decoded` gets the tokens that
        went into the KV cache."""
        began, draft, is_check, is_clean, draft_s = time.perf_counter(), list[int](), False, True, 0.0
        if pending != NO_TOKEN:
            draft = self._draft(n_most - len(tokens) - 1)
            if self._drafter:
                draft_s = time.perf_counter() - began
                began += draft_s
            is_check = bool(draft) and self._is_check_due()
            is_clean = not is_check
            self._decode(pending, draft, is_check=is_check and not self._keeps_first)
            decoded.append(pending)
            # Of a memory that keeps the first, the logits of that must not be lost: it is looked at again later.
            if self._session.abort.is_set and not (draft and self._keeps_first):
                self._take_back(draft, 0)
                raise Aborted
        together, n_at_once = [pending, *draft], len(draft) + 1
        row, is_end, is_over = 0, False, False
        try:
            while True:
                is_late_check = is_check and self._keeps_first and bool(draft) and row == 1
                kept = self._sampler.logits(row).copy() if is_late_check else None
                can_be_alone = bool(draft) and (row > 0 or not self._keeps_first)
                margin = self._margin if can_be_alone else 0.0
                token = NOT_SURE if is_late_check else self._choose(row if draft else -1, margin)
                if token == NOT_SURE:
                    # Decoded alone, it is what it would have been without a draft.
                    self._n_alone += 1
                    is_clean, draft = False, draft[:row]
                    self._decode_alone(together[row], row, decoded)
                    if kept is not None:
                        self._learn_margin(kept, -1)
                    token = self._choose(-1, 0.0)
                is_end, is_looked_at = self._kind(token)
                if is_end:
                    break
                tokens.append(token)
                times.append(time.perf_counter())
                if self._lookup:
                    self._lookup.add(token)
                is_over = len(tokens) >= n_most or is_looked_at
                if is_over or row >= len(draft):
                    break
                if self._drafter:
                    self._drafter.learn(row, is_hit=token == draft[row])
                if token != draft[row]:
                    break
                self._n_accepted += 1
                decoded.append(token)
                row += 1
        finally:
            self._take_back(draft, row)
        if pending != NO_TOKEN:
            self._n_past += row + 1
            self._note(n_at_once, row + 1, draft_s, time.perf_counter() - began, is_clean=is_clean)
        return is_end, is_end or is_over

    def _choose(self, row: int, margin: float) -> int:
        return self._sampler.sample(row, margin) if self._dictated is None else next(self._dictated)

    def _kind(self, token: int) -> tuple[bool, bool]:
        """Whether a token ends the answer, and whether it is to be looked at."""
        if self._ignore_end:
            return False, False
        kind = self._session.token_kinds[token]
        is_end = kind == ENDS or (kind == PLAIN and self._session.vocabulary.is_end(token))
        return is_end, kind == LOOKED_AT

    def _decode(self, pending: int, draft: list[int], *, is_check: bool) -> None:
        """Decode a token with a draft behind it; with `is_check` before that by itself: how far do the logits
        differ?"""
        if is_check:
            self._session.decode_one(pending)
            alone = self._sampler.logits(-1).copy()
            self._session.memory.take_back(self._n_past)
        if not draft:
            self._session.decode_one(pending)
        else:
            self._session.decode([pending, *draft], wants_all=True)
        if is_check:
            self._learn_margin(alone, 0)

    def _learn_margin(self, kept: Any, row: int) -> None:
        """By how much rounding moved any of the likeliest tokens against the likeliest one: the logits of a row beside
        those that are kept of the same token, one of them decoded alone."""
        logits = self._sampler.logits(row)
        moved = (kept - logits) - (kept - logits)[logits.argmax()]
        self._margin = max(self._margin, ROUNDING_SAFETY * float(abs(moved[logits >= logits.max() - LIKELY]).max()))

    def _draft(self, most: int) -> list[int]:
        """The next draft, of the two the one that promises more; empty while none would pay."""
        if self._drafter:
            self._drafter.rest()
        if not self._lookup or self._plain_s <= 0 or self._n_in_a_row >= MOST_IN_A_ROW:
            return []
        left_s = self._balance_s + MOST_LOST_SHARE * self._total_s + MOST_LOST_STEPS * self._plain_s
        if left_s < 0:
            return []
        lookup, most = self._lookup, min(most, MOST_DRAFT)
        length, gain = lookup.best(most)
        can_guess = self._drafter is not None and len(lookup.text) == self._n_past + 1
        if not self._drafter or not can_guess or (length and gain >= self._drafter.promise(lookup.costs, most)):
            return lookup.draft(length)
        return self._drafter.guess(lookup.text, lookup.costs, self._plain_s, READING_SHARE * left_s, most)

    def _is_check_due(self) -> bool:
        if not self._checks_rounding:
            return False
        if self._n_steps < self._next_check and self._n_past < self._next_check_past:
            return False
        self._next_check = self._n_steps + (self._n_steps + 1 if self._n_steps < 64 else 64)
        self._next_check_past = self._n_past + self._n_past // 4 + 64
        return True

    def _decode_alone(self, token: int, row: int, decoded: list[int]) -> None:
        """Decode a token of the draft once more, by itself."""
        decoded.pop()
        self._session.memory.take_back(self._n_past + row)
        self._session.decode_one(token)
        decoded.append(token)

    def _take_back(self, draft: Sequence[int], row: int) -> None:
        """Forget the tokens of a draft behind this row."""
        if row < len(draft):
            self._session.memory.take_back(self._n_past + row + 1)

    def _note(self, n_at_once: int, n: int, draft_s: float, took: float, *, is_clean: bool) -> None:
        self._total_s += draft_s + took
        self._balance_s -= draft_s
        if self._lookup and n_at_once > 1:
            expected = self._lookup.costs[n_at_once - 1] * self._plain_s
            if took > HICCUP * expected:
                is_clean = False
                if n_at_once not in self._hiccups:
                    took = expected
                self._hiccups.add(n_at_once)
        if is_clean:
            self._costs[n_at_once].append(took)
        if n_at_once == 1:
            # A step that was held up by something else says nothing of the next one.
            seen = min(took, 2 * self._plain_s) if self._plain_s > 0 else took
            self._n_plain += 1
            if self._n_plain > 1 or not self._n_steps:
                self._plain_s = 0.9 * self._plain_s + 0.1 * seen if self._plain_s > 0 else took
                self._n_in_a_row = 0
            else:  # llama.cpp made its graph for one token anew: that is the draft's fault
                self._balance_s -= seen - self._plain_s
            return
        if is_clean and self._lookup:
            self._lookup.learn_cost(n_at_once, took / self._plain_s, self._learns)
        self._balance_s += n * self._plain_s - took
        self._n_plain = 0
        self._n_in_a_row += 1
        self._n_steps += 1
        self._n_drafted += n_at_once - 1
