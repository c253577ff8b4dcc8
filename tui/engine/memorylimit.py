"""A bound for what the memory of this process may grow by while it works on what a stranger's file asks for."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def growing_at_most(n_bytes: int) -> Iterator[None]:
    """Inside, private memory (heap, anonymous mappings; neither files nor what a driver shares) grows by `n_bytes` at
    most: then allocating fails. Without any bound where the system does not tell how much there is."""
    before, most = resource.getrlimit(resource.RLIMIT_DATA)
    used = _private_bytes()
    if used is None:
        yield
        return
    limit = used + n_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, most))


def _private_bytes() -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
