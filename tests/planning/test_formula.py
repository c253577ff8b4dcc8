"""The memory formula, held against what llama.cpp itself says and takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conftest import DENSE, MOE
from tests.models.gguf_files import Shape, header, write_recurrent
from tests.places import CHECKOUT
from tests.planning.shapes import with_windows
from tui.engines.interface import Engine
from tui.models.gguf import read_header
from tui.models.info import ModelInfo, from_headers
from tui.models.library import inspect
from tui.planning.formula import COMPUTE_WITHIN, estimate, reads
from tui.planning.placement import HOST
from tui.protocol.records import LoadSettings

QWEN3_4B = Shape(2560, 36, 32, 8, 128, 9728, 151936, tied=True)
QWEN3_14B = Shape(5120, 40, 40, 8, 128, 17408, 151936)
QWEN3_30B_A3B = Shape(2048, 48, 32, 4, 128, 6144, 151936, n_expert=128, n_expert_used=8, n_ff_expert=768)
SHAPES = {"4B": QWEN3_4B, "14B": QWEN3_14B, "30B-A3B": QWEN3_30B_A3B}
MIB, GIB = 1 << 20, 1 << 30
VULKAN = ("Vulkan0",)
TWO = ("Vulkan0", "Vulkan1")


def described(shape: Shape) -> ModelInfo:
    return from_headers([read_header(header(shape.metadata(), shape.tensors())[0], check_data=False)], "x")


def run(*arguments: str) -> str:
    # llama.cpp leaves out Vulkan devices in software unless they are asked for by number.
    environ = os.environ | {"GGML_VK_VISIBLE_DEVICES": "0"}
    command, top = [sys.executable, *arguments], CHECKOUT
    return subprocess.run(command, env=environ, check=True, capture_output=True, text=True, cwd=top).stdout


def dry_run(path: Path, settings: LoadSettings) -> dict[str, Any]:
    """What llama.cpp would take for this load."""
    answer: dict[str, Any] = json.loads(
        run("-m", "tests.models.dry_run", str(path), msgspec.json.encode(settings).decode()).splitlines()[-1]
    )
    return answer


@pytest.fixture(scope="session")
def vulkan() -> None:
    """A Vulkan device, be it one in software."""
    names = run("-c", "from tui.engine import devices; print(*devices.handles())").split()
    if "Vulkan0" not in names:
        pytest.skip(f"this build and machine have no Vulkan device, only {', '.join(names)}")


@pytest.mark.parametrize("model", [DENSE, MOE], ids=lambda path: path.stem)
@pytest.mark.parametrize(
    "settings",
    [
        LoadSettings(n_ctx=2048, n_threads=1),
        LoadSettings(n_ctx=1000, n_threads=1, n_ubatch=128),
        LoadSettings(n_ctx=4096, n_threads=1, type_k="q8_0", type_v="q4_0", flash_attn="on"),
    ],
    ids=["f16", "odd context", "quantized cache"],
)
async def test_what_the_engine_takes_is_what_was_planned(engine: Engine, model: Path, settings: LoadSettings) -> None:
    """With the weights as they lie in the file: what a CPU makes of them else, the formula does not know."""
    plan = estimate(inspect(model).info, settings)
    loaded = await engine.load(model, msgspec.structs.replace(settings, repack="off"))
    taken: dict[str, int] = {}
    for buffer in loaded.llama.buffers:
        taken[buffer.purpose] = taken.get(buffer.purpose, 0) + buffer.n_bytes
    assert plan.n_ctx == loaded.n_ctx
    assert plan.n_layers == loaded.llama.n_layers
    # The log gives MiB with two digits.
    assert plan.weights_bytes == pytest.approx(taken["weights"], abs=0.03 * MIB)
    assert plan.kv_bytes == pytest.approx(taken["kv"], abs=0.01 * MIB)
    assert plan.compute_bytes == pytest.approx(taken["compute"] + taken["output"], rel=COMPUTE_WITHIN, abs=MIB)


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ("4B", LoadSettings(n_ctx=4096)),
        ("4B", LoadSettings(n_ctx=32768, type_k="q8_0", type_v="q8_0", flash_attn="on")),
        ("4B", LoadSettings(n_ctx=4096, flash_attn="off")),
        ("14B", LoadSettings(n_ctx=8192, n_ubatch=1024)),
        ("30B-A3B", LoadSettings(n_ctx=8192)),
        ("30B-A3B", LoadSettings(n_ctx=0, n_ubatch=256)),
        ("4B", LoadSettings(n_ctx=8192, n_parallel=32)),
        ("4B", LoadSettings(n_ctx=65536, n_parallel=256)),
        ("4B", LoadSettings(n_ctx=1000, n_parallel=3, flash_attn="off")),
    ],
    ids=lambda value: value if isinstance(value, str) else f"ctx {value.n_ctx} ub {value.n_ubatch} {value.type_k}",
)
def test_large_models_take_on_the_cpu_what_was_planned(tmp_path: Path, shape: str, settings: LoadSettings) -> None:
    path = SHAPES[shape].write(tmp_path / "model.gguf")
    plan, real = estimate(inspect(path).info, settings), dry_run(path, settings)
    assert not plan.devices
    assert plan.n_ctx == real["n_ctx"]
    assert plan.kv_bytes == pytest.approx(real["kv"], abs=0.01 * MIB)
    assert plan.weights_bytes == real["weights"]
    assert plan.compute_bytes == pytest.approx(sum(real["compute"].values()) + real["output"], rel=COMPUTE_WITHIN)


@pytest.mark.parametrize("n_parallel", [1, 64])
def test_each_sequence_has_a_recurrent_state_of_its_own(tmp_path: Path, n_parallel: int) -> None:
    path = write_recurrent(tmp_path / "model.gguf")
    settings = LoadSettings(n_ctx=64 * 256, n_parallel=n_parallel)
    plan, real = estimate(inspect(path).info, settings), dry_run(path, settings)
    assert plan.n_ctx == real["n_ctx"] == 64 * 256 // n_parallel
    assert plan.kv_bytes == pytest.approx(real["kv"], abs=0.01 * MIB)


@pytest.mark.parametrize("shape", ["4B", "30B-A3B"])
@pytest.mark.parametrize("n_gpu_layers", [-1, 0, 1, 10])
@pytest.mark.usefixtures("vulkan")
def test_layers_go_where_llama_cpp_puts_them(tmp_path: Path, shape: str, n_gpu_layers: int) -> None:
    path = SHAPES[shape].write(tmp_path / "model.gguf")
    info = inspect(path).info
    settings = LoadSettings(n_ctx=4096, devices=VULKAN, n_gpu_layers=n_gpu_layers)
    plan, real = estimate(info, settings), dry_run(path, settings)
    on_device = [i for i, device in enumerate(real["layers"]) if device == "Vulkan0"]
    assert plan.n_gpu_layers == len(on_device)
    expected = sum(info.layers[i].weights_bytes for i in on_device if i < info.n_layers)
    if info.n_layers in on_device:
        expected += info.output_bytes + info.tied_bytes
    assert plan.devices[0].weights_bytes == expected
    assert plan.kv_bytes == pytest.approx(real["kv"], abs=0.01 * MIB)
    n_attending = sum(i < info.n_layers for i in on_device)
    assert plan.devices[0].kv_bytes == plan.kv_bytes * n_attending // info.n_layers


@pytest.mark.parametrize(
    ("shape", "more"),
    [
        ("4B", {"n_gpu_layers": -1}),
        ("4B", {"n_gpu_layers": 12}),
        ("14B", {"n_gpu_layers": -1, "n_ubatch": 256}),
        ("14B", {"n_gpu_layers": 20}),
        ("30B-A3B", {"n_gpu_layers": -1}),
        ("30B-A3B", {"n_gpu_layers": 30}),
        ("30B-A3B", {"n_gpu_layers": -1, "n_cpu_moe": 20}),
    ],
)
@pytest.mark.usefixtures("vulkan")
def test_a_device_needs_about_the_scratch_memory_that_was_planned(
    tmp_path: Path, shape: str, more: dict[str, Any]
) -> None:
    path = SHAPES[shape].write(tmp_path / "model.gguf")
    settings = LoadSettings(n_ctx=8192, devices=VULKAN, **more)
    plan, real = estimate(inspect(path).info, settings), dry_run(path, settings)
    assert plan.devices[0].compute_bytes == pytest.approx(real["compute"]["Vulkan0"], rel=COMPUTE_WITHIN)


def test_a_tied_embedding_is_kept_twice_once_the_output_layer_is_offloaded() -> None:
    info = described(QWEN3_4B)
    on_cpu = estimate(info, LoadSettings())
    offloaded = estimate(info, LoadSettings(devices=VULKAN, n_gpu_layers=1))
    assert on_cpu.weights_bytes == info.weights_bytes
    assert offloaded.weights_bytes == info.weights_bytes + info.input_bytes
    assert offloaded.host.weights_bytes >= info.input_bytes


def test_experts_kept_on_the_cpu_leave_the_device_and_nothing_else_moves() -> None:
    info = described(QWEN3_30B_A3B)
    everything = LoadSettings(devices=VULKAN)
    some = estimate(info, msgspec.structs.replace(everything, n_cpu_moe=10))
    whole = estimate(info, everything)
    moved = sum(layer.expert_bytes for layer in info.layers[:10])
    assert whole.devices[0].weights_bytes - some.devices[0].weights_bytes == moved
    assert some.host.weights_bytes - whole.host.weights_bytes == moved
    assert some.devices[0].kv_bytes == whole.devices[0].kv_bytes
    assert some.host.read_bytes == pytest.approx(moved / 16, rel=1e-6)


def test_settings_for_devices_have_no_effect_on_the_cpu_alone() -> None:
    info = described(QWEN3_30B_A3B)
    assert estimate(info, LoadSettings(n_gpu_layers=10, n_cpu_moe=5)) == estimate(info, LoadSettings())


def test_layers_are_split_over_devices_by_what_is_free() -> None:
    info = described(QWEN3_14B)
    settings = LoadSettings(devices=TWO)
    first, second = estimate(info, settings, {"Vulkan0": 30 * GIB, "Vulkan1": 10 * GIB}).devices
    assert first.kv_bytes == pytest.approx(3 * second.kv_bytes, rel=0.15)
    assert second.weights_bytes > info.output_bytes
    equal = estimate(info, settings).devices
    assert equal[0].kv_bytes == pytest.approx(equal[1].kv_bytes, rel=0.15)


def test_sliding_windows_take_less_memory_without_a_full_cache() -> None:
    info = with_windows(Shape(n_layers=6), 1024)
    full = estimate(info, LoadSettings(n_ctx=32768, swa_full="on"))
    saving = estimate(info, LoadSettings(n_ctx=32768, swa_full="off"))
    per_token = 2 * 2 * 2 * 64
    assert full.kv_bytes == 6 * 32768 * per_token
    assert saving.kv_bytes == (32768 + 5 * (1024 + 512)) * per_token
    assert full.window_saves_bytes == saving.window_saves_bytes == full.kv_bytes - saving.kv_bytes
    assert (full.swa_full, saving.swa_full) == (True, False)
    dense = estimate(described(QWEN3_14B), LoadSettings(swa_full="on"))
    assert (dense.swa_full, dense.window_saves_bytes) == (False, 0)


INFO_14B = described(QWEN3_14B)


def read(info: ModelInfo, n_past: int = 0, **more: Any) -> int:
    """Bytes that one token reads on the CPU alone."""
    found = reads(info, LoadSettings(**more), n_past)
    assert set(found) == {HOST}
    return found[HOST]


def test_a_token_of_a_dense_model_reads_all_but_the_embedding_table() -> None:
    assert read(INFO_14B) == INFO_14B.weights_bytes - INFO_14B.input_bytes
    tied = described(QWEN3_4B)
    assert read(tied) == tied.weights_bytes


def test_a_token_of_a_mixture_of_experts_reads_the_experts_in_use() -> None:
    info = described(QWEN3_30B_A3B)
    experts = sum(layer.expert_bytes for layer in info.layers)
    assert read(info) == pytest.approx(info.weights_bytes - info.input_bytes - experts * 15 / 16, rel=1e-6)


def test_the_context_so_far_is_read_with_every_token() -> None:
    n = read(INFO_14B, 1000) - read(INFO_14B)
    assert n == 1000 * 40 * 2 * (8 * 128) * 2
    quantized = read(INFO_14B, 1000, type_k="q8_0", type_v="q8_0") - read(INFO_14B)
    assert quantized == n * 34 // 64


@pytest.mark.parametrize("shape", SHAPES)
def test_the_parts_of_a_plan_say_together_what_a_token_reads(shape: str) -> None:
    info = described(SHAPES[shape])
    for n in (0, 1, 20, -1):
        plan = estimate(info, LoadSettings(devices=VULKAN, n_gpu_layers=n))
        assert plan.host.read_bytes + plan.devices[0].read_bytes == read(info)
