"""What a GGUF header says about a model, as one record: what people choose by (size, quantization, context) and what
the memory formula needs (bytes and cache widths of every layer). Pure: header in, record out."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from tui.base import format
from tui.base.text import one_line
from tui.models import attention, recommended
from tui.models.cursor import GGUFError
from tui.models.gguf import ArrayStub, GgufHeader
from tui.models.headermemo import HeaderMemo
from tui.models.metadata import Metadata
from tui.models.purpose import Kind, kind_of
from tui.models.quants import FILE_TYPES
from tui.models.tensorfacts import LayerTensors, facts_of
from tui.models.thinking import can_think
from tui.protocol.records import PartialSampling
from tui.words.later import later

MAX_LAYERS = 512
"""llama.cpp's own limit."""
_MOST_BYTES = 1 << 60
"""Of weights, and as many numbers: what is more was never written, and its sums would not fit where they are stored."""
_MOST_OF_A_NAME = 200
"""Characters."""

_FILLERS = "\u115f\u1160\u3164\uffa0"
"""Letters that are blank."""
_TRAINING_RUN = re.compile(r"(?:[a-z]*\d[a-z0-9]*-){2,}[a-z]*\d[a-z0-9]*", re.IGNORECASE)
"""As a finetune is called in no shop window: "8k-lc100k-mix1-ep2"."""
_UNQUANTIZED = ("F32", "F16", "BF16")


class Layer(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One layer as the memory formula sees it."""

    weights_bytes: int
    """All weights, experts included."""
    expert_bytes: int
    """Of these, what belongs to experts that are chosen token by token."""
    largest_tensor_bytes: int
    k_width: int
    """Numbers that one token adds to the K cache: KV heads times head size; 0 without attention."""
    v_width: int
    window: int
    """Tokens that sliding-window attention looks back; 0 is the whole context."""
    state_bytes: int
    """Fixed size of a recurrent layer's state; 0 for attention."""


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A model, all files of a split one taken together. Sizes in bytes, lengths in tokens or numbers."""

    kind: Kind
    name: str
    """As all texts here one line, with nothing in it that a terminal would obey, whatever the header holds."""
    arch: str
    """llama.cpp's name of the architecture: "qwen3", "qwen3moe", "llama"."""
    size_label: str
    """What the maker calls it, such as "30B-A3B"; may be empty."""
    quant: str
    """As in file names: "Q4_K_M", "Q8_0", "MXFP4"."""
    size_bytes: int
    """Of all files."""
    weights_bytes: int
    n_params: int
    n_params_active: int
    """Parameters that one token passes: all but the experts that are not chosen for it."""
    n_expert: int
    n_expert_used: int
    n_layers: int
    """Repeating layers; llama.cpp counts the output layer as one more to offload."""
    n_ctx_train: int
    n_embd: int
    n_ff: int
    """Width of the widest feed-forward layer, an expert's not counted."""
    n_ff_expert: int
    n_head: int
    n_head_kv: int
    """Of the widest layer, as `n_head`."""
    n_embd_head_k: int
    n_embd_head_v: int
    n_embd_head_k_swa: int
    """Of layers with a sliding window, as the next; 0 when there are none."""
    n_embd_head_v_swa: int
    is_mla: bool
    """Multi-head latent attention, as DeepSeek's: K and V lie in one cache."""
    n_vocab: int
    n_swa: int
    """Sliding window; 0 when no layer has one."""
    has_chat_template: bool
    layers: tuple[Layer, ...]
    input_bytes: int
    """Embedding tables, which stay on the host."""
    output_bytes: int
    """Output layer; without `output.weight` when it is tied to the embedding."""
    tied_bytes: int
    """The embedding table if it also serves as output layer, else 0: a second copy goes where the output layer is."""
    sampling: PartialSampling = PartialSampling()
    """What its maker recommends, as far as the file says and it can be used."""
    unknown_sampling: tuple[str, ...] = ()
    """What its maker recommends besides and llmtui does not have, in words such as "Mirostat"; `tr` translates them."""
    can_think: bool = False
    """Whether its chat template names a way to think."""

    @property
    def is_moe(self) -> bool:
        """Whether it is a mixture of experts."""
        return self.n_expert > 0

    @property
    def n_layer_params(self) -> int:
        """Active parameters of the repeating layers, which each token of a prompt passes: all but the embedding table
        and the output layer."""
        n_tables = 1 if self.tied_bytes else 2
        return max(0, self.n_params_active - n_tables * self.n_vocab * self.n_embd)

    @property
    def params_label(self) -> str:
        """ "30.5B (3.3B)" or "8.2B"."""
        return format.n_params(self.n_params, self.n_params_active)

    @property
    def experts_label(self) -> str:
        """ "30.5B · 3.3B active · 128 experts, 8 used" or "8.2B"."""
        return format.experts(self.n_params, self.n_params_active, self.n_expert, self.n_expert_used)

    @property
    def expert_share(self) -> float:
        """Part of the experts' weights that one token reads: 8 of 128 is 0.0625; 1.0 without experts."""
        return self.n_expert_used / self.n_expert if self.n_expert else 1.0


def from_headers(headers: Sequence[GgufHeader], fallback_name: str, memo: HeaderMemo | None = None) -> ModelInfo:
    """Make the record from the headers of all files of a model, in order. `fallback_name` serves a model that has no
    name of its own; with the `memo` that they were read with, a known table of tensors is not looked at again. Raises
    `GGUFError` (malformed) when the metadata contradict each other."""
    meta = Metadata(headers[0].metadata)
    n_layers = meta.number("block_count")
    if n_layers > MAX_LAYERS:
        key, n = f"{meta.arch}.block_count", f"{n_layers:,}"
        raise GGUFError("malformed", 0, later("{key} is {n}, more than any model has", key=key, n=n))
    tensors = headers[0].tensors if len(headers) == 1 else [tensor for header in headers for tensor in header.tensors]
    facts = memo.facts(tensors, n_layers) if memo and isinstance(tensors, tuple) else facts_of(tensors, n_layers)
    if (odd := facts.odd) is not None:
        detail = later(
            "the weights of {tensor} are of type {type}, in which none are kept",
            tensor=repr(odd.name),
            type=odd.ggml_type.name,
        )
        raise GGUFError("malformed", 0, detail)
    if max(facts.n_bytes, facts.n_params) > _MOST_BYTES:
        detail = later("its tensors have {n} numbers, more than any model has", n=f"{facts.n_params:,}")
        raise GGUFError("malformed", 0, detail)
    n_expert = meta.number("expert_count")
    n_expert_used = min(meta.number("expert_used_count"), n_expert)
    layers = _layers(meta, facts.layers)
    slides = any(layer.window for layer in layers)
    n_idle = facts.n_expert_params * (1 - n_expert_used / n_expert) if n_expert else 0
    embedding = facts.embedding
    tied = embedding is not None and "output.weight" not in facts.names
    return ModelInfo(
        kind=kind_of(meta, facts.names, facts.apart),
        name=_name(meta, fallback_name, quant := _quant(meta, facts.heaviest)),
        arch=one_line(meta.arch),
        size_label=_short(meta, "general.size_label"),
        quant=quant,
        size_bytes=sum(header.file_size or header.data_offset for header in headers),
        weights_bytes=facts.n_bytes,
        n_params=facts.n_params,
        n_params_active=facts.n_params - round(n_idle),
        n_expert=n_expert,
        n_expert_used=n_expert_used,
        n_layers=n_layers,
        n_ctx_train=meta.number("context_length"),
        n_embd=meta.number("embedding_length"),
        n_ff=max(meta.per_layer("feed_forward_length", n_layers), default=0),
        n_ff_expert=max(meta.per_layer("expert_feed_forward_length", n_layers), default=0),
        n_head=max(meta.per_layer("attention.head_count", n_layers), default=0),
        n_head_kv=max(attention.kv_heads(meta, n_layers), default=0),
        n_embd_head_k=attention.head_size(meta, "key"),
        n_embd_head_v=attention.head_size(meta, "value"),
        n_embd_head_k_swa=attention.head_size(meta, "key", sliding=True) if slides else 0,
        n_embd_head_v_swa=attention.head_size(meta, "value", sliding=True) if slides else 0,
        is_mla=meta.number("attention.key_length_mla") > 0 and meta.number("attention.value_length_mla") > 0,
        n_vocab=embedding.shape[-1] if embedding and len(embedding.shape) == 2 else _n_vocab(meta),
        n_swa=max((layer.window for layer in layers), default=0),
        has_chat_template=bool(meta.text("tokenizer.chat_template")),
        layers=layers,
        input_bytes=facts.input_bytes,
        output_bytes=facts.output_bytes,
        tied_bytes=embedding.n_bytes if embedding and tied else 0,
        sampling=recommended.recommended(meta.values),
        unknown_sampling=recommended.unknown(meta.values),
        can_think=can_think(meta.text("tokenizer.chat_template")),
    )


def _layers(meta: Metadata, tensors: Sequence[LayerTensors]) -> tuple[Layer, ...]:
    caches = attention.caches(meta, [layer.names for layer in tensors])
    return tuple(
        Layer(
            weights_bytes=layer.n_bytes,
            expert_bytes=layer.expert_bytes,
            largest_tensor_bytes=layer.largest_bytes,
            k_width=cache.k_width,
            v_width=cache.v_width,
            window=cache.window,
            state_bytes=cache.state_bytes,
        )
        for layer, cache in zip(tensors, caches, strict=True)
    )


def _short(meta: Metadata, key: str) -> str:
    """A text that is shown: one line, and no longer than a name can be."""
    return one_line(meta.text(key)[:_MOST_OF_A_NAME])


def _name(meta: Metadata, fallback: str, quant: str) -> str:
    """The model's own name, unless it is too short to tell anything, as "." or "V1" in some files, or that of a run of
    its training, as SmolLM2's: then that of its file."""
    name = _short(meta, "general.name")
    if _TRAINING_RUN.fullmatch(meta.text("general.finetune")[:_MOST_OF_A_NAME]):
        name = re.sub(rf"[-._ ]{re.escape(quant)}$", "", one_line(fallback), flags=re.IGNORECASE)
    n_seen = sum(character.isalnum() and character not in _FILLERS for character in name)
    return name if n_seen >= 4 else one_line(fallback) or "unnamed"


def _quant(meta: Metadata, heaviest: str) -> str:
    """The label of the file, unless the file has none or calls itself unquantized while most of it, which is of the
    type `heaviest`, is not."""
    file_type = meta.values.get("general.file_type")
    # llama.cpp adds 1024 to a type that it guessed.
    label = FILE_TYPES.get(file_type & 1023, "") if isinstance(file_type, int) else ""
    return heaviest if not label or (label in _UNQUANTIZED and heaviest) else label


def _n_vocab(meta: Metadata) -> int:
    tokens = meta.values.get("tokenizer.ggml.tokens")
    if isinstance(tokens, ArrayStub):
        return tokens.count
    return len(tokens) if isinstance(tokens, tuple) else meta.number("vocab_size")
