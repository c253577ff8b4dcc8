"""Earlier runs for forecasts: of shapes of real models, at the speeds that a test wants."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tests.measure import reports
from tests.measure.fixed import COMPARISON
from tui.measure.known_speeds import KnownDecode, KnownPrefill, KnownRun
from tui.measure.machine import this_machine
from tui.measure.report import Mark, ModelFacts, Report, Test
from tui.models.info import ModelInfo
from tui.planning.formula import estimate, reads
from tui.protocol.records import LoadSettings

ON_CPU = LoadSettings(n_ctx=16384)
ON_GPU = LoadSettings(n_ctx=16384, devices=("Vulkan0",))


def report_of(
    info: ModelInfo, tps: float, *, n_depth: int = 0, device: str = "", marks: tuple[Mark, ...] = ()
) -> Report:
    """A benchmark on this machine, on the CPU or all on a device, which wrote that fast."""
    base = next(one for one in COMPARISON.reports if bool(one.loaded.llama.devices) == bool(device) and one.decode)
    settings = ON_GPU if device else ON_CPU
    decode = reports.result(Test(n_gen=128, n_depth=n_depth), [tps], (marks,))
    decode = msgspec.structs.replace(decode, read_bytes=reads(info, settings, n_depth + 64))
    prefill = reports.result(Test(n_prompt=512, n_depth=n_depth), [20 * tps])
    n_layers = info.n_layers + 1
    llama = msgspec.structs.replace(base.loaded.llama, n_gpu_layers=n_layers * bool(device), n_layers=n_layers)
    return msgspec.structs.replace(
        base,
        machine=this_machine(),
        model=ModelFacts.of(info),
        loaded=msgspec.structs.replace(base.loaded, llama=llama),
        settings=settings,
        results=(prefill, decode),
        roofline=None,
    )


def decoding(info: ModelInfo, tps: float, settings: LoadSettings = ON_CPU, n_past: int = 0) -> KnownDecode:
    """A test that wrote that fast."""
    return KnownDecode(tps=tps, n_past=n_past, read_bytes=reads(info, settings, n_past))


def run_of(
    info: ModelInfo,
    *decodes: KnownDecode,
    settings: LoadSettings = ON_CPU,
    prefills: tuple[KnownPrefill, ...] = (),
    n_threads: int = 8,
) -> KnownRun:
    """A run of a model with these tests."""
    plan = estimate(info, settings)
    return KnownRun(
        name=info.name,
        quant=info.quant,
        n_params=info.n_params,
        n_layer_params=info.n_layer_params,
        is_moe=info.is_moe,
        devices=settings.devices if plan.n_gpu_layers else (),
        n_gpu_layers=plan.n_gpu_layers,
        n_cpu_moe=settings.n_cpu_moe,
        n_layers=plan.n_layers,
        n_threads=n_threads,
        decodes=decodes,
        prefills=prefills,
    )


def machine_run(
    info: ModelInfo,
    bytes_per_s: Mapping[str, float],
    *,
    settings: LoadSettings = ON_CPU,
    layer_s: float = 0.0,
    n_past: int = 0,
    factor: float = 1.0,
    flops: float = 1e12,
    n_threads: int = 8,
) -> KnownRun:
    """On a machine that reads memory so fast and takes so long for each layer; `factor` of that in this run."""
    read_bytes = reads(info, settings, n_past)
    seconds = sum(n_bytes / bytes_per_s[device] for device, n_bytes in read_bytes.items()) + layer_s * info.n_layers
    return run_of(
        info,
        KnownDecode(tps=factor / seconds, n_past=n_past, read_bytes=read_bytes),
        settings=settings,
        prefills=(KnownPrefill(tps=factor * flops / (2 * info.n_layer_params), n_prompt=512),),
        n_threads=n_threads,
    )
