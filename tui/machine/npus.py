"""What `llmtui --devices` says of NPUs and other accelerators: whether this llama.cpp can use them, and what is in the
way of those that it can."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tui.base.format import sentences
from tui.machine.missing_gpu import RenderNode, device_node, login_name, no_permission
from tui.machine.npu import OPENVINO_DEVICE, Npu, find_npus, has_openvino, is_usable
from tui.protocol.records import Device
from tui.words import tr


class Accelerators(msgspec.Struct, frozen=True, kw_only=True):
    """The accelerators of this machine and who may use them."""

    npus: tuple[Npu, ...]
    nodes: dict[str, RenderNode]
    """Device files by their names below /dev; those that are not there are left out."""
    user: str
    openvino_device: str | None = None
    """The user's own `GGML_OPENVINO_DEVICE`."""


def gather(*, sysfs: Path = Path("/sys"), dev: Path = Path("/dev")) -> Accelerators:
    """Look. Takes some milliseconds."""
    npus = find_npus(sysfs)
    return Accelerators(
        npus=npus,
        nodes={npu.file: device_node(dev / npu.file) for npu in npus if npu.file and os.path.lexists(dev / npu.file)},
        user=login_name(),
        openvino_device=os.environ.get(OPENVINO_DEVICE),
    )


def tell(found: Accelerators, devices: Sequence[Device]) -> tuple[str, ...]:
    """A sentence or more for each, `devices` being what llama.cpp lists."""
    return tuple(sentences(*_of(npu, found, devices)) for npu in found.npus)


def _of(npu: Npu, found: Accelerators, devices: Sequence[Device]) -> Iterator[str]:
    what = npu.name
    if npu.driver:
        what = tr("{name}, {file}, driver {driver}", name=npu.name, file=f"/dev/{npu.file}", driver=npu.driver)
    can_be_used = has_openvino(npu, devices)
    if is_usable(npu, devices, found.openvino_device):
        yield tr("{npu}: llama.cpp uses it, through OpenVINO.", npu=what)
    elif can_be_used and npu.driver:
        yield tr(
            "{npu}: llama.cpp uses it, through OpenVINO, with {variable} in the environment.",
            npu=what,
            variable=f"{OPENVINO_DEVICE}=NPU",
        )
    elif can_be_used:
        yield tr(
            "{npu}: llama.cpp could use it, but it has no driver. As root: {command}",
            npu=what,
            command=f"modprobe {npu.needed_driver}",
        )
    elif "intel_vpu" in (npu.needed_driver, npu.driver):
        yield tr(
            "{npu}: this llama.cpp cannot use it: of llama.cpp's backends only OpenVINO's drives it, and this one was "
            "built without. Models run on what is listed above.",
            npu=what,
        )
    else:
        yield tr(
            "{npu}: this llama.cpp cannot use it: none of llama.cpp's backends drives it. Models run on what is listed "
            "above.",
            npu=what,
        )
    yield from _state(npu, found, is_wanted=can_be_used)


def _state(npu: Npu, found: Accelerators, *, is_wanted: bool) -> Iterator[str]:
    """What would be in the way of any program; what to do about it where it is."""
    if not npu.driver:
        if npu.needed_driver and not is_wanted:
            yield tr("The kernel has no driver for it either ({driver} is not loaded).", driver=npu.needed_driver)
        return
    node = found.nodes.get(npu.file)
    if node is None:
        yield tr("There is no {file}.", file=f"/dev/{npu.file}")
        if is_wanted:
            yield tr("A container has to be started with {option}.", option="--device /dev/accel")
    elif not node.usable and is_wanted:
        yield from no_permission([node], found.user)
    elif not node.usable and node.by_group:
        yield tr("You may not open its device file, only the group {group} may.", group=node.group)
    elif not node.usable:
        yield tr("You may not open its device file.")
