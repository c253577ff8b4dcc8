"""The text of PDF and DOCX files, taken out in a process of its own with little time and memory: such files come from
strangers, and a reader that hangs or grows must not take llmtui along. Blocking."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tui.base.oserrors import kept_reason
from tui.base.text import one_line
from tui.files.document_process import DAMAGED, NO_READER
from tui.files.reading import Unreadable
from tui.words.later import later

WAIT_S = 60.0
"""By the clock. A book of a thousand pages takes about ten seconds."""
NAMES = {"pdf": "PDF", "docx": "DOCX"}


def document_text(data: bytes, kind: str) -> str:
    """What a document of this kind ("pdf", "docx") says. Raises `Unreadable`."""
    name = NAMES[kind]
    command = [sys.executable, "-P", str(Path(__file__).with_name("document_process.py")), kind]
    try:
        done = subprocess.run(command, input=data, capture_output=True, check=False, timeout=WAIT_S)
    except subprocess.TimeoutExpired:
        raise Unreadable("damaged", later("reading this {kind} file takes too long", kind=name)) from None
    except OSError as error:
        raise Unreadable("damaged", later("it cannot be read: {why}", why=kept_reason(error))) from error
    if done.returncode == NO_READER:
        raise Unreadable("no_reader", later("{kind} files are read by a library that is not installed", kind=name))
    if done.returncode:
        why = done.stdout.decode("utf-8", "replace") if done.returncode == DAMAGED else ""
        told = later("this {kind} file cannot be read: {why}", kind=name, why=one_line(why)) if why else None
        raise Unreadable("damaged", told or later("this {kind} file cannot be read", kind=name))
    text = done.stdout.decode("utf-8", "replace").strip()
    if not text:
        raise Unreadable("no_words", later("there is no text in this {kind} file", kind=name))
    return text
