"""What a user can say for some models only, chat template and stop strings, and in which order the values for choosing
tokens are laid over each other."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tui.config import paths
from tui.config.modelrules import ChatOverrides, chat_format, matches
from tui.config.sampling import resolve
from tui.config.settings import ModelRule, Settings, load_settings
from tui.protocol.records import PartialSampling

OSS = Path("/models/gpt-oss-20b-Q4_K_M.gguf")
NOTHING = ChatOverrides()


def read(folder: Path, text: str) -> tuple[Settings, list[str]]:
    file = folder / "settings.toml"
    file.write_text(text)
    found, problems = load_settings(file)
    return found, [str(problem).removeprefix(f"{file}: ") for problem in problems]


# Sections for some models


def test_the_example_in_the_built_in_file_is_right_and_complete(tmp_path: Path) -> None:
    lines = paths.default_settings_file().read_text().split("# [[model]]")[1].split("\n\n")[0].splitlines()
    example = "\n".join(["[[model]]", *(line.removeprefix("# ") for line in lines)])
    (table,) = tomllib.loads(example)["model"]
    assert set(table) == set(ModelRule.__struct_fields__)
    found, problems = read(tmp_path, example)
    assert problems == []
    (rule,) = found.model
    assert rule.chat_template == str(tmp_path / "gpt-oss.jinja")


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("gpt-oss*", True),
        ("GPT-OSS-20B-q4_k_m", True),
        ("gpt-oss-20b-Q4_K_M.gguf", True),
        ("Gpt Oss*", True),
        ("*/models/*", True),
        ("/models/gpt-oss-??b-*", True),
        ("*", True),
        ("oss", False),
        ("qwen*", False),
        ("", False),
    ],
)
def test_a_pattern_is_held_against_the_name_the_file_and_the_path(pattern: str, fits: bool) -> None:
    assert matches(ModelRule(match=pattern), ["Gpt Oss 20B"], OSS) is fits


def test_a_pattern_may_begin_at_home(home: Path) -> None:
    assert matches(ModelRule(match="~/models/*"), [], home / "models" / "a.gguf")


def test_the_later_section_counts_value_by_value(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.jinja").write_text(f"template {name}")
    text = """
        [[model]]
        match = "*"
        chat_template = "one.jinja"
        stop = ["A"]
        [[model]]
        match = "gpt*"
        stop = ["B", "C"]
        [[model]]
        match = "qwen*"
        chat_template = "two.jinja"
    """
    found, problems = read(tmp_path, text)
    assert problems == []
    assert chat_format(found.model, ["x"], OSS, NOTHING) == (
        ChatOverrides(chat_template="template one", stop=("B", "C")),
        [],
    )
    qwen = chat_format(found.model, ["Qwen3"], Path("/a.gguf"), NOTHING)[0]
    assert qwen == ChatOverrides(chat_template="template two", stop=("A",))


def test_the_command_line_goes_before_the_sections_value_by_value(tmp_path: Path) -> None:
    rules = (ModelRule(match="*", chat_template=str(tmp_path / "none.jinja"), stop=("A",)),)
    given = ChatOverrides(chat_template="mine")
    assert chat_format(rules, [], OSS, given) == (ChatOverrides(chat_template="mine", stop=("A",)), [])
    assert chat_format((), [], OSS, ChatOverrides(stop=("Z",)))[0].stop == ("Z",)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "there is no such file"),
        (b"", "is empty"),
        (b"{{ messages }}\n\xff\xfe", "is not UTF-8 text (line 2)"),
        (b"GGUF" + bytes(2 << 20), "is larger than any template"),
    ],
    ids=["missing", "empty", "not UTF-8", "not a template"],
)
def test_a_template_that_cannot_be_read_is_told_and_the_models_own_is_used(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    file = tmp_path / "my.jinja"
    if content is not None:
        file.write_bytes(content)
    rule = ModelRule(match="*", chat_template=str(file), stop=("A",))
    found, (problem,) = chat_format([rule], [], OSS, NOTHING)
    assert found == ChatOverrides(stop=("A",))
    assert str(problem).startswith(f"{file}: {says}, so the model's own template is used. Correct chat_template")


def test_a_folder_is_no_template(tmp_path: Path) -> None:
    (problem,) = chat_format([ModelRule(match="*", chat_template=str(tmp_path))], [], OSS, NOTHING)[1]
    assert "is a folder" in problem.text


def test_a_byte_order_mark_does_not_come_into_the_template(tmp_path: Path) -> None:
    file = tmp_path / "my.jinja"
    file.write_bytes(b"\xef\xbb\xbf{{ x }}")
    rule = ModelRule(match="*", chat_template=str(file))
    assert chat_format([rule], [], OSS, NOTHING)[0].chat_template == "{{ x }}"


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ('[[model]]\nmatch = "*"\nstop = "A"\n', "model[1].stop", '"A"'),
        ('[[model]]\nmatch = "*"\nstop = [""]\n', "model[1].stop", "none of them empty"),
        ('[[model]]\nmatch = "*"\n[[model]]\nmatch = 3\n', "model[2].match", "is 3"),
        ('[[model]]\nmatch = "*"\nchat_tenplate = "x"\n', "model[1].chat_tenplate", 'Did you mean "chat_template"?'),
        ("[[model]]\nstop = ['A']\n", "model[1].match", "holds for no model"),
        ('[model]\nmatch = "*"\n', "model", "Write [[model]]"),
        ("written = []\n", "written", "is unknown"),
    ],
)
def test_a_mistake_in_a_section_is_told_and_the_rest_is_used(tmp_path: Path, text: str, where: str, says: str) -> None:
    found, problems = read(tmp_path, text)
    assert found.load == Settings().load
    assert problems and problems[0].startswith(f"{where}: ") and says in problems[0]


# The order of values for choosing tokens


def test_what_the_user_wrote_is_known_whatever_its_value(tmp_path: Path) -> None:
    found, _ = read(tmp_path, "[sampling.plain]\ntop_k = 20\ntop_p = 7\n[sampling]\nmax_tokens = 0\n")
    assert found.written == {"sampling.plain.top_k", "sampling.max_tokens"}


def test_the_model_file_goes_before_the_defaults_and_the_users_own_before_the_file(tmp_path: Path) -> None:
    settings, _ = read(tmp_path, "[sampling.plain]\ntop_k = 20\n[sampling.thinking]\ntop_p = 0.5\n")
    recommended = PartialSampling(temperature=0.15, top_k=7, penalty_last_n=256)
    plain = resolve(settings, thinking=False, recommended=recommended)
    assert (plain.sampling.temperature, plain.sampling.top_k, plain.sampling.top_p) == (0.15, 20, 0.8)
    assert plain.sampling.penalty_last_n == 256
    assert [plain.sources[name] for name in ("temperature", "top_k", "top_p")] == ["model", "settings", "built-in"]
    thinking = resolve(settings, thinking=True, recommended=recommended)
    assert (thinking.sampling.temperature, thinking.sampling.top_k, thinking.sampling.top_p) == (0.15, 7, 0.5)
    assert [thinking.sources[name] for name in ("temperature", "top_k", "top_p")] == ["model", "model", "settings"]


def test_the_conversation_goes_before_all() -> None:
    found = resolve(
        Settings(written=frozenset({"sampling.plain.top_k"})),
        thinking=False,
        recommended=PartialSampling(temperature=0.15),
        own=PartialSampling(temperature=1.0, top_k=3, seed=5),
    )
    assert (found.sampling.temperature, found.sampling.top_k, found.sampling.seed) == (1.0, 3, 5)
    assert {found.sources[name] for name in ("temperature", "top_k", "seed")} == {"conversation"}


def test_a_whole_copy_of_the_built_in_file_is_what_the_user_wrote(tmp_path: Path) -> None:
    settings, problems = read(tmp_path, paths.default_settings_file().read_text())
    assert problems == []
    assert resolve(settings, thinking=True, recommended=PartialSampling(temperature=0.15)).sampling.temperature == 0.6
