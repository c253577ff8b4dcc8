"""What a header says about a model, and how it is written."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import DENSE, MOE
from tests.models.gguf_files import Shape, Tensor, Typed, header
from tui.base import format
from tui.models.cursor import GGUFError
from tui.models.gguf import ArrayStub, GgufHeader, Value, read_header
from tui.models.info import ModelInfo, from_headers
from tui.models.modelfile import ModelFileError
from tui.words.later import Later

QWEN3_30B = Shape(2048, 48, 32, 4, 128, 6144, 151936, n_expert=128, n_expert_used=8, n_ff_expert=768)


def info(metadata: dict[str, object], tensors: list[Tensor]) -> ModelInfo:
    return from_headers([read_header(header(metadata, tensors)[0], check_data=False)], "file-name")


def layer_tensors(n_layers: int, names: str = "attn_q attn_k attn_v", width: int = 256) -> list[Tensor]:
    return [(f"blk.{i}.{name}.weight", (width, width), "F16") for i in range(n_layers) for name in names.split()]


def other(arch: str, n_layers: int, **more: object) -> dict[str, object]:
    """Metadata of another architecture; keys of `more` with "__" for a point."""
    own = {
        "block_count": n_layers,
        "embedding_length": 256,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.key_length": 64,
        "attention.value_length": 64,
    } | {key.replace("__", "."): value for key, value in more.items()}
    return {"general.architecture": arch} | {f"{arch}.{key}": value for key, value in own.items()}


def test_the_tiny_models_are_described_as_they_are() -> None:
    dense, moe = (from_headers([read_header(path)], path.stem) for path in (DENSE, MOE))
    assert (dense.kind, dense.arch, dense.quant, dense.n_layers) == ("model", "qwen3", "Q8_0", 4)
    assert (dense.n_vocab, dense.n_ctx_train, dense.has_chat_template) == (1982, 4096, True)
    assert dense.size_bytes == DENSE.stat().st_size
    assert dense.n_params == dense.n_params_active
    assert (moe.n_expert, moe.n_expert_used, moe.is_moe) == (8, 2, True)
    experts = sum(t.n_elements for t in read_header(MOE).tensors if "exps" in t.name)
    assert moe.n_params - moe.n_params_active == experts * 6 // 8


@pytest.mark.parametrize(
    ("finetune", "file", "name"),
    [
        ("8k-lc100k-mix1-ep2", "SmolLM2-135M-Instruct.Q8_0", "SmolLM2-135M-Instruct"),
        ("8k-lc100k-mix1-ep2", "SmolLM2-135M-Instruct", "SmolLM2-135M-Instruct"),
        ("Instruct-2507", "some-file.Q8_0", "Named by its people"),
        ("", "some-file.Q8_0", "Named by its people"),
    ],
)
def test_a_model_is_not_called_after_a_run_of_its_training(finetune: str, file: str, name: str) -> None:
    metadata = {"general.name": "Named by its people", "general.finetune": finetune, "general.file_type": 7}
    found = from_headers(
        [read_header(header(QWEN3_30B.metadata() | metadata, QWEN3_30B.tensors())[0], check_data=False)], file
    )
    assert (found.name, found.quant) == (name, "Q8_0")


def test_a_mixture_of_experts_is_named_with_its_active_part() -> None:
    found = info(QWEN3_30B.metadata(), QWEN3_30B.tensors())
    assert found.n_params == pytest.approx(30.53e9, rel=1e-3)
    assert found.n_params_active == pytest.approx(3.35e9, rel=1e-2)
    assert found.experts_label == "30.5B · 3.4B active · 128 experts, 8 used"
    assert found.params_label == "30.5B (3.4B)"
    assert found.expert_share == 1 / 16


def test_weights_are_counted_once_and_where_they_belong() -> None:
    found = info(QWEN3_30B.metadata(), QWEN3_30B.tensors())
    layers = sum(layer.weights_bytes for layer in found.layers)
    assert layers + found.input_bytes + found.output_bytes == found.weights_bytes
    assert all(0 < layer.expert_bytes < layer.weights_bytes for layer in found.layers)
    assert found.tied_bytes == 0


def test_an_embedding_that_is_also_the_output_layer_is_seen() -> None:
    shape = Shape(tied=True)
    found = info(shape.metadata(), shape.tensors())
    assert found.tied_bytes == found.input_bytes > 0


@pytest.mark.parametrize(
    ("file_type", "kinds", "label"),
    [
        (15, {}, "Q4_K_M"),
        (15 + 1024, {}, "Q4_K_M"),
        (38, {"ffn_up": "MXFP4"}, "MXFP4"),
        (1, {"ffn_up": "MXFP4", "ffn_gate": "MXFP4", "ffn_down": "MXFP4"}, "MXFP4"),
        (None, {"ffn_up": "Q6_K", "ffn_gate": "Q6_K", "ffn_down": "Q6_K"}, "Q6_K"),
        (9999, {}, "Q5_K"),
        (0, {"": "F32"}, "F32"),
    ],
)
def test_the_quantization_is_the_files_label_or_what_most_of_it_is(
    file_type: int | None, kinds: dict[str, str], label: str
) -> None:
    def kind(name: str) -> str:
        return next((kind for part, kind in kinds.items() if part in name), "Q5_K")

    metadata = Shape().metadata()
    del metadata["general.file_type"]
    if file_type is not None:
        metadata["general.file_type"] = file_type
    tensors = [(name, shape, t if len(shape) == 1 else kind(name)) for name, shape, t in Shape(n_ff=4096).tensors()]
    assert info(metadata, tensors).quant == label


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({}, "model"),
        ({"general__type": "mmproj"}, "mmproj"),
        ({"general__architecture": "clip"}, "mmproj"),
        ({"general__type": "adapter"}, "adapter"),
        ({"general__architecture": "flux"}, "other"),
        ({"qwen3__attention__causal": False}, "embedding"),
    ],
)
def test_what_is_no_chat_model_is_told_apart(more: dict[str, object], kind: str) -> None:
    assert info(Shape().metadata(**more), Shape().tensors()).kind == kind


def test_a_vocabulary_without_weights_is_no_model() -> None:
    found = info(Shape().metadata(tokenizer__ggml__tokens=["a"] * 100), [])
    assert (found.kind, found.n_vocab) == ("vocab", 100)


@pytest.mark.parametrize("name", ["", ".", "V1", "  "])
def test_a_name_that_tells_nothing_gives_way_to_the_name_of_the_file(name: str) -> None:
    assert info(Shape().metadata(general__name=name), Shape().tensors()).name == "file-name"


@pytest.mark.parametrize("name", ["\u3164" * 8, "\u200b" * 8, " \t\n "])
@pytest.mark.parametrize(("file", "shown"), [("file-name", "file-name"), ("\u200b\u200b", "unnamed")])
def test_a_name_is_never_blank(name: str, file: str, shown: str) -> None:
    file_bytes = header(Shape().metadata(general__name=name), Shape().tensors())[0]
    assert from_headers([read_header(file_bytes, check_data=False)], file).name == shown


def test_no_text_of_a_header_is_a_command_to_a_terminal() -> None:
    evil = "Evil\x1b[2J \x9b31m\u202eModel\n"
    metadata = {key.replace("qwen3", evil): value for key, value in Shape().metadata().items()}
    texts = {"general.architecture": evil, "general.name": evil, "general.size_label": evil}
    found = info(metadata | texts, Shape().tensors())
    assert (found.name, found.arch, found.size_label) == ("Evil [2J 31mModel",) * 3
    assert found.n_layers == 2  # found by the name as it stands in the header
    with pytest.raises(ModelFileError) as refused:
        raise ModelFileError("broken", Path("x"), Later(f"{evil} is no architecture."))
    assert refused.value.reason == "Evil [2J 31mModel is no architecture."


def test_heads_may_differ_from_layer_to_layer() -> None:
    metadata = other("deci", 3, attention__head_count_kv=[4, 0, 2])
    assert [layer.k_width for layer in info(metadata, layer_tensors(3)).layers] == [256, 0, 128]


def test_a_model_without_kv_heads_named_has_as_many_as_heads() -> None:
    metadata = other("llama", 1)
    del metadata["llama.attention.head_count_kv"]
    assert info(metadata, layer_tensors(1)).layers[0].k_width == 4 * 64


@pytest.mark.parametrize(
    ("arch", "more", "windows"),
    [
        ("gemma3", {"attention__sliding_window": 1024}, [1024, 1024, 1024, 1024, 1024, 0, 1024]),
        ("gemma2", {}, [4096, 0, 4096, 0, 4096, 0, 4096]),
        ("gpt-oss", {"attention__sliding_window": 128}, [128, 0, 128, 0, 128, 0, 128]),
        ("smallthinker", {"attention__sliding_window": 64}, [0, 64, 64, 64, 0, 64, 64]),
        (
            "gemma4",
            {"attention__sliding_window": 512, "attention__sliding_window_pattern": [True, True, False] * 2 + [True]},
            [512, 512, 0, 512, 512, 0, 512],
        ),
        ("gemma3", {}, [0] * 7),
        ("phi3", {"attention__sliding_window": 2048}, [0] * 7),
    ],
)
def test_sliding_windows_are_where_llama_cpp_puts_them(arch: str, more: dict[str, object], windows: list[int]) -> None:
    found = info(other(arch, 7, **more), layer_tensors(7))
    assert [layer.window for layer in found.layers] == windows


def test_multi_head_latent_attention_keeps_no_v() -> None:
    metadata = other(
        "deepseek2", 1, attention__head_count_kv=1, attention__key_length=576, attention__key_length_mla=192
    )
    layer = info(metadata, layer_tensors(1, "attn_kv_a_mqa attn_q")).layers[0]
    assert (layer.k_width, layer.v_width) == (576, 0)


def test_recurrent_layers_keep_a_state_and_no_kv() -> None:
    metadata = other("qwen3next", 2, ssm__conv_kernel=4, ssm__inner_size=512, ssm__state_size=128, ssm__group_count=2)
    recurrent, full = info(
        metadata, [*layer_tensors(1, "ssm_out attn_qkv"), ("blk.1.attn_k.weight", (256, 128), "F16")]
    ).layers
    assert (recurrent.k_width, recurrent.state_bytes) == (0, 4 * (3 * (512 + 2 * 2 * 128) + 128 * 512))
    assert (full.k_width, full.state_bytes) == (128, 0)


def test_layers_that_share_a_cache_or_predict_ahead_keep_none() -> None:
    shared = info(other("gemma4", 4, attention__shared_kv_layers=2), layer_tensors(4))
    ahead = info(other("glm4moe", 4, nextn_predict_layers=1), layer_tensors(4))
    assert [layer.k_width > 0 for layer in shared.layers] == [True, True, False, False]
    assert [layer.k_width > 0 for layer in ahead.layers] == [True, True, True, False]


def test_a_count_of_layers_that_no_model_has_is_an_error() -> None:
    with pytest.raises(GGUFError, match="block_count"):
        info(other("llama", 100_000), [])


values = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(-(2**31), 2**32), max_size=4).map(tuple),
    st.just(ArrayStub(type="u32", count=5000)),
)


@given(st.dictionaries(st.sampled_from(sorted([*other("qwen3", 4), "qwen3.ssm.state_size"])), values))
@settings(max_examples=300, deadline=None)
def test_absurd_metadata_give_a_record_that_can_be_stored_or_an_error(changes: dict[str, Value]) -> None:
    good = read_header(header(other("qwen3", 4), layer_tensors(4, "attn_k ssm_out"))[0], check_data=False)
    bad = GgufHeader(
        version=3, metadata=good.metadata | changes, tensors=good.tensors, data_offset=0, file_size=1 << 40
    )
    try:
        found = from_headers([bad], "x")
    except GGUFError as error:
        assert error.kind == "malformed"
    else:
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=ModelInfo) == found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (format.params(30.53e9), "30.5B"),
        (format.params(235.1e9), "235B"),
        (format.params(596e6), "596M"),
        (format.params(999.6e6), "1.0B"),
        (format.params(1.02e6), "1.0M"),
        (format.params(12), "12"),
        (format.size(13.5 * 2**30), "13.5 GiB"),
        (format.size(1023.99 * 2**20), "1.0 GiB"),
        (format.size(812), "812 B"),
        (format.size(0), "0 B"),
        (format.tokens(40960), "40k"),
        (format.tokens(131072), "128k"),
        (format.tokens(1 << 20), "1M"),
        (format.tokens(512), "512"),
        (format.experts(8_190_000_000, 8_190_000_000, 0, 0), "8.2B"),
        (format.n_params(8_190_000_000, 8_190_000_000), "8.2B"),
    ],
)
def test_figures_are_written_for_people(text: str, expected: str) -> None:
    assert text == expected


def test_arrays_of_typed_numbers_count_too() -> None:
    metadata = other("deci", 2, attention__head_count_kv=[Typed(5, 1), Typed(5, 2)])
    assert [layer.k_width for layer in info(metadata, layer_tensors(2)).layers] == [64, 128]
