"""GPU figures: AMD and Intel from small sysfs trees, NVIDIA from an object that answers as NVML does, and llama.cpp."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import pytest

from tests.places import SYSFS
from tui.machine.gpu import GpuReader, GpuSample, from_devices
from tui.machine.nvml import Nvml
from tui.protocol.records import Device

TREES = SYSFS
GIB = 1 << 30
T = TypeVar("T")


def read(tree: Path | str) -> tuple[GpuSample, ...]:
    return GpuReader(TREES / tree, load_nvml=lambda: None, amdgpu_ids=TREES / "amdgpu.ids").read()


def test_an_amd_apu_tells_its_carve_out_and_its_gtt_memory_apart() -> None:
    (small,) = read("radeon-860m-512m")
    (large,) = read("radeon-860m-16g")

    assert small == GpuSample(
        name="AMD Radeon 860M Graphics",
        kind="igpu",
        source="amdgpu",
        id="0000:c4:00.0",
        dedicated_used_bytes=401_000_000,
        dedicated_total_bytes=512 << 20,
        shared_used_bytes=11_400_000_000,
        shared_total_bytes=15 * GIB + (400 << 20),
        busy_percent=92,
        temperature_c=64.0,
        power_w=24.031,
        clock_mhz=2900.0,
    )
    assert (large.kind, large.dedicated_total_bytes) == ("igpu", 16 * GIB)


def test_a_discrete_amd_card_is_no_igpu_and_its_temperature_is_that_of_the_edge() -> None:
    (card,) = read("radeon-rx-7900-xtx")

    assert (card.name, card.kind, card.temperature_c, card.power_w) == ("AMD Radeon RX 7900 XTX", "gpu", 58.0, 287.0)


def test_an_amd_card_without_a_known_name_goes_by_its_pci_id() -> None:
    (card,) = GpuReader(TREES / "radeon-rx-7900-xtx", load_nvml=lambda: None, amdgpu_ids=TREES / "nowhere").read()

    assert card.name == "AMD GPU 1002:744c"


def test_a_sleeping_amd_card_is_not_asked_for_what_would_wake_it(tmp_path: Path) -> None:
    tree = shutil.copytree(TREES / "radeon-rx-7900-xtx", tmp_path / "sys")
    (tree / "class/drm/card0/device/power/runtime_status").write_text("suspended\n")

    (card,) = read(tree)

    assert (card.busy_percent, card.temperature_c, card.power_w, card.clock_mhz) == (None, None, None, None)
    assert card.dedicated_total_bytes == 24 * GIB - (16 << 20)


def test_intel_integrated_graphics_give_a_clock_and_nothing_invented() -> None:
    (igpu,) = read("intel-igpu-i915")

    assert igpu == GpuSample(
        name="Intel GPU 8086:46a6", kind="igpu", source="i915", id="0000:00:02.0", clock_mhz=1250.0
    )


def test_intel_integrated_graphics_of_the_xe_driver_are_told_from_its_cards_by_their_slot() -> None:
    (igpu,) = read("intel-igpu-xe")

    assert igpu == GpuSample(name="Intel GPU 8086:64a0", kind="igpu", source="xe", id="0000:00:02.0", clock_mhz=1950.0)


def test_an_intel_card_gives_its_power_from_the_second_read_on(tmp_path: Path) -> None:
    tree = shutil.copytree(TREES / "intel-arc-xe", tmp_path / "sys")
    reader = GpuReader(tree, load_nvml=lambda: None)
    (first,) = reader.read()
    (tree / "class/drm/card0/device/hwmon/hwmon5/energy1_input").write_text("812600000000\n")
    (second,) = reader.read()
    (tree / "class/drm/card0/device/hwmon/hwmon5/energy1_input").write_text("5\n")
    (wrapped,) = reader.read()

    assert (first.kind, first.clock_mhz, first.temperature_c, first.power_w) == ("gpu", 2850.0, 62.0, None)
    assert second.power_w is not None and second.power_w > 0
    assert wrapped.power_w is None


def test_cards_come_in_the_kernels_order_and_connectors_are_no_cards(tmp_path: Path) -> None:
    drm = tmp_path / "class/drm"
    shutil.copytree(TREES / "radeon-860m-16g/class/drm/card1", drm / "card10")
    shutil.copytree(TREES / "radeon-rx-7900-xtx/class/drm/card0", drm / "card2")
    shutil.copytree(TREES / "radeon-rx-7900-xtx/class/drm/card0", drm / "card2-DP-1")

    assert [card.id for card in read(tmp_path)] == ["0000:03:00.0", "0000:c4:00.0"]


def test_files_that_vanish_or_hold_nonsense_are_missing_readings(tmp_path: Path) -> None:
    tree = shutil.copytree(TREES / "radeon-860m-16g", tmp_path / "sys")
    reader = GpuReader(tree, load_nvml=lambda: None)
    reader.read()
    (tree / "class/drm/card1/device/gpu_busy_percent").write_text("busy\n")
    shutil.rmtree(tree / "class/drm/card1/device/hwmon")

    (card,) = reader.read()
    shutil.rmtree(tree)
    (gone,) = reader.read()

    assert (card.busy_percent, card.temperature_c, card.power_w) == (None, None, None)
    assert card.dedicated_total_bytes == 16 * GIB
    assert gone.dedicated_total_bytes is None


def test_a_machine_without_gpus_gives_no_samples(tmp_path: Path) -> None:
    assert read(tmp_path) == ()


class NvmlLibrary:
    """The functions of pynvml that are used, for one GPU that reports all and one that reports little."""

    NVML_TEMPERATURE_GPU = 0
    NVML_CLOCK_GRAPHICS = 0
    NVML_PERF_POLICY_THERMAL = 1

    class NVMLError(Exception):
        pass

    def __init__(self, reasons: int = 0) -> None:
        self.is_open, self.reasons = False, reasons

    def nvmlInit(self) -> None:
        self.is_open = True

    def nvmlShutdown(self) -> None:
        self.is_open = False

    def nvmlDeviceGetCount(self) -> int:
        return 3

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        if index == 2:
            raise self.NVMLError("GPU is lost")
        return ("full", "poor")[index]

    def nvmlDeviceGetName(self, handle: str) -> str | bytes:
        return "NVIDIA H200" if handle == "full" else b"NVIDIA GB10"

    def nvmlDeviceGetPciInfo(self, handle: str) -> SimpleNamespace:
        return SimpleNamespace(busId="00000000:8D:00.0" if handle == "full" else b"0000000F:01:00.0")

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> SimpleNamespace:
        return self._only(handle, SimpleNamespace(total=141 * GIB, used=3 * GIB, free=138 * GIB))

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> SimpleNamespace:
        return self._only(handle, SimpleNamespace(gpu=37, memory=5))

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        return self._only(handle, 118_250)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        return self._only(handle, 1_234_500)

    def nvmlDeviceGetViolationStatus(self, handle: str, policy: int) -> SimpleNamespace:
        return self._only(handle, SimpleNamespace(referenceTime=90_000_000_000, violationTime=2_500_000_000))

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> int:
        return self._only(handle, 1980)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> int:
        return self._only(handle, self.reasons)

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> int:
        return 41

    def _only(self, handle: str, value: T) -> T:
        if handle == "poor":
            raise self.NVMLError("Not Supported")
        return value


def test_nvidia_gpus_come_first_and_what_one_does_not_report_is_none() -> None:
    library = NvmlLibrary()
    reader = GpuReader(TREES / "radeon-860m-16g", load_nvml=lambda: Nvml(library))

    full, poor, igpu = reader.read()

    assert full == GpuSample(
        name="NVIDIA H200",
        kind="gpu",
        source="nvml",
        id="0000:8d:00.0",
        dedicated_used_bytes=3 * GIB,
        dedicated_total_bytes=141 * GIB,
        busy_percent=37,
        temperature_c=41,
        power_w=118.25,
        clock_mhz=1980,
        throttled_by=(),
    )
    assert poor == GpuSample(name="NVIDIA GB10", kind="gpu", source="nvml", id="000f:01:00.0", temperature_c=41)
    assert igpu.source == "amdgpu"


@pytest.mark.parametrize(
    ("bits", "reasons"),
    [
        (0x01, ()),  # idle
        (0x02, ()),  # clocks that somebody asked for
        (0x04, ("power",)),
        (0x20, ("heat",)),
        (0x08, ("hardware",)),
        (0x08 | 0x40, ("heat",)),
        (0x04 | 0x40 | 0x80, ("heat", "power")),
    ],
)
def test_nvidia_tells_what_holds_the_clock_down(bits: int, reasons: tuple[str, ...]) -> None:
    reader = GpuReader(TREES / "nowhere", load_nvml=lambda: Nvml(NvmlLibrary(bits)))
    assert reader.read()[0].throttled_by == reasons


def metrics(tree: Path, major: int, minor: int, size: int, at: int, *words: int) -> None:
    """Write amdgpu's table of metrics: a header, and 32-bit words somewhere."""
    table = bytearray(size)
    struct.pack_into("<HBB", table, 0, size, major, minor)
    struct.pack_into(f"<{len(words)}I", table, at, *words)
    (tree / "class/drm/card1/device/gpu_metrics").write_bytes(table)


@pytest.mark.parametrize(("major", "minor", "size", "at"), [(1, 3, 120, 112), (2, 2, 128, 120), (2, 4, 168, 120)])
def test_amd_tells_what_holds_the_clock_down_in_its_table(
    tmp_path: Path, major: int, minor: int, size: int, at: int
) -> None:
    tree = shutil.copytree(TREES / "radeon-860m-16g", tmp_path / "sys")
    reader = GpuReader(tree, load_nvml=lambda: None)
    found = []
    for low, high in ((0, 0), (1 << 5, 1 << 4), (1 << 17, 0), (0, 1 << 14), (2**32 - 1, 2**32 - 1)):
        metrics(tree, major, minor, size, at, low, high)
        found.append(reader.read()[0].throttled_by)
    assert found == [(), ("heat", "power"), ("current",), ("hardware",), None]


def test_amds_newest_table_counts_how_long_each_reason_held(tmp_path: Path) -> None:
    tree = shutil.copytree(TREES / "radeon-860m-16g", tmp_path / "sys")
    reader = GpuReader(tree, load_nvml=lambda: None)
    found = []
    for counters in ((1, 2, 3, 4, 5, 6, 7), (1, 2, 3, 4, 5, 6, 7), (1, 9, 9, 4, 5, 6, 8)):
        metrics(tree, 3, 0, 264, 228, *counters)
        found.append(reader.read()[0].throttled_by)
    assert found == [None, (), ("power", "heat")]


@pytest.mark.parametrize("table", [b"", b"\x08\x00", b"\x78\x00\x01\x03" + bytes(20), b"\x78\x00\x09\x09" + bytes(300)])
def test_a_table_that_is_short_or_of_another_format_tells_nothing(tmp_path: Path, table: bytes) -> None:
    tree = shutil.copytree(TREES / "radeon-860m-16g", tmp_path / "sys")
    (tree / "class/drm/card1/device/gpu_metrics").write_bytes(table)
    assert read(tree)[0].throttled_by is None


@pytest.mark.parametrize(
    ("tree", "folder", "prefix"),
    [
        ("intel-igpu-i915", "gt/gt0", "throttle_reason_"),
        ("intel-igpu-xe", "device/tile0/gt0/freq0/throttle", ""),
    ],
)
def test_intel_tells_each_reason_in_a_file_of_its_own(tmp_path: Path, tree: str, folder: str, prefix: str) -> None:
    copy = shutil.copytree(TREES / tree, tmp_path / "sys")
    place = copy / "class/drm/card0" / folder
    place.mkdir(parents=True, exist_ok=True)
    reason = prefix or "reason_"
    for name, value in ((f"{prefix}status", 1), (f"{reason}pl1", 1), (f"{reason}thermal", 1), (f"{reason}vr_tdc", 0)):
        (place / name).write_text(f"{value}\n")
    assert read(copy)[0].throttled_by == ("heat", "power")
    (place / f"{prefix}status").write_text("0\n")
    assert read(copy)[0].throttled_by == ()


@pytest.mark.skipif(not Path("/proc/driver/nvidia/version").exists(), reason="needs an NVIDIA GPU")
def test_a_real_nvidia_gpu_answers() -> None:
    reader = GpuReader(TREES / "nowhere")

    gpu = reader.read()[0]
    reader.close()

    assert gpu.dedicated_used_bytes is not None and gpu.dedicated_total_bytes is not None
    assert 0 < gpu.dedicated_used_bytes <= gpu.dedicated_total_bytes
    assert gpu.name.startswith("NVIDIA") and gpu.temperature_c is not None


def test_closing_lets_go_of_nvml() -> None:
    library = NvmlLibrary()
    reader = GpuReader(TREES / "nowhere", load_nvml=lambda: Nvml(library))
    reader.read()
    assert library.is_open

    reader.close()

    assert not library.is_open


def device(kind: str, total: int, free: int) -> Device:
    return Device(name="Vulkan0", description="AMD Radeon", kind=kind, total_bytes=total, free_bytes=free)  # type: ignore[arg-type]


@pytest.mark.parametrize(("free", "used"), [(3 * GIB, 5 * GIB), (8 * GIB, 0), (2**64 - GIB, 0), (-GIB, 8 * GIB)])
def test_llama_cpps_devices_stand_in_with_their_memory_clamped(free: int, used: int) -> None:
    (dedicated,) = from_devices([device("gpu", 8 * GIB, free)])
    (shared,) = from_devices([device("igpu", 8 * GIB, free)])

    assert (dedicated.dedicated_used_bytes, dedicated.dedicated_total_bytes) == (used, 8 * GIB)
    assert (shared.shared_used_bytes, shared.shared_total_bytes) == (used, 8 * GIB)
    assert (dedicated.shared_total_bytes, shared.dedicated_total_bytes) == (None, None)


def test_the_cpu_and_software_devices_are_no_gpus() -> None:
    assert from_devices([device("cpu", GIB, GIB), device("software", GIB, GIB), device("accel", GIB, GIB)]) == ()
