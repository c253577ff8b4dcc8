"""What the steps of llama.cpp's build cost: seconds on one core of a quiet machine (an AMD EPYC of 2024, GCC 12), from
ninja's log. They tell how long a build will take and how far it is. Standard library only."""

from __future__ import annotations

LONG = {
    "vulkan-shaders-gen-build": 7.0,
    "mul_mm.comp.cpp": 33.0,
    "mul_mat_vec.comp.cpp": 15.0,
    "copy_to_quant.comp.cpp": 6.4,
    "unary.comp.cpp": 6.2,
    "get_rows_quant.comp.cpp": 4.7,
    "ggml-vulkan/unity_0_cxx.cxx.o": 37.0,
    "ggml-vulkan/mul_mm.comp.cpp.o": 17.5,
    "ggml-base/ggml-backend-meta.cpp.o": 3.6,
    "ggml-base/ggml-quants.c.o": 4.4,
    "ggml-base/gguf.cpp.o": 3.0,
    "ggml-cpu/ops.cpp.o": 7.5,
    "ggml-cpu/repack.cpp.o": 8.3,
    "ggml-cpu/sgemm.cpp.o": 3.6,
    "ggml-cpu/tiled.cpp.o": 3.4,
    "llama/llama-batch.cpp.o": 3.7,
    "llama/llama-chat.cpp.o": 3.1,
    "llama/llama-context.cpp.o": 7.6,
    "llama/llama-grammar.cpp.o": 5.9,
    "llama/llama-graph.cpp.o": 6.1,
    "llama/llama-kv-cache-dsv4.cpp.o": 4.6,
    "llama/llama-kv-cache.cpp.o": 9.2,
    "llama/llama-model-loader.cpp.o": 7.4,
    "llama/llama-model.cpp.o": 7.9,
    "llama/llama-quant.cpp.o": 3.9,
    "llama/llama-sampler.cpp.o": 6.1,
    "llama/llama-vocab.cpp.o": 5.5,
    "llama/unicode.cpp.o": 7.2,
}
"""The long ones, by `build_progress.step_name`."""

_OTHERS = (("ggml-vulkan/", 0.1), ("llama/", 1.4), ("ggml-base/", 0.8), ("ggml-cpu/", 0.8), ("ggml/", 0.7))

_TOTAL = {"vulkan": 360.0, "cpu": 168.0}
"""Of a whole build, by backend."""

_ALONE = {"vulkan": 115.0, "cpu": 20.0}
"""Of the longest chain of steps that wait for one another, which more cores do not make shorter."""

_REST_S = 25.0
"""What comes before and after the steps: downloads, CMake, packing, the self-test."""


def weight(name: str) -> float:
    """Seconds of the step with that name; 0 for what is no part of the libraries, or no work."""
    if name in LONG:
        return LONG[name]
    if name.endswith(".comp.cpp"):
        return 0.35
    return next((seconds for prefix, seconds in _OTHERS if name.startswith(prefix) and name.endswith(".o")), 0.0)


def expected_s(backend: str, speed: float, jobs: int) -> float:
    """Seconds that a whole build takes, where `jobs` compilers at a time do `speed` seconds of steps in a second."""
    return max(_TOTAL[backend] / speed, _ALONE[backend] * jobs / speed) + _REST_S
