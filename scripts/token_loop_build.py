"""Compiles `tui/engine/tokenloop.c`, which `build_hook.py` has done while llmtui is installed. Without a C compiler
llmtui is installed all the same, and its engine then chooses tokens in Python. By hand, into the checkout:

    python scripts/token_loop_build.py
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

SOURCE, LIBRARY = "tui/engine/tokenloop.c", "tui/engine/libtokenloop.so"


class CompileError(Exception):
    """The message says what is missing, or what the compiler said."""


def compiler() -> list[str]:
    """The C compiler's command: `CC`, else cc. Raises `CompileError` when it is not there."""
    command = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if shutil.which(command[0]) is None:
        raise CompileError(f"no C compiler ({command[0]}); on Debian: apt-get install build-essential")
    return command


def source_checksum(source: Path) -> int:
    """Of the source with its headers, as `tui.engine.tokenloop` has it."""
    return zlib.crc32(b"".join(part.read_bytes() for part in (source, *sorted(source.parent.glob("*.h")))))


def compile_token_loop(source: Path, library: Path) -> None:
    """Make the library. Raises `CompileError`."""
    if not sys.platform.startswith("linux"):
        raise CompileError(f"made for Linux, not for {sys.platform}")
    command = compiler()
    # An engine may have the old one mapped: it is replaced, never written into.
    partial = library.with_suffix(f".{os.getpid()}.partial")
    try:
        # The engine takes no library that was made from another source than it finds.
        checksum = f"-DSOURCE_CHECKSUM={source_checksum(source)}u"
        options = ["-std=gnu11", "-O3", "-fPIC", "-shared", "-Wall", "-Wextra", checksum]
        done = subprocess.run(
            [*command, *options, "-o", str(partial), str(source)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise CompileError(f"{shlex.join(command)}: {done.stderr.strip()}")
        partial.replace(library)
    except OSError as error:
        raise CompileError(f"{error.filename or command[0]}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):  # in a folder that cannot be written there is nothing to remove
            partial.unlink()


if __name__ == "__main__":
    checkout = Path(__file__).resolve().parent.parent
    try:
        compile_token_loop(checkout / SOURCE, checkout / LIBRARY)
    except CompileError as error:
        sys.exit(f"The token loop is not compiled: {error}")
