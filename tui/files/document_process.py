"""A process that takes the text out of one document: bytes of the file come in, its text goes out. Run by
`documents.py`, as a file: it imports nothing of llmtui."""

from __future__ import annotations

import io
import os
import sys

NO_READER, DAMAGED = 3, 4
"""Exit codes: the library is not installed; it could not read the file, and stdout says why."""
_CPU_S, _MEMORY_BYTES = 60, 2 << 30
_MOST_CHARS = 16 << 20
_MOST_REASON = 160


def main(kind: str) -> int:
    """Read stdin, write the text to stdout."""
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    data = sys.stdin.buffer.read()
    # What a library says of itself is no text of the document.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        text = _pdf(data) if kind == "pdf" else _docx(data)
    except ImportError:
        return NO_READER
    except Exception as error:  # noqa: BLE001 - whatever a library raises of a stranger's file
        out.write(" ".join(f"{error or type(error).__name__}".split())[:_MOST_REASON].encode("utf-8", "replace"))
        out.flush()
        return DAMAGED
    out.write(text[:_MOST_CHARS].encode("utf-8", "replace"))
    out.flush()
    return 0


def _pdf(data: bytes) -> str:
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(data))
    pages, n_chars = [], 0
    for page in reader.pages:
        pages.append(page.extract_text().strip())
        n_chars += len(pages[-1])
        if n_chars > _MOST_CHARS:
            break
    return "\n\n".join(filter(None, pages))


def _docx(data: bytes) -> str:
    from docx import Document
    from docx.table import Table

    parts = []
    for block in Document(io.BytesIO(data)).iter_inner_content():
        if isinstance(block, Table):
            rows = [" | ".join(" ".join(cell.text.split()) for cell in row.cells) for row in block.rows]
            parts.append("\n".join(rows))
        else:
            parts.append(block.text)
    return "\n\n".join(part for part in parts if part.strip())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
