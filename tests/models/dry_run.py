"""Asks llama.cpp what a load would take, without allocating it, and prints it as JSON: buffers in bytes by device and
purpose. A program of its own, because llama.cpp logs to whoever loaded it first.

usage: python -m tests.models.dry_run MODEL SETTINGS, the settings being a `LoadSettings` in JSON.
"""

from __future__ import annotations

import ctypes
import json
import re
import sys
from pathlib import Path

import msgspec
from llama_cpp import llama_cpp as lib

from tui.engine import devices
from tui.protocol.records import LoadSettings

TYPES = {"f16": 1, "f32": 0, "q8_0": 8, "q4_0": 2}
LINE = re.compile(r"\s([\w.:-]+)\s+(compute|output) buffer size =\s*([\d.]+) MiB")
CACHE = re.compile(r"llama_(?:kv_cache|memory_recurrent): size =\s*([\d.]+) MiB")
LAYER = re.compile(r"layer\s+(\d+) assigned to device (\w+)")


class Override(ctypes.Structure):
    _fields_ = (("pattern", ctypes.c_char_p), ("buft", ctypes.c_void_p))


def main(path: Path, settings: LoadSettings) -> None:
    log: list[str] = []
    take = lib.llama_log_callback(lambda _level, text, _data: log.append(text.decode("utf-8", "replace")))
    lib.llama_log_set(take, None)
    lib.llama_backend_init()
    params = lib.llama_model_default_params()
    handles = devices.handles()
    array = (ctypes.c_void_p * (len(settings.devices) + 1))(*(handles[name] for name in settings.devices), None)
    params.devices = ctypes.cast(array, ctypes.c_void_p)
    params.n_gpu_layers = settings.n_gpu_layers if settings.devices else 0
    overrides = (Override * (settings.n_cpu_moe + 1))()
    for i in range(settings.n_cpu_moe):
        overrides[i] = Override(rf"blk\.{i}\.ffn_(up|down|gate|gate_up)_(ch|)exps".encode(), devices.cpu_buffer_type())
    params.tensor_buft_overrides = ctypes.cast(overrides, ctypes.c_void_p)
    params.no_alloc = True
    params.load_mode = 0
    model = lib.llama_model_load_from_file(str(path).encode(), params)
    assert model, "".join(log)
    context_params = lib.llama_context_default_params()
    context_params.n_ctx, context_params.n_batch = settings.n_ctx, settings.n_batch
    context_params.n_ubatch = settings.n_ubatch
    context_params.n_outputs_max = context_params.n_seq_max = settings.n_parallel
    context_params.flash_attn_type = {"auto": -1, "off": 0, "on": 1}[settings.flash_attn]
    context_params.type_k, context_params.type_v = TYPES[settings.type_k], TYPES[settings.type_v]
    context_params.op_offload = context_params.offload_kqv = bool(settings.devices)
    context = lib.llama_init_from_model(model, context_params)
    assert context, "".join(log)
    text = "".join(log)
    print(
        json.dumps(
            {
                "kv": float(CACHE.findall(text)[-1]) * 2**20,
                "n_ctx": int(lib.llama_n_ctx_seq(context)),
                "weights": int(lib.llama_model_size(model)),
                "layers": [device for _, device in LAYER.findall(text)],
                "compute": {
                    device: float(size) * 2**20 for device, purpose, size in LINE.findall(text) if purpose == "compute"
                },
                "output": sum(float(size) * 2**20 for _, purpose, size in LINE.findall(text) if purpose == "output"),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=LoadSettings))
