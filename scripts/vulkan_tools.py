"""Knows what compiling llama.cpp's Vulkan backend takes, and gets what is missing. Standard library only."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import debian_packages

MINIMUM = (1, 3, 272)
"""Vulkan headers that llama.cpp needs: the first with `vk::LayerSettingEXT`."""

PACKAGES = {"glslc": "glslc", "libvulkan": "libvulkan-dev", "vulkan-headers": "libvulkan-dev", "spirv": "spirv-headers"}
"""What is needed, and the Debian package that brings it."""

NEWER_RELEASE = {"bookworm": "trixie"}
"""Debian releases with headers that are too old, and the next one, whose headers work with the rest of the old one."""


class Reason(str):
    """A clause in English that knows what it was made of, so that llmtui can say it in another language: `text`, which
    is in `BUILD_REASONS` of `tui/machine/missing_gpu.py`, and what fills its `fields`."""

    text: str
    fields: dict[str, str]

    def __new__(cls, text: str, **fields: str) -> Self:
        clause = super().__new__(cls, text.format(**fields))
        clause.text, clause.fields = text, fields
        return clause


@dataclass(frozen=True)
class VulkanTools:
    """Whether the Vulkan backend can be compiled here."""

    usable: bool
    reason: str
    """One clause, such as "glslc and Vulkan headers 1.4.309 are here"."""
    include_dir: Path | None = None
    """Folder of newer headers that are to be used instead of the system's."""
    remedy: tuple[str, ...] = ()
    """Packages that would help."""


def parse_header_version(macros: str) -> tuple[int, int, int] | None:
    """The version that `vulkan_core.h` states, from the preprocessor's list of macros (`-dM`)."""
    patch = re.search(r"#define VK_HEADER_VERSION (\d+)", macros)
    release = re.search(r"#define VK_HEADER_VERSION_COMPLETE VK_MAKE\w*VERSION\((?:0, ?)?(\d+), ?(\d+),", macros)
    if patch is None or release is None:
        return None
    return int(release.group(1)), int(release.group(2)), int(patch.group(1))


def header_version(compiler: str, include_dir: Path | None = None) -> tuple[int, int, int] | None:
    """Version of the Vulkan headers that `compiler` finds, C++ ones included; None when they are not there."""
    source = "#include <vulkan/vulkan_core.h>\n#if !__has_include(<vulkan/vulkan.hpp>)\n#error\n#endif\n"
    command = [compiler, "-x", "c++", "-E", "-dM", *([f"-I{include_dir}"] if include_dir else []), "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    return parse_header_version(done.stdout) if done.returncode == 0 else None


def look(compiler: str, headers_dir: Path) -> VulkanTools:
    """What this machine has now; `headers_dir` is where newer headers may have been unpacked. Changes nothing."""
    missing = []
    if shutil.which("glslc") is None:
        missing.append("glslc")
    if not _links_libvulkan(compiler):
        missing.append("libvulkan")
    if not _has_spirv_headers():
        missing.append("spirv")
    system, unpacked = header_version(compiler), headers_dir / "usr" / "include"
    newer = header_version(compiler, unpacked) if unpacked.is_dir() else None
    if system is None and newer is None:
        missing.append("vulkan-headers")
    if missing:
        packages = tuple(dict.fromkeys(PACKAGES[name] for name in missing))
        return VulkanTools(False, Reason("{packages} not installed", packages=" ".join(packages)), remedy=packages)
    if system is not None and system >= MINIMUM:
        return VulkanTools(True, f"glslc and Vulkan headers {_dotted(system)} are here")
    if newer is not None and newer >= MINIMUM:
        return VulkanTools(True, f"glslc is here, Vulkan headers {_dotted(newer)} in the cache", unpacked)
    found, needed = _dotted(system or newer or ()), _dotted(MINIMUM)
    return VulkanTools(
        False, Reason("the Vulkan headers ({found}) are older than {needed}", found=found, needed=needed)
    )


def provide(compiler: str, headers_dir: Path) -> VulkanTools:
    """Like `look`, and gets what is missing: packages with root's rights, newer headers unpacked into `headers_dir`."""
    tools = look(compiler, headers_dir)
    try:
        if tools.remedy and debian_packages.install_command() is not None:
            print(f"Installing for the Vulkan backend: {' '.join(tools.remedy)}", flush=True)
            debian_packages.install(tools.remedy)
            tools = look(compiler, headers_dir)
        release = NEWER_RELEASE.get(debian_packages.os_release().get("VERSION_CODENAME", ""))
        if not tools.usable and not tools.remedy and release is not None and not headers_dir.exists():
            print(f"Unpacking the headers of Debian {release} into the cache, as {tools.reason}", flush=True)
            debian_packages.unpack_from_release("libvulkan-dev", release, headers_dir)
            tools = look(compiler, headers_dir)
    except debian_packages.PackageError as error:
        return VulkanTools(
            False, Reason("{reason} ({error})", reason=tools.reason, error=str(error)), remedy=tools.remedy
        )
    return tools


def driver_hint() -> str | None:
    """What to install when a GPU is here but no Vulkan driver; None when all is well or there is no GPU."""
    folders = [Path(base, "vulkan", "icd.d") for base in ("/usr/share", "/etc", "/usr/local/share")]
    if not Path("/dev/dri").is_dir() or any(any(folder.glob("*.json")) for folder in folders):
        return None
    return "A GPU is here but no Vulkan driver; for AMD and Intel: apt-get install mesa-vulkan-drivers"


def _links_libvulkan(compiler: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        command = [compiler, "-x", "c++", "-", "-lvulkan", "-o", f"{folder}/probe"]
        return subprocess.run(command, input=b"int main() {}", capture_output=True, check=False).returncode == 0


def _has_spirv_headers() -> bool:
    """CMake's config file is what the build looks for, the headers alone are not enough."""
    roots = (Path("/usr/share"), Path("/usr/local/share"), Path("/usr/lib"), Path("/usr/local/lib"))
    places = ("cmake/SPIRV-Headers", "*/cmake/SPIRV-Headers")
    return any(any(root.glob(f"{place}/SPIRV-HeadersConfig.cmake")) for root in roots for place in places)


def _dotted(version: Iterable[int]) -> str:
    return ".".join(map(str, version))
