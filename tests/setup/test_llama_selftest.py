"""The self-test of a llama.cpp that was built, run as a user runs it: over the library that the tests use, and over the
same library with functions that crash or compute wrong in front of its own. What it cannot show on a machine without
AMX is the fault of AMX itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import CHECKOUT

SELFTEST = CHECKOUT / "scripts" / "llama_selftest.py"

CRASH = "__builtin_trap();"
WRONG = "for (int row = 0; row < (nrc > 0 ? nrc : 1); row++) { s[row] = 0.25f * n; }"
VEC_DOT = (
    "void ggml_vec_dot_{0}(int n, float * s, size_t, const void *, size_t, const void *, size_t, int nrc) {{ {1} }}\n"
)
GEMM = "void ggml_gemm_{0}(int, float *, size_t, const void *, const void *, int, int) {{ {1} }}\n"
SPLIT = "_Z19unicode_regex_splitRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEERKSt6vectorIS4_SaIS4_EEb"
"""How llama.cpp splits a text into words, before each is made tokens of."""
WRITES = (("_ZNSolsEi", "int"), ("_ZNSolsEj", "unsigned"), ("_ZNSo9_M_insertImEERSoT_", "unsigned long"))
"""How the C++ library writes a number into a stream: which of these a compiler has llama.cpp call is its own affair."""
LAYOUTS = [
    f"{kind}_{layout}_{activations}"
    for kind, activations in (("q4_0", "q8_0"), ("iq4_nl", "q8_0"), ("q2_K", "q8_K"), ("q4_K", "q8_K"))
    for layout in ("4x4", "4x8", "8x4", "8x8", "16x1")
]


def selftest(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SELFTEST, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def in_front(folder: Path, functions: str) -> str:
    """A library that goes before llama.cpp's with these functions."""
    compiler = shutil.which("c++")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C++ compiler and the loader of Linux")
    source = folder / "front.cpp"
    source.write_text(f'#include <cstddef>\nextern "C" {{\n{functions}}}\n', encoding="utf-8")
    library = folder / "front.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-w", source, "-o", library], check=True)
    return str(library)


def test_a_right_library_passes_and_every_family_was_tried() -> None:
    done = selftest(sys.prefix)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("llama.cpp computes right here: 22 quantizations on the CPU, in ")


@pytest.mark.parametrize("kind", ["q4_K_q8_K", "iq2_xs_q8_K", "mxfp4_q8_0"])
def test_a_library_that_crashes_is_found_and_what_with(kind: str, tmp_path: Path) -> None:
    done = selftest(sys.prefix, LD_PRELOAD=in_front(tmp_path, VEC_DOT.format(kind, CRASH)))
    assert done.returncode == 1, done.stdout + done.stderr
    name = kind.removesuffix("_q8_K").removesuffix("_q8_0")
    assert f"llama.cpp is wrong here: SIGILL with {name}" in done.stdout or "SIGTRAP" in done.stdout
    assert "make run" in done.stdout, "no next step"


def test_a_library_that_silently_computes_wrong_is_found(tmp_path: Path) -> None:
    done = selftest(sys.prefix, LD_PRELOAD=in_front(tmp_path, VEC_DOT.format("q5_K_q8_K", WRONG)))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "wrong numbers with q5_K" in done.stdout


@pytest.mark.parametrize("fault", [CRASH, ""], ids=["crashes", "computes nothing"])
def test_a_fault_of_repacked_weights_alone_is_found(fault: str, tmp_path: Path) -> None:
    if "REPACK" not in selftest(sys.prefix).stdout:
        pytest.skip("llama.cpp does not repack on this CPU")
    functions = "".join(GEMM.format(layout, fault) for layout in LAYOUTS)
    done = selftest(sys.prefix, LD_PRELOAD=in_front(tmp_path, functions))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "repacked, 37 tokens" in done.stdout


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (f"void {SPLIT}() {{ {CRASH} }}\n", "with a model with a vocabulary, libstdc++.so.6 loaded before llama.cpp"),
        (
            "".join(f"void *{name}(void *stream, {number}) {{ return stream; }}\n" for name, number in WRITES),
            "wrong numbers in the log, libstdc++.so.6 loaded",
        ),
    ],
    ids=["tokens", "log"],
)
def test_libraries_that_compute_right_and_do_not_work_together_are_found(
    function: str, said: str, tmp_path: Path
) -> None:
    done = selftest(sys.prefix, LD_PRELOAD=in_front(tmp_path, function))
    assert done.returncode == 1, done.stdout + done.stderr
    assert said in done.stdout
    assert "Build it with another: CXX=" in done.stdout and "safer" not in done.stdout


def test_a_test_that_the_system_ends_tells_nothing_of_the_library(tmp_path: Path) -> None:
    killed = VEC_DOT.format("q4_K_q8_K", "raise(9);")
    done = selftest(sys.prefix, LD_PRELOAD=in_front(tmp_path, f"int raise(int);\n{killed}"))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Could not be tested: something ended it with q4_K" in done.stdout


def test_a_library_that_refuses_to_compute_is_wrong(tmp_path: Path) -> None:
    refuses = "int ggml_backend_sched_graph_compute_async(void *, void *) { return -1; }\n"
    done = selftest(sys.prefix, LD_PRELOAD=in_front(tmp_path, refuses))
    assert done.returncode == 1, done.stdout + done.stderr


def test_a_folder_without_llama_cpp_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/bin/false")
    done = selftest(tmp_path)
    assert done.returncode == 2
    assert "There is no llama-cpp-python" in done.stderr and "make install" in done.stderr


def test_what_cannot_be_tested_is_not_called_wrong(tmp_path: Path) -> None:
    (tmp_path / "llama_cpp").mkdir()
    (tmp_path / "llama_cpp" / "llama_cpp.py").write_text("raise OSError('libgomp.so.1 is missing')", encoding="utf-8")
    done = selftest(tmp_path)
    assert done.returncode == 2
    assert "Could not be tested: OSError: libgomp.so.1 is missing" in done.stdout
