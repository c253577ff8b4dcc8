"""Which language is spoken, and what becomes of a text in it."""

from __future__ import annotations

import gettext
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tui.config import paths
from tui.config.language import first_language, language_for
from tui.words import language, language_of, tr, translate, trc, trn, use


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    use("en")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN"}, "zh"),
        ({"LANG": "zh_SG.UTF-8"}, "zh"),
        ({"LANG": "zh_Hans_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN@pinyin"}, "zh"),
        ({"LANG": "zh"}, "zh"),
        ({"LANG": "zh_TW.UTF-8"}, "en"),
        ({"LANG": "zh_TW.UTF-8", "LANGUAGE": "zh_TW:zh_CN:en"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8", "LANGUAGE": "de:zh_CN"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C", "LANGUAGE": "zh"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "zh"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LANGUAGE": "en"}, "en"),
        ({"LANG": "zhong"}, "en"),
        ({"LANG": "\udcff"}, "en"),
    ],
)
def test_the_environment_says_which_language(environ: dict[str, str], expected: str) -> None:
    assert language_of(environ) == expected


@pytest.mark.parametrize(
    ("remembered", "written", "expected"),
    [
        ("", "auto", "zh"),
        ("", "en", "en"),
        ("en", "zh", "en"),
        ("zh", "en", "zh"),
        ("auto", "en", "zh"),
        ("klingon", "en", "en"),
        ("", "", "zh"),
    ],
)
def test_what_was_chosen_goes_before_settings_and_these_before_the_environment(
    remembered: str, written: str, expected: str
) -> None:
    assert language_for(remembered, written, {"LANG": "zh_CN.UTF-8"}) == expected


@pytest.mark.parametrize(
    "text", ['[ui]\nlanguage = "zh"', "[ui]\nlanguage = 3", '[ui]\nlanguage = "zh', 'ui = "zh"', "", "\x00"]
)
def test_settings_that_cannot_be_read_leave_the_language_to_the_environment(text: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    assert first_language({}, str(file)) == ("zh" if text == '[ui]\nlanguage = "zh"' else "en")
    assert first_language({}, str(tmp_path / "none.toml")) == "en"


def test_the_files_of_this_user_say_which_language(home: Path) -> None:
    for file, text in (
        (paths.user_settings_file(), '[ui]\nlanguage = "zh"'),
        (paths.state_file(), 'language = "en"'),
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        assert first_language(os.environ) == ("en" if "ui" in text else "zh")
        file.write_text(text)
    assert first_language(os.environ) == "en"


def test_english_is_what_stands_in_the_code() -> None:
    assert tr("{model} was not found.", model="{x}") == "{x} was not found."
    assert tr("a {brace} without fields") == "a {brace} without fields"
    assert trn("{n} token of {what}", "{n} tokens of {what}", 1, what="x") == "1 token of x"
    assert trn("{n} token", "{n} tokens", 12_345) == "12,345 tokens"
    assert trc("a door", "open {x}", x=1) == "open 1"
    assert tr("") == ""


class Shouting(gettext.NullTranslations):
    def gettext(self, message: str) -> str:
        return message.upper().replace("{MODEL}", "{model}")

    def pgettext(self, context: str, message: str) -> str:
        return f"{message} ({context})"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return "{n} !"


def test_texts_are_looked_up_in_the_language_of_the_moment() -> None:
    assert use("zh", Shouting())
    assert language() == "zh"
    assert tr("{model} was not found.", model="qwen") == "qwen WAS NOT FOUND."
    assert trn("{n} token", "{n} tokens", 1) == "1 !"
    assert trc("door", "open") == "open (door)"
    assert use("en")
    assert tr("{model} was not found.", model="qwen") == "qwen was not found."


@pytest.mark.parametrize("content", [None, b"", b"no catalogue", b"\xde\x12\x04\x95" + bytes(60)])
def test_without_a_usable_catalogue_it_is_english(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "zh_CN.mo"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setattr(translate, "catalogue_file", lambda wanted: file)
    assert not use("zh") or tr("a text") == "a text"
    assert tr("a text") == "a text"
