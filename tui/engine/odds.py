"""How likely each token of an answer was, and which others there were: by the model alone, before values of sampling
change anything. Runs in the engine process only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tui.protocol.records import TokenOdds

MOST_OTHERS = 20


class OddsWatcher:
    """Hears of each token that is chosen, and keeps its odds until they are taken."""

    def __init__(self, n_others: int, piece: Callable[[int], bytes]) -> None:
        """So many of the likeliest are kept for each token; `piece` gives the bytes of one, marks included."""
        self._n, self._piece = min(max(n_others, 1), MOST_OTHERS), piece
        self._kept: list[TokenOdds] = []

    def note(self, token: int, logits: Any) -> None:
        """A token was chosen of these."""
        best = logits.max()
        shares = np.exp(logits - best)
        total = float(shares.sum())
        n = min(self._n, len(logits))
        ids = np.argpartition(logits, -n)[-n:]
        ids = ids[np.argsort(-logits[ids], kind="stable")]
        others = tuple((self._text(int(one)), float(shares[one]) / total) for one in ids)
        self._kept.append(TokenOdds(text=self._text(token), p=float(shares[token]) / total, others=others))

    def take(self) -> tuple[TokenOdds, ...]:
        """Those since this was asked last, in order."""
        kept, self._kept = self._kept, []
        return tuple(kept)

    def _text(self, token: int) -> str:
        # Of a character in several tokens the bytes are shown.
        return self._piece(token).decode("utf-8", "backslashreplace")
