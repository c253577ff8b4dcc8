"""Loading: every setting reaches llama.cpp, progress, refusals, and what the file system can do to a model."""

from __future__ import annotations

import mmap
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.conftest import DENSE, MOE, TINY
from tests.engine.asking import ask, on_the_cpu, user
from tests.models.gguf_files import add_metadata
from tui.engines.interface import Engine, EngineError
from tui.protocol.messages import Unload
from tui.protocol.pipes import MOST_OF_A_LINE, Pipes
from tui.protocol.records import CacheType, LoadSettings


@pytest.mark.asyncio(loop_scope="module")
async def test_what_was_really_used_comes_back(shared: Engine) -> None:
    loaded = await shared.load(
        DENSE,
        LoadSettings(
            n_ctx=1024,
            n_threads=1,
            n_threads_batch=2,
            n_batch=256,
            n_ubatch=128,
            flash_attn="on",
            type_k="q8_0",
            type_v="q4_0",
        ),
    )
    assert (loaded.n_ctx, loaded.llama.n_batch, loaded.llama.n_ubatch) == (1024, 256, 128)
    assert (loaded.llama.n_threads, loaded.llama.n_threads_batch) == (1, 2)
    assert loaded.llama.flash_attn and (loaded.llama.type_k, loaded.llama.type_v) == ("q8_0", "q4_0")
    assert (loaded.llama.n_layers, loaded.llama.n_gpu_layers, loaded.llama.devices) == (5, 0, ())
    assert loaded.can_think and loaded.n_ctx_train == 4096


@pytest.mark.asyncio(loop_scope="module")
async def test_quantized_kv_caches_are_really_smaller(shared: Engine) -> None:
    async def kv_bytes(type_k: CacheType = "f16", type_v: CacheType = "f16") -> int:
        loaded = await shared.load(DENSE, LoadSettings(n_ctx=4096, n_threads=1, type_k=type_k, type_v=type_v))
        return sum(buffer.n_bytes for buffer in loaded.llama.buffers if buffer.purpose == "kv")

    full = await kv_bytes()
    # 4 layers x 2 heads x 32 wide x (K and V) x 2 bytes x 4,096 tokens.
    assert full == 4 * 2 * 32 * 2 * 2 * 4096
    # llama.cpp reports MiB with two decimals.
    assert await kv_bytes(type_k="q8_0", type_v="q8_0") == pytest.approx(full * 34 / 64, abs=2**20 / 100)
    assert await kv_bytes(type_k="q4_0", type_v="q4_0") == pytest.approx(full * 18 / 64, abs=2**20 / 100)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cpu_load_keeps_everything_in_host_memory(shared: Engine) -> None:
    loaded = await shared.load(MOE, TINY)
    assert on_the_cpu(loaded)


async def test_without_mmap_the_weights_are_read_into_private_memory(engine: Engine) -> None:
    mapped = await engine.load(DENSE, TINY)
    read = await engine.load(DENSE, LoadSettings(n_ctx=512, n_threads=1, use_mmap=False))
    assert "CPU_Mapped" in {buffer.device for buffer in mapped.llama.buffers}
    assert "CPU_Mapped" not in {buffer.device for buffer in read.llama.buffers}
    assert (await ask(engine, user("hello"), thinking=False)).text.startswith("Hello!")


@pytest.mark.asyncio(loop_scope="module")
async def test_progress_goes_from_nothing_to_all(shared: Engine) -> None:
    seen: list[float] = []
    await shared.load(DENSE, TINY, seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0 and seen[0] >= 0


@pytest.mark.asyncio(loop_scope="module")
async def test_flash_attention_off_is_off(shared: Engine) -> None:
    loaded = await shared.load(DENSE, LoadSettings(n_ctx=512, n_threads=1, flash_attn="off"))
    assert not loaded.llama.flash_attn


@pytest.mark.asyncio(loop_scope="module")
async def test_a_context_of_zero_takes_the_trained_size(shared: Engine) -> None:
    assert (await shared.load(DENSE, LoadSettings(n_ctx=0, n_threads=1))).n_ctx == 4096


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: None, "model_not_found"),
        (lambda path: path.mkdir(), "model_not_found"),
        (lambda path: path.write_bytes(b""), "model_unreadable"),
        (lambda path: path.write_bytes(b"this is no GGUF file" * 50), "model_unreadable"),
        (lambda path: path.write_bytes(DENSE.read_bytes()[:100_000]), "model_unreadable"),
        (lambda path: path.write_bytes(DENSE.read_bytes()[:-1000]), "model_unreadable"),
    ],
    ids=["missing", "folder", "empty", "garbage", "header cut", "data cut"],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_file_that_is_no_model_is_refused_and_the_engine_lives_on(
    shared: Engine, tmp_path: Path, make: Callable[[Path], object], kind: str
) -> None:
    await shared.ask(Unload())
    path = tmp_path / "model.gguf"
    make(path)
    with pytest.raises(EngineError) as refused:
        await shared.load(path, TINY)
    assert refused.value.info.kind == kind and refused.value.info.text
    assert shared.loaded is None and shared.alive
    await shared.load(DENSE, TINY)


@pytest.mark.asyncio(loop_scope="module")
async def test_contradicting_settings_are_refused_with_llama_cpps_reason(shared: Engine) -> None:
    with pytest.raises(EngineError) as refused:
        await shared.load(DENSE, LoadSettings(n_ctx=512, n_threads=1, flash_attn="off", type_v="q4_0"))
    assert refused.value.info.kind == "bad_settings" and "V cache" in refused.value.info.text


@pytest.mark.asyncio(loop_scope="module")
async def test_an_unknown_device_is_named_together_with_the_known_ones(shared: Engine) -> None:
    with pytest.raises(EngineError) as refused:
        await shared.load(DENSE, LoadSettings(devices=("Vulkan9",)))
    assert refused.value.info.kind == "bad_settings"
    assert "Vulkan9" in refused.value.info.text and "CPU" in refused.value.info.text


async def test_a_context_that_no_memory_can_hold_is_refused_as_such(engine: Engine) -> None:
    bytes_per_token = 4 * 2 * 32 * 2 * 4  # layers, heads, width, K and V, f32
    n_bytes = 2 * psutil.virtual_memory().total
    try:
        mmap.mmap(-1, n_bytes).close()
    except OSError:
        n_ctx = n_bytes // bytes_per_token
    else:
        pytest.skip("this kernel promises memory that it does not have, and kills who takes it")
    with pytest.raises(EngineError) as refused:
        await engine.load(DENSE, LoadSettings(n_ctx=n_ctx, n_threads=1, type_k="f32", type_v="f32", n_ubatch=32))
    assert refused.value.info.kind == "out_of_memory"
    assert engine.alive


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.asyncio(loop_scope="module")
async def test_a_file_without_permission_is_refused(shared: Engine, tmp_path: Path) -> None:
    path = tmp_path / "secret.gguf"
    shutil.copy(DENSE, path)
    path.chmod(0)
    with pytest.raises(EngineError) as refused:
        await shared.load(path, TINY)
    assert refused.value.info.kind == "model_unreadable" and "Permission denied" in refused.value.info.text


@pytest.mark.parametrize(
    ("name", "why"), [(b"bad\xff.gguf", "not UTF-8"), (b"x" * 300, "File name too long")], ids=["bytes", "long"]
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_name_that_cannot_be_opened_is_refused_and_what_is_loaded_stays(
    shared_tiny: Engine, tmp_path: Path, name: bytes, why: str
) -> None:
    before = shared_tiny.loaded
    with pytest.raises(EngineError, match=why) as refused:
        await shared_tiny.load(tmp_path / os.fsdecode(name), TINY, load_first=True)
    assert refused.value.info.kind == "model_unreadable"
    assert refused.value.info.text.encode()  # can be shown
    assert await shared_tiny.settled() is before is shared_tiny.loaded
    assert (await ask(shared_tiny, user("ping"), thinking=False)).text == "pong"


@pytest.mark.asyncio(loop_scope="module")
async def test_text_that_is_none_is_refused_and_the_engine_goes_on(shared_tiny: Engine) -> None:
    with pytest.raises(EngineError, match="lone surrogates"):
        await ask(shared_tiny, user("half a \ud83d"))
    assert (await ask(shared_tiny, user("ping"), thinking=False)).text == "pong"


def test_of_a_line_without_end_only_the_beginning_is_kept() -> None:
    lines: list[str] = []
    pipes = Pipes(lambda _: None, lines.append, lambda: None)
    for _ in range(200):
        pipes.pipe_data_received(2, b"x" * 65_536)
        assert len(pipes._partial) <= MOST_OF_A_LINE
    pipes.pipe_data_received(2, b"\n" + b"y" * 10_000 + b"\nnext\n")
    assert lines == ["x" * MOST_OF_A_LINE, "y" * MOST_OF_A_LINE, "next"]


async def test_a_text_of_any_length_in_a_file_is_no_line_of_the_log(engine: Engine, tmp_path: Path) -> None:
    path = add_metadata(DENSE, tmp_path / "long.gguf", {"general.comment": "d" * 3_000_000})
    await engine.load(path, TINY)
    assert max(map(len, engine.log)) <= MOST_OF_A_LINE
