"""Says what `details.py` found, as groups of rows for a screen and for a terminal."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tui.base import format
from tui.base.text import one_line
from tui.models.details import ModelDetails, Rope
from tui.models.quants import BY_NAME, row_bytes
from tui.models.templates import TemplateAbilities
from tui.words import mark, tr, trn

_TOKENIZERS = {
    "gpt2": "BPE",
    "llama": "SentencePiece",
    "bert": "WordPiece",
    "t5": "Unigram",
    "rwkv": "RWKV",
    "plamo2": "PLaMo-2",
}
"""llama.cpp's names of kinds of vocabularies, as the field calls them."""
_GROUPS = {
    "experts": mark("experts"),
    "attention": mark("attention"),
    "ffn": mark("feed-forward"),
    "embeddings": mark("embeddings"),
    "output": mark("output layer"),
    "other": mark("norms and others"),
}
_SCALINGS = {"yarn": "YaRN", "longrope": "LongRoPE", "linear": mark("linear")}


class DetailRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line. Both texts are in the language in use and safe for a terminal."""

    label: str
    value: str
    share: float | None = None
    """Of a part of the weights, how large a part of all it is: for a bar."""


class DetailGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Lines that belong together."""

    title: str
    rows: tuple[DetailRow, ...]


def groups(details: ModelDetails, sha256: Mapping[str, str] | None = None) -> tuple[DetailGroup, ...]:
    """Everything that is known; rows and groups without a value are left out. `sha256` has the sums of the files that
    were computed, by path."""
    found = (
        (tr("Model"), _model(details)),
        (tr("Attention"), _attention(details)),
        (tr("Text"), _text(details)),
        (tr("Quantization"), _quantization(details)),
        (tr("Origin"), _origin(details)),
        (tr("Files"), _files(details, sha256 or {})),
    )
    made = [DetailGroup(title=title, rows=tuple(row for row in rows if row.value)) for title, rows in found]
    return tuple(group for group in made if group.rows)


def _row(label: str, value: object) -> DetailRow:
    return DetailRow(label=label, value=str(value) if value else "")


def _number(n: int) -> str:
    return f"{n:,}" if n else ""


def _model(details: ModelDetails) -> list[DetailRow]:
    info = details.info
    params = format.params(info.n_params)
    if info.n_params_active < info.n_params:
        active = format.params(info.n_params_active)
        params = tr("{total}, {active} active per token", total=params, active=active)
    experts = ""
    if info.n_expert and details.n_expert_shared:
        experts = tr(
            "{n}, {n_used} of them used, and {n_shared} shared",
            n=info.n_expert,
            n_used=info.n_expert_used,
            n_shared=details.n_expert_shared,
        )
    elif info.n_expert:
        experts = tr("{n}, {n_used} of them used", n=info.n_expert, n_used=info.n_expert_used)
    return [
        _row(tr("name"), info.name),
        _row(tr("architecture"), info.arch),
        _row(tr("parameters"), params),
        _row(tr("layers"), _number(info.n_layers)),
        _row(tr("experts"), experts),
        _row(tr("width"), _number(info.n_embd)),
        _row(tr("feed-forward width"), _number(info.n_ff_expert if info.is_moe else info.n_ff)),
    ]


def _attention(details: ModelDetails) -> list[DetailRow]:
    info = details.info
    heads = tr("{n}, {n_kv} KV", n=info.n_head, n_kv=info.n_head_kv) if info.n_head_kv else _number(info.n_head)
    size = _number(info.n_embd_head_k)
    if info.n_embd_head_k != info.n_embd_head_v:
        size = tr("{k} for K, {v} for V", k=info.n_embd_head_k, v=info.n_embd_head_v)
    window = ""
    if info.n_swa:
        window = trn(
            "{size} tokens in {n} of {total} layers",
            "{size} tokens in {n} of {total} layers",
            details.n_sliding,
            size=f"{info.n_swa:,}",
            total=info.n_layers,
        )
    f16 = BY_NAME["F16"]
    cell = sum(row_bytes(f16, layer.k_width) + row_bytes(f16, layer.v_width) for layer in info.layers)
    return [
        _row(tr("heads"), heads),
        _row(tr("head size"), size),
        _row(tr("latent attention"), tr("yes") if info.is_mla else ""),
        _row(tr("sliding window"), window),
        _row(
            tr("trained context"),
            trn("{n} token", "{n} tokens", info.n_ctx_train) if info.n_ctx_train else "",
        ),
        _row(tr("rope"), _rope(details.rope)),
        _row(tr("KV cache"), tr("{size} a token, as f16", size=format.size(cell)) if cell else ""),
    ]


def _rope(rope: Rope) -> str:
    told = [tr("base {n}", n=f"{rope.base:,.0f}")] if rope.base else []
    if rope.scaling:
        kind = tr(_SCALINGS[rope.scaling]) if rope.scaling in _SCALINGS else rope.scaling
        factor = f"{rope.factor:g}"
        if rope.factor and rope.n_ctx_before:
            n = f"{rope.n_ctx_before:,}"
            told.append(tr("{kind}, {factor} times {n} tokens", kind=kind, factor=factor, n=n))
        else:
            told.append(f"{kind} ×{factor}" if rope.factor else kind)
    return " · ".join(told)


def _text(details: ModelDetails) -> list[DetailRow]:
    info, template = details.info, details.template
    vocabulary = [trn("{n} token", "{n} tokens", info.n_vocab)] if info.n_vocab else []
    if details.tokenizer:
        kind = _TOKENIZERS.get(details.tokenizer, details.tokenizer)
        vocabulary.append(f"{kind} ({details.pre_tokenizer})" if details.pre_tokenizer else kind)
    rows = [_row(tr("vocabulary"), " · ".join(vocabulary))]
    if template is None:
        return [*rows, _row(tr("chat template"), tr("none: ChatML is used"))]
    yes, no = tr("yes"), tr("no")
    return [
        *rows,
        _row(tr("system prompt"), yes if template.takes_system else no),
        _row(tr("thinking"), _thinking(template)),
        _row(tr("tools"), yes if template.takes_tools else no),
    ]


def _thinking(template: TemplateAbilities) -> str:
    match template.thinking:
        case "switch" | "words" if not template.switch:
            return tr("on and off")
        case "levels" if not template.switch:
            return tr("in levels")
        case "switch":
            return tr("on and off, by {switch}", switch=template.switch)
        case "levels":
            return tr("in levels, by {switch}", switch=template.switch)
        case "words":
            return tr('on and off, by words in the prompt such as "{words}"', words=template.switch)
        case "always":
            return tr("in each answer")
        case _:
            return tr("no")


def _quantization(details: ModelDetails) -> list[DetailRow]:
    info = details.info
    kind = info.quant
    if details.is_dynamic:
        kind = tr("{quant}, a dynamic mix: types chosen layer by layer", quant=kind)
    bits = f"{8 * info.weights_bytes / info.n_params:.2f}" if info.n_params else ""
    size = tr("{size}, {bits} bits a parameter", size=format.size(info.weights_bytes), bits=bits) if bits else ""
    rows = [
        _row(tr("type"), kind),
        _row(tr("weights"), size),
        _row(tr("importance matrix"), tr("yes") if details.has_imatrix else ""),
    ]
    for name, by_type in details.by_group.items():
        n_bytes = sum(by_type.values())
        types = ", ".join(f"{kind} {_percent(part / n_bytes)}" for kind, part in by_type.items() if n_bytes)
        if len(by_type) == 1:
            types = next(iter(by_type))
        rows.append(
            DetailRow(
                label=tr(_GROUPS[name]),
                value=f"{format.size(n_bytes)} · {types}",
                share=n_bytes / info.weights_bytes if info.weights_bytes else 0.0,
            )
        )
    return rows


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.005 else "<1%"


def _origin(details: ModelDetails) -> list[DetailRow]:
    origin = details.origin
    return [
        _row(tr("licence"), " · ".join(filter(None, (origin.licence, origin.licence_url)))),
        _row(tr("author"), origin.author),
        _row(tr("quantized by"), origin.quantized_by),
        _row(tr("base model"), ", ".join(origin.base_models)),
        _row(tr("URL"), origin.url),
        _row(tr("description"), origin.description),
        _row(tr("languages"), ", ".join(origin.languages)),
        _row(tr("tags"), ", ".join(origin.tags)),
    ]


def _files(details: ModelDetails, sha256: Mapping[str, str]) -> list[DetailRow]:
    rows = []
    for number, path in enumerate(details.paths, start=1):
        label = tr("file") if len(details.paths) == 1 else tr("part {n}", n=number)
        rows.append(_row(label, one_line(format.path(path))))
        rows.append(_row("SHA-256", sha256.get(str(path), "")))
    rows.append(_row(tr("size"), format.size(details.info.size_bytes)))
    return rows
