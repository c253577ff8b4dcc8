"""The machine that a figure was measured on, as a record that can stand beside the figure."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import msgspec
import psutil

from tui.base import format
from tui.machine.cpu_name import cpu_name
from tui.machine.files import read_text
from tui.words import trn

_NVIDIA = "proc/driver/nvidia/version"
"""Where a container sees the version of NVIDIA's driver though it does not see the module's."""
_SAME_RAM = 0.05
"""A kernel keeps more or less of the RAM for itself: so much of it does not make another machine."""
_DRIVERS = ("nvidia", "amdgpu", "i915", "xe")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What of a machine matters to its speed."""

    cpu: str
    """What it is called (`tui.machine.cpu_name`)."""
    n_cores: int
    """Physical cores."""
    n_cpus: int
    """Logical ones."""
    ram_bytes: int
    os: str
    """Distribution and kernel: "Debian GNU/Linux 13 (trixie), Linux 6.12.0"."""
    gpu_driver: str = ""
    """GPU drivers that are versioned apart from the kernel: "nvidia 570.86.15"; empty where there is none."""

    @property
    def hardware(self) -> str:
        """ "Intel(R) Core(TM) Ultra 7 258V, 8 cores, 30.8 GiB RAM": what tells machines apart, the same in every
        language."""
        cores = f"{self.n_cores} core{'s' if self.n_cores != 1 else ''}"
        return f"{self.cpu}, {cores}, {format.size(self.ram_bytes)} RAM"

    @property
    def summary(self) -> str:
        """The same for people."""
        ram = format.size(self.ram_bytes)
        return trn("{cpu}, {n} core, {ram} RAM", "{cpu}, {n} cores, {ram} RAM", self.n_cores, cpu=self.cpu, ram=ram)


def this_machine() -> Machine:
    """The machine that this runs on."""
    n_cpus = psutil.cpu_count() or 1
    return Machine(
        cpu=cpu_name(),
        n_cores=psutil.cpu_count(logical=False) or n_cpus,
        n_cpus=n_cpus,
        ram_bytes=psutil.virtual_memory().total,
        os=_os_name(),
        gpu_driver=gpu_drivers(),
    )


def is_same(one: Machine, other: Machine) -> bool:
    """Whether two are the same hardware, as far as it matters to speed."""
    is_same_cpu = (one.cpu, one.n_cores, one.n_cpus) == (other.cpu, other.n_cores, other.n_cpus)
    return is_same_cpu and abs(one.ram_bytes - other.ram_bytes) <= _SAME_RAM * other.ram_bytes


def _os_name() -> str:
    kernel = f"{platform.system()} {platform.release()}"
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {kernel}"
    except (OSError, KeyError):
        return kernel


def gpu_drivers(root: Path = Path("/")) -> str:
    """Drivers with a version of their own, which modules that come with the kernel lack."""
    told = {name: read_text(str(root / "sys/module" / name / "version")) for name in _DRIVERS}
    if not told["nvidia"] and (found := re.search(r"\s(\d+\.[\d.]+)\s", read_text(str(root / _NVIDIA)) or "")):
        told["nvidia"] = found[1]
    return ", ".join(f"{name} {version.strip()}" for name, version in told.items() if version)
