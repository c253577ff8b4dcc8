"""A KV cache goes from a context with flash attention to one without, and back."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import pytest

from tests.conftest import DENSE, MOE, TINY
from tests.engine.asking import ask, user
from tui.engine.kvlayout import transpose_v
from tui.engines.interface import Engine
from tui.protocol.records import CacheType

N_CELLS, N_CHANNELS = 3, 4


def state(*, transposed: bool, kind: int = 1) -> bytearray:
    """What llama.cpp would write for two layers, whose values are 0 to 11 and 100 to 111, token by token."""
    raw = b"llam\0\0\0\0" + struct.pack("=II", 1, N_CELLS)
    raw += b"".join(struct.pack("=iIi", position, 1, 0) for position in range(N_CELLS))
    raw += struct.pack("=II", transposed, 2)
    raw += 2 * (struct.pack("=iQ", 8, 34) + bytes(34 * N_CELLS))
    for start in (0, 100):
        values = [start + i for i in range(N_CELLS * N_CHANNELS)]
        if transposed:
            raw += struct.pack("=iII", kind, 2, N_CHANNELS)
            values = [values[cell * N_CHANNELS + channel] for channel in range(N_CHANNELS) for cell in range(N_CELLS)]
        else:
            raw += struct.pack("=iQ", kind, 2 * N_CHANNELS)
        raw += struct.pack(f"={len(values)}H", *values)
    return bytearray(raw)


@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("kind", [1, 30], ids=["f16", "bf16"])
def test_each_layout_becomes_the_other(transposed: bool, kind: int) -> None:
    have = state(transposed=transposed, kind=kind)
    assert transpose_v(have)
    assert have == state(transposed=not transposed, kind=kind)


def test_what_is_not_understood_to_its_last_byte_stays_as_it_is() -> None:
    whole = state(transposed=False)
    quantized = state(transposed=False, kind=8)
    for n in range(9, len(whole)):
        cut = whole[:n]
        assert not transpose_v(cut) and cut == whole[:n]
    for other in (whole + b"\0", quantized, bytearray(b"\xff" * 200)):
        before = bytes(other)
        assert not transpose_v(other) and other == before


def with_positions_of_several_parts(raw: bytearray) -> bytearray:
    """The same cache of a model whose positions have more than one part."""
    cells = b"".join(struct.pack("=iI12si", position, 1, b"", 0) for position in range(N_CELLS))
    return raw[:16] + cells + raw[16 + 12 * N_CELLS :]


def recurrent(position: int) -> bytes:
    """What recurrent layers keep behind a cache: one state for each of two layers, twice."""
    states = b"".join(struct.pack("=iQ", 0, size) + bytes(size) for size in (12, 12, 40, 40))
    return struct.pack("=IiIII", 1, position, 0, 0, 4) + states


@pytest.mark.parametrize("position", [0, 1, 2, 4711])
def test_recurrent_layers_stay_as_they_are_behind_a_cache_and_alone(position: int) -> None:
    tail = recurrent(position)
    have = with_positions_of_several_parts(state(transposed=False)) + tail
    assert transpose_v(have)
    assert have == with_positions_of_several_parts(state(transposed=True)) + tail
    alone = bytearray(b"llam\0\0\0\0" + tail)
    before = bytes(alone)
    assert transpose_v(alone) and alone == before
    cut = alone[:-1]
    assert not transpose_v(cut)


@pytest.mark.parametrize("model", [DENSE, MOE], ids=["dense", "mixture of experts"])
@pytest.mark.parametrize("type_v", ["f16", "bf16", "f32"])
@pytest.mark.asyncio(loop_scope="module")
async def test_the_cache_stays_when_flash_attention_goes_off_and_on(
    shared: Engine, model: Path, type_v: CacheType
) -> None:
    off = msgspec.structs.replace(TINY, flash_attn="off", type_v=type_v)
    on = msgspec.structs.replace(off, flash_attn="on")
    question = user("What is the capital of France?")
    await shared.load(model, on)
    first = await ask(shared, question)
    for settings in (off, on):
        loaded = await shared.load(model, settings, keep_context=True)
        assert loaded.llama.flash_attn == (settings is on) and loaded.llama.type_v == type_v
        assert (loaded.n_kept, loaded.n_lost) == (first.done.n_used, 0)
        again = await ask(shared, question)
        assert again.text == first.text and again.done.timings.n_prefill == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_quantized_values_go_nowhere_else_and_are_said_to_be_lost(shared: Engine) -> None:
    await shared.load(DENSE, msgspec.structs.replace(TINY, type_v="q8_0"))
    assert shared.loaded and shared.loaded.llama.flash_attn  # "auto", which a quantized V cache needs to be on
    first = await ask(shared, user("ping"))
    loaded = await shared.load(DENSE, msgspec.structs.replace(TINY, flash_attn="off"), keep_context=True)
    assert (loaded.n_kept, loaded.n_lost) == (0, first.done.n_used)
    assert (await ask(shared, user("ping"))).text == first.text


@pytest.mark.asyncio(loop_scope="module")
async def test_a_context_that_is_full_stays_too(shared: Engine) -> None:
    small = msgspec.structs.replace(TINY, n_ctx=256)
    await shared.load(DENSE, small)
    first = await ask(shared, user("Count to 100"))
    assert first.done.n_used == 256
    loaded = await shared.load(DENSE, msgspec.structs.replace(small, flash_attn="off"), keep_context=True)
    assert (loaded.n_kept, loaded.n_lost) == (256, 0)
    again = await ask(shared, user("Count to 100"))
    assert again.text == first.text and again.done.timings.n_prefill == 1
