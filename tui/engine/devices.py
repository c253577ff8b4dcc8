"""Compute devices as llama.cpp sees them. Runs in the engine process only."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any

from tui.engine.bindings import libggml
from tui.machine.cpu_name import cpu_name
from tui.protocol.records import Device, DeviceKind

_KINDS: dict[int, DeviceKind] = {0: "cpu", 1: "gpu", 2: "igpu", 3: "accel"}
_SOFTWARE = ("llvmpipe", "lavapipe", "swiftshader", "softpipe")


@functools.cache
def _api() -> Any:
    """ggml's device functions, declared: pointers are `void *`, or ctypes would cut them to 32 bits."""
    lib = libggml
    for name, restype, argtypes in (
        ("ggml_commit", ctypes.c_char_p, []),
        ("ggml_backend_dev_count", ctypes.c_size_t, []),
        ("ggml_backend_dev_get", ctypes.c_void_p, [ctypes.c_size_t]),
        ("ggml_backend_dev_name", ctypes.c_char_p, [ctypes.c_void_p]),
        ("ggml_backend_dev_description", ctypes.c_char_p, [ctypes.c_void_p]),
        ("ggml_backend_dev_type", ctypes.c_int, [ctypes.c_void_p]),
        ("ggml_backend_dev_buffer_type", ctypes.c_void_p, [ctypes.c_void_p]),
        (
            "ggml_backend_dev_memory",
            None,
            [ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_size_t)],
        ),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = restype, argtypes
    return lib


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")


def build_commit() -> str:
    """The commit that ggml was built from, as it tells itself; llama.cpp's, whose repository it is part of. Empty where
    it was built from an archive, outside any repository."""
    commit = _text(_api().ggml_commit())
    return "" if commit == "unknown" else commit


def handles() -> dict[str, int]:
    """Address of each `ggml_backend_dev_t` by llama.cpp's name for the device ("CPU", "Vulkan0")."""
    api = _api()
    found = (api.ggml_backend_dev_get(i) for i in range(api.ggml_backend_dev_count()))
    return {_text(api.ggml_backend_dev_name(handle)): handle for handle in found}


def cpu_buffer_type() -> int:
    """Address of the CPU's `ggml_backend_buffer_type_t`, where tensors kept off the GPU go."""
    address: int = _api().ggml_backend_dev_buffer_type(handles()["CPU"])
    return address


def list_devices() -> tuple[Device, ...]:
    """Every device with its memory now. llama.cpp's free figure for an integrated GPU can exceed the total (it
    underflows): it is clamped here."""
    api = _api()
    devices = []
    for name, handle in handles().items():
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        api.ggml_backend_dev_memory(handle, ctypes.byref(free), ctypes.byref(total))
        description = _text(api.ggml_backend_dev_description(handle))
        kind = _KINDS.get(api.ggml_backend_dev_type(handle), "gpu")
        if kind == "cpu" and description in (
            "",
            "CPU",
        ):  # llama.cpp reads one name only, which Arm's kernels do not give
            description = cpu_name()
        if kind in ("gpu", "igpu") and any(word in description.lower() for word in _SOFTWARE):
            kind = "software"
        devices.append(
            Device(
                name=name,
                description=description,
                kind=kind,
                total_bytes=total.value,
                free_bytes=min(free.value, total.value),
            )
        )
    return tuple(devices)


def any_software(names: Sequence[str]) -> bool:
    """Whether one of these devices is a GPU in name only, computed by the CPU."""
    return any(device.kind == "software" and device.name in names for device in list_devices())
