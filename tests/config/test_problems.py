"""What is wrong with the user's files is said in the language of the moment, whenever it was found."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.words.chinese import is_chinese
from tui.config.keymap import resolve
from tui.config.modelrules import ChatOverrides, chat_format
from tui.config.overlay import overlay
from tui.config.problems import ConfigProblem, read_toml
from tui.config.settings import ModelRule, Settings
from tui.config.state import StateStore
from tui.config.themes import choose_theme, parse_theme
from tui.words import use


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    use("en")
    yield
    use("en")


def found(folder: Path) -> Iterator[ConfigProblem]:
    """One of every kind."""
    table = {"load": {"n_ctx": "many", "n_gpu": 1}, "ui": 3, "model": {}, "sampling": {"plain": {"temperature": -1}}}
    yield from overlay(Settings(), table, file=folder / "settings.toml")[1]
    yield from resolve({"quit": "hello", "help": "^s", "pick": "^o"})[1]
    broken = folder / "broken.toml"
    broken.write_text("a = [1")
    yield from filter(None, (read_toml(broken)[1], read_toml(folder)[1]))
    yield from parse_theme({"name": "A", "colors": {"primary": "red"}}, folder / "theme.toml")[1]
    yield from choose_theme({}, "night")[1]
    rules = [ModelRule(match="*", chat_template=str(folder))]
    yield from chat_format(rules, ["Qwen3"], folder / "a.gguf", ChatOverrides())[1]
    unnamed = StateStore().remember_load(Path(os.fsdecode(b"\xff.gguf")), Settings().load)
    yield from filter(None, (unnamed,))


def test_every_problem_follows_a_change_of_the_language(home: Path) -> None:
    problems = list(found(home))
    english = [problem.text for problem in problems]
    assert len(problems) > 20
    assert not any(map(is_chinese, english))
    assert use("zh")
    chinese = [problem.text for problem in problems]
    assert [text for text in chinese if not is_chinese(text)] == []
    assert chinese[0] == '值为 "many"，应为不小于 0 的整数。现使用默认值 8192；请改正。'
    use("en")
    assert [problem.text for problem in problems] == english


def test_what_a_problem_quotes_is_cut_and_safe_for_a_terminal() -> None:
    problem = ConfigProblem(file=None, key="k" * 200, message="a\x1b[31m" + "b" * 2000)
    assert len(problem.key) <= 80 and len(problem.text) <= 800
    assert "\x1b" not in str(problem)
