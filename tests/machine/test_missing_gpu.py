"""`llmtui --devices` says why there is no GPU and what to do: real processes in manipulated environments, and facts
of machines that are not here."""

from __future__ import annotations

import grp
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conftest import DENSE
from tests.running import llmtui
from tui.base.exit_codes import ExitCode
from tui.machine.missing_gpu import Facts, RenderNode, explain, gather, read_build
from tui.machine.vulkan import Vulkan, VulkanDevice, probe, with_software
from tui.protocol.records import Device, DeviceKind

GIB = 1 << 30
RADEON = VulkanDevice(name="AMD Radeon 860M (RADV)", kind="integrated", uuid="aa", vendor="0x1002")
TWIN = VulkanDevice(name="AMD Radeon 860M (RADV)", kind="integrated", uuid="ab", vendor="0x1002")
SAME_RADEON = VulkanDevice(name="AMD Radeon 860M (AMDVLK)", kind="integrated", uuid="aa")
ARC = VulkanDevice(name="Intel Arc", kind="discrete", uuid="bb", vendor="0x8086")
LLVMPIPE = VulkanDevice(name="llvmpipe (LLVM 15.0.6, 256 bits)", kind="software", uuid="cc")
VENUS = VulkanDevice(name="Virtio-GPU Venus", kind="virtual", uuid="dd")
NODE = RenderNode(path="/dev/dri/renderD128", group="render", usable=True, by_group=True)
FINE = Facts(
    backends=frozenset({"cpu", "vulkan"}), vulkan=Vulkan(devices=(RADEON,)), vendors=("AMD",), nodes=(NODE,), user="ada"
)

HERE = gather()
needs_vulkan_build = pytest.mark.skipif("vulkan" not in HERE.backends, reason="this llama.cpp was built without Vulkan")
needs_llvmpipe = pytest.mark.skipif(
    HERE.vulkan is None or not HERE.vulkan.software, reason="this machine has no Vulkan device in software"
)


def one_line(text: str) -> str:
    return " ".join(text.split())


def but(listed: Sequence[Device] = (), **facts: object) -> tuple[str, ...]:
    """What is said of a machine that is fine except for these facts, when llama.cpp lists these devices."""
    return explain(msgspec.structs.replace(FINE, **facts), listed)


def test_a_missing_driver_is_said_with_the_command_that_installs_it() -> None:
    done = llmtui("--devices", VK_DRIVER_FILES="/nonexistent", VK_ICD_FILENAMES="/nonexistent")
    if HERE.vulkan is not None and HERE.vulkan.loader_error:
        assert "apt-get install libvulkan1" in done.stdout
    else:
        assert done.returncode == 0
        assert "Vulkan has no driver for a GPU. On Debian: apt-get install" in one_line(done.stdout)


@needs_vulkan_build
def test_a_missing_loader_keeps_llama_cpp_from_starting_and_is_named_as_the_cause(tmp_path: Path) -> None:
    (tmp_path / "libvulkan.so.1").touch()  # the dynamic linker finds it first, and cannot use it
    done = llmtui("--devices", LD_LIBRARY_PATH=str(tmp_path))
    assert done.returncode == ExitCode.ENGINE and done.stdout == ""
    assert "The Vulkan loader cannot be used" in done.stderr and "file too short" in done.stderr
    assert "apt-get install libvulkan1" in one_line(done.stderr)


@needs_vulkan_build
@needs_llvmpipe
def test_a_software_device_is_hidden_until_it_is_asked_for(home: Path) -> None:
    def listed(*arguments: str, **environment: str) -> list[str]:
        done = llmtui("--devices", "--json", *arguments, **environment)
        return [device["kind"] for device in json.loads(done.stdout)]

    assert "software" not in listed()
    assert "software" in listed("--software-vulkan")
    assert "software" in listed(LLMTUI_SOFTWARE_VULKAN="1")
    settings = home / ".config" / "llmtui" / "settings.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("[engine]\nsoftware_vulkan = true\n")
    assert "software" in listed()
    # Somebody's own choice of devices, here of none, goes before all of it.
    assert "software" not in listed("--software-vulkan", GGML_VK_VISIBLE_DEVICES="")


@needs_vulkan_build
@needs_llvmpipe
def test_a_software_device_is_taken_by_name_and_never_by_itself() -> None:
    if HERE.vulkan and HERE.vulkan.hardware:
        pytest.skip("this machine has a GPU")

    def used(*arguments: str) -> str:
        done = llmtui(
            "--bench", DENSE, "-p", "4", "-n", "0", "-r", "1", "-t", "1", "--json", "--software-vulkan", *arguments
        )
        backends: str = json.loads(done.stdout)[0]["backends"]
        return backends

    assert used() == "CPU"
    assert used("--backend", "vulkan") == "Vulkan"


@needs_llvmpipe
def test_that_there_is_only_a_software_device_is_said_with_the_way_to_see_it() -> None:
    if HERE.vulkan and HERE.vulkan.hardware:
        pytest.skip("this machine has a GPU")
    said = one_line(llmtui("--devices").stdout)
    assert "Vulkan offers only llvmpipe" in said and "llmtui --software-vulkan" in said


@needs_llvmpipe
def test_the_maker_of_a_device_is_told_as_the_kernel_tells_it() -> None:
    assert HERE.vulkan
    assert all(device.vendor.startswith("0x") and len(device.vendor) >= 6 for device in HERE.vulkan.devices)


def test_a_process_that_asks_vulkan_prints_what_it_sees() -> None:
    done = subprocess.run([sys.executable, "-m", "tui.machine.vulkan"], capture_output=True, check=True)
    assert json.loads(done.stdout).keys() == {"loader_error", "error", "devices"}


def test_a_loader_that_is_not_there_is_a_fact_and_no_exception() -> None:
    assert "libnowhere.so.1" in probe("libnowhere.so.1").loader_error


def test_the_render_node_and_its_group_are_read_from_the_device_files(tmp_path: Path) -> None:
    node = tmp_path / "dev" / "dri" / "renderD128"
    node.parent.mkdir(parents=True)
    node.touch()
    vendor = tmp_path / "sys" / "class" / "drm" / "card1" / "device" / "vendor"
    vendor.parent.mkdir(parents=True)
    vendor.write_text("0x1002\n")
    node.chmod(0o660)
    facts = gather(sysfs=tmp_path / "sys", dev=tmp_path / "dev")
    assert facts.vendors == ("AMD",)
    group = grp.getgrgid(os.getegid()).gr_name
    assert facts.nodes == (RenderNode(path=str(node), group=group, usable=True, by_group=True),)
    node.chmod(0o600)
    assert not gather(sysfs=tmp_path / "sys", dev=tmp_path / "dev").nodes[0].by_group


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use every device file")
def test_a_render_node_without_permission_is_not_usable(tmp_path: Path) -> None:
    node = tmp_path / "dri" / "renderD128"
    node.parent.mkdir()
    node.touch()
    node.chmod(0)
    assert not gather(dev=tmp_path).nodes[0].usable


def test_a_closed_render_node_is_said_with_group_and_command() -> None:
    closed = RenderNode(path="/dev/dri/renderD128", group="render", usable=False, by_group=True)
    first, *_ = but(nodes=(closed,), vulkan=Vulkan(devices=(LLVMPIPE,)))
    assert "only members of the group render may" in first and "usermod -aG render ada" in first
    [of_nobody] = but(nodes=(RenderNode(path="/dev/dri/renderD128", group="root", usable=False, by_group=False),))[:1]
    assert "usermod" not in of_nobody and "ls -l /dev/dri/renderD128" in of_nobody


def test_each_closed_render_node_is_said_those_of_one_group_together() -> None:
    def node(number: int, group: str = "render", *, usable: bool = False, by_group: bool = True) -> RenderNode:
        return RenderNode(path=f"/dev/dri/renderD{number}", group=group, usable=usable, by_group=by_group)

    nodes = (node(128, usable=True), node(129), node(130), node(131, "video"), node(132, "root", by_group=False))
    for listed in ((), (GPU,)):
        said = [reason for reason in but(listed, nodes=nodes) if "You may not" in reason]
        assert [reason.partition(":")[0] for reason in said] == [
            "You may not use /dev/dri/renderD129, /dev/dri/renderD130",
            "You may not use /dev/dri/renderD131",
            "You may not use /dev/dri/renderD132, and no group may. Look at it",
        ]
        assert "usermod -aG render ada" in said[0] and "usermod -aG video ada" in said[1]


def listed_as(name: str, description: str = "") -> Device:
    kind: DeviceKind = "cpu" if name == "CPU" else "gpu"
    return Device(name=name, description=description, kind=kind, total_bytes=GIB, free_bytes=GIB)


GPU = listed_as("Vulkan0", RADEON.name)
CUDA = (listed_as("CPU"), listed_as("CUDA0", "NVIDIA H100"))
BOTH = Vulkan(devices=(RADEON, ARC))


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"vulkan": Vulkan(devices=(RADEON, SAME_RADEON, VENUS, LLVMPIPE))},
        {"vulkan": Vulkan(devices=(SAME_RADEON, RADEON))},
        {"vendors": ("PCI vendor 0x1a03", "AMD")},
        {"visible": "0"},
    ],
)
def test_where_all_is_listed_nothing_is_said(facts: dict[str, object]) -> None:
    assert but((listed_as("CPU"), GPU), **facts) == ()


@pytest.mark.parametrize(
    ("listed", "facts", "said"),
    [
        (CUDA, {"backends": frozenset({"cpu", "cuda"})}, "built for cuda and not for Vulkan. In llmtui's folder"),
        (CUDA, {"vulkan": Vulkan(error="no driver"), "vendors": ("NVIDIA",)}, "apt-get install nvidia-driver"),
        (CUDA, {"vulkan": Vulkan(loader_error="not there")}, "apt-get install libvulkan1"),
        ((GPU,), {"vendors": ("AMD", "NVIDIA")}, "Vulkan has no driver for the GPU of NVIDIA. On Debian: apt-get"),
        ((GPU, *CUDA), {"vendors": ("AMD", "Intel", "NVIDIA")}, "Vulkan has no driver for the GPU of Intel"),
        ((GPU,), {"vulkan": BOTH}, "llama.cpp does not take what Vulkan offers (Intel Arc)"),
        (
            (GPU,),
            {"vulkan": Vulkan(devices=(RADEON, TWIN))},
            "does not take what Vulkan offers (AMD Radeon 860M (RADV))",
        ),
        ((GPU,), {"vulkan": BOTH, "visible": "0"}, "GGML_VK_VISIBLE_DEVICES=0 in your environment"),
    ],
)
def test_what_is_missing_beside_a_gpu_that_is_listed_is_said_too(
    listed: tuple[Device, ...], facts: dict[str, object], said: str
) -> None:
    (reason,) = but(listed, **facts)
    assert said in reason


def test_why_vulkan_was_not_built_is_said_with_all_that_building_it_takes(tmp_path: Path) -> None:
    """As `make` has left it in the environment."""
    told = {
        "version": version("llama-cpp-python"),
        "backend": "cpu",
        "reason": {"text": "{packages} not installed", "fields": [["packages", "glslc libvulkan-dev"]]},
        "packages": ["glslc", "libvulkan-dev"],
        "cmake_args": "-DGGML_CUDA=on -DGGML_LTO=on",
    }
    file = tmp_path / "llama-build.json"
    file.write_text(json.dumps(told))
    for listed, others in (((), "cuda, which finds no device,"), (CUDA, "cuda")):
        first, *_ = but(listed, backends=frozenset({"cpu", "cuda"}), build=read_build(file))
        assert first == (
            f"This llama.cpp was built for {others} and not for Vulkan. The reason: glslc libvulkan-dev not installed. "
            "As root: "
            "apt-get install glslc libvulkan-dev. Then in llmtui's folder: "
            "CMAKE_ARGS='-DGGML_CUDA=on -DGGML_LTO=on' LLMTUI_BACKEND=vulkan make run"
        )


@pytest.mark.parametrize("text", ["", "{}", "not JSON", '{"version": "0.0.1", "backend": "cpu", "reason": "x"}'])
def test_a_note_that_is_damaged_or_of_another_llama_cpp_is_not_believed(tmp_path: Path, text: str) -> None:
    file = tmp_path / "llama-build.json"
    assert read_build(file) is None
    file.write_text(text)
    assert read_build(file) is None


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"backends": frozenset()}, "llama.cpp is not installed"),
        ({"backends": frozenset({"cpu"})}, "for the CPU alone and not for Vulkan"),
        ({"backends": frozenset({"cpu"})}, "LLMTUI_BACKEND=vulkan make run"),
        ({"backends": frozenset({"cpu", "cuda"})}, "for cuda, which finds no device"),
        ({"nodes": (), "vendors": ()}, "The kernel shows no GPU"),
        ({"nodes": ()}, "The kernel knows a GPU (AMD), but there is no /dev/dri/renderD*"),
        ({"vulkan": None}, "apt-get install --reinstall mesa-vulkan-drivers"),
        ({"vulkan": Vulkan(error="no driver")}, "apt-get install mesa-vulkan-drivers"),
        ({"vulkan": Vulkan(error="no driver"), "vendors": ("NVIDIA",)}, "apt-get install nvidia-driver"),
        ({"vulkan": Vulkan(error="error -7")}, "Vulkan cannot be used: error -7"),
        ({"vulkan": Vulkan(devices=(LLVMPIPE,))}, "no driver for this GPU, only llvmpipe"),
        ({"visible": ""}, "GGML_VK_VISIBLE_DEVICES= in your environment"),
        ({}, "llama.cpp does not take what Vulkan offers (AMD Radeon 860M (RADV))"),
    ],
)
def test_each_obstacle_has_its_sentence(facts: dict[str, Any], said: str) -> None:
    assert any(said in reason for reason in but(**facts)), but(**facts)


@pytest.mark.parametrize(
    ("devices", "visible"),
    [
        ((LLVMPIPE,), "0"),
        ((RADEON, LLVMPIPE), "0,1"),
        ((LLVMPIPE, RADEON, SAME_RADEON, ARC), "1,3,0"),
        ((VENUS, LLVMPIPE), "0,1"),
        ((RADEON, VENUS, LLVMPIPE), "0,2"),
        ((RADEON,), ""),
        ((), ""),
    ],
)
def test_software_devices_are_shown_behind_those_that_llama_cpp_would_take(
    devices: tuple[VulkanDevice, ...], visible: str
) -> None:
    assert with_software(devices) == visible
