"""AMD and Intel GPUs through sysfs, as the kernel's amdgpu, i915 and xe drivers document their files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

from tui.machine.drm_throttling import AmdThrottling, intel_throttling
from tui.machine.files import key_values, read_int, read_scaled, read_text
from tui.machine.readings import GpuKind, GpuSample, GpuSource

AMDGPU_IDS = Path("/usr/share/libdrm/amdgpu.ids")
"""Marketing names of AMD's GPUs, shipped with libdrm: device, revision and name, separated by commas."""


class DrmCard(Protocol):
    """One GPU."""

    @property
    def id(self) -> str:
        """PCI address."""

    @property
    def kind(self) -> GpuKind:
        """ "igpu" for one that is part of the CPU's package."""

    def read(self) -> GpuSample: ...

    def energy_j(self) -> float | None:
        """What it has taken since some moment in the past, in joules; None where the driver does not count."""


def find_cards(sysfs: Path, amdgpu_ids: Path = AMDGPU_IDS) -> tuple[DrmCard, ...]:
    """The GPUs below `sysfs` (/sys) that this file can read, in the order of the kernel's numbers."""
    found: list[tuple[int, DrmCard]] = []
    for folder in (sysfs / "class/drm").glob("card*"):
        number = folder.name.removeprefix("card")
        if not number.isdigit():  # A connector, such as card0-DP-1.
            continue
        uevent = key_values(read_text(str(folder / "device/uevent")) or "", "=")
        match uevent.get("DRIVER"):
            case "amdgpu":
                found.append((int(number), AmdCard(folder / "device", uevent, amdgpu_ids)))
            case "i915":
                found.append((int(number), IntelCard(folder, uevent, "i915")))
            case "xe":
                found.append((int(number), IntelCard(folder, uevent, "xe")))
    return tuple(card for _, card in sorted(found, key=lambda numbered: numbered[0]))


class AmdCard:
    """A GPU of the amdgpu driver, integrated or not."""

    def __init__(self, device: Path, uevent: dict[str, str], amdgpu_ids: Path) -> None:
        self._device = str(device)
        self.id = uevent.get("PCI_SLOT_NAME", "")
        self._hwmon = _hwmon(device)
        # The driver shows a northbridge voltage for integrated GPUs only.
        self.kind: GpuKind = "igpu" if Path(self._hwmon, "in1_input").exists() else "gpu"
        self._name = _amd_name(device, uevent.get("PCI_ID", ""), amdgpu_ids)
        self._throttling = AmdThrottling(f"{device}/gpu_metrics")

    def read(self) -> GpuSample:
        device, hwmon = self._device, self._hwmon
        # Asking a GPU that sleeps for its sensors would wake it; its memory counters are the driver's own.
        is_awake = (read_text(f"{device}/power/runtime_status") or "").strip() != "suspended"
        power = None
        if is_awake:
            power = read_scaled(f"{hwmon}/power1_average", 1e6)
            if power is None:
                power = read_scaled(f"{hwmon}/power1_input", 1e6)
        return GpuSample(
            name=self._name,
            kind=self.kind,
            source="amdgpu",
            id=self.id,
            dedicated_used_bytes=read_int(f"{device}/mem_info_vram_used"),
            dedicated_total_bytes=read_int(f"{device}/mem_info_vram_total"),
            shared_used_bytes=read_int(f"{device}/mem_info_gtt_used"),
            shared_total_bytes=read_int(f"{device}/mem_info_gtt_total"),
            busy_percent=read_int(f"{device}/gpu_busy_percent") if is_awake else None,
            temperature_c=read_scaled(f"{hwmon}/temp1_input", 1000) if is_awake else None,
            power_w=power,
            clock_mhz=read_scaled(f"{hwmon}/freq1_input", 1e6) if is_awake else None,
            throttled_by=self._throttling.read() if is_awake else None,
        )

    def energy_j(self) -> float | None:
        return _energy_j(self._hwmon)


class IntelCard:
    """A GPU of the i915 or xe driver. Memory and use are not in sysfs: None."""

    def __init__(self, card: Path, uevent: dict[str, str], driver: GpuSource) -> None:
        self._driver = driver
        self.id = uevent.get("PCI_SLOT_NAME", "")
        # Intel's integrated graphics has had this PCI slot in every generation.
        self.kind: GpuKind = "igpu" if self.id == "0000:00:02.0" else "gpu"
        self._name = f"Intel GPU {uevent.get('PCI_ID', '').lower()}".strip()
        self._hwmon = _hwmon(card / "device")
        clocks = (
            card / "device/tile0/gt0/freq0/act_freq",
            card / "gt/gt0/rps_act_freq_mhz",
            card / "gt_act_freq_mhz",
            card / "gt_cur_freq_mhz",
        )
        self._clock = next((str(clock) for clock in clocks if clock.exists()), "")
        folders = (card / "device/tile0/gt0/freq0/throttle", card / "gt/gt0")
        self._throttling = next((str(folder) for folder in folders if folder.exists()), "")
        self._energy: tuple[float, float] | None = None

    def read(self) -> GpuSample:
        return GpuSample(
            name=self._name,
            kind=self.kind,
            source=self._driver,
            id=self.id,
            temperature_c=self._temperature(),
            power_w=self._power(),
            clock_mhz=read_scaled(self._clock, 1),
            throttled_by=intel_throttling(self._throttling),
        )

    def energy_j(self) -> float | None:
        return _energy_j(self._hwmon)

    def _temperature(self) -> float | None:
        # xe numbers the package's sensor 2, i915 has only the first.
        for name in ("temp2_input", "temp1_input"):
            degrees = read_scaled(f"{self._hwmon}/{name}", 1000)
            if degrees is not None:
                return degrees
        return None

    def _power(self) -> float | None:
        """From the energy counter, so None for the first read."""
        joules, now = self.energy_j(), time.monotonic()
        before, self._energy = self._energy, None if joules is None else (joules, now)
        if joules is None or before is None or now <= before[1] or joules < before[0]:
            return None
        return (joules - before[0]) / (now - before[1])


def _hwmon(device: Path) -> str:
    """The folder of the device's sensors; one that does not exist when it has none."""
    return str(next(iter(sorted((device / "hwmon").glob("hwmon*"))), device / "hwmon/none"))


def _energy_j(hwmon: str) -> float | None:
    return read_scaled(f"{hwmon}/energy1_input", 1e6)


def _amd_name(device: Path, pci_id: str, amdgpu_ids: Path) -> str:
    product = (read_text(str(device / "product_name")) or "").strip()
    if product:
        return product
    chip = pci_id.upper().partition(":")[2]
    revision = (read_text(str(device / "revision")) or "").strip().removeprefix("0x").upper()
    try:
        lines = amdgpu_ids.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        fields = [field.strip() for field in line.split(",", 2)]
        if len(fields) == 3 and fields[0].upper() == chip and fields[1].upper() == revision:
            return fields[2]
    return f"AMD GPU {pci_id.lower()}".strip()
