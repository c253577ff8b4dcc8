"""How much memory can be had now. For the engine, whose start importing psutil would lengthen by a tenth."""

from __future__ import annotations

from tui.machine.procfs import Linux


def available_bytes() -> int:
    """Of RAM, in bytes, without swapping: what the system has, and what control groups leave of it to this process."""
    available = Linux().machine().ram_available_bytes
    if available is None:
        import psutil

        available = int(psutil.virtual_memory().available)
    return available
