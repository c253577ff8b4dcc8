"""Moments as a list shows them, relative to the day."""

from __future__ import annotations

from datetime import datetime

from tui.words import mark, tr

_MONTHS = (
    mark("Jan"), mark("Feb"), mark("Mar"), mark("Apr"), mark("May"), mark("Jun"),
    mark("Jul"), mark("Aug"), mark("Sep"), mark("Oct"), mark("Nov"), mark("Dec"),
)  # fmt: skip


def when(time: float, now: datetime) -> str:
    """A moment in 12 cells at most: "14:02" today, "yesterday", "12 Mar", "2025-03-12", "unknown"."""
    if time <= 0:
        return tr("unknown")
    moment = datetime.fromtimestamp(time)
    days = (now.date() - moment.date()).days
    if days == 0:
        return moment.strftime("%H:%M")
    if days == 1:
        return tr("yesterday")
    if moment.year == now.year:
        return tr("{day} {month}", day=moment.day, month=tr(_MONTHS[moment.month - 1]))
    return moment.strftime("%Y-%m-%d")


def period(time: float, now: datetime) -> str:
    """The heading that a moment stands under in a list by day: "Today", "Yesterday", "Last 7 days", "Last 30 days",
    "Older". What lies in the future, as with a clock that was wrong, is today's."""
    days = (now.date() - datetime.fromtimestamp(time).date()).days if time > 0 else 1000
    if days <= 0:
        return tr("Today")
    if days == 1:
        return tr("Yesterday")
    return tr("Last 7 days") if days <= 7 else tr("Last 30 days") if days <= 30 else tr("Older")
