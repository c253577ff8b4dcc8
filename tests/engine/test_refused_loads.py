"""Loads that cannot work are refused before anything is loaded, each with its own reason; none ends the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TINY
from tests.engine.asking import ask, user
from tests.engine.model_files import N_VOCAB, split_with_vocabulary, with_vocabulary
from tests.models.gguf_files import Shape, write
from tui.engines.interface import Engine, EngineError
from tui.protocol import loadlog
from tui.protocol.messages import DryRun, Generate
from tui.protocol.records import LoadSettings, Sampling

HEAD_80 = Shape(n_embd=160, n_head=2, n_head_kv=2, head=80, n_ff=64, n_vocab=N_VOCAB, kind="F32")


def settings(**changes: Any) -> LoadSettings:
    return LoadSettings(n_ctx=512, n_threads=1, **changes)


async def refused(engine: Engine, path: Path, **changes: Any) -> tuple[str, str]:
    """The kind of the refusal and its words, from the load and from the dry run alike."""
    with pytest.raises(EngineError) as load:
        await engine.load(path, settings(**changes))
    with pytest.raises(EngineError) as dry_run:
        await engine.ask(DryRun(path=str(path), settings=settings(**changes)))
    assert dry_run.value.info == load.value.info and engine.alive
    return load.value.info.kind, load.value.info.text


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"general.architecture": "t5"}, "T5"),
        ({"general.architecture": "t5encoder"}, "T5"),
        ({"general.architecture": "bert"}, "embedding"),
        ({"general.architecture": "eagle3"}, "draft head"),
        ({"general.architecture": "gemma4-assistant"}, "draft head"),
        ({"general.architecture": "wavtokenizer-dec"}, "speech"),
        ({"general.architecture": "llada"}, "diffusion"),
        ({"general.architecture": "clip"}, "projector"),
        ({"qwen3.pooling_type": 4}, "reranking"),
        ({"general.type": "adapter"}, "LoRA"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_file_for_something_else_is_refused_and_what_is_loaded_stays(
    shared_tiny: Engine, tmp_path: Path, metadata: dict[str, object], words: str
) -> None:
    before = shared_tiny.loaded
    path = write(tmp_path / "model.gguf", Shape().metadata() | metadata, Shape().tensors())
    kind, detail = await refused(shared_tiny, path)
    assert kind == "model_refused" and words in detail
    assert shared_tiny.loaded is before is not None
    assert (await ask(shared_tiny, user("ping"), thinking=False)).text == "pong"


@pytest.mark.asyncio(loop_scope="module")
async def test_an_unknown_architecture_or_type_is_not_supported(shared: Engine, tmp_path: Path) -> None:
    alien = Shape().write(tmp_path / "alien.gguf", general__architecture="alien")
    assert await refused(shared, alien) == (
        "model_unsupported",
        "Its architecture, alien, is not known to this llama.cpp: a newer llmtui may know it.",
    )
    path = write(tmp_path / "fork.gguf", Shape().metadata(), [("blk.0.attn_q.weight", (256,), "#139")])
    with pytest.raises(EngineError) as error:
        await shared.load(path, TINY)
    assert error.value.info.kind == "model_unsupported" and "(139)" in error.value.info.text


@pytest.mark.asyncio(loop_scope="module")
async def test_tensors_that_are_missing_are_no_damage(shared: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "model.gguf", Shape().metadata(), Shape().tensors()[:-1])
    kind, detail = await refused(shared, path)
    assert kind == "model_unsupported" and "blk.1.ffn_down.weight" in detail


@pytest.mark.parametrize("flash_attn", ["auto", "on", "off"])
@pytest.mark.parametrize(("field", "cache"), [("type_k", "K"), ("type_v", "V")])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_cache_type_that_does_not_go_with_the_head_size_is_refused(
    shared: Engine, tmp_path: Path, field: str, cache: str, flash_attn: str
) -> None:
    path = with_vocabulary(HEAD_80, tmp_path / "model.gguf")
    kind, detail = await refused(shared, path, flash_attn=flash_attn, **{field: "q8_0"})
    assert kind == "bad_settings" and f"{cache} cache in q8_0" in detail and detail.endswith("use f16.")
    loaded = await shared.load(path, settings(flash_attn=flash_attn))
    assert (loaded.llama.type_k, loaded.llama.type_v) == ("f16", "f16")


@pytest.mark.asyncio(loop_scope="module")
async def test_k_and_v_of_a_shared_cache_must_be_of_one_type(shared: Engine, tmp_path: Path) -> None:
    metadata = Shape().metadata() | {"qwen3.attention.key_length_mla": 64, "qwen3.attention.value_length_mla": 64}
    path = write(tmp_path / "model.gguf", metadata, Shape().tensors())
    kind, detail = await refused(shared, path, type_k="q8_0")
    assert kind == "bad_settings" and "give both the same type" in detail


@pytest.mark.asyncio(loop_scope="module")
async def test_the_trained_context_of_a_file_that_tells_none_is_refused(shared: Engine, tmp_path: Path) -> None:
    path = Shape().write(tmp_path / "model.gguf", qwen3__context_length=0)
    with pytest.raises(EngineError) as error:
        await shared.load(path, LoadSettings(n_ctx=0))
    assert error.value.info.kind == "bad_settings" and "give a context size" in error.value.info.text


@pytest.mark.parametrize("suffix", [".gguf", ".GGUF"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_split_model_loads_from_any_part_whatever_the_case_of_its_ending(
    shared: Engine, tmp_path: Path, suffix: str
) -> None:
    shape = Shape(n_vocab=N_VOCAB, kind="F32")
    first, *_ = split_with_vocabulary(shape, tmp_path, 3, suffix)
    loaded = await shared.load(first, TINY)
    whole = await shared.load(with_vocabulary(shape, tmp_path / "whole.gguf"), TINY)
    assert (loaded.n_params, loaded.size_bytes) == (whole.n_params, whole.size_bytes)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_part_under_another_name_is_refused_with_the_name_that_it_needs(shared: Engine, tmp_path: Path) -> None:
    first, *_ = split_with_vocabulary(Shape(n_vocab=N_VOCAB, kind="F32"), tmp_path, 3)
    with pytest.raises(EngineError) as error:
        await shared.load(first.rename(tmp_path / "first.gguf"), TINY)
    assert error.value.info.kind == "model_refused" and f"rename it to {first.name}" in error.value.info.text


@pytest.mark.asyncio(loop_scope="module")
async def test_a_model_that_need_not_be_locked_is_not_complained_about(shared_tiny: Engine) -> None:
    assert shared_tiny.loaded and not shared_tiny.loaded.llama.mlock_failed


@pytest.mark.parametrize("seed", [0, 2**32 - 2, 2**32 - 1])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_fixed_seed_gives_the_same_answer_each_time(shared_tiny: Engine, seed: int) -> None:
    async def answer() -> str:
        wild = Sampling(temperature=5.0, top_k=0, top_p=1.0, seed=seed)
        said = [
            event
            async for event in shared_tiny.generate(Generate(messages=(user("hello"),), sampling=wild, max_tokens=24))
        ]
        return "".join(getattr(event, "text", "") for event in said)

    assert len({await answer() for _ in range(3)}) == 1


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (
            "llama_init_from_model: K cache type q8_0 with block size 32 does not divide n_embd_head_k=80",
            "bad_settings",
        ),
        (
            "llama_init_from_model: V cache type q4_0 with block size 32 does not divide n_embd_head_v=80",
            "bad_settings",
        ),
        ("llama_init_from_model: quantized V cache requires flash_attn to be enabled", "bad_settings"),
        ("model does not support different K (q8_0) and V (f16) cache types", "bad_settings"),
        ("failed to initialize the context: n_seq_max must be <= 256", "bad_settings"),
        ("error loading model: unknown model architecture: 'x'", "model_unsupported"),
        ("tensor 'a' has invalid ggml type 139. should be in [0, 43)", "model_unsupported"),
        ("error loading model: missing tensor 'blk.0.attn_q.weight'", "model_unsupported"),
        ("error loading model: done_getting_tensors: wrong number of tensors; expected 9, got 8", "model_unsupported"),
        ("error loading model vocabulary: unknown pre-tokenizer type: 'x'", "model_unsupported"),
        ("error loading model hyperparameters: key not found in model: x.block_count", "model_unsupported"),
        ("gguf_init_from_reader: invalid magic characters: 'abcd', expected 'GGUF'", "model_unreadable"),
        ("tensor 'a' data is not within the file bounds, model is corrupted or incomplete", "model_unreadable"),
        ("failed to allocate buffer for kv cache", "out_of_memory"),
        ("llama_model_load: error loading model: only an expansion factor of 2 is supported", "model_unsupported"),
        ("llama_model_load: error loading model: invalid model: tensor 'a' is duplicated", "model_unreadable"),
        ("something new", "internal"),
    ],
)
def test_llama_cpps_complaints_are_sorted(words: str, kind: str) -> None:
    assert loadlog.failure(words) == kind


def test_complaints_are_repeated_without_the_functions_that_they_come_from() -> None:
    lines = (
        "llama_model_load: error loading model: missing tensor 'blk.0.attn_q.weight'",
        "llama_model_load_from_file_impl: failed to load model",
    )
    assert loadlog.in_few_words(lines) == "missing tensor 'blk.0.attn_q.weight'"
    assert loadlog.in_few_words(lines[1:]) == ""
    vocabulary = "llama_model_load: error loading model: error loading model vocabulary: cannot find merges"
    assert loadlog.in_few_words([vocabulary] * 2) == "error loading model vocabulary: cannot find merges"
