"""What a GGUF file is for: a chat model, or one of the many other things that are stored in such files, and why that
one cannot be chatted with. Decided by architecture, metadata and the names of tensors; the one place that knows."""

from __future__ import annotations

import functools
import mmap
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

from tui.base import llamapackage
from tui.models.metadata import Metadata
from tui.models.ollamaformat import is_ollamas
from tui.words import mark
from tui.words.later import Later, later

Kind = Literal[
    "model", "mmproj", "adapter", "control_vector", "imatrix", "vocab", "embedding", "reranker", "encoder", "draft",
    "diffusion", "speech", "combined", "ollama", "unknown", "other",
]  # fmt: skip
"""Only a "model" can be chatted with. "combined" holds a language model together with its projector; "ollama" is made
as only Ollama's own engine takes it; "unknown" is of an architecture that this llama.cpp does not have; "other" is none
of all these."""

_WHY: dict[Kind, str] = {
    "mmproj": mark("An image projector (mmproj), a part of a model: load the model itself."),
    "adapter": mark(
        "A LoRA adapter, which changes a model: load a model instead, or one with the adapter merged into it."
    ),
    "control_vector": mark("A control vector, which steers a model: load the model itself."),
    "imatrix": mark("An importance matrix, made for quantizing a model: load the model itself."),
    "vocab": mark("A vocabulary without weights: get the whole model."),
    "embedding": mark("An embedding model: it turns text into numbers and cannot chat. Choose a chat model."),
    "reranker": mark("A reranking model: it scores how well texts match and cannot chat. Choose a chat model."),
    "encoder": mark(
        "A T5 model or its encoder: it turns a text into another or into numbers and cannot chat. Choose a chat model."
    ),
    "draft": mark("A draft head (MTP, EAGLE), which only speeds up a larger model: load that one."),
    "diffusion": mark("A diffusion language model: it does not write word by word, so llmtui cannot chat with it."),
    "speech": mark("A speech model or a part of one: it makes or reads sound and cannot chat. Choose a chat model."),
    "combined": mark(
        "Model and image projector in one file, as Ollama stores them: llama.cpp needs them in two. Get the GGUF file "
        "of the model alone."
    ),
    "ollama": mark(
        "Made for Ollama's own engine, which names things in another way than llama.cpp. Get the GGUF file of this "
        "model from Hugging Face."
    ),
    "other": mark("Not a language model: its metadata lack what one needs."),
}

_EMBEDDING = frozenset(
    {
        "bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "jina-bert-v3", "eurobert",
        "gemma-embedding", "llama-embed",
    }
)  # fmt: skip
_BY_ARCH: dict[str, Kind] = {
    **dict.fromkeys(_EMBEDDING, "embedding"),
    **dict.fromkeys(("clip", "mmproj"), "mmproj"),
    "controlvector": "control_vector",
    **dict.fromkeys(("t5", "t5encoder", "t5-encoder", "umt5"), "encoder"),
    **dict.fromkeys(("dflash", "medusa", "hydra", "mtp"), "draft"),
    **dict.fromkeys(("dream", "llada", "llada-moe", "rnd1"), "diffusion"),
    **dict.fromkeys(
        (
            "wavtokenizer-dec", "qwen3tts", "pockettts", "whisper", "kokoro", "parler-tts", "dia", "orpheus", "snac",
            "csm", "mimi",
        ),
        "speech",
    ),
}  # fmt: skip
"""Architectures that are never chat models: those of llama.cpp, whose `create_memory` gives most of them no KV cache,
and those that programs for speech write into such files."""
_IMAGE = frozenset(
    {
        "flux", "flux2", "sd1", "sd2", "sd3", "sdxl", "aura", "lumina2", "hidream", "chroma", "qwen_image", "wan",
        "hyvid", "ltxv", "cosmos", "mochi", "z_image", "omnigen", "pig", "cow",
    }
)  # fmt: skip
"""Architectures that ComfyUI-GGUF and its like write."""
_BY_PART_OF_ARCH: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile(r"diffusion"), "diffusion"),
    (re.compile(r"tts|vocoder|codec|whisper|asr\b|^mio-"), "speech"),
    (re.compile(r"embed|bert\b|bidir"), "embedding"),
    (re.compile(r"rerank"), "reranker"),
)
"""What the name of an architecture tells that llama.cpp does not have."""
_NAMED_ONLY = ("gptj",)
"""Architectures that llama.cpp has a name for and nothing else."""
_ARCH = re.compile(r"[A-Za-z0-9._-]+")
_DRAFT_ARCH = re.compile(r"^eagle\d*$|[-_](assistant|draft|drafter|mtp|eagle\d*|dflash|medusa)$")
_NAMED_RERANKER = re.compile(r"\brerank(er|ing)?\b", re.IGNORECASE)
_NAMED_EMBEDDING = re.compile(r"\bembeddings?\b", re.IGNORECASE)
_NAMED_SPEECH = re.compile(r"tts\b|\borpheus\b", re.IGNORECASE)
_TAGS: dict[str, Kind] = {
    **dict.fromkeys(("text-to-speech", "text-to-audio", "automatic-speech-recognition"), "speech"),
    "text-ranking": "reranker",
    "sentence-transformers": "embedding",
    "sentence-similarity": "embedding",
}
_LAYER = re.compile(r"^blk\.(\d{1,6})\.")
_RANK = 4
"""llama.cpp's `LLAMA_POOLING_TYPE_RANK`; 1 to 3 pool to an embedding, 0 does not pool."""


def kind_of(meta: Metadata, names: Collection[str], apart: Sequence[str]) -> Kind:
    """What a file with these metadata and tensors is for; `apart` are those that belong to no layer."""
    if found := _declared(meta) or _by_tensors(names):
        return found
    arch = meta.arch
    if arch in _EMBEDDING:
        return "reranker" if _ranks(meta, names) else "embedding"
    if arch in _BY_ARCH:
        return _BY_ARCH[arch]
    if arch in _IMAGE:
        return "other"
    if _DRAFT_ARCH.search(arch):
        return "draft"
    if is_ollamas(meta, names):
        return "embedding" if any(name.startswith("dense.") for name in apart) else "ollama"
    if arch and not is_known(arch):
        return _by_name(arch)
    if not meta.number("block_count") or not meta.number("embedding_length"):
        return "other"
    if any(name.startswith(("v.", "a.", "mm.", "model.vision_tower.")) for name in apart):
        return "combined"
    if _only_drafts(meta, names):
        return "draft"
    return _pooling(meta, apart) or "model"


def kind_without_tensors(meta: Metadata) -> Kind:
    """As `kind_of`, for a file whose tensors cannot be read."""
    arch = meta.arch
    if found := _declared(meta) or _BY_ARCH.get(arch):
        return found
    if arch in _IMAGE:
        return "other"
    if _DRAFT_ARCH.search(arch):
        return "draft"
    if is_ollamas(meta):
        return "ollama"
    return _by_name(arch) if arch and not is_known(arch) else "model"


def _by_name(arch: str) -> Kind:
    return next((kind for pattern, kind in _BY_PART_OF_ARCH if pattern.search(arch)), "unknown")


def why_not(kind: Kind, arch: str) -> Later | None:
    """Why a file of this kind and architecture cannot be chatted with, and what to do instead; None for a model."""
    if kind == "other" and arch in _IMAGE:
        return later("A model for images or video, which llama.cpp does not run: use a program made for such models.")
    if kind == "unknown":
        return later("Its architecture, {arch}, is not known to this llama.cpp: a newer llmtui may know it.", arch=arch)
    return later(_WHY[kind]) if kind in _WHY else None


def _declared(meta: Metadata) -> Kind | None:
    declared = meta.text("general.type")
    if declared in ("mmproj", "adapter", "imatrix"):
        return declared  # type: ignore[return-value]
    return _BY_ARCH[meta.arch] if meta.arch in ("clip", "mmproj", "controlvector") else None


def _by_tensors(names: Collection[str]) -> Kind | None:
    """What the tensors tell alone, whatever the file says of itself."""
    if not names:
        return "vocab"
    if all(name.endswith((".lora_a", ".lora_b")) for name in names):
        return "adapter"
    if all(name.endswith((".in_sum2", ".counts")) for name in names):
        return "imatrix"
    if all(name.startswith("direction.") for name in names):
        return "control_vector"
    return None


def _only_drafts(meta: Metadata, names: Collection[str]) -> bool:
    """Whether it has layers for predicting further tokens and none before them, or an EAGLE head's table of tokens. A
    model that carries such layers behind its own is a model."""
    if "d2t" in names or "d2t.weight" in names:
        return True
    n_predict = meta.number("nextn_predict_layers")
    first_of_them = meta.number("block_count") - n_predict
    layers = (int(match[1]) for name in names if (match := _LAYER.match(name)))
    return n_predict > 0 and all(layer >= first_of_them for layer in layers)


def _ranks(meta: Metadata, names: Collection[str]) -> bool:
    has_head = any(name.startswith(("cls.", "cls_")) for name in names)
    return has_head or _pooling_type(meta) == _RANK or f"{meta.arch}.classifier.output_labels" in meta.values


def _pooling(meta: Metadata, names: Collection[str]) -> Kind | None:
    """Whether a model of an architecture that can chat was made for embedding or ranking."""
    if _ranks(meta, names):
        return "reranker"
    # Attention that sees what comes later cannot write; dense layers behind the last turn a state into an embedding.
    is_causal = meta.values.get(f"{meta.arch}.attention.causal") is not False
    if _pooling_type(meta) > 0 or not is_causal or any(name.startswith(("dense_2.", "dense_3.")) for name in names):
        return "embedding"
    # Older conversions say it in their name or in the tags of the model card alone.
    called = f"{meta.text('general.name')} {meta.text('general.basename')} {meta.text('general.finetune')}"
    if _NAMED_RERANKER.search(called.replace("_", " ")):
        return "reranker"
    if _NAMED_EMBEDDING.search(called.replace("_", " ")):
        return "embedding"
    if _NAMED_SPEECH.search(called.replace("_", " ")):
        return "speech"
    tags = meta.values.get("general.tags")
    if not isinstance(tags, tuple) or "text-generation" in tags:
        return None
    return next((_TAGS[tag] for tag in tags if isinstance(tag, str) and tag in _TAGS), None)


def _pooling_type(meta: Metadata) -> int:
    return meta.number("pooling_type")


@functools.lru_cache(maxsize=256)
def is_known(arch: str) -> bool:
    """Whether the llama.cpp that is installed has this architecture: its library holds the names of all. True where the
    library cannot be looked into, as only a load can tell then."""
    if arch in _NAMED_ONLY or not _ARCH.fullmatch(arch):
        return False
    library = _library()
    if library is None:
        return True
    try:
        with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return data.find(arch.encode() + b"\0") >= 0
    except (OSError, ValueError):
        return True


@functools.cache
def _library() -> Path | None:
    folder = llamapackage.libraries()
    if folder is None:
        return None
    return next((path for name in ("libllama.so", "libllama.dylib") if (path := folder / name).is_file()), None)
