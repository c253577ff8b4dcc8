"""Which GGUF files are made as only Ollama's own engine takes them: its converters wrote other names of architectures,
metadata and tensors than llama.cpp's. Source: Ollama's `llama/compat`, which translates such files while it loads them.
"""

from __future__ import annotations

from collections.abc import Collection

from tui.models.metadata import Metadata

ARCHITECTURES = frozenset(
    {"gptoss", "mllama", "qwen25vl", "deepseekocr", "glmocr", "glm4moelite", "nemotron_h_omni", "olmo3"}
)
"""Names that llama.cpp has others for."""
_KEYS = {
    "gemma3": ("rope.global.freq_base", "rope.local.freq_base"),
    "laguna": ("rope.swa.dimension_count", "rope.swa.freq_base"),
    "mistral3": ("rope.scaling.beta_fast", "rope.scaling.mscale_all_dim", "rope.scaling_beta"),
    **dict.fromkeys(
        ("qwen35", "qwen35moe"),
        ("vision.block_count", "image_token_id", "ssm.v_head_reordered", "rope.mrope_interleaved"),
    ),
}
"""Metadata below the architecture's name that llama.cpp's converters do not write."""
_MISSING = {
    "gemma3": "attention.layer_norm_rms_epsilon",
    "qwen3vl": "rope.dimension_sections",
    "qwen3vlmoe": "rope.dimension_sections",
}
"""Metadata that llama.cpp requires and Ollama left out."""
_TENSORS = {
    "laguna": (".attn_g.weight",),
    "nemotron_h_moe": (".ffn_latent_in.weight",),
    **dict.fromkeys(("qwen3next", "qwen35", "qwen35moe"), (".ssm_dt",)),
}
"""Ends of names of tensors that llama.cpp calls otherwise."""
_OWN_LAYERS = ("nemotron_h_moe", "qwen35", "qwen35moe")
"""Their layers for predicting further tokens are called "mtp.…" and not "blk.…"."""
_NORM, _OWN_NORM = "output_norm.weight", "token_embd_norm.weight"
"""Of LFM2, as Ollama and as llama.cpp calls it."""


def is_ollamas(meta: Metadata, names: Collection[str] = ()) -> bool:
    """Whether a file with these metadata and tensors is one; without `names`, as far as the metadata tell."""
    arch = meta.arch
    if arch in ARCHITECTURES or any(f"{arch}.{key}" in meta.values for key in _KEYS.get(arch, ())):
        return True
    if arch in _MISSING and f"{arch}.{_MISSING[arch]}" not in meta.values:
        return True
    if arch == "gemma4" and meta.text("tokenizer.ggml.model") == "llama":
        return True
    if arch == "lfm2" and _NORM in names and _OWN_NORM not in names:
        return True
    ends = _TENSORS.get(arch, ())
    return bool(ends) and any(
        name.endswith(ends) or (name.startswith("mtp.") and arch in _OWN_LAYERS) for name in names
    )
