"""Hubs on 127.0.0.1, asked through the real libraries by nobody: without tokens and proxies of whoever runs
the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hubserver.server import HubServer
from tui.hubs.huggingface import HuggingFace
from tui.hubs.interface import Hub
from tui.hubs.modelscope import ModelScope
from tui.hubs.records import HubName

HUBS: tuple[HubName, ...] = ("huggingface", "modelscope")


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable that hubs, their libraries or their HTTP clients read, and an empty home."""
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING", "MODELSCOPE_", "SSL_CERT", "REQUESTS_")) or name.lower().endswith(
            "_proxy"
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "home" / "token"))


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as running:
        yield running


def client(name: HubName, endpoint: str) -> Hub:
    """The client of a hub that is served at `endpoint`."""
    return HuggingFace(endpoint) if name == "huggingface" else ModelScope(endpoint)


@pytest.fixture(params=HUBS)
def hub(request: pytest.FixtureRequest, server: HubServer) -> Hub:
    """Each hub's client in turn."""
    return client(request.param, server.url)
