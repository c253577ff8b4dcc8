"""Reports as a benchmark makes them, with the figures that a test wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from tests.loads import but, loaded_as
from tui.measure.machine import Machine
from tui.measure.report import BenchResult, Mark, ModelFacts, Report, Test
from tui.protocol.messages import Hello, Loaded
from tui.protocol.records import Device, LlamaLoad, LoadSettings

MACHINE = Machine(cpu="AMD EPYC 9R14", n_cores=8, n_cpus=16, ram_bytes=64 << 30, os="Debian, Linux 6.12.0")
HELLO = Hello(
    pid=1,
    llama_cpp="llama-cpp-python 0.3.36 · CPU : SSE3 = 1 | AVX2 = 1 | REPACK = 1",
    devices=(Device(name="Vulkan0", description="NVIDIA H100", kind="gpu", total_bytes=80 << 30, free_bytes=79 << 30),),
    build_commit="0c1e570",
)
MODEL = ModelFacts(
    name="Qwen3 4B",
    quant="Q4_K_M",
    arch="qwen3",
    n_params=4_022_468_096,
    n_params_active=4_022_468_096,
    n_expert=0,
    n_expert_used=0,
    file_bytes=2_497_276_704,
)
LOADED = loaded_as(
    path="/models/Qwen3-4B-Q4_K_M.gguf",
    description="qwen3 4B Q4_K - Medium",
    n_params=4_022_468_096,
    size_bytes=2_491_322_368,
    n_layers=37,
    n_gpu_layers=0,
    devices=(),
    n_ctx=512,
    n_ctx_train=40960,
    n_batch=512,
    n_ubatch=512,
    n_threads=8,
    n_threads_batch=8,
    flash_attn=True,
    type_k="f16",
    type_v="f16",
    can_think=True,
    buffers=(),
    load_s=1.5,
)
LOAD_FACTS = (*Loaded.__struct_fields__, *LlamaLoad.__struct_fields__)
PP, TG = Test(n_prompt=512), Test(n_gen=128)


def result(test: Test, speeds: Sequence[float], marks: tuple[tuple[Mark, ...], ...] = ()) -> BenchResult:
    """Repetitions of a test at these speeds, in tokens per second."""
    samples = tuple(round(test.n_tokens * 1e9 / ts) for ts in speeds)
    return BenchResult(test=test, test_time=datetime(2026, 11, 25, 10, 0, tzinfo=UTC), samples_ns=samples, marks=marks)


def report(speeds: Mapping[Test, Sequence[float]] | None = None, **changed: object) -> Report:
    """A report with these speeds; `changed` replaces fields of the report, of its load or of its model."""
    measured = speeds if speeds is not None else {PP: (100.0, 101.0, 99.0), TG: (20.0, 20.5, 19.5)}
    of_model = {key: changed.pop(key) for key in tuple(changed) if key in ModelFacts.__struct_fields__}
    of_load = {key: changed.pop(key) for key in tuple(changed) if key in LOAD_FACTS}
    made = Report(
        machine=MACHINE,
        hello=HELLO,
        model=msgspec.structs.replace(MODEL, **of_model),
        loaded=but(LOADED, **of_load),
        settings=LoadSettings(n_ctx=512, n_threads=8),
        repetitions=3,
        results=tuple(result(test, values) for test, values in measured.items()),
    )
    return msgspec.structs.replace(made, **changed)
