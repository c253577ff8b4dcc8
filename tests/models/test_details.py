"""All that a file says about its model: as facts, and as rows that people read; and the sum of a file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests.conftest import DENSE, MOE
from tests.loads import but
from tests.measure.reports import LOADED
from tests.models.gguf_files import Shape, Tensor, header, write
from tui.models.detail_words import DetailGroup, groups
from tui.models.details import ModelDetails, as_learned, details_of, read_details
from tui.models.filesums import FileSums
from tui.models.gguf import read_header
from tui.models.modelfile import ModelFileError
from tui.models.source import BytesSource
from tui.models.templates import abilities

SHAPE = Shape(256, 4, 4, 2, 64, 512, 512)


def told(found: ModelDetails) -> dict[str, str]:
    """Every row by its label."""
    return {row.label: row.value for group in groups(found) for row in group.rows}


def made(tmp_path: Path, tensors: list[Tensor] | None = None, more: dict[str, object] | None = None) -> ModelDetails:
    """Of a file with this metadata besides that of the shape."""
    metadata = SHAPE.metadata() | (more or {})
    return read_details(write(tmp_path / "model.gguf", metadata, tensors or SHAPE.tensors()))


def test_a_dense_model_tells_all_that_one_asks_for() -> None:
    rows = told(read_details(DENSE))
    assert rows["architecture"] == "qwen3" and rows["layers"] == "4" and rows["heads"] == "4, 2 KV"
    assert rows["head size"] == "32" and rows["trained context"] == "4,096 tokens"
    assert rows["rope"] == "base 1,000,000"
    assert rows["vocabulary"] == "1,982 tokens · BPE (qwen2)"
    assert rows["licence"] == "apache-2.0" and rows["file"].endswith(DENSE.name)
    assert "experts" not in rows, "what there is not has no row"
    assert (rows["system prompt"], rows["tools"]) == ("yes", "yes")
    assert rows["thinking"] == "on and off, by enable_thinking"


def test_a_mixture_of_experts_tells_how_many_are_used() -> None:
    found = read_details(MOE)
    (model, *_) = groups(found)
    experts = next(row.value for row in model.rows if row.label == "experts")
    assert experts == "8, 2 of them used"
    assert "active per token" in told(found)["parameters"]


def test_the_weights_are_told_by_what_they_are_for() -> None:
    found = read_details(MOE)
    quantization = next(group for group in groups(found) if group.title == "Quantization")
    shares = {row.label: row.share for row in quantization.rows if row.share is not None}
    assert list(shares) == ["experts", "attention", "embeddings", "output layer", "norms and others"]
    assert sum(shares.values()) == pytest.approx(1.0)
    assert sum(sum(types.values()) for types in found.by_group.values()) == found.info.weights_bytes
    assert found.by_group["other"].keys() == {"F32"}


def layer_tensors(types: list[str], name: str = "ffn_up") -> list[Tensor]:
    """The shape's tensors, with those of one name in these types, layer by layer."""
    wanted = {f"blk.{layer}.{name}.weight": kind for layer, kind in enumerate(types)}
    return [(tensor[0], tensor[1], wanted.get(tensor[0], tensor[2])) for tensor in SHAPE.tensors()]


def test_a_dynamic_mix_is_named_as_such(tmp_path: Path) -> None:
    same, varied = ["Q4_K"] * 4, ["Q4_K", "Q5_K", "IQ4_XS", "Q4_K"]
    assert not made(tmp_path, layer_tensors(same)).is_dynamic
    found = made(tmp_path, layer_tensors(varied))
    assert found.is_dynamic and "dynamic mix" in told(found)["type"]


def test_what_llama_cpp_itself_varies_is_no_dynamic_mix(tmp_path: Path) -> None:
    assert not made(tmp_path, layer_tensors(["Q6_K", "Q4_K", "Q4_K", "Q6_K"], "ffn_down")).is_dynamic


def test_a_file_that_is_called_dynamic_is(tmp_path: Path) -> None:
    path = write(tmp_path / "Some-Model-UD-Q4_K_XL.gguf", SHAPE.metadata(), SHAPE.tensors())
    assert read_details(path).is_dynamic


def test_where_a_model_comes_from_is_told(tmp_path: Path) -> None:
    more: dict[str, object] = {
        "general.author": "Someone\x1b[31m",
        "general.quantized_by": "Somebody",
        "general.license": "mit",
        "general.license.link": "https://example.org/licence",
        "general.base_model.count": 2,
        "general.base_model.0.name": "First",
        "general.base_model.1.repo_url": "https://example.org/second",
        "quantize.imatrix.entries_count": 3,
    }
    found = made(tmp_path, more=more)
    rows = told(found)
    assert rows["author"].startswith("Someone") and "\x1b" not in rows["author"]
    assert rows["licence"] == "mit · https://example.org/licence"
    assert rows["base model"] == "First, https://example.org/second"
    assert rows["quantized by"] == "Somebody" and rows["importance matrix"] == "yes"


def test_rope_scaling_is_told_with_what_it_scales(tmp_path: Path) -> None:
    arch = str(SHAPE.metadata()["general.architecture"])
    more: dict[str, object] = {
        f"{arch}.rope.freq_base": 5e6,
        f"{arch}.rope.scaling.type": "yarn",
        f"{arch}.rope.scaling.factor": 4.0,
        f"{arch}.rope.scaling.original_context_length": 32768,
    }
    assert told(made(tmp_path, more=more))["rope"] == "base 5,000,000 · YaRN, 4 times 32,768 tokens"


def test_metadata_that_lie_are_no_trouble(tmp_path: Path) -> None:
    more: dict[str, object] = {
        "general.base_model.count": 4_000_000_000,
        "general.tags": [f"tag{n}" for n in range(60)],
        "general.description": "x" * 10_000,
        f"{SHAPE.metadata()['general.architecture']}.rope.freq_base": float("nan"),
    }
    found = made(tmp_path, more=more)
    assert len(found.origin.description) <= 400 and len(found.origin.tags) <= 20 and found.rope.base == 0


def test_a_long_template_is_read_to_its_end(tmp_path: Path) -> None:
    template = "{# " + "x" * 9000 + " #}{% if tools %}{{ enable_thinking }}{% endif %}"
    found = made(tmp_path, more={"tokenizer.chat_template": template})
    assert found.template is not None and found.template.takes_tools and found.template.thinking == "switch"


def test_a_model_without_a_template_says_so(tmp_path: Path) -> None:
    metadata = SHAPE.metadata()
    metadata.pop("tokenizer.chat_template", None)
    found = read_details(write(tmp_path / "model.gguf", metadata, SHAPE.tensors()))
    assert found.template is None and "ChatML" in told(found)["chat template"]


def test_details_of_a_file_that_is_elsewhere_need_its_header_alone() -> None:
    raw = header(SHAPE.metadata(), SHAPE.tensors())[0]
    found = details_of([read_header(raw, check_data=False)], BytesSource(raw), "Remote")
    assert found.paths == () and "file" not in told(found)


def test_a_damaged_file_says_what_is_wrong(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(DENSE.read_bytes()[:1000])
    with pytest.raises(ModelFileError, match="Incomplete"):
        read_details(broken)


@pytest.mark.parametrize(
    ("template", "thinking", "switch"),
    [
        ("{{ messages[0].content }}", "no", ""),
        ("{% if enable_thinking %}<think>{% endif %}", "switch", "enable_thinking"),
        ("{% set thinking = true %}{{ thinking }}", "no", ""),
        ("{% set thinking = thinking | default(true) %}{{ thinking }}", "switch", "thinking"),
        ("{{ message.reasoning }}{{ raise_exception('only text, thinking and images') }}", "no", ""),
        ("{% if reasoning_effort is defined %}{{ reasoning_effort }}{% endif %}", "levels", "reasoning_effort"),
        ("{% if '/no_think' in content %}{% endif %}", "words", "/no_think"),
        ("{{ content.split('</think>')[-1] }}{{ '<think>' }}", "always", ""),
    ],
)
def test_how_a_template_switches_thinking(template: str, thinking: str, switch: str) -> None:
    found = abilities(template)
    assert (found.thinking, found.switch) == (thinking, switch)


def test_a_template_that_refuses_a_system_prompt_takes_none() -> None:
    refuses = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}"
    assert not abilities(refuses).takes_system
    assert abilities("{% if messages[0]['role'] == 'system' %}{{ messages[0].content }}{% endif %}").takes_system


def test_what_the_engine_has_learned_goes_before_what_the_text_says() -> None:
    found = read_details(DENSE)
    loaded = but(LOADED, can_think=True, always_thinks=True)
    assert told(as_learned(found, loaded))["thinking"] == "in each answer"
    assert as_learned(found, None) is found


# Sums -----------------------------------------------------------------------------------------------------------------


def test_a_sum_is_computed_once_and_kept_until_the_file_changes(tmp_path: Path) -> None:
    file, sums = tmp_path / "model.gguf", FileSums(tmp_path / "sums.json")
    file.write_bytes(b"weights" * 1000)
    assert sums.known(file) == ""
    told: list[float] = []
    expected = hashlib.sha256(file.read_bytes()).hexdigest()
    assert sums.compute(file, told.append) == expected and told[-1] == 1.0
    assert FileSums(tmp_path / "sums.json").known(file) == expected
    file.write_bytes(b"weightS" * 1000)
    os.utime(file, ns=(1, 1))
    assert sums.known(file) == ""


def test_a_sum_that_is_no_longer_wanted_is_not_kept(tmp_path: Path) -> None:
    file, sums = tmp_path / "model.gguf", FileSums(tmp_path / "sums.json")
    file.write_bytes(b"weights")
    assert sums.compute(file, should_stop=lambda: True) == ""
    assert sums.known(file) == ""


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b"\xff" * 100, b'{"a": 1}'])
def test_kept_sums_that_are_damaged_are_computed_again(tmp_path: Path, damage: bytes) -> None:
    file, kept = tmp_path / "model.gguf", tmp_path / "sums.json"
    file.write_bytes(b"weights")
    kept.write_bytes(damage)
    sums = FileSums(kept)
    assert sums.known(file) == ""
    sums.compute(file)
    assert sums.known(file)


def test_the_sum_stands_beside_its_file(tmp_path: Path) -> None:
    found = read_details(DENSE)
    files: DetailGroup = next(group for group in groups(found, {str(DENSE): "abc"}) if group.title == "Files")
    assert [row.label for row in files.rows] == ["file", "SHA-256", "size"]
