"""How llama.cpp is to be built here: the choice of the backend, its arguments, what a wheel is kept under, and what is
told about a machine that lacks something."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import CHECKOUT
from tests.words import pseudo
from tui.config import paths
from tui.machine.missing_gpu import BUILD_REASONS, Build, read_build
from tui.words.later import later

SCRIPTS = CHECKOUT / "scripts"
sys.path.insert(0, str(SCRIPTS))

import llama_plan  # noqa: E402
import llama_wheel  # noqa: E402
import vulkan_tools  # noqa: E402
import wheel_cache  # noqa: E402

AMX = ("amx_int8", "amx_tile", "avx", "avx2", "bmi2", "f16c", "fma", "sse4_2")


@pytest.mark.parametrize(
    ("machine", "instructions", "steps"),
    [
        (
            "x86_64",
            AMX,
            ["without AMX", "without repacking, and with no instructions newer than AVX2", "for any x86-64 CPU"],
        ),
        ("x86_64", ("sse4_2",), ["for any x86-64 CPU"]),
        ("aarch64", ("asimd", "asimddp", "i8mm", "sve"), ["without SVE, SME and I8MM", "for any 64-bit Arm CPU"]),
        ("aarch64", ("asimd",), ["for any 64-bit Arm CPU"]),
        ("riscv64", ("rv64imafdcv",), ["without what only this CPU has"]),
    ],
)
def test_each_safer_build_leaves_out_more(machine: str, instructions: tuple[str, ...], steps: list[str]) -> None:
    plan = llama_plan.choose("auto", NO_TOOLS, "-DGGML_LTO=on")
    safer = list(llama_plan.safer(plan, machine, instructions))
    assert len(safer) == len(steps)
    assert all(step in attempt.safer for step, attempt in zip(steps, safer, strict=True))
    assert all(attempt.arguments[-1] == "-DGGML_LTO=on" for attempt in safer), "the user's own come last"
    assert len({attempt.key for attempt in (plan, *safer)}) == len(safer) + 1


CPU_INFO = "processor\t: 0\nflags\t\t: fpu sse2 avx2 fma f16c {}\nprocessor\t: 1\n"


def test_a_wheel_is_kept_by_version_backend_arguments_and_instructions() -> None:
    def key(version: str = "1.0", backend: str = "cpu", arguments: tuple[str, ...] = (), flags: str = "") -> str:
        return wheel_cache.key(version, backend, arguments, CPU_INFO.format(flags))

    different = [
        key(),
        key(version="1.1"),
        key(backend="vulkan"),
        key(arguments=("-DGGML_LTO=on",)),
        key(flags="avx512f"),
    ]
    assert len(set(different)) == len(different)
    assert key() == key(flags="hypervisor ibpb"), "a flag that no compiler heeds must not build all anew"
    assert key().startswith("1.0-cpu-")


def test_arm_features_are_instructions_too() -> None:
    info = "processor\t: 0\nFeatures\t: fp asimd sve i8mm bf16 cpuid\n"
    assert wheel_cache.instructions(info) == ["asimd", "bf16", "i8mm", "sve"]


TOOLS = vulkan_tools.VulkanTools(True, "glslc is here", Path("/headers"))


NO_TOOLS = vulkan_tools.VulkanTools(
    False, vulkan_tools.Reason("{packages} not installed", packages="glslc"), remedy=("glslc",)
)


def test_vulkan_is_chosen_when_it_can_be_built() -> None:
    plan = llama_plan.choose("auto", TOOLS)
    assert plan.backend == "vulkan"
    assert "-DGGML_VULKAN=on" in plan.arguments
    assert plan.paths == ("-DVulkan_INCLUDE_DIR=/headers",)
    assert str(plan) == "llama.cpp backend: Vulkan and CPU (glslc is here)"


def test_where_the_headers_lie_does_not_change_what_a_wheel_is_kept_under() -> None:
    elsewhere = vulkan_tools.VulkanTools(True, "glslc is here", Path("/other"))
    assert llama_plan.choose("auto", TOOLS).key == llama_plan.choose("auto", elsewhere).key


def test_without_the_tools_the_cpu_is_chosen_and_the_remedy_told() -> None:
    plan = llama_plan.choose("auto", NO_TOOLS)
    assert plan.backend == "cpu"
    assert "-DGGML_VULKAN=on" not in plan.arguments
    assert "glslc not installed" in str(plan)
    assert "apt-get install glslc" in str(plan)


def test_a_backend_asked_for_by_name_wins() -> None:
    assert llama_plan.choose("cpu", TOOLS).backend == "cpu"
    assert llama_plan.choose("vulkan", NO_TOOLS).backend == "vulkan"


def test_the_users_cmake_arguments_come_last_and_count_for_the_key() -> None:
    plan = llama_plan.choose("auto", TOOLS, "-DGGML_VULKAN=off -DCMAKE_C_FLAGS='-O2 -g'")
    assert plan.arguments[-2:] == ("-DGGML_VULKAN=off", "-DCMAKE_C_FLAGS=-O2 -g")
    assert plan.key != llama_plan.choose("auto", TOOLS).key


def test_what_was_built_and_why_is_noted_where_llmtui_looks_for_it(tmp_path: Path) -> None:
    assert llama_wheel.report_file(Path(sys.prefix)) == paths.llama_build_file()
    llama_wheel.report(tmp_path, llama_plan.choose("auto", NO_TOOLS, "-DGGML_LTO=on"), "-DGGML_LTO=on")
    build = read_build(llama_wheel.report_file(tmp_path))
    assert build == Build(
        version=llama_plan.VERSION,
        backend="cpu",
        reason=later("{packages} not installed", packages="glslc"),
        packages=("glslc",),
        cmake_args="-DGGML_LTO=on",
    )


def test_every_reason_that_is_noted_can_be_said_in_the_language_of_whoever_reads_it(tmp_path: Path) -> None:
    """Each as the set-up makes it; what apt-get said stays in its own words."""
    told = vulkan_tools.Reason("{reason} ({error})", reason=NO_TOOLS.reason, error="E: no such package")
    with_error = vulkan_tools.VulkanTools(False, told)
    asked_for = llama_plan.choose("cpu", TOOLS)
    with pseudo.spoken():
        for plan in (asked_for, llama_plan.choose("auto", with_error)):
            llama_wheel.report(tmp_path, plan, "")
            build = read_build(llama_wheel.report_file(tmp_path))
            assert build is not None and build.reason != plan.reason
            assert pseudo.bypassed(str(build.reason), "glslc", "E: no such package", "LLMTUI_BACKEND=cpu") == []
    sources = [file.read_text(encoding="utf-8") for file in SCRIPTS.glob("*.py")]
    made = {text for source in sources for text in re.findall(r'\bReason\("([^"]+)"', source)}
    assert made == set(BUILD_REASONS)


@pytest.mark.parametrize(
    ("complete", "patch", "version"),
    [
        ("VK_MAKE_API_VERSION(0, 1, 3, VK_HEADER_VERSION)", 239, (1, 3, 239)),
        ("VK_MAKE_API_VERSION(0, 1, 4, VK_HEADER_VERSION)", 309, (1, 4, 309)),
        ("VK_MAKE_VERSION(1, 2, VK_HEADER_VERSION)", 131, (1, 2, 131)),
    ],
)
def test_the_version_of_the_vulkan_headers_is_read(complete: str, patch: int, version: tuple[int, int, int]) -> None:
    macros = f"#define VK_HEADER_VERSION {patch}\n#define OTHER 1\n#define VK_HEADER_VERSION_COMPLETE {complete}\n"
    assert vulkan_tools.parse_header_version(macros) == version


@pytest.mark.parametrize(("patch", "usable"), [(239, False), (271, False), (272, True), (309, True)])
def test_headers_are_usable_from_the_version_on_that_llama_cpp_needs(patch: int, usable: bool, tmp_path: Path) -> None:
    include = tmp_path / "vulkan"
    include.mkdir()
    (include / "vulkan.hpp").touch()
    (include / "vulkan_core.h").write_text(
        "#define VK_MAKE_API_VERSION(variant, major, minor, patch) 0\n"
        f"#define VK_HEADER_VERSION {patch}\n"
        "#define VK_HEADER_VERSION_COMPLETE VK_MAKE_API_VERSION(0, 1, 3, VK_HEADER_VERSION)\n",
        encoding="utf-8",
    )
    found = vulkan_tools.header_version("c++", tmp_path)
    assert found == (1, 3, patch)
    assert (found >= vulkan_tools.MINIMUM) is usable


def plan_with(path: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What `llama_wheel.py --plan` says on a machine with these programs; it changes nothing."""
    return subprocess.run(
        [sys.executable, SCRIPTS / "llama_wheel.py", "--plan", tmp_path],
        env={"PATH": path, "HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_machine_without_glslc_is_told_what_to_install(tmp_path: Path) -> None:
    for program in ("c++", "as", "ld"):
        (tmp_path / program).symlink_to(shutil.which(program) or program)
    told = plan_with(str(tmp_path), tmp_path).stdout
    assert told.startswith("llama.cpp backend: CPU (")
    assert re.search(r"apt-get install .*glslc", told)


def test_a_machine_without_a_compiler_is_told_so(tmp_path: Path) -> None:
    done = plan_with(str(tmp_path), tmp_path)
    assert done.returncode == 1
    assert "There is no C++ compiler" in done.stderr
    assert "apt-get install build-essential" in done.stderr


def test_a_misspelt_backend_is_refused(tmp_path: Path) -> None:
    done = plan_with(os.environ["PATH"], tmp_path, LLMTUI_BACKEND="vulcan")
    assert done.returncode == 2
    assert "may be auto, vulkan or cpu" in done.stderr


def test_make_without_a_target_explains_itself() -> None:
    told = subprocess.run(["make", "-C", CHECKOUT, "-s"], capture_output=True, text=True, check=True).stdout
    assert told.startswith("make run")
