"""Models as the planner sees them, and machines of invented size: what the memory tests have in common."""

from __future__ import annotations

from tests.conftest import DENSE, MOE
from tests.models.gguf_files import Shape, header
from tui.config.settings import ChosenLoad
from tui.models.gguf import read_header
from tui.models.info import ModelInfo, from_headers
from tui.models.library import inspect
from tui.planning.now import MemoryNow
from tui.protocol.records import Device

MIB, GIB = 1 << 20, 1 << 30
CPU = Device(name="CPU", description="CPU", kind="cpu", total_bytes=64 * GIB, free_bytes=48 * GIB)
GPU = Device(name="Vulkan0", description="Card", kind="gpu", total_bytes=24 * GIB, free_bytes=24 * GIB)
IGPU = Device(name="Vulkan0", description="Graphics", kind="igpu", total_bytes=24 * GIB, free_bytes=20 * GIB)
DEVICES = (CPU, GPU)
ASKED = ChosenLoad(n_ctx=1024)
TINY_DENSE, TINY_MOE = inspect(DENSE).info, inspect(MOE).info


def described(shape: Shape) -> ModelInfo:
    return from_headers([read_header(header(shape.metadata(), shape.tensors())[0], check_data=False)], "x")


QWEN3_8B = described(Shape(4096, 36, 32, 8, 128, 12288, 151936))
QWEN3_30B_A3B = described(Shape(2048, 48, 32, 4, 128, 6144, 151936, n_expert=128, n_expert_used=8, n_ff_expert=768))
HEAD_80 = described(Shape(2560, 32, 32, 8, 80, 10240, 50304))
"""A head size that no block of a quantized KV cache divides, as Phi-2's."""


def with_windows(shape: Shape, window: int) -> ModelInfo:
    """A Gemma 3 of such a shape: five layers with a window, then one without."""
    metadata = {key.replace("qwen3.", "gemma3."): value for key, value in shape.metadata().items()}
    metadata |= {"general.architecture": "gemma3", "gemma3.attention.sliding_window": window}
    return from_headers([read_header(header(metadata, shape.tensors())[0], check_data=False)], "x")


GEMMA = with_windows(Shape(3840, 48, 16, 8, 256, 15360, 262144), 1024)
"""Of Gemma 3 12B's shape."""


def machine(host: int, device: int | None = None, *, shared: int | None = None, reserve: int = 0) -> MemoryNow:
    """So many bytes free on the host and on Vulkan0, `shared` of the latter being the host's."""
    return MemoryNow(
        host_free_bytes=host,
        host_total_bytes=2 * host,
        device_free={} if device is None else {"Vulkan0": device},
        shared_free={} if shared is None else {"Vulkan0": shared},
        reserve_bytes=reserve,
        gpu_reserve_bytes=reserve,
    )
