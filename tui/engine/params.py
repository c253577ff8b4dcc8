"""Load settings as llama.cpp's parameters: one place for the real load and for the dry run that foretells it. Runs in
the engine process only."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tui.config.loadtable import LOAD_TABLE
from tui.engine import devices
from tui.engine.bindings import lib
from tui.engine.promptlookup import MOST_DRAFT
from tui.machine.cpus import chosen_cpus, physical_cores
from tui.protocol.records import CacheType, LoadSettings
from tui.words.later import Later, later

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
_SPLIT_MODES = {"none": 0, "layer": 1, "row": 2}
_LOAD_MODES = {(False, False): 0, (True, False): 1, (False, True): 2, (True, True): 3}
"""llama.cpp's `llama_load_mode` by (use_mmap, use_mlock)."""


class _TensorOverride(ctypes.Structure):
    """`llama_model_tensor_buft_override`, which the Python package does not declare."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buft", ctypes.c_void_p))


class UnknownDevice(Exception):
    """The settings name a device that llama.cpp does not have here; `why` says which there are."""

    def __init__(self, why: Later) -> None:
        super().__init__(why)
        self.why = why


def model_params(settings: LoadSettings, keep: list[object]) -> Any:
    """`llama_model_params` for these settings. What they point to is appended to `keep`, which must live as long as
    the model. Raises `UnknownDevice`."""
    params = lib.llama_model_default_params()
    _set_from_table(params, "model", settings, keep)
    return params


def context_params(settings: LoadSettings) -> Any:
    """`llama_context_params` for these settings: logits of as many tokens as `n_outputs` says. Several sequences have
    their own parts of the KV cache, as is llama.cpp's default, because they share no prompt."""
    params = lib.llama_context_default_params()
    _set_from_table(params, "context", in_effect(settings), [])
    params.n_seq_max = settings.n_parallel
    params.no_perf = False
    params.op_offload = bool(settings.devices)
    params.offload_kqv = bool(settings.devices)
    return params


def n_outputs(settings: LoadSettings) -> int:
    """Tokens decoded at once, the logits of all of which can be had: those of a draft and the one before it, or one of
    each sequence. Never as many as llama.cpp would reserve by itself: those of a whole batch, 282 MiB more with a
    vocabulary of 151,936 tokens."""
    may_draft = settings.speculative == "auto" and settings.n_parallel == 1
    return min(MOST_DRAFT + 1, settings.n_batch) if may_draft else settings.n_parallel


def _set_from_table(params: Any, part: str, settings: LoadSettings, keep: list[object]) -> None:
    """Each parameter of `part` that a row of the table names."""
    for row in LOAD_TABLE:
        owner, _, parameter = row.parameter.partition(".")
        if owner == part:
            made = _MADE.get(row.name)
            value = made(settings, keep) if made else getattr(settings, row.name)
            if value is not None:
                setattr(params, parameter, value)


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
        why = later("no device named {missing}; there are {known}", missing=", ".join(missing), known=", ".join(known))
        raise UnknownDevice(why)
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


def _threads(settings: LoadSettings) -> int:
    return settings.n_threads or physical_cores(among=chosen_cpus(settings.cpu_range))


def _load_mode(settings: LoadSettings) -> int:
    return _LOAD_MODES[settings.use_mmap, settings.use_mlock]


_MADE: dict[str, Callable[[LoadSettings, list[object]], object]] = {
    "backend": lambda settings, keep: _device_array(settings.devices, keep),
    "n_gpu_layers": lambda settings, _: settings.n_gpu_layers if settings.devices else 0,
    "n_cpu_moe": lambda settings, keep: _expert_overrides(settings.n_cpu_moe if settings.devices else 0, keep),
    "split_mode": lambda settings, _: _SPLIT_MODES[settings.split_mode],
    "n_threads": lambda settings, _: _threads(settings),
    "n_threads_batch": lambda settings, _: settings.n_threads_batch or _threads(settings),
    "n_ubatch": lambda settings, _: min(settings.n_ubatch, settings.n_batch),
    "flash_attn": lambda settings, _: _FLASH_ATTENTION[settings.flash_attn],
    "type_k": lambda settings, _: CACHE_TYPES[settings.type_k],
    "type_v": lambda settings, _: CACHE_TYPES[settings.type_v],
    "swa_full": lambda settings, _: settings.swa_full == "on",
    "use_mmap": lambda settings, _: _load_mode(settings),
    "use_mlock": lambda settings, _: _load_mode(settings),
    "speculative": lambda settings, _: n_outputs(settings),
    "repack": lambda settings, _: None if settings.repack == "auto" else settings.repack == "on",
}
"""What llama.cpp gets, by name of the setting, where that is not simply the setting's value; None leaves llama.cpp's
default."""
