"""Texts that are kept are worded when they are shown."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from tui.words import use
from tui.words.later import Later, later


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    use("en")


def test_a_text_that_was_kept_is_worded_in_the_language_of_the_moment() -> None:
    reason = later("the tensor {tensor} is impossibly large", tensor="'{x}'")
    whole = later("Part {number} of {total}: {reason}", number="2", total="3", reason=reason)
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(whole), type=Later)
    assert kept == whole and hash(kept) == hash(whole)
    assert str(kept) == "Part 2 of 3: the tensor '{x}' is impossibly large" == kept.english
    assert use("zh")
    assert str(kept) == "第 2 个分片（共 3 个）：张量 '{x}' 大得不合理"
    assert kept.english == "Part 2 of 3: the tensor '{x}' is impossibly large"


def test_a_text_without_fields_may_have_braces() -> None:
    assert str(Later("{not a field}")) == "{not a field}" == Later("{not a field}").english
