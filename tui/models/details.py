"""All that a model's file says about it beyond what one chooses by: how it was trained and quantized, what its chat
template can do, where it comes from. Read on demand, nothing is kept; `detail_words.py` says it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from tui.base.splitfile import part_of
from tui.base.text import one_line
from tui.models.cursor import GGUFError
from tui.models.gguf import ArrayStub, GgufHeader, TensorInfo
from tui.models.info import ModelInfo, from_headers
from tui.models.metadata import Metadata
from tui.models.modelfile import broken, os_error, read_headers, stem
from tui.models.source import ByteSource, FileSource
from tui.models.templates import TemplateAbilities, abilities
from tui.protocol.messages import Loaded

_MOST_OF_A_TEXT = 400
"""Characters of what a stranger wrote."""
_MOST_NAMED = 20
"""Base models, tags and languages."""
_MOST_OF_A_TEMPLATE = 256 << 10
"""Bytes; more is not looked at."""
_TEMPLATE = "tokenizer.chat_template"

_GROUPS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("experts", re.compile(r"^blk\.\d+\.ffn_(up|down|gate|gate_up)_(ch)?exps")),
    ("attention", re.compile(r"^blk\.\d+\.(attn_|ssm_|shortconv|time_mix|indexer)")),
    ("ffn", re.compile(r"^blk\.\d+\.(ffn_(?!gate_inp|norm)|channel_mix)")),
    ("embeddings", re.compile(r"^(token_embd|position_embd|token_types|per_layer_token_embd)")),
    ("output", re.compile(r"^output\.")),
)
"""What the tensors of a model are for, the first that matches; "other" is what none does."""
GROUPS = (*(name for name, _ in _GROUPS), "other")
_STEADY = re.compile(r"^blk\.\d+\.(attn_q|attn_k|attn_output|ffn_gate|ffn_up)(_exps)?\.weight$")
"""Tensors that llama.cpp's own mixes give one type in all layers."""
_VARIED = ("IQ3_XS", "IQ1_S", "IQ1_M")
"""But for these."""
_NAMED_DYNAMIC = re.compile(r"(^|[^A-Za-z])UD[-_]")
"""How Unsloth marks its dynamic quantizations."""


class Rope(msgspec.Struct, frozen=True, kw_only=True):
    """How positions are told apart."""

    base: float = 0.0
    """Frequency; 0 where the file does not say."""
    scaling: str = ""
    """ "yarn", "linear", …; "" for none."""
    factor: float = 0.0
    n_ctx_before: int = 0
    """Context that it was trained with before scaling; 0 where the file does not say."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model comes from, as far as its file says; texts are one line and safe for a terminal."""

    licence: str = ""
    licence_url: str = ""
    author: str = ""
    quantized_by: str = ""
    url: str = ""
    base_models: tuple[str, ...] = ()
    description: str = ""
    languages: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class ModelDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Of one model, all its files taken together."""

    info: ModelInfo
    n_expert_shared: int
    """Experts that every token passes."""
    n_sliding: int
    """Layers with a sliding window."""
    rope: Rope
    tokenizer: str
    """llama.cpp's name of its kind: "gpt2", "llama", …"""
    pre_tokenizer: str
    """How text is cut before: "qwen2", "llama-bpe", …"""
    template: TemplateAbilities | None
    """None without a chat template."""
    by_group: Mapping[str, Mapping[str, int]]
    """Bytes of each type of tensor ("Q4_K"), by group of `GROUPS`; groups without tensors are left out."""
    is_dynamic: bool
    """The types were chosen layer by layer, not by one of llama.cpp's mixes."""
    has_imatrix: bool
    """It was quantized with an importance matrix."""
    origin: Origin
    paths: tuple[Path, ...] = ()
    """Where it lies; nothing for a model that is elsewhere."""


def read_details(path: Path) -> ModelDetails:
    """Of the model at a path; any part of a split model will do. Reads the headers: for a thread. Raises
    `ModelFileError`."""
    parts = part_of(path)[1]
    headers = read_headers(parts)
    try:
        with FileSource(parts[0]) as source:
            return details_of(headers, source, stem(parts[0]), parts)
    except GGUFError as error:
        raise broken(parts[0], error) from error
    except OSError as error:
        raise os_error(parts[0], error) from error


def details_of(
    headers: Sequence[GgufHeader], source: ByteSource, fallback_name: str, paths: Sequence[Path] = ()
) -> ModelDetails:
    """The same of headers that were read already, those of all files of a model in order, with the first file at hand:
    also of a file on a hub. Raises `GGUFError`, and OSError when reading fails."""
    info = from_headers(headers, fallback_name)
    meta = Metadata(headers[0].metadata)
    tensors = [tensor for header in headers for tensor in header.tensors]
    template = template_text(headers[0], source)
    names = f"{meta.text('general.name')} {fallback_name} {' '.join(path.name for path in paths)}"
    return ModelDetails(
        info=info,
        n_expert_shared=meta.number("expert_shared_count"),
        n_sliding=sum(layer.window > 0 for layer in info.layers),
        rope=_rope(meta),
        tokenizer=_short(meta.text("tokenizer.ggml.model")),
        pre_tokenizer=_short(meta.text("tokenizer.ggml.pre")),
        template=abilities(template) if template else None,
        by_group=_by_group(tensors),
        is_dynamic=_NAMED_DYNAMIC.search(names) is not None or _is_varied(info.quant, tensors),
        has_imatrix=any(key.startswith("quantize.imatrix.") for key in meta.values),
        origin=_origin(meta),
        paths=tuple(paths),
    )


def as_learned(details: ModelDetails, loaded: Loaded | None) -> ModelDetails:
    """With what the engine has learned by rendering the template, where the model is `loaded`."""
    read = details.template
    if loaded is None or read is None:
        return details
    thinking = read.thinking
    if loaded.efforts:
        thinking = "levels"
    elif loaded.can_switch_thinking:
        thinking = "words" if thinking == "words" else "switch"
    elif not loaded.can_think or loaded.always_thinks:
        thinking = "always" if loaded.always_thinks else "no"
    switch = read.switch if thinking == read.thinking else ""
    return msgspec.structs.replace(details, template=msgspec.structs.replace(read, thinking=thinking, switch=switch))


def template_text(header: GgufHeader, source: ByteSource) -> str:
    """The chat template, of which a header keeps only the beginning; "" where there is none or it is absurdly long.
    Raises OSError."""
    kept = header.metadata.get(_TEMPLATE)
    if not isinstance(kept, str) or _TEMPLATE not in header.spans:
        return ""
    start, end = header.spans[_TEMPLATE]
    before = 8 + len(_TEMPLATE) + 4 + 8  # lengths, the key and the type of its value
    n_bytes = end - start - before
    if n_bytes > _MOST_OF_A_TEMPLATE:
        return ""
    return source.read_at(start + before, n_bytes).decode("utf-8", "replace")


def _rope(meta: Metadata) -> Rope:
    scaling = _short(meta.text(f"{meta.arch}.rope.scaling.type"))
    return Rope(
        base=meta.real("rope.freq_base"),
        scaling="" if scaling == "none" else scaling,
        factor=meta.real("rope.scaling.factor"),
        n_ctx_before=meta.number("rope.scaling.original_context_length"),
    )


def _by_group(tensors: Sequence[TensorInfo]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for tensor in tensors:
        group = next((name for name, pattern in _GROUPS if pattern.match(tensor.name)), "other")
        # Norms and biases are small, and of one type whatever the rest is.
        found["other" if len(tensor.shape) == 1 else group][tensor.ggml_type.name] += tensor.n_bytes
    return {name: dict(found[name].most_common()) for name in GROUPS if name in found}


def _is_varied(quant: str, tensors: Sequence[TensorInfo]) -> bool:
    if quant in _VARIED:
        return False
    types: dict[str, set[str]] = defaultdict(set)
    for tensor in tensors:
        if match := _STEADY.match(tensor.name):
            types[match[1]].add(tensor.ggml_type.name)
    return any(len(found) > 1 for found in types.values())


def _origin(meta: Metadata) -> Origin:
    def text(*keys: str) -> str:
        """The first of these that is told."""
        return next(filter(None, (_short(meta.text(f"general.{key}")) for key in keys)), "")

    n_bases = meta.values.get("general.base_model.count", 0)
    bases = []
    for number in range(min(n_bases, _MOST_NAMED) if isinstance(n_bases, int) else 0):
        key = f"base_model.{number}"
        if told := text(f"{key}.repo_url", f"{key}.url", f"{key}.name"):
            bases.append(told)
    return Origin(
        licence=text("license.name", "license"),
        licence_url=text("license.link"),
        author=text("author", "organization"),
        quantized_by=text("quantized_by"),
        url=text("repo_url", "url", "source.repo_url", "source.url", "source.huggingface.repository"),
        base_models=tuple(bases),
        description=text("description"),
        languages=_words(meta, "general.languages"),
        tags=_words(meta, "general.tags"),
    )


def _words(meta: Metadata, key: str) -> tuple[str, ...]:
    value = meta.values.get(key)
    if isinstance(value, ArrayStub) or not isinstance(value, tuple):
        return ()
    return tuple(filter(None, (_short(one) for one in value[:_MOST_NAMED] if isinstance(one, str))))


def _short(text: str) -> str:
    return one_line(text[:_MOST_OF_A_TEXT])
