"""Load settings as llama.cpp's parameters: one place for the real load and for the dry run that foretells it. Runs in
the engine process only."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import msgspec

from tui.engine import devices
from tui.engine.bindings import lib
from tui.machine.cpus import physical_cores
from tui.protocol.records import CacheType, LoadSettings

CACHE_TYPES: dict[CacheType, int] = {
    "f32": lib.GGML_TYPE_F32,
    "f16": lib.GGML_TYPE_F16,
    "bf16": 30,
    "q8_0": lib.GGML_TYPE_Q8_0,
    "q5_1": lib.GGML_TYPE_Q5_1,
    "q5_0": lib.GGML_TYPE_Q5_0,
    "q4_1": lib.GGML_TYPE_Q4_1,
    "q4_0": lib.GGML_TYPE_Q4_0,
    "iq4_nl": lib.GGML_TYPE_IQ4_NL,
}
_FLASH_ATTENTION = {"auto": -1, "off": 0, "on": 1}
_LOAD_MODE = {(False, False): 0, (True, False): 1, (False, True): 2, (True, True): 3}
"""llama.cpp's `llama_load_mode` by (use_mmap, use_mlock)."""


class _TensorOverride(ctypes.Structure):
    """`llama_model_tensor_buft_override`, which the Python package does not declare."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buft", ctypes.c_void_p))


class UnknownDevice(Exception):
    """The settings name a device that llama.cpp does not have here."""


def model_params(settings: LoadSettings, keep: list[object]) -> Any:
    """`llama_model_params` for these settings. What they point to is appended to `keep`, which must live as long as
    the model. Raises `UnknownDevice`."""
    params = lib.llama_model_default_params()
    params.load_mode = _LOAD_MODE[settings.use_mmap, settings.use_mlock]
    if settings.repack != "auto":
        params.use_extra_bufts = settings.repack == "on"
    params.devices = _device_array(settings.devices, keep)
    params.n_gpu_layers = settings.n_gpu_layers if settings.devices else 0
    params.tensor_buft_overrides = _expert_overrides(settings.n_cpu_moe if settings.devices else 0, keep)
    return params


def context_params(settings: LoadSettings) -> Any:
    """`llama_context_params` for these settings: logits of one token for each sequence, of which there is mostly one.
    Several have their own parts of the KV cache, as is llama.cpp's default, because they share no prompt."""
    params = lib.llama_context_default_params()
    params.n_ctx = settings.n_ctx
    params.n_batch, params.n_ubatch = settings.n_batch, min(settings.n_ubatch, settings.n_batch)
    params.n_threads = settings.n_threads or physical_cores()
    params.n_threads_batch = settings.n_threads_batch or params.n_threads
    params.flash_attn_type = _FLASH_ATTENTION[in_effect(settings).flash_attn]
    params.type_k, params.type_v = CACHE_TYPES[settings.type_k], CACHE_TYPES[settings.type_v]
    # 0 would reserve logits for a whole batch: 282 MiB more with a vocabulary of 151,936 tokens.
    params.n_outputs_max = params.n_seq_max = settings.n_parallel
    params.no_perf = False
    params.op_offload = bool(settings.devices)
    params.offload_kqv = bool(settings.devices)
    return params


def in_effect(settings: LoadSettings) -> LoadSettings:
    """The settings with what "auto" means on these devices, where it is not for llama.cpp to choose."""
    if settings.flash_attn == "auto" and devices.any_software(settings.devices):
        # Mesa's llvmpipe (22.3 seen) crashes in llama.cpp's flash attention shader.
        return msgspec.structs.replace(settings, flash_attn="off")
    return settings


def _device_array(names: Sequence[str], keep: list[object]) -> int | None:
    """A NULL-terminated array of devices; of NULL alone it means the CPU and nothing else. Without it, a build with
    a GPU backend sends every batch of 32 tokens or more to the GPU even when no layer is offloaded."""
    known = devices.handles()
    missing = [name for name in names if name not in known]
    if missing:
        raise UnknownDevice(f"no device named {', '.join(missing)}; there are {', '.join(known)}")
    array = (ctypes.c_void_p * (len(names) + 1))(*(known[name] for name in names), None)
    keep.append(array)
    return ctypes.cast(array, ctypes.c_void_p).value


def _expert_overrides(n_layers: int, keep: list[object]) -> int | None:
    """Tensor overrides that keep the experts of the first `n_layers` layers in host memory."""
    if n_layers <= 0:
        return None
    array = (_TensorOverride * (n_layers + 1))()
    for i in range(n_layers):
        array[i].pattern = rf"blk\.{i}\.ffn_(up|down|gate|gate_up)_(ch|)exps".encode()
        array[i].buft = devices.cpu_buffer_type()
    keep.append(array)
    return ctypes.cast(array, ctypes.c_void_p).value
