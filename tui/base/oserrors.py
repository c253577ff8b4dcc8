"""What the system says when a file or folder cannot be had, in the language in use. Python has it in English, whatever
the locale is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tui.words import mark, tr

if TYPE_CHECKING:
    from tui.words.later import Later

USUAL: Final = (
    mark("Cannot allocate memory"),
    mark("Connection refused"),
    mark("Device or resource busy"),
    mark("Disk quota exceeded"),
    mark("File exists"),
    mark("File name too long"),
    mark("File too large"),
    mark("Input/output error"),
    mark("Invalid argument"),
    mark("Is a directory"),
    mark("No such device"),
    mark("No such device or address"),
    mark("No such file or directory"),
    mark("No space left on device"),
    mark("Not a directory"),
    mark("Operation not permitted"),
    mark("Operation not supported"),
    mark("Permission denied"),
    mark("Read-only file system"),
    mark("Resource temporarily unavailable"),
    mark("Stale file handle"),
    mark("Text file busy"),
    mark("Too many levels of symbolic links"),
    mark("Too many open files"),
    mark("Too many open files in system"),
    mark("Transport endpoint is not connected"),
)
"""The system's own texts that have a translation; others are shown as they are."""


def english_reason(error: OSError) -> str:
    """The system's own text, or that of whoever raised it."""
    return error.strerror or str(error)


def os_reason(error: OSError) -> str:
    """Why it did not work, without an end, in the language in use: "No space left on device"."""
    text = english_reason(error)
    return tr(text)


def about(path: str, error: OSError) -> Later:
    """The reason behind what it is about, for a text that is kept: "/models/a.gguf: Permission denied"."""
    from tui.words.later import Later

    return Later("{path}: {reason}", (("path", path), ("reason", kept_reason(error))))


def kept_reason(error: OSError) -> Later:
    """The same for a text that is kept."""
    from tui.words.later import Later  # takes time that `--help` does not have

    return Later(english_reason(error))
