"""llama.cpp's functions, from the package llama-cpp-python: `lib` are llama's own, `libggml` those of ggml. The rest
of it is not loaded: its high-level API takes a good part of the time of the engine's start, and is not used."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType


def _leave_the_rest() -> None:
    """Have an empty package stand where the modules in it are looked for, as it imports all of them itself."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or spec.submodule_search_locations is None:
        return  # the import below says what is missing
    package = ModuleType("llama_cpp")
    package.__spec__, package.__path__ = spec, spec.submodule_search_locations
    sys.modules["llama_cpp"] = package


if "llama_cpp" not in sys.modules:
    _leave_the_rest()

from llama_cpp import llama_cpp as lib  # noqa: E402
from llama_cpp._ggml import libggml  # noqa: E402

__all__ = ["lib", "libggml"]
