"""Which CPUs this process may use, and how much of their time: less than the machine has, in a container, in a control
group with a quota, or under `taskset`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tui.machine.cgroups import groups_of
from tui.machine.files import read_int, read_text

_NEARLY_AS_FAST = 2 / 3
"""Of the fastest core's capacity, as Arm's kernels tell it: what a core has that keeps up. Little cores (Cortex-A55
beside A76) have a third to a half; the second of three kinds has most of it."""


def usable_cpus() -> frozenset[int]:
    """Numbers of the CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def cpu_quota(root: Path = Path("/")) -> int | None:
    """Whole CPUs' time that this process's control groups allow, the tightest of them all: those above its own too, of
    version 1 and 2; None without a limit. `root` holds proc/ and sys/.

    Rounded down, but never to none: llama.cpp's threads wait for each other, so that one which has used up its time
    holds up all, and what is left over is for the rest of the program.
    """
    shares = [_quota_v2(group.folder) if group.is_v2 else _quota_v1(group.folder) for group in groups_of("cpu", root)]
    limits = [share for share in shares if share is not None]
    return max(1, int(min(limits))) if limits else None


def _quota_v2(folder: Path) -> float | None:
    """CPUs' time by "cpu.max", which says "200000 100000" for two."""
    quota, _, period = (read_text(str(folder / "cpu.max")) or "").strip().partition(" ")
    return _share(int(quota), int(period)) if quota.isdigit() and period.isdigit() else None


def _quota_v1(folder: Path) -> float | None:
    """The quota is -1 without a limit."""
    return _share(read_int(str(folder / "cpu.cfs_quota_us")), read_int(str(folder / "cpu.cfs_period_us")))


def _share(quota: int | None, period: int | None) -> float | None:
    return quota / period if quota is not None and period is not None and quota > 0 and period > 0 else None


def n_usable_cpus(among: frozenset[int] | None = None) -> int:
    """How many CPUs' time there is for this process, or for its threads on the CPUs `among`."""
    n = len(usable_cpus() if among is None else usable_cpus() & among)
    return min(n, cpu_quota() or n)


def physical_cores(root: Path = Path("/"), among: frozenset[int] | None = None) -> int:
    """Cores to compute with: physical ones that this process may run on, performance cores only where the CPU has
    two kinds (the slower ones would hold up every step), and no more than there is time for. Never below one. Those of
    the CPUs `among`, whatever kind they are, where these are given."""
    cores = set()
    for cpu in performance_cpus(root) if among is None else usable_cpus() & among:
        siblings = read_text(str(_cpu_folder(root, cpu) / "topology/thread_siblings_list"))
        cores.add((siblings or str(cpu)).strip())
    return max(1, min(len(cores), cpu_quota(root) or len(cores)))


def performance_cpus(root: Path = Path("/")) -> frozenset[int]:
    """Of the CPUs that this process may run on, the fast ones; all where there is one kind, or only slow ones."""
    allowed = usable_cpus()
    fast = allowed & _listed(root / "sys/devices/cpu_core/cpus")  # Intel's name for them
    if not fast:
        capacities = {cpu: read_int(str(_cpu_folder(root, cpu) / "cpu_capacity")) or 0 for cpu in allowed}
        least = _NEARLY_AS_FAST * max(capacities.values(), default=0)
        fast = frozenset(cpu for cpu, capacity in capacities.items() if capacity >= least)
    return fast or allowed


def chosen_cpus(cpu_range: str, root: Path = Path("/")) -> frozenset[int] | None:
    """What a `LoadValues.cpu_range` names, whether this process may run there or not; None for all."""
    if cpu_range == "all":
        return None
    return performance_cpus(root) if cpu_range == "performance" else frozenset(_numbers(cpu_range))


def cpu_list(cpus: Iterable[int]) -> str:
    """As the kernel lists them: "0-7,16"."""
    spans: list[list[int]] = []
    for cpu in sorted(cpus):
        if spans and cpu == spans[-1][-1] + 1:
            spans[-1][1:] = [cpu]
        else:
            spans.append([cpu])
    return ",".join("-".join(map(str, span)) for span in spans)


def has_two_kinds(root: Path = Path("/")) -> bool:
    """Whether some of the CPUs that this process may run on are slower than others."""
    return performance_cpus(root) != usable_cpus()


def n_nodes(root: Path = Path("/")) -> int:
    """Memory nodes that have CPUs, one at least."""
    lists = (root / "sys/devices/system/node").glob("node[0-9]*/cpulist")
    return max(1, sum(bool(_listed(path)) for path in lists))


def _cpu_folder(root: Path, cpu: int) -> Path:
    return root / "sys/devices/system/cpu" / f"cpu{cpu}"


def _listed(path: Path) -> set[int]:
    """CPUs in a file with a kernel list such as "0-7,16"; empty when it is not there."""
    return _numbers((read_text(str(path)) or "").strip())


def _numbers(text: str) -> set[int]:
    """Those that a list such as "0-7,16" names."""
    spans = (span.split("-") for span in text.split(",") if span)
    return {cpu for span in spans for cpu in range(int(span[0]), int(span[-1]) + 1)}
