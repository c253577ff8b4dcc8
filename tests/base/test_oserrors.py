"""What the system says is said in the language of the interface."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest

from tui.base.oserrors import USUAL, os_reason
from tui.words import use


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    use("en")


def test_the_usual_reasons_are_translated_and_others_stay_as_they_are() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x")
    assert os_reason(full) == "No space left on device"
    assert use("zh")
    assert os_reason(full) == "磁盘已满"
    assert os_reason(OSError("only a text")) == "only a text"
    assert os_reason(OSError(errno.ESRMNT, "Srmount error")) == "Srmount error"


def test_the_texts_are_those_of_this_system() -> None:
    known = {os.strerror(number) for number in errno.errorcode}
    assert [text for text in USUAL if text not in known] == []
