"""The machine's Vulkan as its loader tells it, without llama.cpp: whether it loads, which devices its drivers have, and
which of them llama.cpp is to see. llama.cpp hides devices that are computed by the CPU unless
`GGML_VK_VISIBLE_DEVICES` names them, and it names devices by the numbers that they have here.

`python -m tui.machine.vulkan` prints it as JSON: a driver that crashes then ends that process alone.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from typing import Literal

import msgspec

LOADER = "libvulkan.so.1"
VISIBLE = "GGML_VK_VISIBLE_DEVICES"
"""llama.cpp's list of device numbers; all but these are hidden, also those that it would take by itself."""
SHOW_SOFTWARE = "LLMTUI_SOFTWARE_VULKAN"
"""Set in the environment of an engine process that is to see software devices."""

VulkanKind = Literal["other", "integrated", "discrete", "virtual", "software"]
_KINDS: tuple[VulkanKind, ...] = ("other", "integrated", "discrete", "virtual", "software")
"""By `VkPhysicalDeviceType`."""

NO_DRIVER = "no driver"
_ERRORS = {-1: "out of memory", -3: "initialization failed", -9: NO_DRIVER}
_APPLICATION_INFO, _INSTANCE_CREATE_INFO = 0, 1
_PROPERTIES_2, _ID_PROPERTIES = 1000059001, 1000071004
_VERSION_1_2 = (1 << 22) | (2 << 12)


class VulkanDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One device of one driver."""

    name: str
    kind: VulkanKind
    uuid: str
    """The same for one GPU that two drivers offer; hexadecimal."""
    vendor: str = ""
    """PCI number of who made it, such as "0x1002", as in the kernel's device files."""


class Vulkan(msgspec.Struct, frozen=True, kw_only=True):
    """What the Vulkan loader says."""

    loader_error: str = ""
    """Why the loader's library cannot be used; empty when it can."""
    error: str = ""
    """Why it gives no instance, `NO_DRIVER` most often; empty when it does."""
    devices: tuple[VulkanDevice, ...] = ()
    """In the loader's order, whose numbers `GGML_VK_VISIBLE_DEVICES` takes."""

    @property
    def hardware(self) -> tuple[VulkanDevice, ...]:
        """The devices that are not computed by the CPU."""
        return tuple(device for device in self.devices if device.kind != "software")

    @property
    def software(self) -> tuple[VulkanDevice, ...]:
        """Those that are, such as llvmpipe."""
        return tuple(device for device in self.devices if device.kind == "software")


class _ApplicationInfo(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("application", ctypes.c_char_p),
        ("application_version", ctypes.c_uint32),
        ("engine", ctypes.c_char_p),
        ("engine_version", ctypes.c_uint32),
        ("api_version", ctypes.c_uint32),
    )


class _InstanceCreateInfo(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("application_info", ctypes.POINTER(_ApplicationInfo)),
        ("n_layers", ctypes.c_uint32),
        ("layers", ctypes.c_void_p),
        ("n_extensions", ctypes.c_uint32),
        ("extensions", ctypes.c_void_p),
    )


class _IdProperties(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("device_uuid", ctypes.c_uint8 * 16),
        ("rest", ctypes.c_uint8 * 32),
    )


class _Properties2(ctypes.Structure):
    """`VkPhysicalDeviceProperties2` down to the name; the limits behind it are only room."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("versions_and_ids", ctypes.c_uint32 * 4),
        ("device_type", ctypes.c_uint32),
        ("name", ctypes.c_char * 256),
        ("rest", ctypes.c_uint8 * 548),
    )


def probe(loader: str = LOADER) -> Vulkan:
    """Ask the loader. Loads every driver into this process; blocks for as long as they take."""
    try:
        lib = ctypes.CDLL(loader)
        create, count, describe, destroy = (
            lib.vkCreateInstance,
            lib.vkEnumeratePhysicalDevices,
            lib.vkGetPhysicalDeviceProperties2,
            lib.vkDestroyInstance,
        )
    except (OSError, AttributeError) as error:
        return Vulkan(loader_error=str(error))
    instance = ctypes.c_void_p()
    application = _ApplicationInfo(_APPLICATION_INFO, None, b"llmtui", 0, b"llmtui", 0, _VERSION_1_2)
    info = _InstanceCreateInfo(_INSTANCE_CREATE_INFO, None, 0, ctypes.pointer(application))
    if status := create(ctypes.byref(info), None, ctypes.byref(instance)):
        return Vulkan(error=_ERRORS.get(status, f"error {status}"))
    try:
        n_devices = ctypes.c_uint32()
        if status := count(instance, ctypes.byref(n_devices), None):
            return Vulkan(error=_ERRORS.get(status, f"error {status}"))
        handles = (ctypes.c_void_p * n_devices.value)()
        if status := count(instance, ctypes.byref(n_devices), handles):
            return Vulkan(error=_ERRORS.get(status, f"error {status}"))
        found = []
        for handle in handles:
            ids = _IdProperties(_ID_PROPERTIES)
            properties = _Properties2(_PROPERTIES_2, ctypes.addressof(ids))
            describe(ctypes.c_void_p(handle), ctypes.byref(properties))
            found.append(
                VulkanDevice(
                    name=properties.name.decode("utf-8", "replace"),
                    kind=_KINDS[properties.device_type] if properties.device_type < len(_KINDS) else "other",
                    uuid=bytes(ids.device_uuid).hex(),
                    vendor=f"{properties.versions_and_ids[2]:#06x}",
                )
            )
    finally:
        destroy(instance, None)
    return Vulkan(devices=tuple(found))


def with_software(devices: Sequence[VulkanDevice]) -> str:
    """The value of `GGML_VK_VISIBLE_DEVICES` that shows what llama.cpp would show by itself, one device for each GPU,
    and the software devices behind them. Empty when there are none of these: nothing need be set then."""
    software = [number for number, device in enumerate(devices) if device.kind == "software"]
    if not software:
        return ""
    shown: dict[str, int] = {}
    for number, device in enumerate(devices):
        if device.kind in ("discrete", "integrated"):
            shown.setdefault(device.uuid, number)
    others = [number for number, device in enumerate(devices) if device.kind in ("other", "virtual")]
    return ",".join(map(str, [*(shown.values() or others[:1]), *software]))


def engine_environment(*, software: bool) -> dict[str, str]:
    """What an engine's environment needs so that it sees software devices, or nothing."""
    return {SHOW_SOFTWARE: "1"} if software else {}


def show_software_devices() -> None:
    """In the engine's process, before llama.cpp looks for devices: show software ones when that was asked for. A list
    of visible devices that the user has set stays as it is."""
    if os.environ.get(SHOW_SOFTWARE) and VISIBLE not in os.environ and (visible := with_software(probe().devices)):
        os.environ[VISIBLE] = visible


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(probe()).decode())
