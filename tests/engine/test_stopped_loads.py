"""A load that failed or was cancelled, in each of its phases: the front end knows what is loaded then."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from tests.conftest import DENSE, MOE, TINY, pid_of
from tests.engine.asking import ask, user
from tests.engine.model_files import N_VOCAB, with_vocabulary
from tests.models.gguf_files import Shape, write
from tui.engines import client
from tui.engines.interface import Engine, EngineError
from tui.protocol.messages import Count, Loaded, Unload

LARGE = Shape(n_vocab=N_VOCAB, n_embd=512, n_layers=8, n_expert=64, n_expert_used=1, n_ff_expert=512)
"""220 MB, to be read and laid out anew, and hardly more to compute than with the tiny models."""
OTHER = msgspec.structs.replace(TINY, n_ubatch=64)
READ = msgspec.structs.replace(TINY, use_mmap=False)
"""A mapped file whose weights are used as they lie in it is loaded in no time."""
QUESTION = user("What is the capital of France?")


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file that takes a while to load; its weights are a hole, and not in the page cache."""
    return with_vocabulary(LARGE, tmp_path / "large.gguf")


Progress = Callable[[float], None]


async def cancel(
    engine: Engine, load: Callable[[Progress], Coroutine[object, object, Loaded]], at: float, times: int = 1
) -> list[float]:
    """Cancel a load once it is at this fraction, or beyond; what it told until then. The process stands still while it
    is being cancelled: on a busy machine it could be done otherwise."""
    seen: list[float] = []
    reached = asyncio.Event()

    def progress(fraction: float) -> None:
        seen.append(fraction)
        if fraction >= at and not reached.is_set():
            os.kill(pid_of(engine), signal.SIGSTOP)
            reached.set()

    task = asyncio.create_task(load(progress))
    await reached.wait()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)  # lets the task hear of it
    os.kill(pid_of(engine), signal.SIGCONT)
    with pytest.raises(asyncio.CancelledError):
        await task
    return seen


@pytest.mark.asyncio(loop_scope="module")
async def test_cancel_while_the_file_is_read_ahead_loads_nothing(shared: Engine, large: Path) -> None:
    seen = await cancel(shared, lambda progress: shared.load(large, TINY, progress), at=0.0)
    assert shared.loaded is None  # it is not known yet
    assert seen[-1] < 0.5 and await shared.settled() is None
    assert not any("llama_model_loader" in line for line in shared.log)  # llama.cpp was not asked
    with pytest.raises(EngineError) as refused:
        await shared.ask(Count(messages=(QUESTION,)))
    assert refused.value.info.kind == "no_model"
    await shared.load(DENSE, TINY)
    assert (await ask(shared, user("ping"), thinking=False)).text == "pong"


@pytest.mark.parametrize("use_mmap", [True, False], ids=["mapped", "read"])
@pytest.mark.asyncio(loop_scope="module")
async def test_cancel_while_llama_cpp_loads_ends_inside_it(shared: Engine, large: Path, use_mmap: bool) -> None:
    settings = msgspec.structs.replace(TINY, use_mmap=use_mmap)
    whole = await shared.load(large, settings)  # from here on it is in the page cache
    if use_mmap and not whole.llama.repacked:
        pytest.skip("this CPU uses the weights as they lie in the file: a mapped one is loaded in no time")
    await shared.ask(Unload())
    seen = await cancel(shared, lambda progress: shared.load(large, settings, progress), at=0.501)
    assert 0.5 < seen[-1] < 1.0
    assert await shared.settled() is None and shared.alive
    with pytest.raises(EngineError):
        await shared.ask(Count(messages=(QUESTION,)))


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cancelled_load_ends_before_the_next_begins(shared: Engine, large: Path) -> None:
    await cancel(shared, lambda progress: shared.load(large, TINY, progress), at=0.0)
    loaded = await shared.load(DENSE, TINY)
    assert shared.loaded is loaded and loaded.path == str(DENSE)
    assert (await ask(shared, user("ping"), thinking=False)).text == "pong"


@pytest.mark.asyncio(loop_scope="module")
async def test_cancelled_in_its_last_moment_front_end_and_engine_agree(shared: Engine) -> None:
    await cancel(shared, lambda progress: shared.load(DENSE, TINY, progress), at=1.0)
    loaded = await shared.settled()
    assert shared.loaded is loaded
    if loaded is None:
        with pytest.raises(EngineError):
            await shared.ask(Count(messages=(QUESTION,)))
    else:
        assert (await shared.ask(Count(messages=(QUESTION,)))).n_tokens > 0


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cancelled_change_of_settings_brings_the_old_ones_back_with_the_cache(
    shared: Engine, large: Path
) -> None:
    before = await shared.load(large, READ)
    first = await ask(shared, QUESTION, max_tokens=2)
    other = msgspec.structs.replace(READ, n_ubatch=64)
    seen = await cancel(
        shared, lambda progress: shared.load(large, other, progress, keep_context=True), at=0.501, times=2
    )
    interrupted = shared.loaded
    assert seen[-1] < 1.0 and interrupted is None
    assert await shared.settled() is before is shared.loaded
    again = await ask(shared, QUESTION, max_tokens=2)
    assert again.done.timings.n_prefill == 1 and again.text == first.text


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cancelled_load_beside_the_old_model_changes_nothing_however_often_it_is_cancelled(
    shared_tiny: Engine, large: Path
) -> None:
    before = shared_tiny.loaded
    first = await ask(shared_tiny, QUESTION, thinking=False)
    for settings, at, times in ((TINY, 0.0, 1), (READ, 0.501, 3)):
        load = functools.partial(shared_tiny.load, large, settings, load_first=True)
        await cancel(shared_tiny, load, at=at, times=times)
        assert shared_tiny.loaded is before is not None
    again = await ask(shared_tiny, QUESTION, thinking=False)
    assert again.text == first.text and again.done.timings.n_prefill == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_cancelled_beside_the_old_model_in_the_last_moment_what_is_loaded_is_known(shared_tiny: Engine) -> None:
    before = shared_tiny.loaded
    await cancel(shared_tiny, lambda progress: shared_tiny.load(MOE, TINY, progress, load_first=True), at=1.0, times=2)
    now = shared_tiny.loaded
    assert now and (now is before or now.path == str(MOE))
    assert ("moe" in now.description) == (now is not before)
    assert (await ask(shared_tiny, user("ping"), thinking=False)).text == "pong"


async def test_a_load_beside_another_model_that_never_ends_costs_the_process_and_no_more(
    tiny: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "STAY_GRACE_S", 0.01)
    load = asyncio.create_task(tiny.load(MOE, TINY, load_first=True))
    await asyncio.sleep(0)  # lets the command go out
    os.kill(pid_of(tiny), signal.SIGSTOP)  # as llama.cpp may in a file that was made so
    load.cancel()
    with pytest.raises(asyncio.CancelledError):
        await load
    assert tiny.loaded is None and not tiny.alive and "did not stop" in tiny.log[-1]
    await tiny.restart()
    await tiny.load(DENSE, TINY)
    assert (await ask(tiny, user("ping"), thinking=False)).text == "pong"


@pytest.mark.asyncio(loop_scope="module")
async def test_when_new_and_old_settings_both_fail_nothing_is_loaded(shared: Engine, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    shutil.copy(DENSE, path)
    await shared.load(path, msgspec.structs.replace(TINY, use_mmap=False))
    write(path, Shape().metadata(), Shape().tensors()[:-1])  # only llama.cpp notices what is missing
    with pytest.raises(EngineError) as refused:
        await shared.load(path, OTHER, keep_context=True)
    assert refused.value.info.kind == "model_unsupported" and shared.loaded is None
    assert any("cannot be loaded again" in line for line in shared.log)
    with pytest.raises(EngineError):
        await shared.ask(Count(messages=(QUESTION,)))


@pytest.mark.asyncio(loop_scope="module")
async def test_a_file_that_cannot_be_a_model_leaves_what_is_loaded(shared_tiny: Engine, tmp_path: Path) -> None:
    before = shared_tiny.loaded
    path = tmp_path / "model.gguf"
    path.write_bytes(b"this is no GGUF file" * 50)
    with pytest.raises(EngineError) as refused:
        await shared_tiny.load(path, TINY)
    assert refused.value.info.kind == "model_unreadable" and shared_tiny.loaded is before is not None
    assert (await ask(shared_tiny, user("ping"), thinking=False)).text == "pong"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_file_that_is_not_there_leaves_what_is_loaded(shared_tiny: Engine, tmp_path: Path) -> None:
    before = shared_tiny.loaded
    with pytest.raises(EngineError) as refused:
        await shared_tiny.load(tmp_path / "nowhere.gguf", TINY)
    assert refused.value.info.kind == "model_not_found" and shared_tiny.loaded is before is not None
    assert (await ask(shared_tiny, user("ping"), thinking=False)).text == "pong"


@pytest.mark.asyncio(loop_scope="module")
async def test_settings_that_fail_leave_the_very_record_of_the_old_ones(shared_tiny: Engine) -> None:
    before = shared_tiny.loaded
    with pytest.raises(EngineError):
        await shared_tiny.load(DENSE, msgspec.structs.replace(TINY, devices=("Vulkan9",)), keep_context=True)
    assert shared_tiny.loaded is before is not None


@pytest.mark.asyncio(loop_scope="module")
async def test_a_load_that_fails_after_the_old_model_was_freed_leaves_nothing(shared_tiny: Engine) -> None:
    with pytest.raises(EngineError):
        await shared_tiny.load(DENSE, msgspec.structs.replace(TINY, devices=("Vulkan9",)))
    assert shared_tiny.loaded is None


async def test_whoever_waits_for_a_load_to_settle_is_told_when_the_process_ends(engine: Engine, large: Path) -> None:
    load = asyncio.create_task(engine.load(large, TINY))
    await asyncio.sleep(0)  # lets the command go out
    settled = asyncio.create_task(engine.settled())
    os.kill(pid_of(engine), signal.SIGKILL)
    assert await settled is None
    with suppress(Exception):
        await load
    assert engine.loaded is None
