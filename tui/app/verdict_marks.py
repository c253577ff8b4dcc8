"""The marks and colours of a verdict: whether a load fits, in every table, bar and sentence of the app."""

from __future__ import annotations

from tui.planning.formula import Fit

MARKS: dict[Fit, str] = {"fits": "●", "tight": "◐", "no": "○"}
STYLES: dict[Fit, str] = {"fits": "good", "tight": "tight", "no": "full"}
"""For rows of `LineWidget`."""
COLORS: dict[Fit, str] = {"fits": "$text-success", "tight": "$text-warning", "no": "$text-error"}
"""For `Content`."""
