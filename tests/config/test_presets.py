"""Presets as files: what is written comes back, what is wrong costs a sentence and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.config.presets import (
    Preset,
    delete_preset,
    name_problem,
    read_preset,
    read_presets,
    rename_preset,
    write_preset,
)
from tui.config.settings import Settings
from tui.protocol.records import AnswerFormat, PartialSampling

CODER = Preset(
    name="程序员 coder",
    system_prompt='Be brief.\nNo "prose".',
    model="qwen3-4b",
    thinking=False,
    effort="low",
    max_tokens=0,
    thinking_budget=100,
    answer_format=AnswerFormat(kind="json_schema", text='{\n  "type": "object"\n}\n'),
    sampling=PartialSampling(temperature=0.2, top_k=0, logit_bias={" delve": -100.0}),
)


def test_a_preset_reads_back_as_it_was_saved(tmp_path: Path) -> None:
    file = write_preset(tmp_path / "presets", CODER)
    assert file.stat().st_mode & 0o077 == 0
    assert read_preset(file.parent, CODER.name) == (CODER, [])
    bare = Preset(name="bare", answer_format=AnswerFormat(kind="gbnf", text='root ::= "a"'))
    write_preset(file.parent, bare)
    assert read_presets(file.parent) == ([bare, CODER], [])


def test_no_system_prompt_and_no_effort_are_kept_where_the_settings_have_some(tmp_path: Path) -> None:
    none = Preset(name="none", system_prompt="", effort="")
    write_preset(tmp_path, none)
    assert read_preset(tmp_path, "none") == (none, [])


def test_what_a_preset_does_not_give_is_as_in_a_new_conversation() -> None:
    fields = Preset(name="x", thinking=False).settings(Settings())
    assert fields == {
        "preset": "x",
        "system_prompt": "",
        "thinking": False,
        "effort": "",
        "max_tokens": None,
        "thinking_budget": None,
        "answer_format": None,
        "sampling": None,
    }


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("thinking = 3", "thinking", "true or false"),
        ("sampling.top_k = -1", "sampling.top_k", "0 or more"),
        ("temprature = 1", "temprature", "is unknown"),
        ("sampling.logit_bias.a = -200", "sampling.logit_bias.a", "from -100 to 100"),
        ('grammar = "a"\njson_schema = "{}"', "grammar", "json_schema is given too"),
        ("= 3", "", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_told_and_the_rest_is_used(tmp_path: Path, text: str, where: str, says: str) -> None:
    (tmp_path / "odd.toml").write_text(f'system_prompt = "Hi"\n{text}\n')
    preset, (problem,) = read_preset(tmp_path, "odd")
    assert problem.key == where and says in problem.text
    if where:
        assert preset is not None and preset.system_prompt == "Hi"
        assert preset.thinking is None and not (preset.sampling or PartialSampling()).top_k


def test_a_folder_that_is_missing_has_no_presets_and_a_pipe_is_no_preset(tmp_path: Path) -> None:
    import os

    assert read_presets(tmp_path / "none") == ([], []) and read_preset(tmp_path, "none") == (None, [])
    os.mkfifo(tmp_path / "pipe.toml")
    presets, (problem,) = read_presets(tmp_path)
    assert presets == [] and "cannot be read" in problem.text


def test_presets_are_renamed_and_deleted_and_none_is_lost_by_it(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_preset(tmp_path, Preset(name=name, system_prompt=name))
    with pytest.raises(FileExistsError):
        rename_preset(tmp_path, "one", "two")
    with pytest.raises(ValueError, match="no slash"):
        rename_preset(tmp_path, "one", "../one")
    rename_preset(tmp_path, "one", "three")
    delete_preset(tmp_path, "two")
    delete_preset(tmp_path, "two")
    assert [(one.name, one.system_prompt) for one in read_presets(tmp_path)[0]] == [("three", "one")]


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "x" * 61, "字" * 61, "a\nb"])
def test_names_that_are_no_file_are_refused(tmp_path: Path, name: str) -> None:
    assert name_problem(name)
    with pytest.raises(ValueError, match="A name has"):
        write_preset(tmp_path, Preset(name=name))
