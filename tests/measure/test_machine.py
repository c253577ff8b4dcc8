"""The record of the machine that a figure was measured on."""

from __future__ import annotations

from pathlib import Path

from tui.measure.machine import gpu_drivers, this_machine


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_this_machine_has_a_name_cores_and_memory() -> None:
    machine = this_machine()
    assert machine.cpu and machine.os and machine.ram_bytes > 2**28
    assert 1 <= machine.n_cores <= machine.n_cpus


def test_drivers_are_told_with_their_versions(tmp_path: Path) -> None:
    assert gpu_drivers(tmp_path) == ""
    write(tmp_path / "sys/module/amdgpu/version", "6.10.5\n")
    assert gpu_drivers(tmp_path) == "amdgpu 6.10.5"
    write(tmp_path / "sys/module/nvidia/version", "570.86.15\n")
    assert gpu_drivers(tmp_path) == "nvidia 570.86.15, amdgpu 6.10.5"


def test_in_a_container_nvidias_driver_is_told_by_the_kernels_other_file(tmp_path: Path) -> None:
    told = (
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC version: 12.2.0\n"
    )
    write(tmp_path / "proc/driver/nvidia/version", told)
    assert gpu_drivers(tmp_path) == "nvidia 550.54.15"
