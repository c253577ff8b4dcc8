"""What was measured on this machine, as far as a forecast needs it: the kept benchmarks as records, and the bandwidth
of its memories. What is to be expected from it is `forecast.py`'s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tui.config import paths
from tui.machine.cpus import physical_cores
from tui.measure.history import History, HistoryError
from tui.measure.kept_bandwidth import KeptBandwidth
from tui.measure.machine import Machine, is_same, this_machine
from tui.measure.report import BenchResult, Report
from tui.measure.roofline import n_past
from tui.measure.stats import mean

_N_RUNS = 200
"""Newest runs that are looked at."""
_BAND_OF_MARKED = 0.1
"""How uncertain, as a part of it, a speed is at least that was measured while something disturbed."""


class KnownDecode(msgspec.Struct, frozen=True, kw_only=True):
    """A test that only generated."""

    tps: float
    n_past: int
    """Tokens in the context in the middle of it."""
    read_bytes: dict[str, int]
    """Bytes that each token read, by device ("CPU" for the host)."""
    spread: float = 0.0
    """Standard deviation of its repetitions, as a part of the speed."""


class KnownPrefill(msgspec.Struct, frozen=True, kw_only=True):
    """A test that only read."""

    tps: float
    n_prompt: int
    n_depth: int = 0
    spread: float = 0.0


class KnownRun(msgspec.Struct, frozen=True, kw_only=True):
    """One model, loaded in one way, and how fast it was."""

    name: str
    quant: str
    n_params: int
    n_layer_params: int = 0
    """Active parameters of the repeating layers, which every token of a prompt passes; 0 where it was not kept."""
    is_moe: bool = False
    devices: tuple[str, ...] = ()
    """That held layers, by llama.cpp's names; none for the CPU alone."""
    n_gpu_layers: int = 0
    n_cpu_moe: int = 0
    n_layers: int
    """That can be on devices."""
    n_threads: int
    decodes: tuple[KnownDecode, ...] = ()
    prefills: tuple[KnownPrefill, ...] = ()


class KnownSpeeds(msgspec.Struct, frozen=True, kw_only=True):
    """All of this machine."""

    runs: tuple[KnownRun, ...] = ()
    """The newest first."""
    bandwidth: Mapping[str, float] = {}
    """Bytes per second that can be read, by device ("CPU" for the host): the newest figures."""
    n_threads: int = 0
    """That a load gets which asks for none; 0 when that is not known, and threads are not looked at."""

    def __bool__(self) -> bool:
        """Whether anything is known."""
        return bool(self.runs or self.bandwidth)


def known_speeds(history: History, kept: KeptBandwidth | None = None, machine: Machine | None = None) -> KnownSpeeds:
    """What the kept runs of this machine tell, or of another `machine`, with the `kept` bandwidth of memories that no
    run measured. Blocking; raises `HistoryError`."""
    here = machine or this_machine()
    reports = [report for report in history.reports(here.cpu, _N_RUNS) if is_same(report.machine, here)]
    known = of_reports(reports)
    return with_bandwidth(known, kept.known()) if kept else known


def with_bandwidth(known: KnownSpeeds, bandwidth: Mapping[str, float]) -> KnownSpeeds:
    """The same with the bandwidth of memories that no run measured."""
    return msgspec.structs.replace(known, bandwidth={**bandwidth, **known.bandwidth})


def readable_speeds(history: History, kept: KeptBandwidth | None = None) -> KnownSpeeds:
    """As `known_speeds`, without runs where the history cannot be read, which is told where it matters. Blocking."""
    try:
        return known_speeds(history, kept)
    except HistoryError:
        return with_bandwidth(of_reports(()), kept.known() if kept else {})


def speeds_here() -> KnownSpeeds:
    """All that is known of this machine, as far as it can be read. Blocking."""
    return readable_speeds(History(paths.bench_file()), KeptBandwidth(paths.bandwidth_file()))


def of_reports(reports: Sequence[Report], n_threads: int | None = None) -> KnownSpeeds:
    """What these tell, all of one machine, newest first. `n_threads` as in `KnownSpeeds`, None for this machine's."""
    described: dict[str, str] = {}
    bandwidth: dict[str, float] = {}
    runs = []
    for report in reports:
        names = [*report.loaded.llama.devices, *(report.roofline.bandwidth if report.roofline else ())]
        # Another graphics card may have had the same name.
        if any(described.setdefault(name, report.describe(name)) != report.describe(name) for name in names):
            continue
        for name, bytes_per_s in report.roofline.bandwidth.items() if report.roofline else ():
            bandwidth.setdefault(name, bytes_per_s)
        runs.append(as_known(report))
    return KnownSpeeds(
        runs=tuple(runs), bandwidth=bandwidth, n_threads=physical_cores() if n_threads is None else n_threads
    )


def as_known(report: Report) -> KnownRun:
    """One report in short."""
    model, llama = report.model, report.loaded.llama
    results = [result for result in report.results if result.samples_ns]
    return KnownRun(
        name=model.name,
        quant=model.quant,
        n_params=model.n_params,
        n_layer_params=model.n_layer_params,
        is_moe=model.is_moe,
        devices=llama.devices,
        n_gpu_layers=llama.n_gpu_layers if llama.devices else 0,
        n_cpu_moe=report.settings.n_cpu_moe,
        n_layers=llama.n_layers,
        n_threads=llama.n_threads,
        decodes=tuple(
            KnownDecode(
                tps=result.avg_ts, n_past=n_past(result.test), read_bytes=result.read_bytes, spread=_spread(result)
            )
            for result in results
            if result.test.is_decode
        ),
        prefills=tuple(
            KnownPrefill(
                tps=result.avg_ts,
                n_prompt=result.test.n_prompt,
                n_depth=result.test.n_depth,
                spread=_spread(result),
            )
            for result in results
            if result.test.n_prompt and not result.test.n_gen
        ),
    )


def _spread(result: BenchResult) -> float:
    marked = mean([_BAND_OF_MARKED if marks else 0.0 for marks in result.marks]) if result.marks else 0.0
    return max(result.stddev_ts / result.avg_ts if result.avg_ts else 0.0, marked)
