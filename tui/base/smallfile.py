"""Files that are read whole: regular ones of a size that was thought of, so that a pipe, a device or a disk image in
the place of one is an error and neither a wait nor all memory."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from tui.words import mark, tr


def read_small(path: Path, most_bytes: int) -> bytes:
    """What the file holds. Raises OSError: with `errno.EFBIG` when it is larger than `most_bytes`, as
    IsADirectoryError for a folder, and without a number when it is none of both and no regular file."""
    # Opening a pipe would wait for somebody to write into it.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(None, mark("a pipe or a device, not a file"), str(path))
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise OSError(errno.EFBIG, tr("larger than {n} MiB", n=most_bytes >> 20), str(path))
    return data
