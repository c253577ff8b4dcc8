"""NPUs and other accelerators: found in sysfs trees, told by `llmtui --devices`, shown by the sidebar."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from tests.app.one_widget import feed, rows_of
from tests.patience import PATIENCE_S
from tests.places import SYSFS
from tui.app.markdown.text import width_of
from tui.app.widgets.sidebar import Sidebar
from tui.machine.missing_gpu import RenderNode
from tui.machine.npu import find_npus, is_usable
from tui.machine.npus import Accelerators, gather, tell
from tui.machine.readings import NpuSample
from tui.protocol.records import Device

TREES = SYSFS
CPU = Device(name="CPU", description="a CPU", kind="cpu", total_bytes=1, free_bytes=1)
VULKAN = Device(name="Vulkan0", description="a GPU", kind="igpu", total_bytes=1, free_bytes=1)
OPENVINO = Device(name="OPENVINO0", description="OpenVINO Runtime", kind="gpu", total_bytes=1, free_bytes=1)
OPEN = RenderNode(path="/dev/accel/accel0", group="render", usable=True, by_group=True)
CLOSED = msgspec.structs.replace(OPEN, usable=False)
OF_ROOT = RenderNode(path="/dev/accel/accel0", group="root", usable=False, by_group=False)


def said(tree: str, *devices: Device, node: RenderNode | None = OPEN, openvino_device: str | None = None) -> str:
    """What `--devices` says of such a machine."""
    nodes = {"accel/accel0": node} if node else {}
    npus = find_npus(TREES / tree)
    found = Accelerators(npus=npus, nodes=nodes, user="ada", openvino_device=openvino_device)
    return "\n".join(tell(found, (CPU, *devices)))


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ("npu-strix-halo", [("AMD XDNA 2 NPU (Strix Halo)", "amdxdna", "accel/accel0")]),
        ("npu-lunar-lake", [("Intel NPU (Lunar Lake)", "intel_vpu", "accel/accel0")]),
        ("npu-phoenix-no-driver", [("AMD XDNA NPU (Phoenix, Hawk Point)", "", "")]),
        ("npu-rk3588", [("Rockchip NPU", "rocket", "accel/accel0")]),
        (
            "accelerators",
            [
                ("Intel Gaudi accelerator 0x1020", "habanalabs", "accel/accel0"),
                ("accelerator of the driver some_npu 0x0042", "some_npu", "accel/accel1"),
            ],
        ),
        ("radeon-860m-512m", []),
        ("nowhere", []),
    ],
)
def test_an_accelerator_is_named_by_its_ids_and_its_driver(tree: str, expected: list[tuple[str, str, str]]) -> None:
    assert [(npu.name, npu.driver, npu.file) for npu in find_npus(TREES / tree)] == expected


def test_revisions_of_one_device_are_told_apart_and_new_ones_have_the_name_of_the_family(tmp_path: Path) -> None:
    device = tmp_path / "bus/pci/devices/0000:c7:00.1"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x1022\n")
    (device / "device").write_text("0x17f0\n")
    names = {"0x10": "Strix Point", "0x11": "Strix Halo", "0x20": "Krackan Point", "0x30": ""}
    for revision, name in names.items():
        (device / "revision").write_text(f"{revision}\n")
        (npu,) = find_npus(tmp_path)
        assert npu.name == (f"AMD XDNA 2 NPU ({name})" if name else "AMD XDNA 2 NPU")


def test_that_this_llama_cpp_cannot_use_it_is_said_and_why() -> None:
    assert said("npu-strix-halo", VULKAN) == (
        "AMD XDNA 2 NPU (Strix Halo), /dev/accel/accel0, driver amdxdna: this llama.cpp cannot use it: none of "
        "llama.cpp's backends drives it. Models run on what is listed above."
    )
    assert "only OpenVINO's drives it, and this one was built without" in said("npu-lunar-lake", VULKAN)
    # No build of llama.cpp drives AMD's.
    assert "none of llama.cpp's backends drives it" in said("npu-strix-halo", OPENVINO, openvino_device="NPU")
    assert said("accelerators").count("cannot use it") == 2
    assert said("radeon-860m-512m", VULKAN) == ""


def test_a_missing_driver_and_a_closed_file_are_facts_where_nothing_could_use_it() -> None:
    text = said("npu-phoenix-no-driver", VULKAN)
    assert "cannot use it" in text and "no driver for it either (amdxdna is not loaded)" in text
    text = said("npu-strix-halo", VULKAN, node=CLOSED)
    assert "You may not open its device file, only the group render may." in text and "usermod" not in text
    assert "You may not open its device file." in said("npu-strix-halo", VULKAN, node=OF_ROOT)
    assert "There is no /dev/accel/accel0." in said("npu-strix-halo", node=None)


def test_where_openvino_is_built_in_it_is_said_what_is_in_the_way_and_what_to_do(tmp_path: Path) -> None:
    assert "with GGML_OPENVINO_DEVICE=NPU in the environment" in said("npu-lunar-lake", OPENVINO)
    assert said("npu-lunar-lake", OPENVINO, openvino_device="NPU").endswith("llama.cpp uses it, through OpenVINO.")
    text = said("npu-lunar-lake", OPENVINO, openvino_device="NPU", node=CLOSED)
    assert "usermod -aG render ada" in text
    assert "--device /dev/accel" in said("npu-lunar-lake", OPENVINO, node=None)
    device = tmp_path / "bus/pci/devices/0000:00:0b.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x8086\n")
    (device / "device").write_text("0x643e\n")
    (npu,) = find_npus(tmp_path)
    found = Accelerators(npus=(npu,), nodes={}, user="ada", openvino_device="NPU")
    assert tell(found, (OPENVINO,))[0].endswith("it has no driver. As root: modprobe intel_vpu")
    assert not is_usable(npu, (OPENVINO,), "NPU")


def test_the_device_file_is_looked_at(tmp_path: Path) -> None:
    assert gather(sysfs=TREES / "npu-strix-halo", dev=tmp_path).nodes == {}
    (tmp_path / "accel").mkdir()
    (tmp_path / "accel/accel0").touch(0o600)
    found = gather(sysfs=TREES / "npu-strix-halo", dev=tmp_path)
    assert found.nodes["accel/accel0"].usable and not found.nodes["accel/accel0"].by_group


@pytest.mark.parametrize("as_json", [False, True])
def test_the_list_of_devices_ends_with_it_and_json_stays_llama_cpps_own(as_json: bool) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom tui.cli import info as cli_info\n"
        "from tui.machine import npus\nfrom tui.cli.main import main\n"
        f"cli_info.gather_npus = lambda: npus.gather(sysfs=Path({str(TREES / 'npu-strix-halo')!r}))\n"
        f"sys.exit(main({['--devices', *['--json'] * as_json]!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    told, other = (done.stderr, done.stdout) if as_json else (done.stdout, done.stderr)
    assert "\n\nNPUs and other accelerators:\n- AMD XDNA 2 NPU (Strix Halo), /dev/accel/accel0," in told
    assert "NPU" not in other and (not as_json or msgspec.json.decode(other)[-1]["name"])


@pytest.mark.parametrize(
    ("samples", "row"),
    [
        ((("AMD XDNA 2 NPU (Strix Halo)", False),), "NPU Strix Halo       not usable"),
        ((("AMD XDNA NPU (Phoenix, Hawk Point)", False),), "NPU Phoenix, Hawk P… not usable"),
        ((("Intel NPU (Lunar Lake)", True),), "NPU Lunar Lake           usable"),
        ((("Rockchip NPU", False),), "NPU Rockchip         not usable"),
        ((("Intel Gaudi accelerator 0x1020", False),) * 8, "ACCEL 8 of them      not usable"),
    ],
)
async def test_the_sidebar_has_one_line_for_it_and_no_meter(samples: tuple[tuple[str, bool], ...], row: str) -> None:
    npus = tuple(NpuSample(name=name, is_usable=is_usable) for name, is_usable in samples)

    def show(sidebar: Sidebar) -> None:
        feed(sidebar)
        sidebar.show(replace(sidebar.figures, npus=npus))

    async def rows(height: int, act: Callable[[Sidebar], None]) -> list[str]:
        return "\n".join(await rows_of(Sidebar(), (100, height), act)).rstrip().split("\n")

    without = await rows(40, feed)
    with_it = await rows(40, show)
    assert with_it == [*without, "", row] and width_of(row) == 31
    # Nothing else gives way to it.
    n = len(without)
    assert await rows(n, show) == await rows(n + 1, show) == without
    assert await rows(n + 2, show) == with_it
