"""What a token loop is asked and what it tells, compiled or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tui.engine.abort import Aborted
from tui.engine.llama import Session
from tui.engine.llamalog import LlamaError
from tui.engine.sampler import Sampler

NO_TOKEN = -1


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


@dataclass(frozen=True)
class Drafted:
    """What came of drafts in one answer so far."""

    n_steps: int = 0
    """Times that a token was decoded together with a draft."""
    n_drafted: int = 0
    """Tokens of the drafts."""
    n_accepted: int = 0
    """Those of them that the model would have chosen."""
    n_alone: int = 0
    """Tokens that were decoded once more by themselves, because rounding might have made another one the likeliest."""


class TokenLoop(Protocol):
    """One answer's loop over a session and a sampler."""

    def run(self, pending: int, n_past: int, n_most: int, due: float) -> LoopRun:
        """Decode `pending`, unless that is `NO_TOKEN`, choose the next token from the newest logits, decode it, and so
        on: until about `n_most` are chosen (never more), one at or after the time `due`, one that is to be looked at
        (see `Session.token_kinds`), or something ends it. `n_past` tokens are in the KV cache."""

    def read(self, tokens: Sequence[int]) -> None:
        """Tokens of the conversation that the loop did not choose, in their order: the prompt, and what was put into
        the model's mouth. Drafts repeat what was read."""

    def dictate(self, tokens: Sequence[int]) -> None:
        """Choose these one after the other, whatever the logits say: a benchmark writes the same text each time. No
        more than these may be asked for."""

    @property
    def drafted(self) -> Drafted:
        """What came of drafts."""

    def step_costs(self) -> dict[int, tuple[int, float]]:
        """How many steps decoded so many tokens at once, and the seconds that they took together."""


def can_draft(session: Session, sampler: Sampler, costs: Sequence[float]) -> bool:
    """Whether drafts can be made: their cost is known, the session can take several tokens at once and forget the wrong
    ones, and where nothing is left to chance, it can be told how sure a choice is."""
    is_certain = sampler.sampling.temperature > 0 or sampler.n_needed > 0
    return len(costs) > 1 and session.n_outputs > 1 and is_certain
