"""The sum of a file while it comes: follows the bytes from its beginning as far as none is missing. They are read from
the part file, where the system still has them in memory; so the order in which they come does not matter."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from tui.downloads.connection import Stop
from tui.downloads.failures import FetchError, StoppedError, of_the_disk
from tui.downloads.partfile import Part

_PIECE = 1 << 20
_LOOK_S = 0.05


class Summing:
    """SHA-256 of a part, in a thread of its own that ends when all is there, with `stop`, or at an error."""

    def __init__(self, part: Part, stop: Stop) -> None:
        self._part, self._stop = part, stop
        self._error: FetchError | None = None
        self._sum = ""
        self._thread = threading.Thread(target=self._run, name="sum", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Whether it is over within this time."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def hexdigest(self) -> str:
        """Of the whole file, once it is over. Raises `FetchError` when the disk could not be read."""
        if self._error is not None:
            raise self._error
        return self._sum

    def _run(self) -> None:
        view = memoryview(bytearray(_PIECE))
        try:
            generation, digest, at = -1, hashlib.sha256(), 0
            while True:
                self._stop.check()
                now, front = self._part.front
                if now != generation:
                    generation, digest, at = now, hashlib.sha256(), 0
                if at < front:
                    n = self._part.read_at(at, view[: front - at])
                    if not n:
                        raise FetchError("disk", "the part file is shorter than it was")  # noqa: TRY301
                    if self._part.front[0] == generation:
                        digest.update(view[:n])
                        at += n
                elif at == self._part.identity.size:
                    self._sum = digest.hexdigest()
                    return
                else:
                    self._stop.wait(_LOOK_S)
        except StoppedError:
            return
        except FetchError as error:
            self._error = error


def sum_of(path: Path, stop: Stop) -> str:
    """SHA-256 of a file, in hexadecimal. Raises `FetchError` and `StoppedError`."""
    digest = hashlib.sha256()
    view = memoryview(bytearray(_PIECE))
    try:
        with path.open("rb", buffering=0) as file:
            while n := file.readinto(view):
                digest.update(view[:n])
                stop.check()
    except OSError as error:
        raise of_the_disk(error) from error
    return digest.hexdigest()
