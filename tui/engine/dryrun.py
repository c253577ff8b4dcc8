"""Dry runs: what llama.cpp would allocate for a load, asked of llama.cpp itself, which allocates nothing.

Runs in an engine process only, in one of its own: a file that llama.cpp chokes on ends that one, and not the one that
answers."""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tui.base.splitfile import part_of
from tui.engine import anatomy
from tui.engine.anatomy import BooksUnreadable
from tui.engine.bindings import lib
from tui.engine.llamalog import LOG, LlamaError
from tui.engine.memorylimit import growing_at_most
from tui.engine.params import UnknownDevice, context_params, in_effect, model_params
from tui.models.budget import Budget
from tui.models.cursor import GGUFError
from tui.models.gguf import read_header
from tui.models.info import ModelInfo, from_headers
from tui.models.source import FileSource
from tui.models.stub import stub
from tui.planning.draftload import draft_path, draft_settings
from tui.planning.loadcheck import LoadRefused, refuse
from tui.planning.snapshots import n_snapshots
from tui.protocol import loadlog
from tui.protocol.records import LoadSettings, Placed

_LOAD_MODE_NONE = 0
_MAX_STUBS = 16
MOST_BYTES = 2 << 30
"""By which a dry run may grow the process: 100 MB are the rule."""

_Identity = tuple[tuple[str, int, int], ...]
"""Path, size and time of the last change of each file of a model."""


class DryRunner:
    """Makes dry runs, and keeps the stubs of the models that it was asked about last (`tui.models.stub`)."""

    def __init__(self) -> None:
        self._stubs: dict[_Identity, tuple[int, ModelInfo]] = {}

    def run(self, path: Path, settings: LoadSettings, device_free: Sequence[int]) -> tuple[tuple[Placed, ...], int]:
        """What the load would put where, the host first, and the context size. Takes some 20 ms, and as long for a
        draft model; see `DryRun`.

        Raises `LlamaError` when llama.cpp would not load it, or when the file or llama.cpp's books cannot be read.
        """
        with growing_at_most(MOST_BYTES):
            placed, n_ctx = self._run(path, settings, device_free)
            if (draft := draft_path(settings)) is not None:
                placed = anatomy.together(placed, self._run(draft, draft_settings(settings), device_free)[0])
            return placed, n_ctx

    def _run(self, path: Path, settings: LoadSettings, device_free: Sequence[int]) -> tuple[tuple[Placed, ...], int]:
        keep: list[object] = []
        model = context = None
        try:
            refuse(self._known(path)[1], in_effect(settings))  # what llama.cpp would choke on never gets to it
            params = model_params(settings, keep)
            params.no_alloc, params.load_mode = True, _LOAD_MODE_NONE
            if len(device_free) > 1 and len(device_free) == len(settings.devices):
                # As llama.cpp does by itself, with what is free now.
                room = (ctypes.c_float * int(lib.llama_max_devices()))(*device_free)
                params.tensor_split = ctypes.cast(room, ctypes.POINTER(ctypes.c_float))
            with LOG.step(quiet=True) as lines:
                model = lib.llama_model_load_from_file(self._stub(path), params)
                if not model:
                    raise LOG.error("llama.cpp gave no reason")
                in_context = context_params(settings)
                in_context.n_rs_seq = n_snapshots(self._known(path)[1].arch, settings)
                context = lib.llama_init_from_model(model, in_context)
                if not context:
                    raise LOG.error("llama.cpp could not create the context")
                output = sum(buffer.n_bytes for buffer in loadlog.buffers(lines) if buffer.purpose == "output")
            placed = anatomy.placed(model, context, output, mapped=settings.use_mmap)
            return placed, int(lib.llama_n_ctx_seq(context))
        except UnknownDevice as error:
            raise LlamaError("bad_settings", error.why) from error
        except LoadRefused as error:
            raise LlamaError(error.kind, error.detail) from error
        except BooksUnreadable as error:
            raise LlamaError("internal", str(error)) from error
        finally:
            if context:
                lib.llama_free(context)
            if model:
                lib.llama_model_free(model)

    def _stub(self, path: Path) -> bytes:
        """A path by which llama.cpp can open the stub of this model."""
        return f"/proc/self/fd/{self._known(path)[0]}".encode()

    def _known(self, path: Path) -> tuple[int, ModelInfo]:
        """The stub of this model as an open file, and what its header says."""
        parts = part_of(path)[1]
        try:
            with ExitStack() as files:
                sources = [files.enter_context(FileSource(part)) for part in parts]
                identity = tuple(
                    (str(part), source.stat.st_size, source.stat.st_mtime_ns)
                    for part, source in zip(parts, sources, strict=True)
                )
                if identity not in self._stubs:
                    budget = Budget()
                    headers = [read_header(source, check_data=False, budget=budget) for source in sources]
                    info = from_headers(headers, path.stem)
                    self._keep(identity, *stub(list(zip(sources, headers, strict=True))), info)
        except (GGUFError, OSError) as error:
            raise LlamaError("model_unreadable", str(error)) from error
        return self._stubs[identity]

    def _keep(self, identity: _Identity, header: bytes, size: int, info: ModelInfo) -> None:
        while len(self._stubs) >= _MAX_STUBS:
            os.close(self._stubs.pop(next(iter(self._stubs)))[0])
        file = _nameless_file()
        self._stubs[identity] = file, info
        os.write(file, header)
        os.truncate(file, size)


def _nameless_file() -> int:
    """A file in memory, or where the system has none, a temporary one without a name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("llmtui-stub")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
