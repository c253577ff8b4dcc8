"""What tests of the commands share: a hub on 127.0.0.1 that both hubs' libraries are sent to, and a library."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import DENSE, MOE, say_memory_was_measured
from tests.hubserver.repos import ServedRepo
from tests.hubserver.server import HubServer
from tui.config import paths

REPO = "Qwen/Qwen3-Tiny-GGUF"
LARGE = 12 << 20


@pytest.fixture(autouse=True)
def measured(home: Path) -> None:
    """No command spends a second on measuring the memory."""
    say_memory_was_measured()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub with a repository of three variants, and one that is gated. The largest has weights that nobody reads."""
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING", "MODELSCOPE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    dense, moe = DENSE.read_bytes(), MOE.read_bytes()
    files: dict[str, bytes | Path] = {
        "tiny-Q4_K_M.gguf": dense,
        "tiny-Q8_0.gguf": dense + bytes(1000),
        "tiny-F16.gguf": dense + bytes(LARGE),
        "mmproj-F16.gguf": dense,
    }
    with HubServer(
        ServedRepo(REPO, files, n_params=1_041_536, n_downloads=1_234_567),
        ServedRepo("unsloth/Qwen3-Tiny-A1M-GGUF", {"moe-Q8_0.gguf": moe}, n_params=2_300_000),
        ServedRepo("someone/Secret-GGUF", {"secret-Q8_0.gguf": moe}, is_gated=True),
    ) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", running.url)
        yield running


@pytest.fixture
def models(home: Path) -> Path:
    """The folder of the library, with two models and half a file."""
    folder = paths.models_dir()
    folder.mkdir(parents=True)
    for model in (DENSE, MOE):
        shutil.copy(model, folder)
    (folder / "half.gguf").write_bytes(DENSE.read_bytes()[:-1000])
    return folder
