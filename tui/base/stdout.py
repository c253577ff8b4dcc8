"""Results go to stdout through here, so that what prevents it, such as a full disk, is told from every other error."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from tui.base.oserrors import os_reason


class CannotWrite(Exception):
    """stdout does not take it; the message is the system's reason."""


def put(result: str | bytes) -> None:
    """Write a result, text as a line. Raises `CannotWrite`, and `BrokenPipeError` when whoever read has left."""
    with _reasons():
        if isinstance(result, bytes):
            sys.stdout.buffer.write(result)
        else:
            print(result)
        sys.stdout.flush()


def flush() -> None:
    """Write what others have printed. Raises as `put`."""
    with _reasons():
        sys.stdout.flush()


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CannotWrite(os_reason(error)) from error
