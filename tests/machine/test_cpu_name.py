"""What CPUs are called, from what their kernels write into /proc/cpuinfo: shortened by what says nothing here, the
cores as they are on these machines."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from tests.places import tree
from tui.machine.cpu_name import cpu_name


def arm(*cores: tuple[int, int, int], below: str = "", model: str = "") -> str:
    """/proc/cpuinfo of so many cores with this implementer and part, one kind after the other."""
    kinds = [(implementer, part) for n, implementer, part in cores for _ in range(n)]
    blocks = (
        f"processor\t: {i}\n{model}BogoMIPS\t: 48.00\nFeatures\t: fp asimd crc32 atomics asimddp\n"
        f"CPU implementer\t: {implementer:#04x}\nCPU architecture: 8\nCPU variant\t: 0x1\nCPU part\t: {part:#05x}\n"
        "CPU revision\t: 1\n"
        for i, (implementer, part) in enumerate(kinds)
    )
    return "\n".join([*blocks, below])


RYZEN = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 116\nmodel name\t: AMD Ryzen 7 7840U\n"


@pytest.mark.parametrize(
    ("cpuinfo", "board", "name"),
    [
        (RYZEN + "\n" + RYZEN.replace("7840U", "another"), "", "AMD Ryzen 7 7840U"),
        (
            arm((4, 0x41, 0xD0B), below="Revision\t: d04170\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n"),
            "",
            "Raspberry Pi 5 Model B Rev 1.0, 4 × Cortex-A76",
        ),
        (arm((4, 0x41, 0xD0B)), "Raspberry Pi 5 Model B Rev 1.0\0", "Raspberry Pi 5 Model B Rev 1.0, 4 × Cortex-A76"),
        # RK3588: the little cores come first.
        (
            arm((4, 0x41, 0xD05), (4, 0x41, 0xD0B)),
            "Xunlong Orange Pi 5 Plus\0",
            "Xunlong Orange Pi 5 Plus, 4 × Cortex-A55 + 4 × Cortex-A76",
        ),
        (arm((80, 0x41, 0xD0C)), "", "80 × Neoverse-N1"),  # Ampere Altra, which has no device tree
        (arm((12, 0x51, 0x001)), "Lenovo ThinkPad T14s Gen 6\0", "Lenovo ThinkPad T14s Gen 6, 12 × Oryon"),
        (arm((10, 0x41, 0xD87), (10, 0x41, 0xD85)), "", "10 × Cortex-A725 + 10 × Cortex-X925"),
        # A kernel for programs of 32 bits names the architecture, which says less than the parts.
        (arm((4, 0x41, 0xD03), model="model name\t: ARMv7 Processor rev 4 (v7l)\n"), "", "4 × Cortex-A53"),
        (arm((2, 0x41, 0xFFF), (1, 0x77, 0x001)), "", "2 × Arm 0x41/0xfff + 1 × Arm 0x77/0x001"),
        (arm((1, 0x41, 0xD0C)), "with \x1b[31m colour\0", "with [31m colour, 1 × Neoverse-N1"),
        ("processor\t: 0\nhart\t\t: 1\nisa\t\t: rv64imafdcv\nuarch\t\t: spacemit,x60\n", "", "spacemit,x60"),
        ("processor\t: 0\nModel Name\t\t: Loongson-3A6000\n", "", "Loongson-3A6000"),
        ("", "Board of nobody knows what\0", "Board of nobody knows what"),
    ],
)
def test_a_cpu_is_called_by_what_its_kernel_tells(tmp_path: Path, cpuinfo: str, board: str, name: str) -> None:
    files = {"proc/cpuinfo": cpuinfo, **({"proc/device-tree/model": board} if board else {})}
    assert cpu_name(tree(tmp_path, files)) == name


def test_where_nothing_is_told_it_is_the_architecture(tmp_path: Path) -> None:
    assert cpu_name(tmp_path) in (platform.processor(), platform.machine())
