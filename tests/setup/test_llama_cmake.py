"""What `scripts/cmake/llama.cmake` makes of llama.cpp's build, shown by the commands with which CMake would compile a
project of the same shape. No compiler runs."""

from __future__ import annotations

import ctypes
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import CHECKOUT

CMAKE = shutil.which("cmake")
HOOK = CHECKOUT / "scripts" / "cmake" / "llama.cmake"
NO_DEAD_STORES = ["-fno-dse", "-fno-tree-dse"]
NO_AMX = ["-mno-amx-tile", "-mno-amx-int8", "-mno-amx-bf16"]

PACKAGE = """
cmake_minimum_required(VERSION 3.21)
project(llama_cpp CXX)
set(LLAMA_BUILD_COMMON ON CACHE BOOL "" FORCE)
add_subdirectory(vendor/llama.cpp)
"""
"""llama-cpp-python, which asks for the `common` library whatever it is told."""
LLAMA = """
cmake_minimum_required(VERSION 3.14)
project(llama.cpp CXX)
option(LLAMA_BUILD_COMMON "" ON)
add_subdirectory(ggml)
add_subdirectory(src)
if(LLAMA_BUILD_COMMON)
    add_subdirectory(common)
endif()
"""
GGML = """
project(ggml CXX)
add_subdirectory(src)
"""
LIBRARY = "add_library({name} SHARED {sources})\n"
LIBRARIES = {
    "src": ("llama", ["llama-context.cpp", "llama-sampler.cpp", "llama-model.cpp", "unicode.cpp"]),
    "ggml/src": ("ggml-cpu", ["ggml-cpu/amx/mmq.cpp", "ggml-cpu/amx/amx.cpp", "ggml-cpu/ops.cpp"]),
    "common": ("common", ["arg.cpp"]),
}

pytestmark = pytest.mark.skipif(
    not CMAKE or not shutil.which("make"),
    reason="CMake or make is not installed",
)


def write_project(folder: Path) -> Path:
    """Write it, with empty sources; gives the folder of llama.cpp in there."""
    vendor = folder / "vendor" / "llama.cpp"
    files = {folder: PACKAGE, vendor: LLAMA, vendor / "ggml": GGML}
    for place, (name, sources) in LIBRARIES.items():
        files[vendor / place] = LIBRARY.format(name=name, sources=" ".join(sources))
        for source in sources:
            path = vendor / place / source
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    for where, text in files.items():
        where.mkdir(parents=True, exist_ok=True)
        (where / "CMakeLists.txt").write_text(text)
    return vendor


def commands(folder: Path, *arguments: str, compiler: str = "GNU", version: str = "12.2.0") -> dict[str, list[str]]:
    """The compiler's arguments for each source of llama.cpp, by its path in there."""
    vendor = write_project(folder)
    options = {
        "CMAKE_PROJECT_INCLUDE": HOOK,
        "CMAKE_EXPORT_COMPILE_COMMANDS": "ON",
        "CMAKE_BUILD_TYPE": "Release",
        # CMake takes our word for what the compiler is, and starts none to see.
        "CMAKE_CXX_COMPILER": "/bin/true",
        "CMAKE_CXX_COMPILER_FORCED": "TRUE",
        "CMAKE_CXX_COMPILER_ID": compiler,
        "CMAKE_CXX_COMPILER_VERSION": version,
        "CMAKE_CXX_STANDARD_COMPUTED_DEFAULT": "17",
        "CMAKE_CXX_EXTENSIONS_COMPUTED_DEFAULT": "ON",
        "LLMTUI_CAN_HIDE_ARCHIVES": "OFF",  # this is found by compiling
    }
    given = [f"-D{name}={value}" for name, value in options.items()]
    assert CMAKE
    done = subprocess.run(
        [CMAKE, "-S", folder, "-B", folder / "objects", "-G", "Unix Makefiles", *given, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    entries = json.loads((folder / "objects" / "compile_commands.json").read_text())
    return {str(Path(entry["file"]).relative_to(vendor)): shlex.split(entry["command"]) for entry in entries}


def flags(command: list[str], *among: str) -> list[str]:
    return [argument for argument in command if argument in among]


def test_with_gcc_one_file_alone_keeps_the_stores_of_amxs_tile_configuration(tmp_path: Path) -> None:
    found = commands(tmp_path)
    assert flags(found.pop("ggml/src/ggml-cpu/amx/mmq.cpp"), *NO_DEAD_STORES) == NO_DEAD_STORES
    assert {"ggml/src/ggml-cpu/amx/amx.cpp", "ggml/src/ggml-cpu/ops.cpp", "src/llama-context.cpp"} <= found.keys()
    assert [file for file, command in found.items() if flags(command, *NO_DEAD_STORES)] == []


@pytest.mark.parametrize(("compiler", "version"), [("Clang", "14.0.6"), ("GNU", "14.2.0")])
def test_compilers_that_do_not_know_these_flags_or_need_none_do_not_get_them(
    tmp_path: Path, compiler: str, version: str
) -> None:
    found = commands(tmp_path, compiler=compiler, version=version)
    assert "ggml/src/ggml-cpu/amx/mmq.cpp" in found
    assert [file for file, command in found.items() if flags(command, *NO_DEAD_STORES)] == []


def test_a_safer_build_leaves_amx_out_of_the_cpus_code_and_touches_nothing_else(tmp_path: Path) -> None:
    found = commands(tmp_path, f"-DLLMTUI_CPU_FLAGS={';'.join(NO_AMX)}")
    without = {file for file, command in found.items() if flags(command, *NO_AMX) == NO_AMX}
    assert without == {file for file in found if file.startswith("ggml/src/ggml-cpu/")} != set()


def test_the_common_library_is_not_built_though_the_package_asks_for_it(tmp_path: Path) -> None:
    found = commands(tmp_path)
    assert "src/llama-model.cpp" in found and not [file for file in found if file.startswith("common/")]


def test_what_runs_for_each_token_is_optimized_and_the_rest_is_compiled_quickly(tmp_path: Path) -> None:
    found = commands(tmp_path)
    level = {file: flags(command, "-O0", "-O1", "-O2", "-O3")[-1] for file, command in found.items()}
    assert level["src/llama-context.cpp"] == level["src/llama-sampler.cpp"] == level["src/unicode.cpp"] == "-O3"
    assert level["src/llama-model.cpp"] == "-O1"
    assert all(one == "-O3" for file, one in level.items() if file.startswith("ggml/"))


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("g++"), reason="needs GCC on Linux")
def test_a_library_with_the_cpp_library_in_it_keeps_that_to_itself(tmp_path: Path) -> None:
    """Else llama.cpp's libraries share parts of it with each other, and with the system's own, which is another."""
    write_project(tmp_path)
    source = tmp_path / "vendor" / "llama.cpp" / "src" / "llama-context.cpp"
    source.write_text(
        '#include <sstream>\nextern "C" int length(int n) { std::ostringstream s; s << n; return s.str().size(); }\n'
    )
    assert CMAKE
    given = (f"-DCMAKE_PROJECT_INCLUDE={HOOK}", "-DCMAKE_SHARED_LINKER_FLAGS=-static-libstdc++")
    steps: tuple[list[str | Path], ...] = (
        ["-S", tmp_path, "-B", tmp_path / "objects", "-G", "Unix Makefiles", "-DCMAKE_CXX_COMPILER=g++", *given],
        ["--build", tmp_path / "objects", "--target", "llama"],
    )
    for command in steps:
        done = subprocess.run([CMAKE, *command], capture_output=True, text=True, check=False)
        if "cannot find -lstdc++" in done.stderr:
            pytest.skip("there is no archive of the C++ library here")
        assert done.returncode == 0, done.stdout + done.stderr
    (library,) = tmp_path.glob("objects/**/libllama.so")
    built = ctypes.CDLL(str(library))
    assert built.length(-42) == 3
    needed = subprocess.run(["ldd", library], capture_output=True, text=True, check=True).stdout
    assert "libstdc++" not in needed and not hasattr(built, "_ZNSolsEi"), "it lends its operator<<(int)"
