"""Engines with Vulkan for the tests: on llvmpipe, and with a driver that fails when it is told to."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from tests.conftest import TINY
from tests.engine.preloaded import compiled
from tui.engines.interface import Engine
from tui.engines.local import LocalEngine
from tui.machine.vulkan import engine_environment, probe

ON_GPU = msgspec.structs.replace(TINY, devices=("Vulkan0",))


def require_vulkan(devices: tuple[str, ...]) -> None:
    """Skip unless these devices of an engine have one of Vulkan; fail where Vulkan was asked for by name."""
    if "Vulkan0" not in devices:
        why = "this llama.cpp was built without Vulkan, or the machine has no Vulkan driver"
        if os.environ.get("LLMTUI_BACKEND", "").lower() == "vulkan":
            pytest.fail(f"LLMTUI_BACKEND=vulkan, and {why}")
        pytest.skip(why)


@asynccontextmanager
async def vulkan_engine(**environment: str) -> AsyncIterator[Engine]:
    """An engine that sees llvmpipe, or skip."""
    async with LocalEngine(env={**engine_environment(software=True), **environment}) as engine:
        assert engine.hello
        require_vulkan(tuple(device.name for device in engine.hello.devices))
        yield engine


class Driver:
    """llvmpipe with a hand on it: what is asked of it is counted, and it fails from `fail` on."""

    def __init__(self, folder: Path, fault: str = "") -> None:
        if probe().loader_error:
            pytest.skip("this machine has no Vulkan loader")
        self._notes, self._trigger = folder / "notes", folder / "trigger"
        self.environment = {
            **engine_environment(software=True),
            "LD_PRELOAD": str(compiled("vulkan_faults")),
            "VULKAN_NOTES": str(self._notes),
            "VULKAN_TRIGGER": str(self._trigger),
            "VULKAN_FAULT": fault,
        }

    def fail(self) -> None:
        """From now on the call that `fault` names fails."""
        self._trigger.touch()

    def recover(self) -> None:
        """It works again."""
        self._trigger.unlink()

    def _count(self, what: str) -> int:
        return self._notes.read_text().count(what) if self._notes.exists() else 0

    @property
    def n_submits(self) -> int:
        """Batches of work that were sent to the device."""
        return self._count("s")

    @property
    def n_allocations(self) -> int:
        """Pieces of memory that were taken on the device or for it."""
        return self._count("m")


def use(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines that are started from here on run on this driver."""
    for name, value in driver.environment.items():
        monkeypatch.setenv(name, value)
