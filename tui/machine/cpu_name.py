"""What the CPU is called. Most kernels say it in /proc/cpuinfo; those of Arm give numbers for each core, which stand
here by name, and the name of the board elsewhere."""

from __future__ import annotations

import platform
from collections import Counter
from pathlib import Path

from tui.base.text import one_line
from tui.machine.files import read_text

_NAMES = ("model name", "Model Name", "cpu model", "uarch", "cpu")
"""What kernels call it: x86 and s390, LoongArch, MIPS, RISC-V, POWER."""
_BOARDS = ("sys/firmware/devicetree/base/model", "proc/device-tree/model")

_ARM = {
    0x41: {
        0xD03: "Cortex-A53", 0xD04: "Cortex-A35", 0xD05: "Cortex-A55", 0xD07: "Cortex-A57", 0xD08: "Cortex-A72",
        0xD09: "Cortex-A73", 0xD0A: "Cortex-A75", 0xD0B: "Cortex-A76", 0xD0C: "Neoverse-N1", 0xD0D: "Cortex-A77",
        0xD0E: "Cortex-A76AE", 0xD40: "Neoverse-V1", 0xD41: "Cortex-A78", 0xD42: "Cortex-A78AE", 0xD44: "Cortex-X1",
        0xD46: "Cortex-A510", 0xD47: "Cortex-A710", 0xD48: "Cortex-X2", 0xD49: "Neoverse-N2", 0xD4A: "Neoverse-E1",
        0xD4B: "Cortex-A78C", 0xD4C: "Cortex-X1C", 0xD4D: "Cortex-A715", 0xD4E: "Cortex-X3", 0xD4F: "Neoverse-V2",
        0xD80: "Cortex-A520", 0xD81: "Cortex-A720", 0xD82: "Cortex-X4", 0xD84: "Neoverse-V3", 0xD85: "Cortex-X925",
        0xD87: "Cortex-A725", 0xD8E: "Neoverse-N3",
    },
    0x42: {0x516: "ThunderX2"},
    0x43: {0x0AF: "ThunderX2", 0x0B8: "ThunderX3"},
    0x46: {0x001: "A64FX"},
    0x48: {0xD01: "Kunpeng 920"},
    0x4E: {0x004: "Carmel"},
    0x51: {0x001: "Oryon", 0x002: "Oryon 3", 0x802: "Kryo 3xx Gold", 0x803: "Kryo 3xx Silver", 0x804: "Kryo 4xx Gold",
           0x805: "Kryo 4xx Silver"},
    0x61: {0x022: "Icestorm", 0x023: "Firestorm", 0x024: "Icestorm", 0x025: "Firestorm", 0x028: "Icestorm",
           0x029: "Firestorm", 0x032: "Blizzard", 0x033: "Avalanche", 0x034: "Blizzard", 0x035: "Avalanche",
           0x038: "Blizzard", 0x039: "Avalanche"},
    0x6D: {0xD49: "Cobalt 100"},
    0x70: {0x662: "FTC662", 0x663: "FTC663"},
    0xC0: {0xAC3: "AmpereOne", 0xAC4: "AmpereOne A"},
}  # fmt: skip
"""Names of cores, by implementer and part as the register MIDR_EL1 has them: of the machines that run models."""


def cpu_name(root: Path = Path("/")) -> str:
    """Such as "AMD Ryzen 7 7840U", "Raspberry Pi 5 Model B Rev 1.0, 4 × Cortex-A76", "80 × Neoverse-N1"; the
    architecture where nothing is known. `root` holds proc/ and sys/."""
    try:
        lines = (root / "proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    pairs = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    if cores := _arm_cores(pairs):
        return ", ".join(filter(None, (_board(root, pairs), cores)))
    told = dict(reversed(pairs))  # of the first core
    named = next((told[name] for name in _NAMES if told.get(name)), "")
    return named or _board(root, pairs) or platform.processor() or platform.machine() or "unknown"


def _arm_cores(pairs: list[tuple[str, str]]) -> str:
    """Each kind of core with how many there are of it, in the kernel's order; empty on another architecture."""
    kinds: Counter[str] = Counter()
    implementer = 0
    for name, value in pairs:
        if name == "CPU implementer":
            implementer = _number(value)
        elif name == "CPU part":
            part = _number(value)
            kinds[_ARM.get(implementer, {}).get(part, f"Arm {implementer:#04x}/{part:#05x}")] += 1
    return " + ".join(f"{n} × {kind}" for kind, n in kinds.items())


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        return 0


def _board(root: Path, pairs: list[tuple[str, str]]) -> str:
    """As its device tree calls it, or a Raspberry Pi's kernel; empty where none is told."""
    trees = (read_text(str(root / path)) for path in _BOARDS)
    boards = ((text or "").strip("\0 \n") for text in trees)
    told = next(filter(None, boards), "") or next((value for name, value in pairs if name == "Model"), "")
    return one_line(told)
