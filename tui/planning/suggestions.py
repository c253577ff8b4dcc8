"""Models for who has none yet: Qwen3 in its sizes, as files that are published, and whether they fit this machine by
the formula. Nothing is downloaded or looked up here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tui.config.settings import ChosenLoad
from tui.models.info import Layer, ModelInfo
from tui.models.quants import BY_NAME, row_bytes
from tui.planning.exact import Confirmed
from tui.planning.guardrail import ALL_SETTINGS, PLACEMENT, LoadPermission, may_load
from tui.planning.now import MemoryNow
from tui.protocol.records import Device

_N_VOCAB, _HEAD, _N_CTX = 151_936, 128, 40_960
"""Of all Qwen3: tokens, numbers of a head, trained context."""


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """A model that could be got, and what loading it here would mean."""

    info: ModelInfo
    permission: LoadPermission


class _Qwen3(msgspec.Struct, frozen=True, kw_only=True):
    """A published file. Figures are those of the model's config.json, and of the file."""

    name: str
    quant: str
    size_bytes: int
    n_params: int
    n_params_active: int = 0
    """0: all of them."""
    n_embd: int
    n_layers: int
    n_head: int
    n_head_kv: int = 8
    n_ff: int
    is_tied: bool = False
    n_expert: int = 0
    n_expert_used: int = 0
    n_ff_expert: int = 0


_KNOWN = (
    _Qwen3(
        name="Qwen3-0.6B",
        quant="Q8_0",
        size_bytes=639_446_688,
        n_params=596_049_920,
        n_embd=1024,
        n_layers=28,
        n_head=16,
        n_ff=3072,
        is_tied=True,
    ),
    _Qwen3(
        name="Qwen3-1.7B",
        quant="Q8_0",
        size_bytes=1_834_426_016,
        n_params=1_720_574_976,
        n_embd=2048,
        n_layers=28,
        n_head=16,
        n_ff=6144,
        is_tied=True,
    ),
    _Qwen3(
        name="Qwen3-4B",
        quant="Q4_K_M",
        size_bytes=2_497_280_256,
        n_params=4_022_468_096,
        n_embd=2560,
        n_layers=36,
        n_head=32,
        n_ff=9728,
        is_tied=True,
    ),
    _Qwen3(
        name="Qwen3-8B",
        quant="Q4_K_M",
        size_bytes=5_027_783_488,
        n_params=8_190_735_360,
        n_embd=4096,
        n_layers=36,
        n_head=32,
        n_ff=12_288,
    ),
    _Qwen3(
        name="Qwen3-14B",
        quant="Q4_K_M",
        size_bytes=9_001_752_960,
        n_params=14_768_307_200,
        n_embd=5120,
        n_layers=40,
        n_head=40,
        n_ff=17_408,
    ),
    _Qwen3(
        name="Qwen3-30B-A3B",
        quant="Q4_K_M",
        size_bytes=18_556_684_832,
        n_params=30_532_122_624,
        n_params_active=3_345_000_000,
        n_embd=2048,
        n_layers=48,
        n_head=32,
        n_head_kv=4,
        n_ff=6144,
        n_expert=128,
        n_expert_used=8,
        n_ff_expert=768,
    ),
    _Qwen3(
        name="Qwen3-32B",
        quant="Q4_K_M",
        size_bytes=19_762_149_024,
        n_params=32_762_123_264,
        n_embd=5120,
        n_layers=64,
        n_head=64,
        n_ff=25_600,
    ),
)


async def suggestions(devices: Sequence[Device], memory: MemoryNow, choice: ChosenLoad) -> tuple[Suggestion, ...]:
    """All of them from the smallest to the largest, judged as the model picker judges: where all layers are asked for
    and do not fit on the GPU, as many as do. Takes some milliseconds each, in threads where it takes longer."""
    found = []
    for known in _KNOWN:
        info = _described(known)
        found.append(Suggestion(info=info, permission=await permitted(info, devices, memory, choice)))
    return tuple(found)


async def permitted(
    info: ModelInfo, devices: Sequence[Device], memory: MemoryNow, choice: ChosenLoad
) -> LoadPermission:
    """Whether a model that is not on this machine could be loaded here, judged as the model picker judges. Takes some
    milliseconds, in a thread where it takes longer."""
    chosen = ALL_SETTINGS - PLACEMENT if choice.n_gpu_layers < 0 else ALL_SETTINGS
    by_formula = Confirmed(None, Path(info.name), info, devices, memory)
    return await may_load(by_formula, choice, chosen=chosen, worst="tight")


def _described(known: _Qwen3) -> ModelInfo:
    """As the header of such a file would describe it, with the weights spread evenly over the layers."""
    is_large = known.quant == "Q4_K_M"
    table, output = ("Q6_K" if known.is_tied else "Q4_K", "Q6_K") if is_large else (known.quant, known.quant)
    input_bytes = _N_VOCAB * row_bytes(BY_NAME[table], known.n_embd)
    output_bytes = 0 if known.is_tied else _N_VOCAB * row_bytes(BY_NAME[output], known.n_embd)
    layer_bytes = (known.size_bytes - input_bytes - output_bytes) // known.n_layers
    n_of_experts = 3 * known.n_embd * known.n_ff_expert * known.n_expert
    n_of_attention = 2 * known.n_embd * _HEAD * (known.n_head + known.n_head_kv)
    expert_bytes = layer_bytes * n_of_experts // (n_of_experts + n_of_attention)
    width = known.n_head_kv * _HEAD
    layer = Layer(
        weights_bytes=layer_bytes,
        expert_bytes=expert_bytes,
        largest_tensor_bytes=expert_bytes // 3 or layer_bytes // 4,
        k_width=width,
        v_width=width,
        window=0,
        state_bytes=0,
    )
    return ModelInfo(
        kind="model",
        name=known.name,
        arch="qwen3moe" if known.n_expert else "qwen3",
        size_label="",
        quant=known.quant,
        size_bytes=known.size_bytes,
        weights_bytes=known.size_bytes,
        n_params=known.n_params,
        n_params_active=known.n_params_active or known.n_params,
        n_expert=known.n_expert,
        n_expert_used=known.n_expert_used,
        n_layers=known.n_layers,
        n_ctx_train=_N_CTX,
        n_embd=known.n_embd,
        n_ff=known.n_ff,
        n_ff_expert=known.n_ff_expert,
        n_head=known.n_head,
        n_head_kv=known.n_head_kv,
        n_embd_head_k=_HEAD,
        n_embd_head_v=_HEAD,
        n_embd_head_k_swa=0,
        n_embd_head_v_swa=0,
        is_mla=False,
        n_vocab=_N_VOCAB,
        n_swa=0,
        has_chat_template=True,
        layers=(layer,) * known.n_layers,
        input_bytes=input_bytes,
        output_bytes=output_bytes,
        tied_bytes=input_bytes if known.is_tied else 0,
    )
