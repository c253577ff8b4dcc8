"""How repeated figures are written."""

from __future__ import annotations

from collections.abc import Sequence

from tui.measure.stats import deviation, mean


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean and sample deviation, "1,630.91 ± 0.12"; the value alone where there is but one."""
    if len(values) < 2:
        return f"{mean(values):,.{digits}f}"
    return f"{mean(values):,.{digits}f} ± {deviation(values):,.{digits}f}"
