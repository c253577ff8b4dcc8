"""What a hub of the tests has on its shelf: repositories as people publish them, with real headers and weights that are
holes, so that a model of 18 GiB takes a few KB."""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.hubserver.repos import ServedRepo
from tests.hubserver.server import HubServer
from tests.models.gguf_files import Shape, write
from tui.hubs.huggingface import HuggingFace
from tui.hubs.modelscope import ModelScope
from tui.hubs.registry import Hubs
from tui.session.finding import Finding

_FOUR_B = Shape(2560, 36, 32, 8, 128, 9728, 151936, tied=True)
_THIRTY_B = Shape(2048, 48, 32, 4, 128, 6144, 151936, n_expert=128, n_expert_used=8, n_ff_expert=768)
_KINDS = {
    "IQ2_XXS": "IQ2_XXS",
    "Q2_K": "Q2_K",
    "Q3_K_M": "Q3_K",
    "Q4_K_M": "Q4_K",
    "Q5_K_M": "Q5_K",
    "Q6_K": "Q6_K",
    "Q8_0": "Q8_0",
    "BF16": "BF16",
}
ALL = tuple(_KINDS)


def published(
    folder: Path, name: str, shape: Shape, quants: tuple[str, ...], n_params: int, **more: object
) -> ServedRepo:
    """A repository with these quantizations of a model."""
    short = name.rpartition("/")[2].removesuffix("-GGUF")
    files: dict[str, bytes | Path] = {"README.md": b"# A model\n"}
    for quant in quants:
        file = f"{short}-{quant}.gguf"
        kind = Shape(**{**shape.__dict__, "kind": _KINDS[quant]})
        files[file] = write(folder / name / file, kind.metadata(general__name=short), kind.tensors())
    sums = {path: f"{number:064x}" for number, path in enumerate(files)}
    return ServedRepo(name=name, files=files, n_params=n_params, _sums=sums, **more)  # type: ignore[arg-type]


def stocked(folder: Path) -> tuple[ServedRepo, ...]:
    """Some of what people look for."""
    gemma = published(
        folder,
        "google/gemma-3-4b-it-qat-q4_0-gguf",
        _FOUR_B,
        ("Q4_K_M",),
        3_880_000_000,
        is_gated=True,
        licence="gemma",
        n_downloads=48_211,
        n_likes=233,
        updated="2025-04-03T12:30:00.000Z",
    )
    thirty = published(
        folder,
        "unsloth/Qwen3-30B-A3B-GGUF",
        _THIRTY_B,
        ALL,
        30_532_122_624,
        n_downloads=1_204_511,
        n_likes=310,
        updated="2025-07-31T12:30:00.000Z",
    )
    thirty.files["mmproj-F16.gguf"] = b"GGUF" + bytes(1000)
    return (
        published(
            folder,
            "Qwen/Qwen3-4B-GGUF",
            _FOUR_B,
            ("Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"),
            4_022_468_096,
            n_downloads=98_406,
            n_likes=71,
            updated="2025-05-21T12:30:00.000Z",
        ),
        thirty,
        published(
            folder,
            "bartowski/Qwen_Qwen3-4B-GGUF",
            _FOUR_B,
            ALL,
            4_022_468_096,
            n_downloads=33_002,
            n_likes=18,
            updated="2025-05-02T12:30:00.000Z",
            hubs=("huggingface",),
        ),
        published(
            folder,
            "somebody/Qwen3-4B-abliterated-with-a-name-that-is-very-long-indeed-GGUF",
            _FOUR_B,
            ("Q4_K_M",),
            4_022_468_096,
            n_downloads=512,
            n_likes=3,
            licence="",
            updated="2025-06-11T12:30:00.000Z",
        ),
        gemma,
    )


@cache
def open_shelf() -> HubServer:
    """A hub with all of that, for as long as the tests run."""
    folder = TemporaryDirectory(prefix="hub-shelf-")
    atexit.register(folder.cleanup)
    server = HubServer(*stocked(Path(folder.name)))
    server.__enter__()
    atexit.register(server.__exit__, None, None, None)
    return server


def finding_on(server: HubServer) -> Finding:
    """A search over both hubs, which are this server."""
    return Finding(lambda: Hubs([HuggingFace(server.url), ModelScope(server.url)]))


def as_nobody(monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str] = os.environ) -> None:
    """Without the tokens, mirrors and proxies of whoever runs the tests."""
    for name in list(environ):
        if name.startswith(("HF_", "HUGGING", "MODELSCOPE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
