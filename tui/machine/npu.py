"""Neural processing units and other accelerators through sysfs: which there are, what they are called, whether their
driver runs. They have no meter: no model runs on one that llama.cpp cannot use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tui.machine.files import key_values, read_text
from tui.protocol.records import Device
from tui.words import tr

_AMD, _INTEL, _QUALCOMM, _HABANA = "0x1022", "0x8086", "0x17cb", "0x1da3"
_DRIVERS = {
    "amdxdna": "AMD NPU", "intel_vpu": "Intel NPU", "rocket": "Rockchip NPU", "ethosu": "Arm Ethos-U NPU",
    "arm_ethosu": "Arm Ethos-U NPU", "qaic": "Qualcomm Cloud AI accelerator", "habanalabs": "Intel Gaudi accelerator",
}  # fmt: skip
"""Drivers of the kernel's accel subsystem, and what they drive."""
_MODELS = {
    (_AMD, "0x1502", ""): "AMD XDNA NPU (Phoenix, Hawk Point)",
    (_AMD, "0x17f0", "0x10"): "AMD XDNA 2 NPU (Strix Point)",
    (_AMD, "0x17f0", "0x11"): "AMD XDNA 2 NPU (Strix Halo)",
    (_AMD, "0x17f0", "0x20"): "AMD XDNA 2 NPU (Krackan Point)",
    (_AMD, "0x17f0", ""): "AMD XDNA 2 NPU",
    (_INTEL, "0x7d1d", ""): "Intel NPU (Meteor Lake)",
    (_INTEL, "0xad1d", ""): "Intel NPU (Arrow Lake)",
    (_INTEL, "0x643e", ""): "Intel NPU (Lunar Lake)",
    (_INTEL, "0xb03e", ""): "Intel NPU (Panther Lake)",
    (_INTEL, "0xfd3e", ""): "Intel NPU (Wildcat Lake)",
    (_INTEL, "0xd71d", ""): "Intel NPU (Nova Lake)",
}
"""By vendor, device and revision, "" for all others, as the kernel's amdxdna and intel_vpu drivers list them. A device
without a driver is known by this alone."""
_NEEDED_DRIVER = {_AMD: "amdxdna", _INTEL: "intel_vpu"}
_MAKERS = {_AMD: "AMD NPU", _INTEL: "Intel NPU", _QUALCOMM: "Qualcomm accelerator", _HABANA: "Habana accelerator"}

OPENVINO_DEVICE = "GGML_OPENVINO_DEVICE"
"""The environment variable that says what llama.cpp's OpenVINO backend computes on: "CPU", "GPU" or "NPU"."""


class Npu(msgspec.Struct, frozen=True, kw_only=True):
    """One accelerator."""

    name: str
    """ "AMD XDNA 2 NPU (Strix Halo)", "Intel NPU 0xabcd", "accelerator of the driver some_driver"."""
    vendor: str = ""
    """PCI vendor, "0x1022"; empty for one that is not on PCI."""
    driver: str = ""
    """Of the kernel; empty when none has taken it."""
    file: str = ""
    """Name of its device file below /dev: "accel/accel0"; empty without a driver."""

    @property
    def needed_driver(self) -> str:
        """The driver that it should have, where it has none."""
        return "" if self.driver else _NEEDED_DRIVER.get(self.vendor, "")


def find_npus(sysfs: Path = Path("/sys")) -> tuple[Npu, ...]:
    """Those that a driver has taken, in the order of the kernel's numbers, then those that wait for one."""
    found: list[tuple[int, Npu]] = []
    taken = set()
    for folder in (sysfs / "class/accel").glob("accel*"):
        number = folder.name.removeprefix("accel")
        if not number.isdigit():  # a second file of the same device, such as accel_controlD0
            continue
        uevent = _uevent(folder / "device")
        taken.add(uevent.get("PCI_SLOT_NAME"))
        found.append((int(number), _named(folder / "device", uevent.get("DRIVER", ""), f"accel/{folder.name}")))
    waiting = [
        _named(folder)
        for folder in sorted((sysfs / "bus/pci/devices").glob("*"))
        if _model(folder) and folder.name not in taken
    ]
    return (*(npu for _, npu in sorted(found, key=lambda numbered: numbered[0])), *waiting)


def is_usable(npu: Npu, devices: Sequence[Device], openvino_device: str | None) -> bool:
    """Whether llama.cpp, whose `devices` these are, computes on it. Of its backends only OpenVINO's drives any of them,
    Intel's, and only if its environment variable, here `openvino_device`, says so."""
    return has_openvino(npu, devices) and openvino_device == "NPU" and bool(npu.driver)


def has_openvino(npu: Npu, devices: Sequence[Device]) -> bool:
    """Whether this llama.cpp could use it, if it is told to."""
    return npu.vendor == _INTEL and any(device.name.upper().startswith("OPENVINO") for device in devices)


def _uevent(device: Path) -> dict[str, str]:
    return key_values(read_text(str(device / "uevent")) or "", "=")


def _id(device: Path, name: str) -> str:
    return (read_text(str(device / name)) or "").strip().lower()


def _model(device: Path) -> str:
    """Its name in the table of models; empty for what is not there."""
    vendor, number = _id(device, "vendor"), _id(device, "device")
    revision = _id(device, "revision")
    return _MODELS.get((vendor, number, revision)) or _MODELS.get((vendor, number, "")) or ""


def _named(device: Path, driver: str = "", file: str = "") -> Npu:
    vendor = _id(device, "vendor")
    kind = _DRIVERS.get(driver) or _MAKERS.get(vendor)
    if not kind:
        kind = tr("accelerator of the driver {driver}", driver=driver) if driver else tr("accelerator")
    name = _model(device) or f"{kind} {_id(device, 'device')}".rstrip()
    return Npu(name=name, vendor=vendor, driver=driver, file=file)
