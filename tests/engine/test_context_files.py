"""A KV cache kept as a file: taken back by another process, only when everything agrees, and never at the cost of more
than time."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import DENSE, MOE, TINY, pid_of
from tests.engine.asking import ask, user
from tests.engine.model_files import N_VOCAB, with_vocabulary
from tests.engine.vulkan import ON_GPU, vulkan_engine
from tests.models.gguf_files import Shape
from tui.engine import contextfile
from tui.engine.checkpoints import Checkpoint, Snapshot
from tui.engine.contextfile import ContextFileError, ContextKey, read, write
from tui.engines.interface import Engine
from tui.engines.local import LocalEngine
from tui.protocol.messages import ReadAhead, RestoreContext, SaveContext
from tui.protocol.records import LoadSettings, Message

QUESTION = user("用Python写冒泡排序")
KEY = ContextKey(model="a", build="b", type_k="f16", type_v="f16", flash_attn=True, rope="freq_base 10000")


def answered(text: str) -> Message:
    return Message(role="assistant", content=text)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "contexts" / "one.kv"


# A real engine ----------------------------------------------------------------------------------------------------


async def test_another_process_takes_it_back_and_evaluates_no_more_than_one_that_never_ended(file: Path) -> None:
    async with LocalEngine() as engine:
        await engine.load(DENSE, TINY)
        first = await ask(engine, QUESTION, thinking=False)
        saved = await engine.ask(SaveContext(path=str(file)))
        assert saved.problem is None and saved.n_tokens == first.done.n_used
        assert saved.n_bytes == file.stat().st_size
        unbroken = await ask(engine, QUESTION, answered(first.text), user("谢谢"), thinking=False)
    async with LocalEngine() as engine:
        await engine.load(DENSE, TINY)
        restored = await engine.ask(RestoreContext(path=str(file)))
        assert (restored.problem, restored.n_tokens) == (None, saved.n_tokens)
        again = await ask(engine, QUESTION, answered(first.text), user("谢谢"), thinking=False)
    assert again.text == unbroken.text
    # Qwen's template has an empty thought before an answer without thinking, and drops it once the answer is old.
    assert again.started.n_cached == unbroken.started.n_cached >= first.started.n_prompt - 8
    assert again.done.timings.n_prefill == again.started.n_prompt - again.started.n_cached


@pytest.mark.parametrize("n_ubatch", [16, 512])
@pytest.mark.asyncio(loop_scope="module")
async def test_read_ahead_leaves_only_the_new_message_to_evaluate(shared_tiny: Engine, n_ubatch: int) -> None:
    await shared_tiny.load(DENSE, msgspec.structs.replace(TINY, n_batch=n_ubatch, n_ubatch=n_ubatch))
    first = await ask(shared_tiny, QUESTION, thinking=True)
    assert first.thinking
    known = [QUESTION, answered(first.text)]
    unprepared = await ask(shared_tiny, *known, user("谢谢"), thinking=True)
    assert unprepared.done.timings.n_prefill > 40
    await ask(shared_tiny, QUESTION, thinking=True)
    await shared_tiny.ask(ReadAhead(messages=tuple(known), thinking=True))
    prepared = await ask(shared_tiny, *known, user("谢谢"), thinking=True)
    assert prepared.text == unprepared.text and prepared.thinking == unprepared.thinking
    assert prepared.done.timings.n_prefill <= 16  # a short message between the marks of the template


WRITTEN = "one two three four five six seven eight nine ten " * 4


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("sent", [f"{WRITTEN}and more", f"{WRITTEN[:150]}, or not"], ids=["goes on", "was changed"])
async def test_what_is_written_of_the_next_message_is_read_ahead_too(shared_tiny: Engine, sent: str) -> None:
    known = [QUESTION, answered("一" * 40)]
    unprepared = await ask(shared_tiny, *known, user(sent), thinking=False)
    await ask(shared_tiny, user("another"), thinking=False, max_tokens=1)
    for typed in (WRITTEN[:20], WRITTEN[:77], WRITTEN):
        await shared_tiny.ask(ReadAhead(messages=tuple(known), text=typed, thinking=False))
    prepared = await ask(shared_tiny, *known, user(sent), thinking=False)
    assert prepared.text == unprepared.text
    assert prepared.done.timings.n_prefill <= 24  # the end of the message, and of the template


@pytest.mark.asyncio(loop_scope="module")
async def test_read_ahead_stops_when_it_is_cancelled_and_the_next_answer_is_right(shared: Engine) -> None:
    await shared.load(DENSE, msgspec.structs.replace(TINY, n_batch=32, n_ubatch=32))
    known = [user("one two three " * 150), answered("four five six " * 150)]
    ahead = asyncio.create_task(shared.ask(ReadAhead(messages=tuple(known))))
    await asyncio.sleep(0)  # lets the command go out
    ahead.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ahead
    again = await ask(shared, *known, user("ping"), thinking=False, max_tokens=8)
    await shared.load(DENSE, TINY)
    assert again.text == (await ask(shared, *known, user("ping"), thinking=False, max_tokens=8)).text


@pytest.mark.asyncio(loop_scope="module")
async def test_read_ahead_does_nothing_where_no_room_would_be_left(shared_tiny: Engine) -> None:
    await shared_tiny.ask(ReadAhead(messages=(user("one two three " * 700), answered("four"))))
    assert (await ask(shared_tiny, user("ping"), thinking=False)).started.n_cached == 0


async def test_what_the_template_keeps_is_not_evaluated_again(file: Path) -> None:
    async with LocalEngine() as engine:
        await engine.load(DENSE, TINY)
        known = [QUESTION, answered("一" * 40), user("谢谢")]
        await ask(engine, *known, thinking=False, max_tokens=1)
        await engine.ask(SaveContext(path=str(file)))
    async with LocalEngine() as engine:
        await engine.load(DENSE, TINY)
        await engine.ask(RestoreContext(path=str(file)))
        # The question as it stood, asked once more: all of it is known but the token whose logits are needed.
        again = await ask(engine, *known, thinking=False, max_tokens=1)
        assert again.done.timings.n_prefill == 1 and again.started.n_cached == again.started.n_prompt - 1


async def test_what_was_thought_is_not_in_the_next_prompt_so_all_before_it_is_what_is_reused(file: Path) -> None:
    async with LocalEngine() as engine:
        await engine.load(DENSE, TINY)
        turns = [QUESTION]
        first = await ask(engine, *turns, thinking=True)
        assert first.thinking
        await engine.ask(SaveContext(path=str(file)))
        await engine.restart()
        await engine.load(DENSE, TINY)
        await engine.ask(RestoreContext(path=str(file)))
        again = await ask(engine, *turns, answered(first.text), user("谢谢"), thinking=True)
        assert first.started.n_prompt - 8 <= again.started.n_cached < first.done.n_used


@pytest.mark.parametrize(
    ("model", "settings", "problem"),
    [
        (MOE, TINY, "other_model"),
        (DENSE, msgspec.structs.replace(TINY, type_k="q8_0"), "other_settings"),
        (DENSE, msgspec.structs.replace(TINY, flash_attn="off"), "other_settings"),
    ],
    ids=["model", "KV type", "flash attention"],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_does_not_agree_is_refused_and_the_prompt_evaluated(
    shared_tiny: Engine, file: Path, model: Path, settings: LoadSettings, problem: str
) -> None:
    await ask(shared_tiny, user("hello"), thinking=False)
    await shared_tiny.ask(SaveContext(path=str(file)))
    await shared_tiny.load(model, settings)
    restored = await shared_tiny.ask(RestoreContext(path=str(file)))
    assert (restored.problem, restored.n_tokens) == (problem, 0)
    reply = await ask(shared_tiny, user("ping"), thinking=False)
    assert reply.text == "pong" and reply.started.n_cached == 0


@pytest.mark.parametrize(("original", "problem"), [(0, None), (1024, "other_settings")], ids=["as usual", "LongRoPE"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_longer_context_takes_it_unless_it_turns_positions_otherwise(
    shared: Engine, file: Path, tmp_path: Path, original: int, problem: str | None
) -> None:
    more = {"qwen3__rope__scaling__original_context_length": original} if original else {}
    model = with_vocabulary(Shape(n_vocab=N_VOCAB), tmp_path / "model.gguf", **more)
    await shared.load(model, msgspec.structs.replace(TINY, n_ctx=512))
    first = await ask(shared, user("hello"), max_tokens=4)
    await shared.ask(SaveContext(path=str(file)))
    await shared.load(model, TINY)
    restored = await shared.ask(RestoreContext(path=str(file)))
    assert (restored.problem, restored.n_tokens) == (problem, 0 if problem else first.done.n_used)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_model_file_that_was_changed_is_another_model(shared_tiny: Engine, file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model.gguf"
    shutil.copy(DENSE, copy)
    await shared_tiny.load(copy, TINY)
    await ask(shared_tiny, user("hello"), thinking=False)
    await shared_tiny.ask(SaveContext(path=str(file)))
    os.utime(copy, ns=(time.time_ns(), copy.stat().st_mtime_ns + 1))
    await shared_tiny.load(copy, TINY)
    assert (await shared_tiny.ask(RestoreContext(path=str(file)))).problem == "other_model"


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_longer_than_the_context_now_is_refused(shared_tiny: Engine, file: Path) -> None:
    first = await ask(shared_tiny, user("Count to 100"), thinking=False)
    await shared_tiny.ask(SaveContext(path=str(file)))
    loaded = await shared_tiny.load(DENSE, msgspec.structs.replace(TINY, n_ctx=256))
    assert loaded.n_ctx <= first.done.n_used
    assert (await shared_tiny.ask(RestoreContext(path=str(file)))).problem == "too_long"
    assert (await ask(shared_tiny, user("ping"), thinking=False)).text == "pong"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.999])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_file_that_was_cut_short_costs_nothing_but_time(shared_tiny: Engine, file: Path, share: float) -> None:
    await ask(shared_tiny, user("hello"), thinking=False)
    saved = await shared_tiny.ask(SaveContext(path=str(file)))
    os.truncate(file, int(saved.n_bytes * share))
    assert (await shared_tiny.ask(RestoreContext(path=str(file)))).problem == "damaged"
    # What the engine had is still there.
    again = await ask(shared_tiny, user("hello"), thinking=False)
    assert again.done.timings.n_prefill == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_a_state_that_llama_cpp_refuses_leaves_an_empty_cache(shared_tiny: Engine, file: Path) -> None:
    await ask(shared_tiny, user("hello"), thinking=False)
    await shared_tiny.ask(SaveContext(path=str(file)))
    key, snapshot = _open(file)
    write(file, key, msgspec.structs.replace(snapshot, state=snapshot.state[: len(snapshot.state) // 2]))
    assert (await shared_tiny.ask(RestoreContext(path=str(file)))).problem == "damaged"
    reply = await ask(shared_tiny, user("ping"), thinking=False)
    assert reply.text == "pong" and reply.started.n_cached == 0


@pytest.mark.asyncio(loop_scope="module")
async def test_no_file_is_no_harm(shared_tiny: Engine, file: Path) -> None:
    assert (await shared_tiny.ask(RestoreContext(path=str(file)))).problem == "missing"


@pytest.mark.asyncio(loop_scope="module")
async def test_an_empty_cache_is_not_written(shared_tiny: Engine, file: Path) -> None:
    assert (await shared_tiny.ask(SaveContext(path=str(file)))).problem == "empty"
    assert not file.exists()


@pytest.mark.asyncio(loop_scope="module")
async def test_one_that_is_larger_than_allowed_is_not_written(shared_tiny: Engine, file: Path) -> None:
    await ask(shared_tiny, user("hello"), thinking=False)
    assert (await shared_tiny.ask(SaveContext(path=str(file), max_bytes=1000))).problem == "too_large"
    assert not file.exists()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_disk_that_is_full_in_the_middle_leaves_the_old_file_and_a_working_engine(
    shared_tiny: Engine, file: Path
) -> None:
    await ask(shared_tiny, user("hello"), thinking=False)
    await shared_tiny.ask(SaveContext(path=str(file)))
    before = file.read_bytes()
    await ask(shared_tiny, QUESTION, thinking=False)
    limit = len(before) // 2
    resource.prlimit(pid_of(shared_tiny), resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    saved = await shared_tiny.ask(SaveContext(path=str(file)))
    assert (saved.problem, saved.n_bytes) == ("disk", 0) and "File too large" in saved.detail
    assert file.read_bytes() == before and list(file.parent.iterdir()) == [file]
    assert (await ask(shared_tiny, user("ping"), thinking=False)).text == "pong"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_folder_that_cannot_be_made_is_said(shared_tiny: Engine, tmp_path: Path) -> None:
    (tmp_path / "contexts").write_text("a file in the way")
    await ask(shared_tiny, user("hello"), thinking=False)
    assert (await shared_tiny.ask(SaveContext(path=str(tmp_path / "contexts" / "one.kv")))).problem == "disk"


async def test_it_goes_from_the_cpu_to_the_gpu_and_back(file: Path) -> None:
    cpu = msgspec.structs.replace(TINY, flash_attn="off")
    async with vulkan_engine() as engine:
        for settings in (cpu, msgspec.structs.replace(ON_GPU, flash_attn="off"), cpu):
            await engine.load(DENSE, settings)
            restored = await engine.ask(RestoreContext(path=str(file)))
            assert (restored.problem == "missing") == (settings is cpu and not file.exists())
            reply = await ask(engine, user("hello"), thinking=False)
            assert reply.text.startswith("Hello!") and (reply.done.timings.n_prefill == 1) == (restored.n_tokens > 0)
            await engine.ask(SaveContext(path=str(file)))


# The file alone ---------------------------------------------------------------------------------------------------


def _open(file: Path) -> tuple[ContextKey, Snapshot]:
    """Key and content of a file, whatever its key is."""
    raw = file.read_bytes()
    n_header = int.from_bytes(raw[12:16], "little")
    header = msgspec.msgpack.decode(raw[16 : 16 + n_header], type=contextfile._ContextHeader)
    return header.key, read(file, header.key)


def _of(tokens: list[int], state: bytes = b"state", *places: tuple[int, bytes]) -> Snapshot:
    """What was read, with places that it can go back to."""
    checkpoints = (Checkpoint(n_past=n, state=bytearray(kept), is_border=n % 2 == 0) for n, kept in places)
    return Snapshot(tokens=tokens, state=bytearray(state), checkpoints=tuple(checkpoints))


def test_what_was_written_is_read(file: Path) -> None:
    snapshot = _of([1, 2, 300_000], b"state", (1, b"one"), (2, b"two, longer"))
    write(file, KEY, snapshot)
    assert read(file, KEY) == snapshot


def test_others_may_not_read_what_was_said(file: Path) -> None:
    write(file, KEY, _of([1]))
    assert file.stat().st_mode & 0o077 == 0 and file.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("field", ["build", "type_k", "type_v", "flash_attn", "rope", "model"])
def test_each_part_of_the_key_counts(file: Path, field: str) -> None:
    write(file, KEY, _of([1]))
    with pytest.raises(ContextFileError) as refused:
        read(file, msgspec.structs.replace(KEY, **{field: "other"}))
    assert refused.value.problem == {"model": "other_model", "build": "other_build"}.get(field, "other_settings")


@given(tokens=st.lists(st.integers(0, 2**31 - 1), max_size=20), state=st.binary(max_size=200), data=st.data())
def test_one_flipped_bit_anywhere_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, tokens: list[int], state: bytes, data: st.DataObject
) -> None:
    file = tmp_path_factory.getbasetemp() / "flipped.kv"
    n_bytes = write(file, KEY, _of(tokens, state, *((n + 1, state) for n in range(len(tokens)))))
    raw = bytearray(file.read_bytes())
    assert len(raw) == n_bytes
    bit = data.draw(st.integers(0, 8 * n_bytes - 1))
    raw[bit // 8] ^= 1 << bit % 8
    file.write_bytes(raw)
    with pytest.raises(ContextFileError) as refused:
        read(file, KEY)
    assert refused.value.problem not in ("missing", "disk", "memory")


@given(raw=st.binary(max_size=300), with_magic=st.booleans())
def test_anything_else_is_refused(tmp_path_factory: pytest.TempPathFactory, raw: bytes, with_magic: bool) -> None:
    file = tmp_path_factory.getbasetemp() / "noise.kv"
    file.write_bytes(contextfile.MAGIC * with_magic + raw)
    with pytest.raises(ContextFileError):
        read(file, KEY)


def test_the_disk_is_not_filled_to_the_brim(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contextfile, "SPARE_DISK_BYTES", 1 << 62)
    with pytest.raises(ContextFileError) as refused:
        write(file, KEY, _of([1]))
    assert refused.value.problem == "disk" and list(file.parent.iterdir()) == []
