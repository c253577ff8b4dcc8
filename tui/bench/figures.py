"""How repeated figures are written."""

from __future__ import annotations

from collections.abc import Sequence

from tui.base.format import full_speed, speed_digits
from tui.measure.stats import deviation, mean


def speed_and_deviation(tps: float, deviation_tps: float) -> str:
    """A mean and its deviation with as many digits, "1,613 ± 12"."""
    return f"{full_speed(tps)} ± {full_speed(deviation_tps, speed_digits(tps))}"


def spread_of_speeds(values: Sequence[float]) -> str:
    """The same of some values; the value alone where there is but one."""
    return speed_and_deviation(mean(values), deviation(values)) if len(values) > 1 else full_speed(mean(values))


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean and sample deviation, "1,630.91 ± 0.12"; the value alone where there is but one."""
    if len(values) < 2:
        return f"{mean(values):,.{digits}f}"
    return f"{mean(values):,.{digits}f} ± {deviation(values):,.{digits}f}"
