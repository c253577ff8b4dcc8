"""Why decode is as fast as it is: bytes of a token against the tensor tables of files, and the sentence about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from gguf import GGUFReader

from tests.conftest import DENSE, MOE, TINY
from tests.engine.vulkan import ON_GPU, Driver, vulkan_engine
from tests.loads import loaded_as
from tests.models.gguf_files import Shape, Tensor, header, tensor_bytes
from tui.engines.interface import Engine
from tui.measure.bench_plan import BenchJob, BenchPlan, plan_tests
from tui.measure.forecast_words import after
from tui.measure.known_speeds import of_reports
from tui.measure.machine import Machine
from tui.measure.report import BenchResult, ModelFacts, Report, Test
from tui.measure.roofline import n_past, read_bytes, roofline, sentence, share, why
from tui.measure.runner import Runner
from tui.models.gguf import read_header
from tui.models.info import ModelInfo, from_headers
from tui.models.library import inspect
from tui.protocol.messages import Hello, Loaded
from tui.protocol.records import Device, Footprint, LoadSettings, ProcessMemory

QWEN3_0_6B = Shape(1024, 28, 16, 8, 128, 3072, 151936, tied=True)
QWEN3_4B = Shape(2560, 36, 32, 8, 128, 9728, 151936, tied=True)
QWEN3_8B = Shape(4096, 36, 32, 8, 128, 12288, 151936)
QWEN3_30B_A3B = Shape(2048, 48, 32, 4, 128, 6144, 151936, n_expert=128, n_expert_used=8, n_ff_expert=768)
DENSE_SHAPES = {"0.6B": QWEN3_0_6B, "4B": QWEN3_4B, "8B": QWEN3_8B}
GB = 10**9


def mixed(shape: Shape) -> list[Tensor]:
    """The tensors of a shape, quantized as in a Q4_K_M file: the output layer and some matrices with more bits."""
    more = (".ffn_down", ".attn_v.", "token_embd" if shape.tied else "output.weight")
    return [
        (name, dims, "Q6_K" if any(part in f".{name}" for part in more) and "attn_output" not in name else kind)
        for name, dims, kind in shape.tensors()
    ]


def described(shape: Shape) -> ModelInfo:
    return from_headers([read_header(header(shape.metadata(), mixed(shape))[0], check_data=False)], "x")


def table_bytes(tensors: Sequence[Tensor], *parts: str) -> int:
    """Bytes of the tensors with one of these parts in their names, of all without any."""
    wanted = [(dims, kind) for name, dims, kind in tensors if not parts or any(part in name for part in parts)]
    return sum(tensor_bytes(dims, kind) for dims, kind in wanted)


def placed(info: ModelInfo, settings: LoadSettings, n_gpu_layers: int = 0, **free: int) -> Loaded:
    """What llama.cpp would say of this load, with so much memory free on each device before it."""
    memory = ProcessMemory(resident_bytes=0, file_bytes=0)
    return loaded_as(
        path="/models/x.gguf",
        description="",
        n_params=info.n_params,
        size_bytes=info.size_bytes,
        n_layers=info.n_layers + 1,
        n_gpu_layers=n_gpu_layers,
        devices=settings.devices if n_gpu_layers else (),
        n_ctx=8192,
        n_ctx_train=40960,
        n_batch=2048,
        n_ubatch=512,
        n_threads=settings.n_threads or 8,
        n_threads_batch=8,
        flash_attn=True,
        type_k=settings.type_k,
        type_v=settings.type_v,
        can_think=True,
        buffers=(),
        load_s=1.0,
        footprint=Footprint(before=memory, after=memory, device_free_before=free, device_free_after=free),
    )


def on_cpu(shape: Shape, n_past: int = 0, **settings: Any) -> int:
    info, asked = described(shape), LoadSettings(**settings)
    found = read_bytes(info, placed(info, asked), asked, n_past)
    assert set(found) == {"CPU"}
    return found["CPU"]


# Bytes of a token -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", DENSE_SHAPES)
def test_a_dense_model_reads_every_tensor_but_an_embedding_table_that_is_not_the_output_layer(size: str) -> None:
    shape = DENSE_SHAPES[size]
    tensors = mixed(shape)
    expected = table_bytes(tensors) - (0 if shape.tied else table_bytes(tensors, "token_embd"))
    assert on_cpu(shape) == expected


def test_a_mixture_reads_8_of_its_128_experts() -> None:
    tensors = mixed(QWEN3_30B_A3B)
    experts = table_bytes(tensors, "_exps")
    assert experts % 16 == 0
    assert on_cpu(QWEN3_30B_A3B) == table_bytes(tensors) - table_bytes(tensors, "token_embd") - experts + experts // 16


@pytest.mark.parametrize(
    ("type_k", "type_v", "bytes_of_32"), [("f16", "f16", 2 * 64), ("q8_0", "q4_0", 34 + 18), ("f32", "q8_0", 128 + 34)]
)
def test_the_context_is_read_in_the_types_of_its_cache(type_k: str, type_v: str, bytes_of_32: int) -> None:
    for shape in (QWEN3_8B, QWEN3_30B_A3B):
        kv = on_cpu(shape, 4096, type_k=type_k, type_v=type_v) - on_cpu(shape)
        assert kv == 4096 * shape.n_layers * shape.n_head_kv * shape.head // 32 * bytes_of_32


def test_a_sliding_window_limits_what_is_read_of_the_context() -> None:
    shape = Shape(n_layers=6)
    gemma = {key.replace("qwen3.", "gemma3."): value for key, value in shape.metadata().items()}
    gemma |= {"general.architecture": "gemma3", "gemma3.attention.sliding_window": 1024}
    info = from_headers([read_header(header(gemma, shape.tensors())[0], check_data=False)], "x")
    at = {n: read_bytes(info, placed(info, TINY), TINY, n)["CPU"] for n in (0, 512, 8192)}
    cell = 2 * 2 * 64 * 2
    assert at[512] - at[0] == 6 * 512 * cell
    assert at[8192] - at[0] == (8192 + 5 * 1024) * cell


def test_layers_read_where_they_are_with_their_part_of_the_context() -> None:
    info, tensors = described(QWEN3_8B), mixed(QWEN3_8B)
    settings = LoadSettings(devices=("Vulkan0",), n_gpu_layers=10)
    found = read_bytes(info, placed(info, settings, 10), settings, 1000)
    on_device = table_bytes(tensors, *(f"blk.{i}." for i in range(27, 36)), "output") - table_bytes(
        tensors, *(f"blk.{i}.attn_output" for i in range(27))
    )
    cell = 2 * 8 * 128 * 2
    assert found["Vulkan0"] == on_device + 9 * 1000 * cell
    assert found["CPU"] == table_bytes(tensors, *(f"blk.{i}." for i in range(27))) + 27 * 1000 * cell


def test_experts_kept_on_the_cpu_are_read_there_and_their_context_on_the_device() -> None:
    info, tensors = described(QWEN3_30B_A3B), mixed(QWEN3_30B_A3B)
    settings = LoadSettings(devices=("Vulkan0",), n_cpu_moe=12)
    found = read_bytes(info, placed(info, settings, 49), settings, 100)
    kept = sum(
        table_bytes([tensor]) for tensor in tensors if "_exps" in tensor[0] and int(tensor[0].split(".")[1]) < 12
    )
    assert found["CPU"] == kept // 16
    assert sum(found.values()) == on_cpu(QWEN3_30B_A3B, 100)


def test_two_devices_read_in_the_proportion_in_which_they_had_memory() -> None:
    info, settings = described(QWEN3_8B), LoadSettings(devices=("Vulkan0", "Vulkan1"))
    found = read_bytes(info, placed(info, settings, 37, Vulkan0=30 * GB, Vulkan1=10 * GB), settings, 0)
    assert set(found) == {"Vulkan0", "Vulkan1"} and found["Vulkan0"] > 2 * found["Vulkan1"]


def test_the_middle_of_a_test_is_half_of_what_it_generates_behind_its_depth() -> None:
    assert n_past(Test(n_gen=128)) == 64
    assert n_past(Test(n_gen=128, n_depth=4096)) == 4160


# The roofline ---------------------------------------------------------------------------------------------------------


def test_devices_read_one_after_the_other() -> None:
    found = roofline({"CPU": GB, "Vulkan0": 4 * GB}, {"CPU": 10.0 * GB, "Vulkan0": 100.0 * GB, "Vulkan1": 1.0})
    assert found is not None
    assert found.tps == pytest.approx(1 / (0.1 + 0.04))
    assert found.bandwidth == {"CPU": 10.0 * GB, "Vulkan0": 100.0 * GB}


def test_without_the_bandwidth_of_a_device_that_is_read_there_is_none() -> None:
    assert roofline({"CPU": GB, "Vulkan0": GB}, {"CPU": 10.0 * GB}) is None
    assert roofline({}, {"CPU": 10.0 * GB}) is None


INFO = described(QWEN3_8B)


def report(
    tps: float, read: dict[str, int] | None = None, marks: Any = (), n_gpu_layers: int = 0, quant: str = "Q4_K_M",
    kind: Any = "gpu", **settings: Any,
) -> Report:  # fmt: skip
    """Of a machine with 8 cores whose memory gives 50 GB/s, its card's 500, that decoded at `tps`."""
    asked = LoadSettings(**settings)
    test = Test(n_gen=128)
    read = read or {"CPU": GB}
    known = roofline(read, {"CPU": 50.0 * GB, "Vulkan0": 500.0 * GB})
    samples = (round(128e9 / tps),) * 3
    when = datetime(2026, 1, 1, tzinfo=UTC)
    result = BenchResult(test=test, test_time=when, samples_ns=samples, read_bytes=read, marks=marks)
    device = Device(name="Vulkan0", description="Card", kind=kind, total_bytes=24 * GB, free_bytes=24 * GB)
    return Report(
        machine=Machine(cpu="CPU", n_cores=8, n_cpus=16, ram_bytes=64 * GB, os="Linux"),
        hello=Hello(pid=1, llama_cpp="0.3.36", devices=(device,)),
        model=msgspec.structs.replace(ModelFacts.of(INFO), quant=quant),
        loaded=placed(INFO, asked, n_gpu_layers),
        settings=asked,
        repetitions=3,
        results=(result,),
        roofline=known,
    )


SPLIT = {"CPU": GB, "Vulkan0": 4 * GB}
CARD: dict[str, Any] = {"devices": ("Vulkan0",), "n_gpu_layers": 37}
SMALL = {"CPU": GB // 20}
MEMORY = "Memory bandwidth limits it."


@pytest.mark.parametrize(
    ("found", "figures", "reason"),
    [
        (report(44), "44.0 of the 50.0 (88%)", MEMORY),
        (report(4.4, {"CPU": 10 * GB}), "4.40 of the 5.00 (88%)", MEMORY),
        (report(710, SMALL), "710.0 of the 1,000 (71%)", MEMORY),
        (
            report(500, SMALL),
            "500.0 of the 1,000 (50%)",
            "The model is so small that the steps between reading take longest.",
        ),
        (report(25), "25.0 of the 50.0 (50%)", "Compute limits it, not memory."),
        (report(25, quant="IQ2_XS"), "25.0 of the 50.0 (50%)", "Compute limits it: IQ2_XS is costly to unpack."),
        (
            report(60),
            "60.0 of the 50.0 (120%)",
            "It is faster than memory: part of what a token reads is in a cache.",
        ),
        (
            report(20, n_threads=16),
            "20.0 of the 50.0 (40%)",
            "16 threads share 8 cores, and each step waits for the slowest of them.",
        ),
        (report(44, n_threads=4), "44.0 of the 50.0 (88%)", "Only 4 of 8 cores are used."),
        (report(44, n_threads=1), "44.0 of the 50.0 (88%)", "Only 1 of 8 cores is used."),
        (
            report(30, marks=(("busy",), ("busy",), ()), n_threads=16),
            "30.0 of the 50.0 (60%)",
            "Other programs took part of the CPU during the run.",
        ),
        (
            report(30, marks=(("busy", "swapped"),) * 3),
            "30.0 of the 50.0 (60%)",
            "Memory ran short during the run and was swapped to disk.",
        ),
        (report(30, marks=(("hot", "throttled"),) * 3), "30.0 of the 50.0 (60%)", "The CPU clock fell during the run."),
        (report(44, marks=(("throttled",), (), ())), "44.0 of the 50.0 (88%)", MEMORY),
        (
            report(30, SPLIT, devices=("Vulkan0",), n_gpu_layers=30),
            "30.0 of the 35.7 (84%)",
            "7 of 37 layers are left on the CPU, where a token spends 71% of its reading.",
        ),
        (
            report(30, SPLIT, **CARD, n_cpu_moe=9),
            "30.0 of the 35.7 (84%)",
            "The experts of 9 layers are left on the CPU, where a token spends 71% of its reading.",
        ),
        (report(100, {"Vulkan0": 4 * GB}, **CARD, n_threads=32), "100.0 of the 125.0 (80%)", MEMORY),
        (
            report(1, {"Vulkan0": 4 * GB}, **CARD, kind="software"),
            "1.00 of the 125.0 (1%)",
            "Vulkan0 is a GPU that the CPU emulates.",
        ),
    ],
)
def test_one_sentence_says_how_fast_it_is_and_what_holds_it_back(found: Report, figures: str, reason: str) -> None:
    assert sentence(found) == f"{figures.replace('(', 'tok/s that memory allows (')}. {reason}"
    assert why(found) == reason


def test_few_threads_are_named_where_all_the_machine_has_is_few() -> None:
    small = report(25, n_threads=2)
    small = msgspec.structs.replace(small, machine=msgspec.structs.replace(small.machine, n_cores=2))
    assert why(small) == "Compute limits it: 2 threads are few."


def test_without_a_bandwidth_there_are_no_figures_and_the_reason_says_so() -> None:
    unknown = report(44, {"Vulkan7": GB})
    assert unknown.roofline is None and share(unknown, unknown.results[0]) is None
    assert sentence(unknown) == why(unknown)
    assert why(unknown) == "What limits it is not known, because the bandwidth of its memory could not be measured."


def test_nothing_is_said_of_a_model_that_decoded_nothing() -> None:
    none = msgspec.structs.replace(report(44), results=())
    assert sentence(none) == "" and why(none) == ""


# With the real engine -------------------------------------------------------------------------------------------------


def from_table(path: Path) -> int:
    """What a token reads by the official reader's table: of the tiny mixture 2 of 8 experts, and of a model with an
    output layer no embedding."""
    tensors = {tensor.name: int(tensor.n_bytes) for tensor in GGUFReader(path).tensors}
    if "output.weight" in tensors:
        del tensors["token_embd.weight"]
    return sum(n_bytes // 4 if "_exps" in name else n_bytes for name, n_bytes in tensors.items())


async def test_a_run_measures_bandwidth_first_and_gives_each_row_its_roofline(engine: Engine) -> None:
    jobs = tuple(BenchJob(model=inspect(path), settings=TINY) for path in (DENSE, MOE))
    tests = plan_tests([8], [4], [0, 32], [(8, 4)])
    runner = Runner(engine, BenchPlan(jobs=jobs, tests=tests, repetitions=1))
    rows = (await runner.run()).reports
    assert len(rows) == 2 and (rows[1].model.n_expert_used, rows[1].model.n_expert) == (2, 8)
    for row in rows:
        assert row.roofline is not None and row.decode is not None
        assert set(row.roofline.bandwidth) == {"CPU"} and row.roofline.tps > 0
        assert row.roofline.read_bytes == row.decode.read_bytes
        by_name = {result.test.name: result for result in row.results}
        cell = 2 * sum(layer.k_width for layer in inspect(Path(row.loaded.path)).info.layers) * 2
        weights = row.decode.read_bytes["CPU"] - 2 * cell
        assert weights == from_table(Path(row.loaded.path))
        assert by_name["tg4 @ d32"].read_bytes["CPU"] - row.decode.read_bytes["CPU"] == 32 * cell
        assert by_name["pp8"].read_bytes == {} and share(row, by_name["pp8"]) is None
        assert share(row, by_name["pp8+tg4"]) is None
        assert share(row, row.decode) == pytest.approx(row.decode.avg_ts / row.roofline.tps)
        assert "tok/s that memory allows" in sentence(row)


async def test_a_run_says_beside_its_figures_what_was_expected_of_it(engine: Engine) -> None:
    plan = BenchPlan(jobs=(BenchJob(model=inspect(DENSE), settings=TINY),), tests=plan_tests([8], [4]), repetitions=1)
    (first,) = (await Runner(engine, plan).run()).reports
    assert first.forecast is not None and first.forecast.decode_tps is not None
    assert first.forecast.decode_tps.basis == "roofline", "all that is known is how fast memory was just now"
    (second,) = (await Runner(engine, plan, known=of_reports([first])).run()).reports
    assert second.forecast is not None and second.forecast.basis == "own"
    assert second.decode is not None and first.decode is not None and second.forecast.decode_tps is not None
    assert second.forecast.decode_tps.tps == pytest.approx(first.decode.avg_ts, rel=0.01)
    decode, prefill = after(second)
    assert decode.startswith("decode: forecast ") and prefill.startswith("prefill: forecast ")


async def test_a_run_without_it_has_no_roofline(engine: Engine) -> None:
    job = BenchJob(model=inspect(DENSE), settings=TINY)
    plan = BenchPlan(jobs=(job,), tests=plan_tests([], [4]), repetitions=1, bandwidth=False)
    (row,) = (await Runner(engine, plan).run()).reports
    assert row.roofline is None and why(row)


async def test_a_device_that_is_lost_while_it_is_measured_ends_neither_the_run_nor_the_cpus_roofline(
    tmp_path: Path,
) -> None:
    driver = Driver(tmp_path, "vkQueueSubmit -4")
    async with vulkan_engine(**driver.environment) as engine:
        driver.fail()
        jobs = (BenchJob(model=inspect(DENSE), settings=ON_GPU), BenchJob(model=inspect(MOE), settings=TINY))
        runner = Runner(engine, BenchPlan(jobs=jobs, tests=plan_tests([], [4]), repetitions=1))
        (row,) = (await runner.run()).reports
    assert [failure.job for failure in runner.failures] == [0]
    assert row.model.is_moe and row.roofline is not None
