"""Builds llama.cpp's own `llama-bench` against the very libraries that the engine runs on, so that the two differ in
nothing but the loop around them. The sources come from llama-cpp-python's sdist of the installed version. Compiled are
the program and llama.cpp's `common`, which llmtui does without (some minutes, once for a version); both are kept in the
user's cache folder. Run it to get the program's path.
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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import platformdirs

PACKAGE = "llama-cpp-python"
CPU_ARGUMENTS = ("--device", "none", "--n-gpu-layers", "0", "--no-op-offload", "1")
"""Keep llama-bench on the CPU alone, also with libraries that have a GPU backend."""

_WANTED = ("common/", "include/", "ggml/include/", "src/llama-ext.h", "tools/llama-bench/", "vendor/")
_INCLUDES = ("common", "include", "ggml/include", "vendor")
_BUILD_INFO = {"LLAMA_BUILD_NUMBER": "0", "LLAMA_BUILD_COMMIT": "unknown", "BUILD_COMPILER": "", "BUILD_TARGET": ""}


class BenchBuildError(RuntimeError):
    """llama-bench could not be built; the message says why."""


def llama_bench_path(vulkan: bool = False) -> Path:
    """Path of a `llama-bench` linked with the libraries of the installed llama-cpp-python, built when missing.

    With `vulkan`, makes sure that those libraries have the Vulkan backend; the program is the same. Give it
    `CPU_ARGUMENTS` to measure the CPU alone. Raises `BenchBuildError`.
    """
    libraries = _libraries()
    if vulkan and not (libraries / "libggml-vulkan.so").exists():
        raise BenchBuildError(f"{libraries} has no Vulkan backend; rebuild with `LLMTUI_BACKEND=vulkan make run`")
    version = importlib.metadata.version(PACKAGE)
    cache = Path(platformdirs.user_cache_dir("llmtui")) / "llama-bench"
    cache.mkdir(parents=True, exist_ok=True)
    program = cache / f"llama-bench-{version}-{_fingerprint(libraries)}"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _compile(_sources(cache, version), libraries, program)
    return program


def _libraries() -> Path:
    """Folder of libllama.so and what it needs, as the wheel installed them."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or spec.origin is None:
        raise BenchBuildError(f"{PACKAGE} is not installed in {sys.prefix}; run `make run` first")
    libraries = Path(spec.origin).parent / "lib"
    if not (libraries / "libllama.so").exists():
        raise BenchBuildError(f"{libraries / 'libllama.so'} is missing; this {PACKAGE} was not built by `make run`")
    return libraries


def _fingerprint(libraries: Path) -> str:
    """Changes when the libraries move or are built anew, because the program finds them by absolute path."""
    told = hashlib.sha256()
    for library in sorted(libraries.glob("lib*.so")):
        stat = library.stat()
        told.update(f"{library} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return told.hexdigest()[:12]


def _sources(cache: Path, version: str) -> Path:
    """llama.cpp's headers and llama-bench's sources of that version, unpacked from the sdist."""
    sources = cache / f"llama.cpp-{version}-common"
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
    objects = sources / "objects"
    objects.mkdir(exist_ok=True)
    files = [*sources.glob("common/**/*.cpp"), sources / "vendor" / "cpp-httplib" / "httplib.cpp"]
    outputs = [objects / f"{'-'.join(file.relative_to(sources).parts)}.o" for file in files]

    def compile_one(file: Path, output: Path) -> None:
        command = [*_compiler(sources, compiler, "-O1"), "-c", str(file), "-o", str(output)]
        _run(command, f"cannot compile llama.cpp's {file.name}")

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(compile_one, files, outputs))
    partial = archive.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    _run(["ar", "qcs", str(partial), *map(str, outputs)], "cannot pack llama.cpp's common library")
    partial.rename(archive)
    shutil.rmtree(objects)
    return archive


def _compiler(sources: Path, compiler: str, optimization: str) -> list[str]:
    return [
        *("nice", "-n", "19", compiler, optimization, "-DNDEBUG", "-std=c++17", "-w"),
        *("-DGGML_SHARED", "-DGGML_BACKEND_SHARED", "-DLLAMA_SHARED"),
        *(f"-I{sources / folder}" for folder in _INCLUDES),
    ]


def _compile(sources: Path, libraries: Path, program: Path) -> None:
    """Compile llama-bench and what it needs of `common`."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        raise BenchBuildError("no C++ compiler; on Debian: apt-get install build-essential")
    common = _common(sources, compiler)
    bench = sources / "tools" / "llama-bench"
    partial = program.with_suffix(".partial")
    command = [
        *_compiler(sources, compiler, "-O3"),
        *(str(bench / name) for name in ("llama-bench.cpp", "main.cpp")),
        *("-o", str(partial), str(common), f"-L{libraries}", f"-Wl,-rpath,{libraries}"),
        *("-lllama", "-lggml", "-lggml-base", "-lpthread"),
    ]
    _run(command, "cannot compile llama-bench")
    partial.rename(program)


def _run(command: list[str], failure: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise BenchBuildError(f"{failure}:\n" + "\n".join(done.stdout.splitlines()[-15:]))


def main() -> int:
    parser = argparse.ArgumentParser(description="Build llama-bench against the installed llama.cpp; print its path.")
    parser.add_argument("--vulkan", action="store_true", help="fail unless the libraries have the Vulkan backend")
    arguments = parser.parse_args()
    try:
        print(llama_bench_path(arguments.vulkan))
    except BenchBuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
