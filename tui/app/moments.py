"""Moments as a list shows them, relative to the day."""

from __future__ import annotations

from datetime import datetime


def when(time: float, now: datetime) -> str:
    """A moment in 12 cells at most: "14:02" today, "yesterday", "12 Mar", "2025-03-12", "unknown"."""
    if time <= 0:
        return "unknown"
    moment = datetime.fromtimestamp(time)
    days = (now.date() - moment.date()).days
    if days == 0:
        return moment.strftime("%H:%M")
    if days == 1:
        return "yesterday"
    return moment.strftime("%d %b").lstrip("0") if moment.year == now.year else moment.strftime("%Y-%m-%d")
