"""Reading the one-value files of /proc and /sys. They come and go with devices and processes: no file, no value."""

from __future__ import annotations

import os


def read_text(path: str) -> str | None:
    """The file's text; None as `read_bytes`."""
    data = read_bytes(path)
    return None if data is None else data.decode("utf-8", "replace")


def read_bytes(path: str) -> bytes | None:
    """What is in the file; None when it is not there or the kernel refuses. Up to 64 KiB, in one read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return None
    finally:
        os.close(descriptor)


class OpenFile:
    """A file that is read every second: it is opened once, for that takes longer than to read it. What an open file of
    /proc/<pid> tells is of that process, never of a later one with its id."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it; the next `read` opens it again."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def read(self) -> str | None:
        """Its text now; None as `read_bytes`."""
        try:
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            return os.pread(self._descriptor, 65536, 0).decode("utf-8", "replace")
        except OSError:
            self.close()
            return None


def read_int(path: str) -> int | None:
    """The file's number; None as `read_text`, and for text that is no whole number."""
    text = read_text(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def read_scaled(path: str, unit: float) -> float | None:
    """The file's number divided by `unit`: 1000 turns millidegrees into degrees."""
    number = read_int(path)
    return None if number is None else number / unit


def key_values(text: str, separator: str | None = None) -> dict[str, str]:
    """Lines "key value" or "key<separator>value" as a dictionary."""
    pairs = (line.split(separator, 1) for line in text.splitlines())
    return {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}
