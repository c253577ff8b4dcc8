"""Prints as JSON the names of llama.cpp's parameters, such as "context.n_ctx", and those that differ from what `USUAL`
gives, for each of the settings that are given. Of pointers only counts whether there is one. A program of its own, as
only the engine's process may hold llama.cpp.

usage: python -m tests.engine.parameters_check USUAL SETTINGS..., each a `LoadSettings` in JSON.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import msgspec

from tui.engine.llamalog import backend_init
from tui.engine.params import context_params, model_params
from tui.protocol.records import LoadSettings

NUMBERS = (ctypes.c_int, ctypes.c_int32, ctypes.c_uint32, ctypes.c_int8, ctypes.c_float, ctypes.c_bool)


def parameters(settings: LoadSettings) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part, params in (("model", model_params(settings, [])), ("context", context_params(settings))):
        for name, kind in params._fields_:
            value = getattr(params, name)
            found[f"{part}.{name}"] = value if kind in NUMBERS else bool(value)
    return found


def main(*texts: str) -> None:
    backend_init()
    usual, *others = (parameters(msgspec.json.decode(text, type=LoadSettings)) for text in texts)
    differ = [[name for name, value in other.items() if value != usual[name]] for other in others]
    print(msgspec.json.encode([list(usual), differ]).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
