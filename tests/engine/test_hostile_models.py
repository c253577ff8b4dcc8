"""Whole model files that are not what they should be: each ends in an answer, in an error with its reason, or in a
death of the engine whose cause is the file, by name; and a sound model is loaded after it. A campaign,
`tests/campaigns/mutated_models.py`, tries some thousand."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.app.dialogs import KEYS
from tests.conftest import DENSE, MOE, TINY
from tests.engine.asking import GREEDY, ask, user
from tests.models.gguf_files import Typed
from tests.models.whole_files import WholeFile, changed
from tui.app.death_card import engine_stopped
from tui.engines.interface import Engine, EngineError
from tui.protocol.death import Death, EngineDied
from tui.protocol.messages import Generate
from tui.protocol.records import ErrorInfo, Sampling
from tui.shell.trouble import death_report

TOKENS = "tokenizer.ggml.tokens"
Change = Callable[[WholeFile], object]


def write(path: Path, change: Change, base: Path = DENSE) -> Path:
    path.write_bytes(changed(base.read_bytes(), change))
    return path


def with_weights(name: str, number: float) -> Change:
    """Every block of a tensor in Q8_0 gets this scale."""

    def change(parts: WholeFile) -> None:
        tensor = parts.tensor(name)
        tensor.data = (struct.pack("<e", number) + b"\1" * 32) * (len(tensor.data) // 34)

    return change


def with_value(key: str, value: object) -> Change:
    return lambda parts: parts.metadata.update({key: value})


def of_type(name: str, kind: int, n_bytes: int) -> Change:
    def change(parts: WholeFile) -> None:
        tensor = parts.tensor(name)
        tensor.kind, tensor.data = kind, bytes(math.prod(tensor.shape) * n_bytes)

    return change


def same_token_twice(parts: WholeFile) -> None:
    tokens = parts.values(TOKENS)
    parts.metadata[TOKENS] = Typed(9, [*tokens[:5], tokens[4], *tokens[6:]])


async def refused(engine: Engine, path: Path) -> ErrorInfo:
    with pytest.raises(EngineError) as error:
        await engine.load(path, TINY)
    assert engine.alive and "\n" not in error.value.info.text
    return error.value.info


async def died(engine: Engine, path: Path) -> Death:
    with pytest.raises(EngineDied) as error:
        await engine.load(path, TINY)
    await engine.restart()
    await engine.load(DENSE, TINY)
    assert (await ask(engine, user("ping"), thinking=False)).text == "pong"
    return error.value.death


@pytest.mark.parametrize(
    "sampling",
    [GREEDY, Sampling(seed=1), Sampling(seed=1, top_k=0), Sampling(seed=1, top_k=0, top_p=0.9, repeat_penalty=1.1)],
    ids=["greedy", "few", "all", "penalties"],
)
@pytest.mark.parametrize(("name", "number"), [("blk.1.ffn_down.weight", math.nan), ("token_embd.weight", math.inf)])
async def test_weights_that_are_no_numbers_are_said_and_never_sampled_from(
    engine: Engine, tmp_path: Path, name: str, number: float, sampling: Sampling
) -> None:
    await engine.load(write(tmp_path / "nan.gguf", with_weights(name, number)), TINY)
    for _ in range(2):
        with pytest.raises(EngineError) as error:
            [
                event
                async for event in engine.generate(
                    Generate(messages=(user("hello"),), sampling=sampling, max_tokens=20)
                )
            ]
        assert error.value.info.kind == "decode" and "NaN" in error.value.info.text
    await engine.load(DENSE, TINY)
    assert (await ask(engine, user("ping"), thinking=False)).text == "pong"


@pytest.mark.parametrize(
    ("base", "change"),
    [
        (DENSE, same_token_twice),
        (DENSE, with_value("tokenizer.ggml.model", "rwkv")),
        (DENSE, with_value("qwen3.expert_count", 7)),
        (MOE, with_value("qwen3moe.expert_used_count", 2**31)),
    ],
    ids=["a token twice", "another tokenizer", "experts in a dense model", "more used than there are"],
)
async def test_a_file_that_llama_cpp_crashes_over_is_named_as_the_cause(
    tiny: Engine, tmp_path: Path, base: Path, change: Change
) -> None:
    death = await died(tiny, write(tmp_path / "mutated.gguf", change, base))
    assert (death.cause, death.running, death.computing.stage) == ("bad_file", "loading", "reading")
    assert "/" not in death.last_words  # where llama.cpp was built tells nothing
    card = engine_stopped(death, 0, 512, KEYS)
    assert "crashed over mutated.gguf: it is damaged" in card.body
    assert [choice.action for choice in card.choices] == ["card_other_model", "card_reload", "card_details"]
    assert "crashed over mutated.gguf" in death_report(death) and "another file" in death_report(death)


async def test_a_type_that_llama_cpp_cannot_add_is_no_fault_of_the_processor(tiny: Engine, tmp_path: Path) -> None:
    death = await died(tiny, write(tmp_path / "mutated.gguf", of_type("blk.0.attn_norm.weight", 1, 2)))
    assert (death.cause, death.computing.stage) == ("assertion", "computing")
    assert "unsupported types" in death.last_words and death.last_words.startswith("binary-ops.cpp:")
    card = engine_stopped(death, 0, 512, KEYS)
    assert "perhaps in mutated.gguf" in card.body and "another file of this model" in card.body


@pytest.mark.parametrize(("kind", "n_bytes", "name"), [(24, 1, "I8"), (26, 4, "I32"), (28, 8, "F64")])
async def test_matrices_of_types_that_nothing_multiplies_with_are_refused(
    tiny: Engine, tmp_path: Path, kind: int, n_bytes: int, name: str
) -> None:
    before = tiny.loaded
    info = await refused(tiny, write(tmp_path / "model.gguf", of_type("blk.1.attn_k.weight", kind, n_bytes)))
    assert info.kind == "model_unsupported" and f"of type {name}," in info.text
    assert tiny.loaded is before is not None


async def test_a_hole_of_a_terabyte_behind_the_weights_is_refused_and_never_mapped(
    tiny: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(DENSE.read_bytes())
    os.truncate(path, 1 << 40)
    info = await refused(tiny, path)
    assert info.kind == "model_unreadable" and info.text.startswith("Damaged: there are 1.0 TiB more behind")
    assert tiny.loaded is not None


async def test_a_model_without_a_vocabulary_is_refused(engine: Engine, tmp_path: Path) -> None:
    def change(parts: WholeFile) -> None:
        tokens = parts.values(TOKENS)
        parts.metadata |= {"tokenizer.ggml.model": "no_vocab", "qwen3.vocab_size": Typed(4, len(tokens))}

    path = write(tmp_path / "model.gguf", change)
    info = await refused(engine, path)
    assert info.kind == "model_refused" and "no vocabulary" in info.text


async def test_an_error_of_llama_cpps_is_one_short_line_of_what_is_wrong(engine: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "model.gguf", with_value("tokenizer.ggml.pre", "\x1b[2J" + "x" * 5000))
    info = await refused(engine, path)
    assert info.kind == "model_unsupported" and info.text.startswith("error loading model vocabulary: unknown pre-")
    assert len(info.text) <= 300 and "\x1b" not in info.text and "failed to load" not in info.text
