"""The threads that llama.cpp computes with, where they are to run on certain CPUs, with another priority or spread over
memory nodes. By default llama.cpp has them as it likes, and nothing here is used. Runs in the engine process only.

A build with OpenMP, as llmtui makes it, gives CPUs and priority to OpenMP's own threads and to the one that asks, at
each step; they keep both, so that they are given back here. How long they wait awake is OpenMP's own business there
(`tui.engines.local`).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from pathlib import Path
from types import SimpleNamespace

from tui.engine.bindings import lib, libggml
from tui.machine.cpus import chosen_cpus, cpu_list, usable_cpus
from tui.protocol.records import LoadSettings, Numa, Priority, poll_of
from tui.words.later import Later, later

_MOST_CPUS = 512
"""GGML_MAX_N_THREADS."""
_OTHER, _FIFO, _BATCH = 0, 1, 3
"""Linux's ways to schedule threads; `os` does not have them everywhere."""
_PRIORITIES: dict[Priority, tuple[int, int, int]] = {
    "low": (-1, _BATCH, 0),
    "normal": (0, _OTHER, 0),
    "medium": (1, _FIFO, 40),
    "high": (2, _FIFO, 80),
    "realtime": (3, _FIFO, 90),
}
"""llama.cpp's number for each, and how it schedules threads then."""
_NUMA: dict[Numa, int] = {"off": 0, "distribute": 1, "isolate": 2, "numactl": 3}


class CannotPlace(Exception):
    """Threads cannot run as the settings say; `why` says why not."""

    def __init__(self, why: Later) -> None:
        super().__init__(why)
        self.why = why


class _Params(ctypes.Structure):
    """`ggml_threadpool_params`, which the Python package does not declare."""

    _fields_ = (
        ("cpumask", ctypes.c_bool * _MOST_CPUS),
        ("n_threads", ctypes.c_int),
        ("prio", ctypes.c_int),
        ("poll", ctypes.c_uint32),
        ("strict_cpu", ctypes.c_bool),
        ("paused", ctypes.c_bool),
    )


class ThreadPool:
    """Threads of one context, whose settings ask for more than llama.cpp does by itself, and of those that never
    compute at the same time. `close` before any of them is freed."""

    def __init__(self, context: int, settings: LoadSettings, cpus: frozenset[int]) -> None:
        """`cpus` are those to run on, none for all."""
        self._contexts, self._poll, self._cpus = [context], poll_of(settings), cpus
        self._pool: int | None = None
        self._n_threads = 0
        self.was_refused = _is_refused(settings.priority)
        """The system does not let this process have that priority; threads have the usual one."""
        self._priority: Priority = "normal" if self.was_refused else settings.priority

    def provide(self, n_threads: int) -> None:
        """Have so many threads, or more: before they compute."""
        if n_threads <= self._n_threads:
            return
        params = _Params()
        _api().ggml_threadpool_params_init(ctypes.byref(params), n_threads)
        for cpu in self._cpus:
            params.cpumask[cpu] = True
        params.prio, policy, level = _PRIORITIES[self._priority]
        params.poll = self._poll
        _standing.taken_by(self)
        # llama.cpp with OpenMP leaves a thread that computes alone as it is.
        if self._cpus:
            os.sched_setaffinity(0, self._cpus)
        if policy != _OTHER:
            os.sched_setscheduler(0, policy, os.sched_param(level))
        pool = _api().ggml_threadpool_new(ctypes.byref(params))
        for context in self._contexts:
            _api().llama_attach_threadpool(context, pool, None)
        self._free()
        self._pool, self._n_threads = pool, n_threads

    def share(self, context: int) -> None:
        """Another context computes with them too, when the first does not."""
        self._contexts.append(context)
        if self._pool is not None:
            _api().llama_attach_threadpool(context, self._pool, None)

    def close(self) -> None:
        """Free them; other threads of this process have again what they had before."""
        if self._pool is not None:
            for context in self._contexts:
                _api().llama_detach_threadpool(context)
            self._free()
            _standing.given_back_by(self)

    def _free(self) -> None:
        if self._pool is not None:
            _api().ggml_threadpool_free(self._pool)
            self._pool = None


class _Standing:
    """CPUs and scheduling of this process's threads while a pool changes them."""

    def __init__(self) -> None:
        self._by: ThreadPool | None = None
        self._before: tuple[set[int], int, os.sched_param] | None = None

    def taken_by(self, pool: ThreadPool) -> None:
        self._by = pool
        if self._before is None:
            self._before = os.sched_getaffinity(0), os.sched_getscheduler(0), os.sched_getparam(0)

    def given_back_by(self, pool: ThreadPool) -> None:
        """Unless a later pool has them."""
        if self._by is pool:
            self.restore()
            self._by = self._before = None

    def restore(self) -> None:
        """Each thread that stands as this one does now gets what was before."""
        if self._before is None:
            return
        cpus, policy, param = self._before
        now = os.sched_getaffinity(0), os.sched_getscheduler(0)
        for thread in (int(task.name) for task in Path("/proc/self/task").iterdir()):
            with contextlib.suppress(ProcessLookupError):
                if (os.sched_getaffinity(thread), os.sched_getscheduler(thread)) == now:
                    os.sched_setaffinity(thread, cpus)
                    os.sched_setscheduler(thread, policy, param)

    @property
    def cpus(self) -> frozenset[int]:
        """Those that this process may run on, wherever its threads stand now."""
        return usable_cpus() if self._before is None else frozenset(self._before[0])


_standing = _Standing()


def stand_as_before() -> None:
    """Before a model is loaded, perhaps beside one whose threads were placed: what starts now is not to run there. At
    the next step that one's threads stand where they did."""
    _standing.restore()


def cpus_for(settings: LoadSettings) -> frozenset[int]:
    """The CPUs to compute on, none for all. Raises `CannotPlace`."""
    wanted = chosen_cpus(settings.cpu_range)
    if wanted is None:
        return frozenset()
    if found := frozenset(cpu for cpu in wanted & _standing.cpus if cpu < _MOST_CPUS):
        return found
    here = cpu_list(_standing.cpus)
    raise CannotPlace(
        later("none of the CPUs {wanted} can be used here; there are {here}", wanted=settings.cpu_range, here=here)
    )


def pool_for(context: int, settings: LoadSettings) -> ThreadPool | None:
    """The threads for a context, None where llama.cpp's own will do. Raises `CannotPlace`."""
    cpus = cpus_for(settings)
    if not cpus and settings.priority == "normal" and settings.poll < 0:
        return None
    return ThreadPool(context, settings, cpus)


def _is_refused(priority: Priority) -> bool:
    """Found by trying: llama.cpp would write a warning for each thread at each step."""
    _, policy, level = _PRIORITIES[priority]
    if policy == _OTHER:
        return False
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, policy, os.sched_param(level))  # some may have a lower one (`ulimit -r`)
    except OSError:
        return True
    os.sched_setscheduler(0, *before)
    return False


_numa: Numa = "off"
"""What this process was told; llama.cpp takes it once."""


def spread(numa: Numa) -> None:
    """Spread threads over memory nodes, before the first model is loaded. Raises `CannotPlace` where it was done in
    another way in this process."""
    global _numa
    if _numa != "off" and numa != _numa:
        raise CannotPlace(later("threads stay spread over the NUMA nodes as they are until the engine is restarted"))
    if numa != _numa:
        _numa = numa
        lib.llama_numa_init(_NUMA[numa])


@functools.cache
def _api() -> SimpleNamespace:
    """The functions that the Python package does not declare: pointers are `void *`."""
    pointer = ctypes.c_void_p
    declared = SimpleNamespace()
    for library, name, restype, argtypes in (
        (libggml, "ggml_threadpool_params_init", None, [pointer, ctypes.c_int]),
        (libggml, "ggml_threadpool_new", pointer, [pointer]),
        (libggml, "ggml_threadpool_free", None, [pointer]),
        (lib._lib, "llama_attach_threadpool", None, [pointer, pointer, pointer]),
        (lib._lib, "llama_detach_threadpool", None, [pointer]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = restype, argtypes
        setattr(declared, name, function)
    return declared
