"""What llama.cpp is built with, and why: the backend, CMake's arguments, and what is left out of a build when the one
before it turned out to compute wrong on this CPU. Standard library only."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import vulkan_tools
import wheel_cache

PACKAGE = "llama-cpp-python"
VERSION = "0.3.36"
"""The one version that llmtui is developed and tested with."""

COMMON_ARGUMENTS = ("-DLLAVA_BUILD=off",)
"""llmtui does not use the multimodal library, which would take a fifth of the build."""

CMAKE_HOOK = Path(__file__).resolve().parent / "cmake" / "llama.cmake"
"""Leaves out more that llmtui does not use."""

_X86 = {"SSE42": "sse4_2", "AVX": "avx", "AVX2": "avx2", "BMI2": "bmi2", "FMA": "fma", "F16C": "f16c"}
"""ggml's instruction sets up to AVX2, and what /proc/cpuinfo calls them."""


@dataclass(frozen=True)
class Plan:
    """What is going to be built, and why."""

    backend: str
    """"vulkan" or "cpu"."""
    reason: str
    arguments: tuple[str, ...]
    """CMake's, those of the user at the end so that they win."""
    paths: tuple[str, ...] = ()
    """Further CMake arguments that only say where something lies and change nothing in the wheel."""
    packages: tuple[str, ...] = ()
    """Of Debian, with which it would be Vulkan."""
    safer: str = ""
    """What is left out because the build with it computes wrong here: "without AMX"."""

    @property
    def key(self) -> str:
        """What its wheel is kept under."""
        hook = "".join(file.read_text(encoding="utf-8") for file in sorted(CMAKE_HOOK.parent.glob("*.cmake")))
        return wheel_cache.key(VERSION, self.backend, (*self.arguments, hook))

    def __str__(self) -> str:
        remedy = f"; for Vulkan: apt-get install {' '.join(self.packages)}, then LLMTUI_BACKEND=vulkan make run"
        why = self.reason + (remedy if self.packages else "")
        return f"llama.cpp backend: {'Vulkan and CPU' if self.backend == 'vulkan' else 'CPU'} ({why})"


def choose(wanted: str, tools: vulkan_tools.VulkanTools, user_arguments: str = "") -> Plan:
    """The plan for LLMTUI_BACKEND `wanted`, given what there is for Vulkan and the user's CMAKE_ARGS."""
    given = tuple(shlex.split(user_arguments))
    if wanted == "cpu":
        return Plan("cpu", vulkan_tools.Reason("LLMTUI_BACKEND=cpu asks for it"), (*COMMON_ARGUMENTS, *given))
    if tools.usable or wanted == "vulkan":
        reason = tools.reason if tools.usable else f"LLMTUI_BACKEND=vulkan asks for it, though {tools.reason}"
        paths = (f"-DVulkan_INCLUDE_DIR={tools.include_dir}",) if tools.include_dir else ()
        return Plan("vulkan", reason, ("-DGGML_VULKAN=on", *COMMON_ARGUMENTS, *given), paths)
    return Plan("cpu", tools.reason, (*COMMON_ARGUMENTS, *given), packages=tools.remedy)


def safer(plan: Plan, machine: str | None = None, instructions: Sequence[str] | None = None) -> Iterator[Plan]:
    """Plans for the same, each leaving out more of what compilers and llama.cpp get wrong on some CPUs.

    `machine` and `instructions` are this machine's when they are not given.
    """
    have = set(wheel_cache.instructions() if instructions is None else instructions)
    steps = {
        "x86_64": _safer_x86,
        "aarch64": _safer_arm,
    }.get(machine or platform.machine(), _safer_anywhere)
    for what, arguments in steps(have):
        yield replace(plan, arguments=(*arguments, *plan.arguments), safer=what)


def _safer_x86(have: set[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    if any(name.startswith("amx") for name in have):
        # By the compiler's flags: without -march=native the CPU's other instructions would have to be named.
        yield "without AMX", ("-DLLMTUI_CPU_FLAGS=-mno-amx-tile;-mno-amx-int8;-mno-amx-bf16",)
    plain = ("-DGGML_NATIVE=off", "-DGGML_CPU_REPACK=off", "-DLLMTUI_CPU_FLAGS=")
    if "avx2" in have:
        known = (f"-DGGML_{ours}={'on' if theirs in have else 'off'}" for ours, theirs in _X86.items())
        yield "without repacking, and with no instructions newer than AVX2", (*plain, *known)
    none = (f"-DGGML_{ours}=off" for ours in _X86)
    yield "without repacking, for any x86-64 CPU", (*plain, *none, "-DGGML_LLAMAFILE=off")


def _safer_arm(have: set[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    if have & {"sve", "sve2", "sme", "i8mm"}:
        extensions = "+dotprod" * ("asimddp" in have) + "+fp16" * ("asimdhp" in have)
        arguments = ("-DGGML_NATIVE=off", f"-DGGML_CPU_ARM_ARCH=armv8.2-a{extensions}")
        yield "without SVE, SME and I8MM", arguments
    plain = ("-DGGML_NATIVE=off", "-DGGML_CPU_ARM_ARCH=armv8-a", "-DGGML_CPU_REPACK=off", "-DGGML_LLAMAFILE=off")
    yield "without repacking, for any 64-bit Arm CPU", plain


def _safer_anywhere(_: set[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    arguments = ("-DGGML_NATIVE=off", "-DGGML_CPU_REPACK=off", "-DGGML_LLAMAFILE=off")
    yield "without repacking, and without what only this CPU has", arguments
