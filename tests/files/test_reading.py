"""Files as they are read for a prompt: encodings, documents, and what is no text."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.files.attachment import Attachment, frame, with_files
from tui.files.encodings import NotText, decode
from tui.files.reading import MOST_BYTES, Unreadable, read_attachment

CHINESE = "今天天气很好，我们去公园散步吧。"


@pytest.mark.parametrize(
    ("data", "text", "encoding"),
    [
        (b"plain\r\nand old\rlines", "plain\nand old\nlines", "utf-8"),
        ("é".encode(), "é", "utf-8"),
        (b"\xef\xbb\xbfmarked", "marked", "utf-8"),
        ("wide".encode("utf-16"), "wide", "utf-16"),
        (b"\xfe\xff" + "wide".encode("utf-16-be"), "wide", "utf-16"),
        ("你好".encode("gb18030"), "你好", "gb18030"),
        (f"// {CHINESE}\nint main();\n".encode("gb18030"), f"// {CHINESE}\nint main();\n", "gb18030"),
        ("é".encode("latin-1"), "é", "cp1252"),
        ("“naïve” café".encode("cp1252"), "“naïve” café", "cp1252"),
        (b"a\x81b", "a\x81b", "latin-1"),
        (
            "こんにちは、世界。今日はいい天気ですね。".encode("shift_jis"),
            "こんにちは、世界。今日はいい天気ですね。",
            "shift-jis",
        ),
        (b"", "", "utf-8"),
    ],
)
def test_a_text_is_read_whatever_it_is_written_in(data: bytes, text: str, encoding: str) -> None:
    assert decode(data) == (text, encoding)


@pytest.mark.parametrize("data", [b"\x7fELF\0", b"\x89PNG\r\n\x1a\n\0", b"\xff\xfea", bytes(range(1, 32)) * 40])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(NotText):
        decode(data)


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1))
def test_utf_8_is_always_read_as_what_it_is(text: str) -> None:
    assert decode(text.encode()).text == text.removeprefix("\ufeff")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "No such file or directory. Check the path."),
        (Path.mkdir, "Is a directory. Check the path."),
        (os.mkfifo, "a pipe or a device, not a file. Give a file, or pipe it in."),
        (lambda path: path.write_bytes(b"\x7fELF\0"), "this is not text. Only text can be asked about."),
        (lambda path: path.write_bytes(b"a" * (MOST_BYTES + 1)), "more than 8 MiB are asked about"),
    ],
)
def test_a_file_that_cannot_be_asked_about_says_why_and_what_to_do(tmp_path: Path, make: object, said: str) -> None:
    file = tmp_path / "file"
    assert callable(make)
    make(file)
    with pytest.raises(Unreadable) as refused:
        read_attachment(file, "file")
    assert str(refused.value).startswith(said)


@given(st.text(alphabet="`a\n", max_size=60))
def test_no_file_gets_out_of_its_frame(text: str) -> None:
    _, head, *_, last = frame(Attachment(name="x", text=text)).split("\n")
    assert head == last and set(head) == {"`"} and head not in text


def test_the_files_come_before_the_question_and_a_name_is_one_line() -> None:
    files = [Attachment(name="a\nb.txt", text="A"), Attachment(name="c", text="C\n")]
    assert with_files(files, "Why?") == "a b.txt:\n```\nA\n```\n\nc:\n```\nC\n```\n\nWhy?"
    assert with_files((), "Why?") == "Why?"


def test_the_words_of_a_docx_file_are_read_with_its_tables(tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    document = docx.Document()
    document.add_paragraph("The lighthouse keeper")
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "lamp", "oil"
    document.add_paragraph("went home.")
    document.save(str(tmp_path / "story.docx"))
    read = read_attachment(tmp_path / "story.docx", "story.docx")
    assert (read.text, read.encoding) == ("The lighthouse keeper\n\nlamp | oil\n\nwent home.", "docx")


def a_pdf(words: str) -> bytes:
    """A file of one page, written by hand."""
    stream = f"BT /F1 24 Tf 72 700 Td ({words}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out = io.BytesIO()
    out.write(b"%PDF-1.4\n")
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % place for place in places)
    out.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))
    return out.getvalue()


def test_the_words_of_a_pdf_file_are_read_and_one_without_words_says_so(tmp_path: Path) -> None:
    pytest.importorskip("pypdf")
    (tmp_path / "a.pdf").write_bytes(a_pdf("The lighthouse keeper"))
    assert read_attachment(tmp_path / "a.pdf", "a.pdf").text == "The lighthouse keeper"
    (tmp_path / "scan.PDF").write_bytes(a_pdf(""))
    with pytest.raises(Unreadable, match="there is no text in this PDF file"):
        read_attachment(tmp_path / "scan.PDF", "scan.PDF")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 and nothing else")
    with pytest.raises(Unreadable, match="this PDF file cannot be read"):
        read_attachment(tmp_path / "broken.pdf", "broken.pdf")


def test_without_its_library_a_document_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nshift; exec "{sys.executable}" -I -S "$@"\n')  # without site-packages
    bare.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(bare))
    (tmp_path / "a.pdf").write_bytes(a_pdf("words"))
    with pytest.raises(Unreadable) as refused:
        read_attachment(tmp_path / "a.pdf", "a.pdf")
    assert refused.value.problem == "no_reader" and 'pip install "llmtui[documents]"' in str(refused.value)
