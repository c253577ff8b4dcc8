"""What `llmtui --devices` says of NPUs and other accelerators: whether this llama.cpp can use them, and what is in the
way of those that it can."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tui.machine.missing_gpu import RenderNode, device_node, login_name, no_permission
from tui.machine.npu import OPENVINO_DEVICE, Npu, find_npus, has_openvino, is_usable
from tui.protocol.records import Device


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
    return tuple(" ".join(_of(npu, found, devices)) for npu in found.npus)


def _of(npu: Npu, found: Accelerators, devices: Sequence[Device]) -> Iterator[str]:
    where = (f", /dev/{npu.file}", f", driver {npu.driver}") if npu.driver else ()
    yield f"{npu.name}{''.join(where)}:"
    can_be_used = has_openvino(npu, devices)
    if is_usable(npu, devices, found.openvino_device):
        yield "llama.cpp uses it, through OpenVINO."
    elif can_be_used and npu.driver:
        yield f"llama.cpp uses it, through OpenVINO, with {OPENVINO_DEVICE}=NPU in the environment."
    elif can_be_used:
        yield f"llama.cpp could use it, but it has no driver. As root: modprobe {npu.needed_driver}"
    else:
        yield f"this llama.cpp cannot use it: {_why(npu)}. Models run on what is listed above."
    yield from _state(npu, found, is_wanted=can_be_used)


def _why(npu: Npu) -> str:
    if npu.needed_driver == "intel_vpu" or npu.driver == "intel_vpu":
        return "of llama.cpp's backends only OpenVINO's drives it, and this one was built without"
    return "none of llama.cpp's backends drives it"


def _state(npu: Npu, found: Accelerators, *, is_wanted: bool) -> Iterator[str]:
    """What would be in the way of any program; what to do about it where it is."""
    if not npu.driver:
        if npu.needed_driver and not is_wanted:
            yield f"The kernel has no driver for it either ({npu.needed_driver} is not loaded)."
        return
    node = found.nodes.get(npu.file)
    if node is None:
        advice = " A container has to be started with --device /dev/accel." if is_wanted else ""
        yield f"There is no /dev/{npu.file}.{advice}"
    elif not node.usable and is_wanted:
        yield from no_permission([node], found.user)
    elif not node.usable:
        yield f"You may not open its device file{f', only the group {node.group} may' if node.by_group else ''}."
