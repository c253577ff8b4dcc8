"""What is added to the logits of single tokens: which tokens the texts stand for. Runs in the engine process only."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tui.engine.vocabulary import Vocabulary
from tui.protocol.records import BANNED

Bias = tuple[int, float]
"""A token, and what is added to its logit; minus infinity keeps it from being chosen."""


def token_biases(vocabulary: Vocabulary, biases: Mapping[str, float]) -> tuple[list[Bias], list[str]]:
    """The tokens, and the texts that are not one token of this vocabulary."""
    found, left_out = list[Bias](), list[str]()
    for text, bias in biases.items():
        tokens = vocabulary.tokenize(text, is_whole=False)
        if len(tokens) == 1:
            found.append((tokens[0], -math.inf if bias <= BANNED else bias))
        else:
            left_out.append(text)
    return found, left_out
