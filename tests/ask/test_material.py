"""What is asked: texts put together, and files that are none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.planning.shapes import QWEN3_8B
from tui.ask import material
from tui.ask.material import NothingToAsk, files_of, prompt_of, read_piped
from tui.chat.conversation import new_conversation
from tui.config.settings import ChosenLoad
from tui.files.reading import MOST_BYTES
from tui.models.info import ModelInfo
from tui.shell.answer_load import n_ctx_for


def test_a_pipe_alone_is_the_question() -> None:
    assert prompt_of("", b"\xef\xbb\xbfWhy?\r\nSay.\n") == "Why?\nSay."
    assert prompt_of(" Why? ", b"\n") == "Why?"


@given(st.text(alphabet="`a\n", max_size=60).filter(str.strip))
def test_no_text_gets_out_of_its_fence(text: str) -> None:
    head, *_, last = prompt_of("Why?", text.encode()).split("\n\n", 1)[1].split("\n")
    assert head == last and set(head) == {"`"}
    assert len(head) > max(map(len, "".join(c if c == "`" else " " for c in text).split()), default=2)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "No such file or directory.\nCheck the path."),
        (Path.mkdir, "Is a directory.\nCheck the path."),
        (os.mkfifo, "a pipe or a device, not a file.\nPipe it in instead: … | llmtui ask."),
        (lambda path: path.write_bytes(b"\x7fELF\0"), "this is not text.\nOnly text"),
        (lambda path: path.write_bytes(b"a" * (MOST_BYTES + 1)), "more than 8 MiB are asked about"),
    ],
)
def test_what_is_no_text_is_told_with_what_to_do(tmp_path: Path, make: object, said: str) -> None:
    file = tmp_path / "file"
    assert callable(make)
    make(file)
    with pytest.raises(NothingToAsk) as refused:
        files_of([str(file)])
    assert f"-f {file}: {said}" in str(refused.value)


def test_files_that_are_too_large_together_are_refused(tmp_path: Path) -> None:
    files = [tmp_path / name for name in "abc"]
    for file in files:
        file.write_bytes(b"a" * (3 << 20))
    with pytest.raises(NothingToAsk, match="c: all together is more than the 8 MiB"):
        files_of([str(file) for file in files])


def test_a_pipe_is_read_to_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(material, "MOST_BYTES", 10)
    for data, is_fine in ((b"0123456789", True), (b"01234567890", False)):
        theirs, ours = os.pipe()
        os.write(ours, data)
        os.close(ours)
        if is_fine:
            assert read_piped(theirs) == data
        else:
            with pytest.raises(NothingToAsk, match="what is piped in: more than"):
                read_piped(theirs)
        os.close(theirs)


@pytest.mark.parametrize(
    ("n_bytes", "n_ctx", "given_load", "wanted"),
    [
        (1000, 8192, {}, 8192),
        (50_000, 8192, {}, 22_528),
        (100_000, 8192, {"n_ctx": 8192}, 8192),
        (100_000, 0, {}, 0),
        (1_000_000, 8192, {}, QWEN3_8B.n_ctx_train),
    ],
)
def test_the_context_is_as_large_as_the_question_needs(
    n_bytes: int, n_ctx: int, given_load: dict[str, object], wanted: int
) -> None:
    info: ModelInfo = QWEN3_8B
    assert n_ctx_for(new_conversation(), "a" * n_bytes, ChosenLoad(n_ctx=n_ctx), info, given_load) == wanted
