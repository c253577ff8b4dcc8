"""How fast the memory of this machine and of its devices can be read, measured in a second or so. Runs in the engine
process only.

The CPU reads with libc's `memchr` for a byte that is not there: it looks at every byte with vector loads, does nothing
else, and leaves Python's lock free. A device copies within its own memory, in the queue that decoding uses."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import mmap
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tui.engine import devices
from tui.engine.abort import Aborted, AbortSwitch
from tui.engine.bindings import libggml
from tui.machine.available import available_bytes
from tui.machine.cpus import physical_cores

MIB = 1 << 20
_IS_BRIEF = os.environ.get("LLMTUI_BRIEF_BANDWIDTH") == "1"
"""For tests, which start hundreds of benchmarks and want a figure, however good: a tenth of the time."""
MEASURE_S = 0.02 if _IS_BRIEF else 0.4
"""For each device, after its memory is prepared."""
_THREAD_BYTES = (64 if _IS_BRIEF else 256) * MIB
_HOST_BYTES = 2048 * MIB
"""All threads together read no more than this, unless the caches are larger."""
_CACHES = 4
"""How many times the last-level caches must fit into what is read, so that they hold little of it the next time."""
_FREE_SHARE = 4
"""A fourth of the free memory is taken at most."""
_LEAST_BYTES = 64 * MIB
_TENSOR_BYTES = 128 * MIB
"""The most that every Vulkan device can bind as one buffer."""
_N_PAIRS = 8
"""Pairs of tensors on a device at most: 2 GiB, many times its cache."""
_SOFTWARE_TENSOR_BYTES = 4 * MIB
"""On a device in software, which is thousands of times slower."""
_F32, _SUCCESS = 0, 0

_libc = ctypes.CDLL(None)
_libc.memchr.restype = ctypes.c_void_p
_libc.memchr.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]


def measure(names: Sequence[str], n_threads: int, abort: AbortSwitch) -> dict[str, float]:
    """Bytes per second of each of these devices, by llama.cpp's names. "CPU" is read by `n_threads` threads together, 0
    taking the physical cores. Those that there are not, or with too little free memory, are left out. Raises `Aborted`
    when `abort` was set meanwhile."""
    found: dict[str, float | None] = {}
    for name in dict.fromkeys(names):
        if abort.is_set:
            raise Aborted
        if name == "CPU":
            n = n_threads or physical_cores()
            found[name] = read_host(n, _host_bytes(n), abort)
        else:
            found[name] = _copy_on_device(name, abort)
    return {name: speed for name, speed in found.items() if speed}


# Host -----------------------------------------------------------------------------------------------------------------


def _host_bytes(n_threads: int) -> int:
    """How much all threads read together; 0 when there is too little memory for a figure."""
    caches = cache_bytes()
    wanted = max(min(n_threads * _THREAD_BYTES, _HOST_BYTES), _CACHES * caches)
    available = available_bytes()
    n_bytes = min(wanted, available // _FREE_SHARE)
    return n_bytes if n_bytes >= max(_LEAST_BYTES, 2 * caches) else 0


def cache_bytes(root: Path = Path("/sys/devices/system/cpu")) -> int:
    """Last-level caches of all CPUs together; 0 where the system does not tell."""
    caches: dict[tuple[int, str], int] = {}
    for folder in root.glob("cpu[0-9]*/cache/index[0-9]*"):
        try:
            level, size, shared = ((folder / name).read_text().strip() for name in ("level", "size", "shared_cpu_list"))
            caches[int(level), shared] = int(size.removesuffix("K")) << 10
        except (OSError, ValueError):
            continue
    last = max((level for level, _ in caches), default=0)
    return sum(size for (level, _), size in caches.items() if level == last)


class _Reader(threading.Thread):
    """Reads memory of its own, over and over, whenever the others do too."""

    def __init__(self, n_bytes: int, together: threading.Barrier) -> None:
        super().__init__(name="bandwidth", daemon=True)
        self._memory = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError):  # a kernel without them
                self._memory.madvise(mmap.MADV_HUGEPAGE)
        self._n_bytes, self._together = n_bytes, together
        self.started = self.ended = 0.0

    def run(self) -> None:
        first = ctypes.c_char.from_buffer(self._memory)
        try:
            # Written by the thread that reads it, so that it is in the memory nearest to it, and not the zero page.
            ctypes.memset(ctypes.addressof(first), 1, self._n_bytes)
            while True:
                self._together.wait()
                self.started = time.perf_counter()
                _libc.memchr(ctypes.addressof(first), 0, self._n_bytes)
                self.ended = time.perf_counter()
                self._together.wait()
        except threading.BrokenBarrierError:
            pass  # enough
        finally:
            self._together.abort()
            del first
            self._memory.close()


def read_host(n_threads: int, n_bytes: int, abort: AbortSwitch) -> float | None:
    """Bytes per second that `n_threads` threads read, `n_bytes` together; the best of several passes, each as long as
    its slowest thread. None when there is no memory for it."""
    each = n_bytes // n_threads // mmap.PAGESIZE * mmap.PAGESIZE
    if not each:
        return None
    together = threading.Barrier(n_threads + 1)
    readers: list[_Reader] = []
    try:
        for _ in range(n_threads):
            reader = _Reader(each, together)
            reader.start()
            readers.append(reader)

        def one_pass() -> float:
            together.wait()
            together.wait()
            return max(reader.ended for reader in readers) - min(reader.started for reader in readers)

        return n_threads * each / _best(one_pass, abort)
    except (OSError, RuntimeError):  # no memory, no more threads, or one that ended
        return None
    finally:
        together.abort()
        for reader in readers:
            reader.join()


def _best(one_pass: Callable[[], float], abort: AbortSwitch) -> float:
    """The shortest of the passes that `MEASURE_S` has room for, in seconds, after one that does not count."""
    one_pass()
    until, best = time.perf_counter() + MEASURE_S, float("inf")
    while True:
        if abort.is_set:
            raise Aborted
        best = min(best, one_pass())
        if time.perf_counter() >= until:
            return best


# Devices --------------------------------------------------------------------------------------------------------------


class _InitParams(ctypes.Structure):
    """`ggml_init_params`."""

    _fields_ = (("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool))


@functools.cache
def _api() -> Any:
    """ggml's functions for tensors on a device, declared: pointers are `void *`, or ctypes would cut them."""
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    for name, restype, argtypes in (
        ("ggml_init", pointer, [_InitParams]),
        ("ggml_free", None, [pointer]),
        ("ggml_tensor_overhead", size, []),
        ("ggml_graph_overhead", size, []),
        ("ggml_new_tensor_1d", pointer, [pointer, ctypes.c_int, ctypes.c_int64]),
        ("ggml_cpy", pointer, [pointer, pointer, pointer]),
        ("ggml_new_graph", pointer, [pointer]),
        ("ggml_build_forward_expand", None, [pointer, pointer]),
        ("ggml_backend_dev_init", pointer, [pointer, ctypes.c_char_p]),
        ("ggml_backend_free", None, [pointer]),
        ("ggml_backend_alloc_ctx_tensors", pointer, [pointer, pointer]),
        ("ggml_backend_buffer_clear", None, [pointer, ctypes.c_uint8]),
        ("ggml_backend_buffer_free", None, [pointer]),
        ("ggml_backend_supports_op", ctypes.c_bool, [pointer, pointer]),
        ("ggml_backend_graph_compute", ctypes.c_int, [pointer, pointer]),
    ):
        function = getattr(libggml, name)
        function.restype, function.argtypes = restype, argtypes
    return libggml


def _copy_on_device(name: str, abort: AbortSwitch) -> float | None:
    device = next((device for device in devices.list_devices() if device.name == name), None)
    if device is None:
        return None
    tensor_bytes = _SOFTWARE_TENSOR_BYTES if device.kind == "software" else _TENSOR_BYTES
    n_pairs = min(_N_PAIRS, device.free_bytes // _FREE_SHARE // (2 * tensor_bytes))
    return copy_on_device(name, n_pairs, tensor_bytes, abort) if n_pairs else None


def copy_on_device(name: str, n_pairs: int, tensor_bytes: int, abort: AbortSwitch) -> float | None:
    """Bytes per second that a device reads and writes, counted together, when it copies `n_pairs` tensors to as many
    others in one go; the best of several goes. None where it cannot."""
    api = _api()
    with contextlib.ExitStack() as undo:

        def owned(handle: int | None, free: Callable[[int], None]) -> int | None:
            if handle:
                undo.callback(free, handle)
            return handle

        backend = owned(api.ggml_backend_dev_init(devices.handles()[name], None), api.ggml_backend_free)
        room = 3 * n_pairs * api.ggml_tensor_overhead() + api.ggml_graph_overhead()
        context = owned(api.ggml_init(_InitParams(room, None, True)), api.ggml_free)
        if not backend or not context:
            return None
        graph = api.ggml_new_graph(context)
        for copy in _copies(api, context, n_pairs, tensor_bytes // 4):
            if not api.ggml_backend_supports_op(backend, copy):
                return None
            api.ggml_build_forward_expand(graph, copy)
        buffer = owned(api.ggml_backend_alloc_ctx_tensors(context, backend), api.ggml_backend_buffer_free)
        if not buffer:
            return None
        api.ggml_backend_buffer_clear(buffer, 1)

        def one_pass() -> float:
            started = time.perf_counter()
            if api.ggml_backend_graph_compute(backend, graph) != _SUCCESS:
                raise _Failed
            return time.perf_counter() - started

        with contextlib.suppress(_Failed):
            return 2 * n_pairs * tensor_bytes / _best(one_pass, abort)
    return None


class _Failed(Exception):
    """The device did not compute."""


def _copies(api: Any, context: int, n_pairs: int, n: int) -> Iterator[int]:
    """`n_pairs` operations that each copy a tensor of `n` numbers to another."""
    for _ in range(n_pairs):
        source, target = (api.ggml_new_tensor_1d(context, _F32, n) for _ in range(2))
        yield api.ggml_cpy(context, source, target)
