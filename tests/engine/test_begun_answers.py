"""An answer that is not complete goes on as its model would have written it, with every chat template that llama.cpp
has in its sources (LLMTUI_TEMPLATES): what is put behind the prompt is the beginning of what the model writes there."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from tests.engine.test_llama_cpp_templates import ANSWER, NO_THINKING, TEMPLATES, THOUGHT

MARKED_WHEN_ASKED = ("ibm-granite-granite-3.3",)
"""Marks answers because the system prompt says so, and not before each: the mark is left out."""


@cache
def begun() -> dict[str, Any]:
    """Of the check program, for all templates at once."""
    command = [sys.executable, "-m", "tests.engine.begun_answers_check", *map(str, TEMPLATES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def letters(text: str) -> str:
    """Without blanks: templates write other ones around marks than the models' cards."""
    return "".join(text.split())


@pytest.mark.skipif(not TEMPLATES, reason="llama.cpp's templates are not here: make test gets them")
@pytest.mark.parametrize("name", [path.stem for path in TEMPLATES])
def test_it_is_the_beginning_of_what_the_model_writes(name: str) -> None:
    told = begun()[name]
    (thought, thinks), (both, answers), (plain, answers_at_once) = told["begun"]
    assert (answers, answers_at_once) == ("answer", "answer")
    assert plain.endswith(ANSWER[:5]) and THOUGHT[:5] not in plain
    if name.startswith(tuple(NO_THINKING)):
        assert (thought, thinks) == ("", "answer")
    else:
        assert thinks == "thinking" and thought.endswith(THOUGHT[:5])
        assert letters(told["written"]).startswith(letters(thought))
    if not name.startswith(MARKED_WHEN_ASKED):
        assert letters(told["written"]).startswith(letters(both))
    assert not any(word in thought for word in ("thoughtWell", "assistantto"))  # a word ends before the next


@pytest.mark.skipif(not TEMPLATES, reason="llama.cpp's templates are not here: make test gets them")
@pytest.mark.parametrize("name", [path.stem for path in TEMPLATES])
def test_a_thought_is_over_where_no_thinking_is_wanted(name: str) -> None:
    told = begun()[name]
    (thought, part), (both, _), _ = told["not thinking"]
    if told["can switch"]:
        open_thought = told["begun"][0][0]
        end = thought.removeprefix(open_thought)
        assert part == "answer" and thought.startswith(open_thought) and end and both.endswith(end + ANSWER[:5])
    else:
        assert [thought, part] == told["begun"][0]
    assert both == told["begun"][1][0]  # what was thought is never put behind a thought that the template has closed
