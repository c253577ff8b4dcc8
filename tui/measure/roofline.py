"""Why decode is as fast as it is: how fast it could be if memory alone held it back, how much of that is reached, and
one sentence on what holds it back, decided by what the report holds."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tui.base import format
from tui.measure.report import BenchResult, Mark, Report, Roofline, Test
from tui.models.info import ModelInfo
from tui.planning.formula import reads
from tui.planning.placement import HOST
from tui.protocol.messages import Loaded
from tui.protocol.records import LoadSettings
from tui.words import mark, tr, trn

BOUND_BY_MEMORY = 0.7
"""From this part of the roofline on, memory is what decode waits for."""
_BEYOND_MEMORY = 1.05
"""From here on it cannot be the measuring: some of what a token needs does not come from memory."""
_MATTERS = 0.25
"""Part of a token's time from which on the host counts beside the devices."""
_TINY_TPS = 500
"""With a roofline above this, the steps between reading take a good part of the 2 ms that a token has."""
_FEW_THREADS = 4
COSTLY = ("IQ", "TQ", "Q2_K", "Q3_K")
"""Quantizations that take more computing to unpack than their bytes take to read."""
_BY_MARK: tuple[tuple[Mark, str], ...] = (
    ("swapped", mark("Memory ran short during the run and was swapped to disk.")),
    ("throttled", mark("The CPU clock fell during the run.")),
    ("hot", mark("The CPU was too hot during the run.")),
    ("busy", mark("Other programs took part of the CPU during the run.")),
)


def read_bytes(info: ModelInfo, loaded: Loaded, settings: LoadSettings, n_past: int) -> dict[str, int]:
    """Bytes that decoding one token reads, by device ("CPU" for the host), with `n_past` tokens in the context, the
    layers being where llama.cpp put them."""
    placed = msgspec.structs.replace(settings, devices=loaded.llama.devices, n_gpu_layers=loaded.llama.n_gpu_layers)
    return reads(info, placed, n_past, loaded.llama.footprint.device_free_before if loaded.llama.footprint else None)


def n_past(test: Test) -> int:
    """Tokens in the context in the middle of what a test generates."""
    return test.n_depth + test.n_prompt + test.n_gen // 2


def roofline(read: Mapping[str, int], bandwidth: Mapping[str, float]) -> Roofline | None:
    """Of a token that reads these bytes, at these bytes per second. Devices work one after the other, so that their
    times add up. None when one of them was not measured, or nothing is read."""
    if not read or not all(bandwidth.get(device) for device in read):
        return None
    seconds = sum(n_bytes / bandwidth[device] for device, n_bytes in read.items())
    return Roofline(tps=1 / seconds, read_bytes=dict(read), bandwidth={device: bandwidth[device] for device in read})


def limit(report: Report, result: BenchResult) -> Roofline | None:
    """The roofline of one test of a report; None for one that reads a prompt, and where bandwidth is not known."""
    return roofline(result.read_bytes, report.roofline.bandwidth) if report.roofline else None


def share(report: Report, result: BenchResult) -> float | None:
    """Part of the roofline that a test that generates reached, mostly below 1.0; None as `limit`."""
    top = limit(report, result)
    return result.avg_ts / top.tps if top and result.samples_ns else None


def why(report: Report) -> str:
    """What holds decode back, in one sentence; empty when none was measured."""
    return _reason(report, report.decode) if report.decode else ""


def sentence(report: Report) -> str:
    """The same with the figures before it, where they are known: "41.2 of the 46.8 tok/s that memory allows (88%).
    Memory bandwidth limits it." """
    decode = report.decode
    top = limit(report, decode) if decode else None
    if decode is None or top is None:
        return why(report)
    figures = tr(
        "{tps} of the {most} tok/s that memory allows ({share}).",
        tps=format.speed(decode.avg_ts),
        most=format.speed(top.tps),
        share=f"{decode.avg_ts / top.tps:.0%}",
    )
    return format.sentences(figures, _reason(report, decode))


def _reason(report: Report, decode: BenchResult) -> str:
    """The first that holds."""
    return (
        _disturbed(decode) or _software(report) or _left_on_host(report, decode) or _threads(report, decode)
        or _memory_or_compute(report, decode)
    )  # fmt: skip


def _disturbed(decode: BenchResult) -> str:
    """What at least half of the repetitions suffered from."""
    for known, reason in _BY_MARK:
        if 0 < len(decode.samples_ns) <= 2 * sum(known in marks for marks in decode.marks):
            return tr(reason)
    return ""


def _software(report: Report) -> str:
    kinds = {device.name: device.kind for device in report.hello.devices}
    name = next((name for name in report.loaded.llama.devices if kinds.get(name) == "software"), "")
    return tr("{device} is a GPU that the CPU emulates.", device=name) if name else ""


def _left_on_host(report: Report, decode: BenchResult) -> str:
    loaded, n_experts = report.loaded, report.settings.n_cpu_moe
    host = _host_share(report, decode)
    if not report.settings.devices or host is None or host < _MATTERS:
        return ""
    n_left = loaded.llama.n_layers - loaded.llama.n_gpu_layers
    if n_left:
        return tr(
            "{n} of {total} layers are left on the CPU, where a token spends {share} of its reading.",
            n=n_left,
            total=loaded.llama.n_layers,
            share=f"{host:.0%}",
        )
    return trn(
        "The experts of {n} layer are left on the CPU, where a token spends {share} of its reading.",
        "The experts of {n} layers are left on the CPU, where a token spends {share} of its reading.",
        n_experts,
        share=f"{host:.0%}",
    )


def _threads(report: Report, decode: BenchResult) -> str:
    """More than physical cores, or fewer where it was the user who said so: the engine's own choice leaves out the slow
    cores of a CPU that has two kinds."""
    host = _host_share(report, decode)
    if not decode.read_bytes.get(HOST) or (host is not None and host < _MATTERS):
        return ""
    n, n_cores = report.loaded.llama.n_threads, report.machine.n_cores
    if n > n_cores:
        return trn(
            "{threads} threads share {n} core, and each step waits for the slowest of them.",
            "{threads} threads share {n} cores, and each step waits for the slowest of them.",
            n_cores,
            threads=n,
        )
    if report.settings.n_threads and n < n_cores:
        return trn("Only {n} of {cores} cores is used.", "Only {n} of {cores} cores are used.", n, cores=n_cores)
    return ""


def _memory_or_compute(report: Report, decode: BenchResult) -> str:
    top, reached = limit(report, decode), share(report, decode)
    if top is None or reached is None:
        return tr("What limits it is not known, because the bandwidth of its memory could not be measured.")
    if reached > _BEYOND_MEMORY:
        return tr("It is faster than memory: part of what a token reads is in a cache.")
    if reached >= BOUND_BY_MEMORY:
        return tr("Memory bandwidth limits it.")
    if top.tps > _TINY_TPS:
        return tr("The model is so small that the steps between reading take longest.")
    n, quant = report.loaded.llama.n_threads, report.model.quant
    if set(top.read_bytes) == {HOST} and n <= _FEW_THREADS:
        return trn("Compute limits it: {n} thread is few.", "Compute limits it: {n} threads are few.", n)
    if quant.startswith(COSTLY):
        return tr("Compute limits it: {quant} is costly to unpack.", quant=quant)
    return tr("Compute limits it, not memory.")


def _host_share(report: Report, decode: BenchResult) -> float | None:
    """Part of a token's time that the host takes, by the roofline."""
    top = limit(report, decode)
    if top is None:
        return None
    return top.tps * top.read_bytes[HOST] / top.bandwidth[HOST] if HOST in top.read_bytes else 0.0
