"""Which CPUs this process may use: fewer than the machine has, in a container or under `taskset`."""

from __future__ import annotations

import os
from pathlib import Path


def usable_cpus() -> frozenset[int]:
    """Numbers of the CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def cpu_quota(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int | None:
    """Whole CPUs' time that a container allows; None without a limit."""
    try:
        quota, period = file.read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else max(1, int(quota) // int(period))


def n_usable_cpus() -> int:
    """How many CPUs' time there is for this process."""
    n = len(usable_cpus())
    return min(n, cpu_quota() or n)
