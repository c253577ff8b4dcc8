"""How fast models answer on this machine, as far as earlier benchmarks tell: what was measured of a model, and what is
to be expected of another from how fast these benchmarks read memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tui.measure.history import History
from tui.measure.machine import this_machine
from tui.models.info import ModelInfo
from tui.planning.formula import MemoryPlan

_N_RUNS = 200
"""Newest runs that are looked at."""
_N_READ = 12
"""Of these, how many are read whole: each model and backend once."""
_LEAST_READ = 100_000_000
"""Bytes a token. Where fewer are read, the time between reads counts as much, and nothing is to be expected."""

Measured = tuple[str, str, int, str, int]
"""Name, quantization and parameters of a model, and what held it: backend and layers on it."""


class KnownSpeed(msgspec.Struct, frozen=True, kw_only=True):
    """Of one model, loaded in one way."""

    tps: float
    """Tokens per second that are decoded into a short context."""
    is_measured: bool
    """By a benchmark of this model; else it is expected."""


class KnownSpeeds(msgspec.Struct, frozen=True, kw_only=True):
    """Of all models on this machine."""

    measured: Mapping[Measured, float] = {}
    """Tokens per second that are written."""
    prefill: Mapping[Measured, float] = {}
    """Tokens per second that are read of a prompt."""
    reached: Mapping[str, float] = {}
    """Bytes per second that decoding read, by device ("CPU" for the host)."""

    def __bool__(self) -> bool:
        """Whether anything is known."""
        return bool(self.measured or self.reached)

    def of(self, info: ModelInfo, plan: MemoryPlan) -> KnownSpeed | None:
        """Of a model that is loaded as planned; None where there is no telling."""
        devices = [cost.device for cost in plan.devices]
        tps = self.measured.get(how_loaded(info, devices, plan.n_gpu_layers))
        if tps is not None:
            return KnownSpeed(tps=tps, is_measured=True)
        costs = (plan.host, *plan.devices)
        expected = self.expected({cost.device: cost.read_bytes for cost in costs if cost.read_bytes})
        return KnownSpeed(tps=expected, is_measured=False) if expected else None

    def expected(self, read_bytes: Mapping[str, int]) -> float | None:
        """Tokens per second of a model that reads so many bytes a token, by device; None where there is no telling."""
        if sum(read_bytes.values()) < _LEAST_READ or not all(device in self.reached for device in read_bytes):
            return None
        return 1 / sum(n_bytes / self.reached[device] for device, n_bytes in read_bytes.items())


def how_loaded(info: ModelInfo, devices: Sequence[str], n_gpu_layers: int) -> Measured:
    """What is measured once: a model with so many of its layers on these devices."""
    names = ",".join(dict.fromkeys(name.rstrip("0123456789") for name in devices)) if n_gpu_layers else ""
    return info.name, info.quant, info.n_params, names or "CPU", n_gpu_layers


def _is_deep(test_name: str | None) -> bool:
    """Measured behind a long context ("tg128 @ d8192"), where a model is slower."""
    return " @ d" in (test_name or "")


def known_speeds(history: History) -> KnownSpeeds:
    """What the kept runs of this machine tell, the newest first. Blocking; raises `HistoryError`."""
    cpu = this_machine().cpu
    measured: dict[Measured, float] = {}
    prefill: dict[Measured, float] = {}
    reached: dict[str, float] = {}
    seen: set[tuple[str, str, int, str]] = set()
    for kept in history.list(_N_RUNS):
        if kept.machine != cpu or not kept.tg_ts:
            continue
        model = (kept.model_name, kept.quant, kept.n_params)
        loaded = (*model, kept.backend, kept.n_gpu_layers)
        if not _is_deep(kept.tg_name):
            measured.setdefault(loaded, kept.tg_ts)
        if kept.pp_ts and not _is_deep(kept.pp_name):
            prefill.setdefault(loaded, kept.pp_ts)
        if (*model, kept.backend) in seen or len(seen) >= _N_READ:
            continue
        seen.add((*model, kept.backend))
        report = history.get(kept.id)
        decode = report.decode if report else None
        if decode is not None and len(decode.read_bytes) == 1:  # of several nobody knows which one took how long
            ((device, n_bytes),) = decode.read_bytes.items()
            if n_bytes >= _LEAST_READ:
                reached.setdefault(device, decode.avg_ts * n_bytes)
    return KnownSpeeds(measured=measured, prefill=prefill, reached=reached)
