"""What the tests share: the tiny trained models, an engine process, and folders that are nobody's home."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import pytest_asyncio

from tests.homes import FOLDERS, FOREIGN
from tests.patience import PATIENCE_S
from tests.places import CHECKOUT, DATA
from tui.config import paths
from tui.engines.interface import Engine
from tui.engines.local import LocalEngine
from tui.measure.kept_bandwidth import ENOUGH, KeptBandwidth
from tui.protocol.messages import Hello
from tui.protocol.records import LoadSettings

MODELS = DATA / "models"
DENSE = MODELS / "tiny-qwen3-q8_0.gguf"
MOE = MODELS / "tiny-qwen3moe-q8_0.gguf"
TINY = LoadSettings(n_ctx=2048, n_threads=1)
"""Two threads on a busy machine are slower than one with models this small."""

# On a busy machine the time that an example takes says nothing about it. CI tries the same examples each time, so that
# a change is judged by what it changes; new ones are found where people work.
hypothesis.settings.register_profile(
    "busy",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
hypothesis.settings.load_profile("busy")


async def until(condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    """Wait until `condition()` holds, looking at it every few milliseconds. One that is long to look at, such as what
    stands on a screen, takes a fifth of the time at most: the rest is for what is waited for."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + within_s
    began = clock()
    while not condition():
        assert clock() < deadline, "waited in vain"
        await asyncio.sleep(min(0.2, max(0.005, 4 * (clock() - began))))
        began = clock()


def pid_of(engine: Engine) -> int:
    """The process of an engine that runs on this machine."""
    assert engine.pid is not None, "the engine does not run"
    return engine.pid


# Python looks for cycles all the time, and through all that thousands of tests are made of: a quarter of the time of
# those with an app. Here what a few tests have left is collected at once, and what all of them are made of, modules and
# the tests themselves, is left out of that.
gc.set_threshold(200_000, 1_000, 1_000)
_TESTS_BETWEEN_COLLECTIONS = 15
_n_tests = 0


def pytest_collection_finish() -> None:
    """See above."""
    gc.collect()
    gc.freeze()


def pytest_runtest_teardown() -> None:
    """See above."""
    global _n_tests
    _n_tests += 1
    if _n_tests % _TESTS_BETWEEN_COLLECTIONS == 0:
        gc.collect()


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Programs under test can be interrupted, even where the tests run in the background of a script: a shell starts
    such jobs with SIGINT ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def bytecode() -> None:
    """Compiled once for all processes: where Python is told to leave no bytecode beside the sources, each of the two
    thousand that the tests start would compile llmtui again, which takes as long as all else at its start."""
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        os.environ.setdefault("PYTHONPYCACHEPREFIX", str(CHECKOUT / ".pytest_cache" / "bytecode"))


@pytest.fixture(scope="session", autouse=True)
def resting_threads() -> None:
    """llama.cpp's threads rest while they wait for each other. They would spin, which is quicker where each has a core
    of its own; here several engines share a few, and most of the time would go into waiting."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@pytest.fixture(scope="session", autouse=True)
def shader_cache() -> None:
    """The user's own, although the tests' homes are all new: compiling llama.cpp's shaders for a processor takes half a
    minute."""
    users = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    os.environ.setdefault("MESA_SHADER_CACHE_DIR", users)


@pytest.fixture(scope="session", autouse=True)
def fonts() -> None:
    """Which ones this machine has is found out once, and not by each process that draws a picture in a home of its own:
    that takes matplotlib as long as all the rest."""
    os.environ.setdefault("MPLCONFIGDIR", str(CHECKOUT / ".pytest_cache" / "matplotlib"))


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder: no test sees the settings, models or conversations of whoever runs it."""
    home = tmp_path_factory.mktemp("home")
    for name, folder in FOLDERS.items():
        monkeypatch.setenv(name, str(home / folder))
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)
    for name in ("LC_ALL", "LC_MESSAGES", "LANGUAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("LLMTUI_BRIEF_BANDWIDTH", "1")
    monkeypatch.setenv("LLMTUI_BACKGROUND", "0")  # what has started the app can end it, and nothing is left
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    return home


def say_memory_was_measured() -> None:
    """In the home folder that is set, this machine's memory counts as measured, without a result: no speed is told, and
    no second spent on measuring it."""
    kept, hello = KeptBandwidth(paths.bandwidth_file()), Hello(pid=0, llama_cpp="", devices=())
    for _ in range(ENOUGH):
        kept.add(hello, ("CPU",), {})


@pytest.fixture(scope="session")
def dialogs() -> list[dict[str, Any]]:
    """Conversations with the exact greedy reply that both tiny models give."""
    everything: list[dict[str, Any]] = json.loads((MODELS / "expected.json").read_text())
    return [
        d
        for d in everything
        if not d.get("tools") and {m["role"] for m in d["messages"]} <= {"system", "user", "assistant"}
    ]


@pytest_asyncio.fixture
async def engine() -> AsyncIterator[Engine]:
    """A running engine process with nothing loaded."""
    async with LocalEngine() as engine:
        yield engine


@pytest_asyncio.fixture
async def tiny(engine: Engine) -> Engine:
    """An engine with the tiny dense model loaded on one thread."""
    await engine.load(DENSE, TINY)
    return engine
