"""Threads where the settings want them: on certain CPUs, with another priority, over memory nodes; seen in /proc of the
engine's process. What is answered does not depend on it, and the next load has them as they were."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.conftest import DENSE, TINY
from tests.engine.asking import ask, user
from tests.unprivileged import ALLOWED
from tui.engines.interface import Engine, EngineError
from tui.engines.local import LocalEngine
from tui.machine.cpus import cpu_list, usable_cpus
from tui.protocol.records import LoadSettings

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads are placed on Linux only")
QUESTION = user("用Python写冒泡排序")


def tiny(**changes: object) -> LoadSettings:
    return msgspec.structs.replace(TINY, n_threads=0, **changes)


def cpus_of(engine: Engine) -> list[str]:
    """Where each thread of the process may run, the computing one first."""
    assert isinstance(engine, LocalEngine) and engine.pid
    tasks = sorted(Path(f"/proc/{engine.pid}/task").iterdir(), key=lambda task: int(task.name))
    lines = [(task / "status").read_text().splitlines() for task in tasks]
    return [next(line.split()[1] for line in status if line.startswith("Cpus_allowed_list:")) for status in lines]


@pytest.mark.asyncio(loop_scope="module")
async def test_threads_compute_on_the_cpus_that_are_wanted_and_are_free_again_with_the_next_load(
    shared: Engine,
) -> None:
    last = max(usable_cpus())
    await shared.load(DENSE, tiny())
    plain = (await ask(shared, QUESTION)).text
    loaded = await shared.load(DENSE, tiny(cpu_range=str(last)))
    assert loaded.llama.n_threads == 1, "as many as there are cores among them"
    assert (await ask(shared, QUESTION)).text == plain
    assert cpus_of(shared)[0] == str(last)
    await shared.load(DENSE, tiny(cpu_range=f"{last},4000"), load_first=True)
    assert (await ask(shared, QUESTION)).text == plain
    assert cpus_of(shared)[0] == str(last), "what is not there is left out"
    await shared.load(DENSE, tiny())
    assert (await ask(shared, QUESTION)).text == plain
    assert set(cpus_of(shared)) == {cpu_list(usable_cpus())}


@pytest.mark.asyncio(loop_scope="module")
async def test_cpus_that_are_not_there_are_refused_and_what_is_loaded_stays(shared_tiny: Engine) -> None:
    before = shared_tiny.loaded
    with pytest.raises(EngineError, match="none of the CPUs 4000-4001 can be used here; there are "):
        await shared_tiny.load(DENSE, tiny(cpu_range="4000-4001"))
    assert shared_tiny.loaded == before


@pytest.mark.asyncio(loop_scope="module")
async def test_a_priority_is_that_of_the_threads_or_was_refused(shared: Engine) -> None:
    assert isinstance(shared, LocalEngine)
    loaded = await shared.load(DENSE, tiny(priority="low"))
    assert shared.pid and not loaded.llama.priority_refused
    assert os.sched_getscheduler(shared.pid) == os.SCHED_BATCH
    loaded = await shared.load(DENSE, tiny(priority="medium"))
    wanted = os.SCHED_OTHER if loaded.llama.priority_refused else os.SCHED_FIFO
    assert os.sched_getscheduler(shared.pid) == wanted
    await shared.load(DENSE, tiny())
    assert os.sched_getscheduler(shared.pid) == os.SCHED_OTHER


def test_a_priority_is_refused_too_where_a_lower_one_is_allowed() -> None:
    """As with `ulimit -r 10`; what a process has by itself counts alike."""
    code = (
        "from tui.engine.threadpool import ThreadPool; from tui.protocol.records import LoadSettings\n"
        "print(ThreadPool(0, LoadSettings(priority='medium'), frozenset()).was_refused)"
    )
    command = [sys.executable, "-m", "tests.unprivileged", sys.executable, "-c", code]

    def have_little() -> None:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))

    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=have_little)
    except subprocess.SubprocessError:
        pytest.skip("whoever runs this may have no priority at all")
    if done.returncode == ALLOWED:
        pytest.skip("whoever runs this may do as they want")
    assert done.stdout == "True\n", done.stderr


@pytest.mark.asyncio(loop_scope="module")
async def test_what_holds_for_the_whole_process_gets_another_one(shared_tiny: Engine) -> None:
    plain = (await ask(shared_tiny, QUESTION)).text
    async with LocalEngine() as engine:
        pids = [engine.pid]
        for settings in (tiny(numa="distribute"), tiny(numa="isolate"), tiny(numa="isolate", poll=1), tiny(poll=1)):
            await engine.load(DENSE, settings)
            assert (await ask(engine, QUESTION)).text == plain
            pids.append(engine.pid)
        assert pids[0] == pids[1], "nothing was spread before"
        assert len(set(pids[1:])) == 4
        environment = Path(f"/proc/{engine.pid}/environ").read_bytes().split(b"\0")
        assert b"OMP_WAIT_POLICY=active" in environment and b"GOMP_SPINCOUNT=131072" in environment
