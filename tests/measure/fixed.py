"""A comparison of invented figures, always the same: the models of the README on a CPU and a GPU, one that does not fit
and one that was measured while the machine was busy."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from tests.loads import loaded_as
from tui.config.settings import ChosenLoad
from tui.measure.machine import Machine
from tui.measure.report import BenchResult, Comparison, Mark, ModelFacts, RefusedJob, Report, Test
from tui.measure.stats import RelativeDifference
from tui.measure.tune import Outcome, Trial, TuneOutcome
from tui.protocol.messages import Hello
from tui.protocol.records import Device, LoadSettings

GIB = 1 << 30
PP512, TG128 = Test(n_prompt=512), Test(n_gen=128)
WHEN = datetime(2026, 11, 25, 10, 30, tzinfo=UTC)
MACHINE = Machine(cpu="Ryzen AI 9 HX 370", n_cores=12, n_cpus=24, ram_bytes=32 * GIB, os="Debian 13, Linux 6.12")
DEVICES = (
    Device(name="CPU", description="Ryzen", kind="cpu", total_bytes=32 * GIB, free_bytes=20 * GIB),
    Device(name="Vulkan0", description="Radeon 890M", kind="igpu", total_bytes=24 * GIB, free_bytes=20 * GIB),
)
HELLO = Hello(pid=1, llama_cpp="llama-cpp-python 0.3.36 · CPU", devices=DEVICES, build_commit="1a2b3c4")
N_LAYERS = 37


def model(
    name: str, quant: str, n_params: float, file_gib: float, *, active: float = 0.0, n_expert: int = 0
) -> ModelFacts:
    """A model of so many parameters; of `active` ones for each token where it has experts."""
    return ModelFacts(
        name=name,
        quant=quant,
        arch="qwen3moe" if n_expert else "qwen3",
        n_params=round(n_params),
        n_params_active=round(active or n_params),
        n_expert=n_expert,
        n_expert_used=8 if n_expert else 0,
        file_bytes=round(file_gib * GIB),
    )


QWEN3_4B = model("Qwen3-4B", "Q4_K_M", 4.02e9, 2.33)
DEEPSEEK_7B = model("DeepSeek-R1-Distill-Qwen-7B", "Q4_K_M", 7.62e9, 4.36)
QWEN3_8B = model("Qwen3-8B", "Q4_K_M", 8.19e9, 4.68)
QWEN3_14B = model("Qwen3-14B", "Q4_K_M", 14.8e9, 8.38)
QWEN3_30B_A3B = model("Qwen3-30B-A3B", "Q3_K_L", 30.5e9, 14.8, active=3.35e9, n_expert=128)
QWEN3_32B = model("Qwen3-32B", "Q3_K_L", 32.8e9, 16.1)


def path_of(facts: ModelFacts) -> str:
    """Where its file is said to be."""
    return f"/models/{facts.name}-{facts.quant}.gguf"


def result(test: Test, *speeds: float, marks: tuple[Mark, ...] = ()) -> BenchResult:
    """A test with one repetition at each of these tokens per second, the last of them with the marks."""
    return BenchResult(
        test=test,
        test_time=WHEN,
        samples_ns=tuple(round(test.n_tokens * 1e9 / tps) for tps in speeds),
        energy_j=(None,) * len(speeds),
        marks=(*((),) * (len(speeds) - 1), marks),
    )


def report(facts: ModelFacts, *results: BenchResult, device: str = "", n_gpu_layers: int = N_LAYERS) -> Report:
    """One model on the CPU or on a device."""
    devices = (device,) if device else ()
    loaded = loaded_as(
        path=path_of(facts),
        description=f"{facts.arch} {facts.quant}",
        n_params=facts.n_params,
        size_bytes=facts.file_bytes,
        n_layers=N_LAYERS,
        n_gpu_layers=n_gpu_layers if device else 0,
        devices=devices,
        n_ctx=512,
        n_ctx_train=40960,
        n_batch=512,
        n_ubatch=512,
        n_threads=12,
        n_threads_batch=12,
        flash_attn=True,
        type_k="f16",
        type_v="f16",
        can_think=True,
        buffers=(),
        load_s=1.5,
    )
    return Report(
        machine=MACHINE,
        hello=HELLO,
        model=facts,
        loaded=loaded,
        settings=LoadSettings(n_ctx=512, devices=devices),
        repetitions=max((len(result.samples_ns) for result in results), default=3),
        results=results,
    )


def measured(
    facts: ModelFacts, prefill: float, decode: float, device: str = "", marks: tuple[Mark, ...] = ()
) -> Report:
    """Three runs of pp512 and tg128 around these tokens per second, one percent apart."""
    around = (0.99, 1.0, 1.01)
    return report(
        facts,
        result(PP512, *(prefill * factor for factor in around)),
        result(TG128, *(decode * factor for factor in around), marks=marks),
        device=device,
    )


COMPARISON = Comparison(
    reports=(
        measured(QWEN3_32B, 22.0, 4.1),
        measured(QWEN3_4B, 180.0, 28.2),
        measured(QWEN3_4B, 610.0, 33.4, "Vulkan0"),
        measured(DEEPSEEK_7B, 98.0, 15.4),
        measured(DEEPSEEK_7B, 350.0, 19.0, "Vulkan0"),
        measured(QWEN3_8B, 92.0, 14.3, marks=("throttled",)),
        measured(QWEN3_8B, 331.0, 17.6, "Vulkan0"),
        measured(QWEN3_14B, 49.0, 8.0),
        measured(QWEN3_14B, 176.0, 9.9, "Vulkan0"),
        measured(QWEN3_30B_A3B, 140.0, 26.9),
        measured(QWEN3_30B_A3B, 370.0, 34.8, "Vulkan0"),
    ),
    refused=(
        RefusedJob(
            model=QWEN3_32B,
            path=path_of(QWEN3_32B),
            backend="Vulkan0",
            reason="Does not fit: 2.4 GiB too much for Vulkan0.\nWhat would fit: --ngl 40.",
        ),
    ),
)
"""Six models on two backends."""


def _trial(prefill: float, decode: float, outcome: Outcome, **changed: object) -> Trial:
    choice = msgspec.structs.replace(_START, **changed)
    return Trial(choice=choice, prefill_tps=(prefill, prefill), decode_tps=(decode, decode), outcome=outcome)


_START = ChosenLoad(backend="cpu")
TUNED = TuneOutcome(
    start=_START,
    best=msgspec.structs.replace(_START, repack="off", n_threads_batch=16, n_ubatch=1024),
    gain=RelativeDifference(percent=38.2, low=35.9, high=40.6),
    trials=(
        _trial(98.0, 15.4, "start"),
        _trial(121.0, 15.2, "dropped", n_threads_batch=16),
        _trial(126.4, 20.8, "tried", repack="off", n_threads_batch=16),
        _trial(104.9, 15.3, "tried", flash_attn="off", n_threads_batch=16),
        _trial(128.0, 15.3, "dropped", n_ubatch=1024, n_threads_batch=16),
        Trial(choice=msgspec.structs.replace(_START, n_ubatch=2048, n_threads_batch=16), outcome="stopped"),
        _trial(141.7, 21.0, "best", repack="off", n_threads_batch=16, n_ubatch=1024),
    ),
    not_tried=(msgspec.structs.replace(_START, n_ubatch=128, n_threads_batch=16),),
    n_too_large=0,
)
"""A search on a CPU that has found something."""
