"""An engine that the tests of a file use one after the other: to start one takes longer than most of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.conftest import DENSE, TINY
from tui.engines.interface import Engine
from tui.engines.local import LocalEngine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_engine() -> AsyncIterator[LocalEngine]:
    """See `shared`."""
    async with LocalEngine() as engine:
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def shared(one_engine: LocalEngine) -> Engine:
    """An engine for tests that load what they ask, and leave it alive; what the test before has loaded may be there.
    They are marked with `asyncio(loop_scope="module")`, for it lives in the event loop of its file."""
    await one_engine.start()
    return one_engine


@pytest_asyncio.fixture(loop_scope="module")
async def shared_tiny(shared: Engine) -> Engine:
    """The same, with the tiny dense model loaded on one thread."""
    await shared.load(DENSE, TINY)
    return shared
