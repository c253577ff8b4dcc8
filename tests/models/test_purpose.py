"""What files are for: chat models of every architecture are offered, everything else is told apart with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from gguf.constants import MODEL_ARCH_NAMES

from tests.conftest import DENSE, MOE
from tests.models.gguf_files import Shape, Tensor, write, write_recurrent
from tui.models.library import inspect
from tui.models.modelfile import ModelFileError
from tui.models.purpose import is_known, why_not

NO_CHAT = {
    **dict.fromkeys(
        (
            *("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "jina-bert-v3"),
            *("eurobert", "gemma-embedding", "llama-embed"),
        ),
        "embedding",
    ),
    **dict.fromkeys(("t5", "t5encoder"), "T5"),
    **dict.fromkeys(("eagle3", "dflash", "gemma4-assistant"), "draft head"),
    **dict.fromkeys(("dream", "llada", "llada-moe", "rnd1"), "diffusion"),
    **dict.fromkeys(("wavtokenizer-dec", "qwen3tts", "pockettts"), "speech"),
    "clip": "projector",
}
"""A word of the reason, by architecture: of llama.cpp's all that are no decoders of text."""
ARCHITECTURES = [name for name in MODEL_ARCH_NAMES.values() if is_known(name)]


NEEDED: dict[str, dict[str, object]] = {
    arch: {f"{arch}.rope.dimension_sections": [24, 20, 20, 0]} for arch in ("qwen3vl", "qwen3vlmoe")
}
"""What llama.cpp requires beyond what most have."""


def model(
    path: Path, arch: str = "qwen3", more: Mapping[str, object] | None = None, tensors: Sequence[str] = ()
) -> Path:
    """A small file of an architecture, whatever such models really consist of, with `more` metadata and `tensors`."""
    metadata = {key.replace("qwen3.", f"{arch}."): value for key, value in Shape().metadata().items()}
    metadata |= {**NEEDED.get(arch, {}), "general.architecture": arch, **(more or {})}
    names = [*tensors, *(["token_embd_norm.weight"] if arch == "lfm2" else [])]
    return write(path, metadata, [*Shape().tensors(), *((name, (256,), "F32") for name in names)])


def reason(path: Path) -> str:
    """Why a whole file cannot be chatted with."""
    with pytest.raises(ModelFileError) as refused:
        inspect(path)
    assert refused.value.kind == "unusable"
    return refused.value.reason


def with_tensors(path: Path, *tensors: Tensor, metadata: dict[str, object] | None = None) -> Path:
    return write(path, Shape().metadata() if metadata is None else metadata, tensors)


@pytest.mark.parametrize("arch", [arch for arch in ARCHITECTURES if arch not in NO_CHAT])
def test_every_architecture_that_writes_text_is_offered(tmp_path: Path, arch: str) -> None:
    assert inspect(model(tmp_path / "model.gguf", arch)).info.arch == arch


@pytest.mark.parametrize("arch", NO_CHAT)
def test_every_architecture_that_does_not_is_refused_with_the_reason(tmp_path: Path, arch: str) -> None:
    why = reason(model(tmp_path / "model.gguf", arch))
    assert NO_CHAT[arch] in why and why.endswith(".") and "amaged" not in why


def test_the_tiny_models_and_a_recurrent_one_are_offered(tmp_path: Path) -> None:
    for path in (DENSE, MOE, write_recurrent(tmp_path / "mamba.gguf")):
        assert inspect(path).info.kind == "model"


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"qwen3.pooling_type": 1}, "embedding"),
        ({"qwen3.pooling_type": 3}, "embedding"),
        ({"qwen3.attention.causal": False}, "embedding"),
        ({"general.name": "Qwen3 Embedding 0.6B"}, "embedding"),
        ({"general.tags": ["sentence-transformers", "feature-extraction"]}, "embedding"),
        ({"qwen3.pooling_type": 4}, "reranking"),
        ({"qwen3.classifier.output_labels": ["yes", "no"]}, "reranking"),
        ({"general.basename": "Qwen3-Reranker"}, "reranking"),
        ({"general.tags": ["transformers", "text-ranking"]}, "reranking"),
        ({"general.type": "adapter"}, "LoRA"),
        ({"general.type": "imatrix"}, "importance matrix"),
        ({"general.type": "mmproj"}, "projector"),
        ({"general.architecture": "controlvector"}, "control vector"),
        ({"general.name": "Orpheus 3b 0.1 Ft"}, "speech"),
        ({"general.name": "OuteTTS 0.2 500M"}, "speech"),
        ({"general.basename": "Kani_TTS"}, "speech"),
        ({"general.tags": ["text-to-speech", "en"]}, "speech"),
        ({"general.tags": ["automatic-speech-recognition"]}, "speech"),
    ],
)
def test_chat_architectures_that_were_made_for_something_else_are_refused(
    tmp_path: Path, more: dict[str, object], word: str
) -> None:
    assert word in reason(model(tmp_path / "model.gguf", more=more))


@pytest.mark.parametrize(
    "more",
    [
        {"qwen3.pooling_type": 0},
        {"qwen3.attention.causal": True},
        {"general.type": "model"},
        {"general.name": "Pangu Embedded 7B"},
        {"general.tags": ["text-generation", "sentence-transformers"]},
        {"general.tags": ["conversational"]},
        {"general.tags": ["audio-text-to-text", "text-generation"]},
    ],
)
def test_chat_models_that_say_something_like_it_stay_chat_models(tmp_path: Path, more: dict[str, object]) -> None:
    assert inspect(model(tmp_path / "model.gguf", more=more)).info.kind == "model"


def test_a_head_for_ranking_and_dense_layers_for_embedding_are_seen(tmp_path: Path) -> None:
    tensors = Shape().tensors()
    ranks = with_tensors(tmp_path / "rank.gguf", *tensors, ("cls.output.weight", (256, 2), "F32"))
    embeds = with_tensors(tmp_path / "embed.gguf", *tensors, ("dense_2.weight", (256, 256), "F32"))
    assert "reranking" in reason(ranks) and "embedding" in reason(embeds)


def test_layers_that_draft_make_a_draft_head_only_without_layers_before_them(tmp_path: Path) -> None:
    nextn = {"qwen3.nextn_predict_layers": 1}
    whole = with_tensors(tmp_path / "whole.gguf", *Shape().tensors(), metadata=Shape().metadata() | nextn)
    only = [tensor for tensor in Shape().tensors() if not tensor[0].startswith("blk.0.")]
    head = with_tensors(tmp_path / "mtp-model.gguf", *only, metadata=Shape().metadata() | nextn)
    assert inspect(whole).info.kind == "model"
    assert "draft head" in reason(head)
    eagle = with_tensors(tmp_path / "eagle.gguf", *Shape().tensors(), ("d2t", (32,), "I32"))
    assert "draft head" in reason(eagle)


def test_files_that_do_not_say_what_they_are_show_it_by_their_tensors(tmp_path: Path) -> None:
    lora = with_tensors(
        tmp_path / "lora.gguf",
        ("blk.0.attn_q.weight.lora_a", (256, 8), "F32"),
        ("blk.0.attn_q.weight.lora_b", (8, 256), "F32"),
    )
    imatrix = with_tensors(
        tmp_path / "imatrix.gguf",
        ("blk.0.attn_q.weight.in_sum2", (256, 1), "F32"),
        ("blk.0.attn_q.weight.counts", (1, 1), "F32"),
        metadata={"imatrix.chunk_count": 1},
    )
    direction = with_tensors(tmp_path / "direction.gguf", ("direction.1", (256,), "F32"))
    both = with_tensors(tmp_path / "both.gguf", *Shape().tensors(), ("v.blk.0.attn_q.weight", (256, 256), "F32"))
    assert "LoRA" in reason(lora) and "importance matrix" in reason(imatrix)
    assert "control vector" in reason(direction) and "as Ollama" in reason(both)


def test_a_model_for_images_is_told_even_where_its_tensors_are_not_llama_cpps(tmp_path: Path) -> None:
    for name, tensor in (
        ("plain", ("img_in.weight", (64, 64), "F32")),
        ("video", ("patch_embedding.weight", (2, 2, 1, 16, 32), "F32")),
        ("type", ("img_in.weight", (64, 64), "#150")),
    ):
        path = with_tensors(tmp_path / f"{name}.gguf", tensor, metadata={"general.architecture": "flux"})
        assert "images or video" in reason(path)


def test_an_architecture_that_this_llama_cpp_does_not_know_is_named(tmp_path: Path) -> None:
    why = reason(model(tmp_path / "model.gguf", "qwen99"))
    assert why == "Its architecture, qwen99, is not known to this llama.cpp: a newer llmtui may know it."
    assert why_not("model", "qwen3") is None


@pytest.mark.parametrize(
    ("arch", "word"),
    [
        ("lfm2-bidir", "embedding"),
        ("qwen99-embedding", "embedding"),
        ("new-bert", "embedding"),
        ("diffusion-gemma", "diffusion"),
        ("mio-embedding", "speech"),
        ("outetts-dac", "speech"),
        ("qwen99-reranker", "reranking"),
    ],
)
def test_the_name_of_an_unknown_architecture_may_tell_that_no_llama_cpp_will_chat_with_it(
    tmp_path: Path, arch: str, word: str
) -> None:
    assert word in reason(model(tmp_path / "model.gguf", arch))


@pytest.mark.parametrize(
    ("arch", "more", "tensors"),
    [
        *((arch, {}, ()) for arch in ("gptoss", "mllama", "qwen25vl", "deepseekocr", "glmocr", "glm4moelite", "olmo3")),
        ("gemma3", {"gemma3.attention.layer_norm_rms_epsilon": 1e-6, "gemma3.rope.local.freq_base": 1e4}, ()),
        ("gemma4", {"tokenizer.ggml.model": "llama"}, ()),
        ("mistral3", {"mistral3.rope.scaling.beta_fast": 32.0}, ()),
        ("qwen35", {"qwen35.rope.mrope_interleaved": True}, ()),
        ("qwen35moe", {}, ("mtp.0.fc.weight",)),
        ("qwen3next", {}, ("blk.0.ssm_dt",)),
        ("laguna", {}, ("blk.0.attn_g.weight",)),
        ("nemotron_h_moe", {}, ("blk.1.ffn_latent_in.weight",)),
    ],
)
def test_what_only_ollamas_engine_takes_is_said_to_be_so(
    tmp_path: Path, arch: str, more: dict[str, object], tensors: tuple[str, ...]
) -> None:
    assert "Ollama's own engine" in reason(model(tmp_path / "model.gguf", arch, more, tensors))


def test_what_ollama_left_out_or_called_otherwise_is_noticed(tmp_path: Path) -> None:
    vision = model(tmp_path / "vision.gguf", "qwen3vl")
    vision.write_bytes(vision.read_bytes().replace(b"rope.dimension_sections", b"rope.dimension_selected"))
    liquid = model(tmp_path / "liquid.gguf", "lfm2")
    liquid.write_bytes(liquid.read_bytes().replace(b"token_embd_norm", b"other_embd_norm"))
    assert "Ollama's own engine" in reason(vision) and "Ollama's own engine" in reason(liquid)
    embeds = {"gemma3.attention.layer_norm_rms_epsilon": 1e-6, "gemma3.rope.local.freq_base": 1e4}
    assert "embedding" in reason(model(tmp_path / "embeds.gguf", "gemma3", embeds, ("dense.0.weight",)))


@pytest.mark.parametrize("tensor", ["v.patch_embd.weight", "a.conv1d.1.weight", "mm.0.weight", "v.blk.0.attn_q.weight"])
def test_a_projector_inside_a_model_is_noticed(tmp_path: Path, tensor: str) -> None:
    assert "in one file, as Ollama" in reason(model(tmp_path / "model.gguf", "gemma4", tensors=(tensor,)))


def test_a_file_without_an_architecture_is_no_language_model(tmp_path: Path) -> None:
    path = with_tensors(tmp_path / "nothing.gguf", ("weight", (32,), "F32"), metadata={"general.name": "Something"})
    assert "Not a language model" in reason(path)


def test_an_architecture_that_llama_cpp_only_has_a_name_for_is_not_offered(tmp_path: Path) -> None:
    assert "gptj" in reason(model(tmp_path / "model.gguf", "gptj"))
