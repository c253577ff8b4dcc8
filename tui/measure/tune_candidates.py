"""Which load settings are worth trying for a model on this machine, the most promising first. Tries nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from tui.config.load import auto_devices, backend_devices, engine_settings
from tui.config.loadtable import LOAD_ROWS
from tui.config.settings import ChosenLoad
from tui.machine.cpus import chosen_cpus, has_two_kinds, n_nodes, n_usable_cpus, performance_cpus, physical_cores
from tui.models.info import ModelInfo
from tui.planning.loadcheck import obstacle
from tui.protocol.messages import Loaded
from tui.protocol.records import Device, Repack, backend_family

_UBATCHES = (256, 1024, 128, 2048)
_UNQUANTIZED = ("f32", "f16", "bf16")
_CAN_SPLIT_ROWS = ("CUDA", "ROCm", "SYCL", "MUSA")
"""Backends of llama.cpp that can; to others "row" is "layer"."""


class Candidates:
    """Of one model."""

    def __init__(
        self,
        info: ModelInfo,
        devices: Sequence[Device],
        *,
        fastest_fit: ChosenLoad | None = None,
        cache_types: bool = False,
    ) -> None:
        """`fastest_fit` is the placement that a search by memory alone takes for the fastest; with `cache_types` the KV
        cache may be quantized, which costs a little quality."""
        self._info, self._devices = info, devices
        self._fastest_fit, self._cache_types = fastest_fit, cache_types

    def with_threads(self, start: ChosenLoad, n_threads: int) -> Iterator[ChosenLoad]:
        """`start`, of whose threads there are `n_threads`, with each number worth trying, its own first. llama.cpp's
        threads spin while they wait for each other: more of them than CPUs that may be used, as in a container, would
        take for ever."""
        yield start
        among = chosen_cpus(start.cpu_range)
        n_cpus, n_cores = n_usable_cpus(among), physical_cores(among=among)
        for n in dict.fromkeys((n_cores, n_cores - 1, n_cores // 2, n_cpus)):
            if n > 0 and n != n_threads:
                yield msgspec.structs.replace(start, n_threads=n, n_threads_batch=0)

    def with_one_change(self, base: ChosenLoad, loaded: Loaded) -> list[ChosenLoad]:
        """`base`, which was `loaded`, with one thing changed."""
        found = dict.fromkeys(self._with_one_change(base, loaded))
        return [choice for choice in found if choice != base and self._can_be_loaded(choice)]

    def _with_one_change(self, base: ChosenLoad, loaded: Loaded) -> Iterator[ChosenLoad]:
        def change(**fields: object) -> ChosenLoad:
            return msgspec.structs.replace(base, **fields)

        yield from self._placements(base)
        is_on_cpu = not engine_settings(base, self._devices)[0].devices
        # Where nothing was repacked, on and off are the same.
        if is_on_cpu and (base.repack == "off" or loaded.llama.repacked):
            yield change(repack=_other_repack(base))
        # What priority and polling win is taken from other programs, which no measurement here would see.
        if is_on_cpu and base.cpu_range == "all" and has_two_kinds():
            yield change(cpu_range="performance", **_threads_on(performance_cpus(), base))
        if is_on_cpu and base.numa == "off" and n_nodes() > 1:
            yield change(numa="distribute")
        if base.type_v in _UNQUANTIZED:  # a quantized one needs it
            yield change(flash_attn="off" if loaded.llama.flash_attn else "on")
        for n in _UBATCHES:
            if n != base.n_ubatch:
                yield change(n_ubatch=n, n_batch=max(n, base.n_batch))
        if self._cache_types and base.flash_attn != "off" and (base.type_k, base.type_v) == ("f16", "f16"):
            yield change(type_k="q8_0", type_v="q8_0")

    def _placements(self, base: ChosenLoad) -> Iterator[ChosenLoad]:
        """Where layers and experts could be, and on how many GPUs, on a machine with one."""
        if not engine_settings(base, self._devices)[0].devices:
            return

        def placed(**fields: object) -> ChosenLoad:
            return msgspec.structs.replace(base, **fields)

        if (fit := self._fastest_fit) is not None:
            yield placed(n_gpu_layers=fit.n_gpu_layers, n_cpu_moe=fit.n_cpu_moe)
        yield placed(n_gpu_layers=-1, n_cpu_moe=0)
        several = backend_devices(base.backend, self._devices) or auto_devices(self._devices)
        if len(several) > 1:
            yield placed(backend=several[0])
            if base.split_mode == "layer" and backend_family(several[0]) in _CAN_SPLIT_ROWS:
                yield placed(split_mode="row")
        if self._info.is_moe:
            n_layers = self._info.n_layers
            yield placed(n_gpu_layers=-1, n_cpu_moe=n_layers)
            yield placed(n_gpu_layers=-1, n_cpu_moe=n_layers // 2)
        yield placed(backend="cpu")
        yield placed(backend="cpu", repack=_other_repack(base))
        yield placed(n_gpu_layers=(self._info.n_layers + 1) // 2, n_cpu_moe=0)

    def _can_be_loaded(self, choice: ChosenLoad) -> bool:
        return not obstacle(self._info, engine_settings(choice, self._devices)[0])


def _threads_on(cpus: frozenset[int], base: ChosenLoad) -> dict[str, int]:
    """The numbers of threads that `base` gives, where they are more than these CPUs: as many as those have cores."""
    given = {"n_threads": base.n_threads, "n_threads_batch": base.n_threads_batch}
    return {name: physical_cores(among=cpus) for name, n in given.items() if n > len(cpus)}


def changes(start: ChosenLoad, choice: ChosenLoad) -> dict[str, object]:
    """Fields of `choice` that differ from those of `start`, in the order of the table."""
    return {name: getattr(choice, name) for name in LOAD_ROWS if getattr(choice, name) != getattr(start, name)}


def without_threads(choice: ChosenLoad) -> ChosenLoad:
    """What of it takes a load to change."""
    return msgspec.structs.replace(choice, n_threads=0, n_threads_batch=0)


def _other_repack(choice: ChosenLoad) -> Repack:
    """What "auto" is not is off."""
    return "on" if choice.repack == "off" else "off"
