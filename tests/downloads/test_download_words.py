"""Each way to stand still has a sentence, in both languages."""

from __future__ import annotations

import typing

import msgspec
import pytest

from tui import words
from tui.downloads.failures import of_the_disk, of_the_hub
from tui.downloads.records import Problem, ProblemKind
from tui.downloads.words import problem_words
from tui.hubs import errors


def kinds() -> list[ProblemKind]:
    return [kind for part in typing.get_args(ProblemKind) for kind in (typing.get_args(part) or (part,))]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_kind_has_a_sentence(language: words.Language) -> None:
    words.use(language)
    try:
        for kind in kinds():
            for detail in ("", "what it was about", "12345678"):
                said = problem_words(Problem(kind=kind, detail=detail), "modelscope")
                assert said[-1] in ".。"
                assert "{" not in said
    finally:
        words.use("en")


def test_a_full_disk_says_how_much_is_missing() -> None:
    said = problem_words(Problem(kind="disk_full", detail=str(3 << 30)), "huggingface")
    assert said == "The disk is full: 3.0 GiB more are needed. Make room and resume."


def test_what_a_hub_refuses_is_said_in_the_hubs_words_of_the_language_in_use() -> None:
    problem = of_the_hub(errors.captive("huggingface")).problem(retry_at=1.0)
    kept = msgspec.json.decode(msgspec.json.encode(problem), type=Problem)
    assert problem_words(kept, "huggingface") == str(errors.captive("huggingface").why)


def test_the_systems_words_are_quoted_in_the_language_in_use() -> None:
    problem = of_the_disk(PermissionError(13, "Permission denied")).problem()
    assert problem_words(problem, "huggingface") == "The file cannot be written: Permission denied."
    words.use("zh")
    try:
        assert "Permission" not in problem_words(problem, "huggingface")
    finally:
        words.use("en")
