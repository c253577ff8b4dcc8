"""For which other models what was tuned for one holds too."""

from __future__ import annotations

import math

from tui.models.info import ModelInfo

OF_THE_MACHINE = ("n_threads", "n_threads_batch", "flash_attn", "repack", "cpu_range", "numa")
"""Settings that are as good for other models of the same kind: they take no memory worth speaking of."""


def kind_of(info: ModelInfo) -> str:
    """Models of which what was tuned for one is good for the others: of one architecture and quantization, and of about
    the same size, as 7B and 8B."""
    size = round(math.log2(info.n_params)) if info.n_params > 0 else 0
    return f"{info.arch} 2^{size} {info.quant}"
