"""Why llama.cpp lists no GPU on this machine, or not every one, and what to do about it: the facts, read from its
libraries, the Vulkan loader and the kernel's device files, and the sentences made of them."""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from pathlib import Path

import msgspec

from tui.base import llamapackage
from tui.base.format import sentences
from tui.config import paths
from tui.machine import vulkan
from tui.machine.vulkan import Vulkan
from tui.protocol.records import Device
from tui.words import mark, tr
from tui.words.later import Later

PROBE_S = 20.0
"""A driver may take a second or two to load; one that hangs is a fact too."""

_VENDORS = {"0x1002": "AMD", "0x10de": "NVIDIA", "0x8086": "Intel"}
_DRIVERS = {
    "AMD": "apt-get install mesa-vulkan-drivers",
    "Intel": "apt-get install mesa-vulkan-drivers",
    "NVIDIA": mark("apt-get install nvidia-driver (from Debian's non-free section)"),
}
_MAKERS = {"CUDA": "NVIDIA", "ROCm": "AMD", "SYCL": "Intel"}
"""By the beginning of llama.cpp's names for devices of one maker only."""


BUILD_REASONS = (
    mark("LLMTUI_BACKEND=cpu asks for it"),
    mark("{packages} not installed"),
    mark("the Vulkan headers ({found}) are older than {needed}"),
    mark("{reason} ({error})"),
    mark("its Vulkan build failed; the log is {file}"),
)
"""Why `make` may have built without Vulkan; it leaves a note in one of these texts, with what fills it."""


class RenderNode(msgspec.Struct, frozen=True, kw_only=True):
    """A device file through which programs compute on a GPU or another accelerator."""

    path: str
    group: str
    """Name of the group that may use it; its number when it has no name."""
    usable: bool
    """This process may read and write it."""
    by_group: bool
    """Members of `group` may."""


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """What `make` built llama.cpp with."""

    version: str
    """Of llama-cpp-python."""
    backend: str
    """ "vulkan" or "cpu"."""
    reason: Later | str
    """Why that one, in a clause: "glslc not installed"."""
    packages: tuple[str, ...] = ()
    """Of Debian, which it lacked for Vulkan."""
    cmake_args: str = ""
    """The user's own, which another build needs again."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine and this llama.cpp have."""

    backends: frozenset[str]
    """Backends that llama.cpp was built with: "cpu", "vulkan", "cuda", "hip" …; empty when it is not installed."""
    vulkan: Vulkan | None
    """What the Vulkan loader says; None when asking it ended the process that asked."""
    vendors: tuple[str, ...]
    """Vendors of the graphics cards that the kernel has a driver for: "AMD", "Intel", "NVIDIA" or a PCI number."""
    nodes: tuple[RenderNode, ...]
    user: str
    """Login name of whoever runs this."""
    visible: str | None = None
    """The user's own `GGML_VK_VISIBLE_DEVICES`."""
    build: Build | None = None
    """None when llama.cpp did not come from `make`."""


def gather(*, sysfs: Path = Path("/sys"), dev: Path = Path("/dev")) -> Facts:
    """Look. Starts a process that loads the machine's Vulkan drivers; blocks until it ends, `PROBE_S` at most."""
    return Facts(
        backends=_backends(),
        vulkan=_ask_vulkan(),
        vendors=_vendors(sysfs, dev),
        nodes=tuple(device_node(path) for path in sorted((dev / "dri").glob("renderD*"))),
        user=login_name(),
        visible=os.environ.get(vulkan.VISIBLE),
        build=read_build(paths.llama_build_file()),
    )


def read_build(file: Path) -> Build | None:
    """What the file says of the llama.cpp that is installed; None when it says nothing, or is about another one."""
    try:
        build = msgspec.json.decode(file.read_bytes(), type=Build)
    except (OSError, msgspec.MsgspecError):
        return None
    return build if build.version == llamapackage.version() else None


def login_name() -> str:
    """Of whoever runs this; their number when they have no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _backends() -> frozenset[str]:
    """From the names of the libraries that llama.cpp is made of, without loading them."""
    folder = llamapackage.libraries()
    files = folder.glob("libggml-*.so") if folder else ()
    return frozenset(file.name.removeprefix("libggml-").removesuffix(".so") for file in files) - {"base"}


def _ask_vulkan() -> Vulkan | None:
    command = (sys.executable, "-P", "-m", "tui.machine.vulkan")
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_S, check=True)
        return msgspec.json.decode(done.stdout, type=Vulkan)
    except (OSError, subprocess.SubprocessError, msgspec.MsgspecError):
        return None


def _vendors(sysfs: Path, dev: Path) -> tuple[str, ...]:
    found = []
    for file in sorted(sysfs.glob("class/drm/card*/device/vendor")):
        try:
            number = file.read_text().strip()
        except OSError:
            continue
        found.append(_VENDORS.get(number) or tr("PCI vendor {number}", number=number))
    if (dev / "nvidiactl").exists():  # NVIDIA's driver may run without the kernel's graphics system
        found.append("NVIDIA")
    return tuple(dict.fromkeys(found))


def device_node(path: Path) -> RenderNode:
    """Who may use a device file; nobody may where it cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return RenderNode(path=str(path), group="", usable=False, by_group=False)
    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        group = str(found.st_gid)
    wanted = stat.S_IRGRP | stat.S_IWGRP
    return RenderNode(
        path=str(path),
        group=group,
        usable=os.access(path, os.R_OK | os.W_OK),
        by_group=found.st_mode & wanted == wanted,
    )


def explain(facts: Facts, listed: Sequence[Device] = ()) -> tuple[str, ...]:
    """What is missing beside the devices that llama.cpp has `listed`, each with what to do, the one that has to be
    mended first at the beginning."""
    if not facts.backends:
        return (tr("llama.cpp is not installed. In llmtui's folder: {command}", command="make run"),)
    gpus = [device for device in listed if device.kind in ("gpu", "igpu")]
    closed = no_permission(facts.nodes, facts.user)
    if not gpus:
        found = [_no_device_file(facts), _not_built(facts), *closed, _no_driver(facts)]
    elif "vulkan" not in facts.backends:
        found = [_not_built(facts, finds_devices=True), *closed]
    elif not any(_is_vulkan(device) for device in gpus):
        found = [*closed, _no_driver(facts)]
    else:
        found = [*closed, *_other_drivers(facts, gpus), _not_taken(facts, gpus)]
    return tuple(reason for reason in found if reason)


def _no_device_file(facts: Facts) -> str:
    if facts.nodes or facts.vendors == ("NVIDIA",):
        return ""
    if facts.vendors:
        return tr(
            "The kernel knows a GPU ({gpus}), but there is no {file}. A container has to be started with {option}; "
            "otherwise its driver failed: dmesg says why.",
            gpus=", ".join(facts.vendors),
            file="/dev/dri/renderD*",
            option="--device /dev/dri",
        )
    return tr(
        "The kernel shows no GPU: there is none, its kernel driver is not loaded, or this is a container (start it "
        "with {option}) or a virtual machine that was not given one.",
        option="--device /dev/dri",
    )


def _not_built(facts: Facts, *, finds_devices: bool = False) -> str:
    if "vulkan" in facts.backends:
        return ""
    others = ", ".join(sorted(facts.backends - {"cpu"}))
    if not others:
        built = tr("This llama.cpp was built for the CPU alone and not for Vulkan.")
    elif finds_devices:
        built = tr("This llama.cpp was built for {backends} and not for Vulkan.", backends=others)
    else:
        built = tr(
            "This llama.cpp was built for {backends}, which finds no device, and not for Vulkan.", backends=others
        )
    build = facts.build if facts.build is not None and facts.build.backend != "vulkan" else None
    why = tr("The reason: {reason}.", reason=str(build.reason)) if build else ""
    again = f"CMAKE_ARGS={shlex.quote(build.cmake_args)} " if build and build.cmake_args else ""
    command = f"{again}LLMTUI_BACKEND=vulkan make run"
    if build and build.packages:
        advice = tr(
            "As root: {install}. Then in llmtui's folder: {command}",
            install=f"apt-get install {' '.join(build.packages)}",
            command=command,
        )
    else:
        advice = tr("In llmtui's folder: {command}", command=command)
    return sentences(built, why, advice)


def no_permission(nodes: Iterable[RenderNode], user: str) -> Iterator[str]:
    """One sentence for all device files that are closed to `user` for one reason."""
    closed = [node for node in nodes if not node.usable]
    for group, by_group in dict.fromkeys((node.group, node.by_group) for node in closed):
        paths = [node.path for node in closed if (node.group, node.by_group) == (group, by_group)]
        names = ", ".join(paths)
        if by_group:
            yield tr(
                "You may not use {files}: only members of the group {group} may. As root: {command} and then log in "
                "again.",
                files=names,
                group=group,
                command=f"usermod -aG {group} {shlex.quote(user)}",
            )
        else:
            yield tr(
                "You may not use {files}, and no group may. Look at it: {command}",
                files=names,
                command=f"ls -l {shlex.quote(paths[0])}",
            )


def _is_vulkan(device: Device) -> bool:
    return device.name.startswith("Vulkan")


def _other_drivers(facts: Facts, gpus: Iterable[Device]) -> Iterator[str]:
    """Makers of whose graphics cards nothing is listed; a device file that is closed is to be mended first."""
    if facts.vulkan is None or not all(node.usable for node in facts.nodes):
        return
    makers = {_VENDORS.get(device.vendor) for device in facts.vulkan.hardware}
    makers |= {maker for name, maker in _MAKERS.items() if any(device.name.startswith(name) for device in gpus)}
    for vendor in facts.vendors:
        if vendor in _DRIVERS and vendor not in makers:
            command = tr(_DRIVERS[vendor])
            yield tr(
                "Vulkan has no driver for the GPU of {vendor}. On Debian: {command}", vendor=vendor, command=command
            )


def _not_taken(facts: Facts, gpus: Iterable[Device]) -> str:
    """GPUs that Vulkan has and llama.cpp does not list. Of one that two drivers offer it lists one."""
    left = [device.description for device in gpus if _is_vulkan(device)]
    offered: dict[str, list[str]] = {}
    for device in facts.vulkan.hardware if facts.vulkan else ():
        if device.kind in ("discrete", "integrated"):  # others it takes only when there is none of these
            offered.setdefault(device.uuid, []).append(device.name)
    missing = []
    for names in offered.values():
        found = next((name for name in names if name in left), None)
        if found is None:
            missing.append(names[0])
        else:
            left.remove(found)
    return _refused(facts, ", ".join(missing)) if missing else ""


def _refused(facts: Facts, names: str) -> str:
    if facts.visible is not None:
        return tr(
            "{variable} in your environment may hide devices. Unset it and look again.",
            variable=f"{vulkan.VISIBLE}={facts.visible}",
        )
    return tr(
        "llama.cpp does not take what Vulkan offers ({devices}): it needs Vulkan 1.2 with 16-bit storage.",
        devices=names,
    )


def _no_driver(facts: Facts) -> str:
    """What is wrong between the Vulkan loader and a device; "" when nothing is."""
    seen = facts.vulkan
    install = _install(facts)
    if seen is None:
        return tr(
            "Asking Vulkan for its devices crashed or hung: a driver is broken. Install it again. On Debian: {command}",
            command=install.replace("install", "install --reinstall", 1),
        )
    if seen.loader_error:
        return tr(
            "The Vulkan loader cannot be used ({reason}). On Debian: {command}",
            reason=seen.loader_error,
            command="apt-get install libvulkan1",
        )
    if seen.error and seen.error != vulkan.NO_DRIVER:
        return tr(
            "Vulkan cannot be used: {reason}. The command vulkaninfo (package vulkan-tools) may say more.",
            reason=seen.error,
        )
    if not seen.devices:
        return tr("Vulkan has no driver for a GPU. On Debian: {command}", command=install)
    software = ", ".join(device.name for device in seen.software)
    if not seen.hardware and facts.vendors and any(node.usable for node in facts.nodes):
        return tr(
            "Vulkan has no driver for this GPU, only {device}, which the CPU computes. On Debian: {command}",
            device=software,
            command=install,
        )
    if not seen.hardware:
        return tr(
            "Vulkan offers only {device}, which the CPU computes, more slowly than llama.cpp does without it; "
            "{command} lists it anyway.",
            device=software,
            command="llmtui --software-vulkan",
        )
    if facts.visible is None and "vulkan" not in facts.backends:
        return ""
    return _refused(facts, ", ".join(device.name for device in seen.hardware))


def _install(facts: Facts) -> str:
    """The command, or the choice of commands, that gets the drivers of this machine's GPUs."""
    commands = dict.fromkeys(_DRIVERS[vendor] for vendor in facts.vendors if vendor in _DRIVERS)
    told = [tr(command) for command in commands] or [_DRIVERS["AMD"]]
    return reduce(lambda first, second: tr("{first} or {second}", first=first, second=second), told)
