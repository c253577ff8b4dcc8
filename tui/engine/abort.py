"""How a running computation is interrupted. Runs in the engine process only."""

from __future__ import annotations

import ctypes

from tui.engine.bindings import lib


class Aborted(Exception):
    """The abort switch was set while llama.cpp computed. What was decoded so far stays in the KV cache."""


class AbortSwitch:
    """Interrupts a running computation from another thread.

    llama.cpp's CPU backend asks its abort callback at every graph node, about a thousand times a token, so the callback
    must not enter Python: it is libc's `strlen` over a one-character buffer, whose result, 0 or 1, is the answer.
    """

    def __init__(self) -> None:
        self._text = ctypes.create_string_buffer(2)
        self.callback = ctypes.cast(ctypes.CDLL(None).strlen, lib.ggml_abort_callback)
        self.data = ctypes.cast(self._text, ctypes.c_void_p)
        self.is_set = False

    def set(self) -> None:
        self.is_set = True
        self._text[0] = b"!"

    def clear(self) -> None:
        self.is_set = False
        self._text[0] = b"\0"
