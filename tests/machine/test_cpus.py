"""How many CPUs' time there is: by affinity, by the cores that the kernel describes, and by quotas of control groups of
both versions, from written /proc and /sys trees and from the real kernel."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.conftest import DENSE
from tests.places import tree
from tui.engines.local import LocalEngine
from tui.machine.cpus import (
    chosen_cpus,
    cpu_list,
    cpu_quota,
    has_two_kinds,
    n_nodes,
    n_usable_cpus,
    physical_cores,
    usable_cpus,
)
from tui.protocol.records import LoadSettings

has_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="the CPUs of a process are chosen on Linux only"
)
V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 23 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct ro shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:30 {top} /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)
CGROUP_V1 = "4:memory:{path}\n2:cpu,cpuacct:{path}\n1:name=systemd:{path}\n0::{path}\n"


def v2(path: str, **quotas: str) -> dict[str, str]:
    """A process in the group `path`; quotas by folder, "_" for the base and "__" for a slash."""
    files = {"proc/self/cgroup": f"0::{path}\n", "proc/self/mountinfo": V2}
    for folder, text in quotas.items():
        below = "" if folder == "_" else f"{folder.replace('__', '/')}/"
        files[f"sys/fs/cgroup/{below}cpu.max"] = f"{text}\n"
    return files


def v1(path: str, quotas: dict[str, tuple[int, int]], top: str = "/") -> dict[str, str]:
    """The same of version 1, whose hierarchy can be seen from the group `top` on."""
    files = {
        "proc/self/cgroup": CGROUP_V1.format(path=path),
        "proc/self/mountinfo": V1.format(top=top),
    }
    for folder, (quota, period) in quotas.items():
        files[f"sys/fs/cgroup/cpu,cpuacct/{folder}cpu.cfs_quota_us"] = f"{quota}\n"
        files[f"sys/fs/cgroup/cpu,cpuacct/{folder}cpu.cfs_period_us"] = f"{period}\n"
    return files


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        (v2("/"), None),
        (v2("/", _="max 100000"), None),
        (v2("/", _="200000 100000"), 2),
        (v2("/", _="390000 100000"), 3),
        (v2("/", _="50000 100000"), 1),
        (v2("/", _="25000 10000"), 2),
        (v2("/", _="what"), None),
        (v2("/", _="0 0"), None),
        # The tightest of all groups counts, wherever it is.
        (v2("/user/box", user="max 100000"), None),
        (v2("/a/b/c", a="400000 100000", a__b="200000 100000", a__b__c="max 100000"), 2),
        (v2("/a/b/c", a="200000 100000", a__b="400000 100000", a__b__c="800000 100000"), 2),
        (v2("/a/b/c", a="max 100000", a__b="max 100000", a__b__c="300000 100000"), 3),
        # A container sees its own group as the base, while the path may be the host's.
        (v2("/docker/abc", _="300000 100000"), 3),
        (v2("/../sibling", _="300000 100000"), 3),
        (v1("/", {"": (-1, 100000)}), None),
        (v1("/", {"": (250000, 100000)}), 2),
        (v1("/a/b", {"": (-1, 100000), "a/": (400000, 100000), "a/b/": (-1, 100000)}), 4),
        (v1("/a/b", {"a/": (400000, 100000), "a/b/": (100000, 50000)}), 2),
        (v1("/docker/abc", {"": (300000, 100000)}), 3),
        (v1("/docker/abc/box", {"": (800000, 100000), "box/": (300000, 100000)}, top="/docker/abc"), 3),
        (v1("/docker/abc/box", {"": (200000, 100000), "box/": (-1, 100000)}, top="/docker/abc"), 2),
    ],
    ids=lambda value: str(value) if not isinstance(value, dict) else value.get("proc/self/cgroup", "nothing").strip(),
)
def test_the_tightest_quota_of_the_control_groups_is_found(
    tmp_path: Path, files: dict[str, str], quota: int | None
) -> None:
    assert cpu_quota(tree(tmp_path, files)) == quota


def test_without_a_list_of_mounts_the_usual_places_are_looked_at(tmp_path: Path) -> None:
    files = v2("/box", box="200000 100000")
    del files["proc/self/mountinfo"]
    assert cpu_quota(tree(tmp_path / "v2", files)) == 2
    of_v1 = {
        "proc/self/cgroup": "3:cpu,cpuacct:/box\n",
        "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "300000\n",
        "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
    }
    assert cpu_quota(tree(tmp_path / "v1", of_v1)) == 3


def topology(siblings: dict[int, str]) -> dict[str, str]:
    return {
        f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": f"{text}\n" for cpu, text in siblings.items()
    }


def capacities(*each: int) -> dict[str, str]:
    """As Arm's kernels tell how fast the CPUs are."""
    return {f"sys/devices/system/cpu/cpu{cpu}/cpu_capacity": f"{capacity}\n" for cpu, capacity in enumerate(each)}


@pytest.mark.parametrize(
    ("allowed", "files", "n_cores"),
    [
        # Four cores of two threads each.
        (range(8), topology({cpu: f"{cpu % 4},{cpu % 4 + 4}" for cpu in range(8)}), 4),
        # By taskset: one thread of each of two cores, or both of one.
        ({0, 1}, topology({cpu: f"{cpu % 4},{cpu % 4 + 4}" for cpu in range(8)}), 2),
        ({0, 4}, topology({cpu: f"{cpu % 4},{cpu % 4 + 4}" for cpu in range(8)}), 1),
        # Two performance cores of two threads, and four that are slower.
        (
            range(8),
            {
                **topology({0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"} | {cpu: str(cpu) for cpu in range(4, 8)}),
                "sys/devices/cpu_core/cpus": "0-3\n",
            },
            2,
        ),
        # Only slower ones are allowed.
        (range(4, 7), {**topology({cpu: str(cpu) for cpu in range(8)}), "sys/devices/cpu_core/cpus": "0-3\n"}, 3),
        # RK3588: Cortex-A55 and two clusters of A76; CIX P1: A520 and two of A720; then only one kind is allowed.
        (range(8), {**topology({cpu: str(cpu) for cpu in range(8)}), **capacities(*[414] * 4, *[1024, 1008] * 2)}, 4),
        (range(12), capacities(*[279] * 4, *[905] * 4, *[1024] * 4), 8),
        (range(4), capacities(*[414] * 4, *[1024] * 4), 4),
        (range(4), capacities(*[1024] * 4), 4),
        # Time for fewer than there are, and for more.
        (range(8), {**topology({cpu: str(cpu) for cpu in range(8)}), **v2("/a/b", a="350000 100000")}, 3),
        (range(8), {**topology({cpu: str(cpu) for cpu in range(8)}), **v1("/a", {"a/": (50000, 100000)})}, 1),
        (range(2), {**topology({cpu: str(cpu) for cpu in range(8)}), **v2("/", _="600000 100000")}, 2),
        # A kernel that tells nothing.
        (range(3), {}, 3),
    ],
)
def test_threads_are_the_cores_that_may_be_used_and_that_there_is_time_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: Iterable[int], files: dict[str, str], n_cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(allowed), raising=False)
    assert physical_cores(tree(tmp_path, files)) == n_cores


@pytest.mark.parametrize(
    ("files", "performance", "has_two", "nodes"),
    [
        ({}, {0, 1, 2, 3}, False, 1),
        ({"sys/devices/cpu_core/cpus": "0-1\n"}, {0, 1}, True, 1),
        (capacities(414, 414, 1024, 1008), {2, 3}, True, 1),
        (
            {f"sys/devices/system/node/node{i}/cpulist": f"{2 * i}-{2 * i + 1}\n" for i in range(2)},
            {0, 1, 2, 3},
            False,
            2,
        ),
        # One that has memory alone, as beside a Grace CPU.
        (
            {f"sys/devices/system/node/node{i}/cpulist": text for i, text in enumerate(("0-3\n", "\n"))},
            {0, 1, 2, 3},
            False,
            1,
        ),
    ],
)
def test_kinds_of_cores_and_nodes_are_told_apart(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    performance: set[int],
    has_two: bool,
    nodes: int,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    root = tree(tmp_path, files)
    assert chosen_cpus("performance", root) == frozenset(performance) and has_two_kinds(root) == has_two
    assert n_nodes(root) == nodes and chosen_cpus("all", root) is None


def test_a_list_of_cpus_is_read_and_written_as_the_kernel_does() -> None:
    assert (
        chosen_cpus("0-2,8,10-11") == frozenset({0, 1, 2, 8, 10, 11})
        and cpu_list({11, 10, 8, 0, 2, 1}) == "0-2,8,10-11"
    )
    assert cpu_list(()) == ""


@has_affinity
def test_under_taskset_only_the_cpus_that_are_allowed_count() -> None:
    before = usable_cpus()
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cpus() == {min(before)}
        assert n_usable_cpus() == physical_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


@has_affinity
async def test_an_engine_takes_as_many_threads_as_it_may_use() -> None:
    before = os.sched_getaffinity(0)
    settings = LoadSettings(n_ctx=256)
    try:
        async with LocalEngine() as engine:
            assert (await engine.load(DENSE, settings)).llama.n_threads == physical_cores()
        os.sched_setaffinity(0, {min(before)})
        async with LocalEngine() as engine:
            assert (await engine.load(DENSE, settings)).llama.n_threads == 1
    finally:
        os.sched_setaffinity(0, before)
