"""Compiles `tui/engine/tokenloop.c` while llmtui is installed: a build hook of hatchling's. Without a C compiler llmtui
is installed all the same, and its engine then chooses tokens in Python. By hand, into the checkout, after `make dev`:

    python scripts/token_loop_build.py
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags

SOURCE, LIBRARY = "tui/engine/tokenloop.c", "tui/engine/libtokenloop.so"


class CompileError(Exception):
    """The message says what is missing, or what the compiler said."""


def compiler() -> list[str]:
    """The C compiler's command: `CC`, else cc. Raises `CompileError` when it is not there."""
    command = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if shutil.which(command[0]) is None:
        raise CompileError(f"no C compiler ({command[0]}); on Debian: apt-get install build-essential")
    return command


def compile_token_loop(source: Path, library: Path) -> None:
    """Make the library. Raises `CompileError`."""
    if not sys.platform.startswith("linux"):
        raise CompileError(f"made for Linux, not for {sys.platform}")
    command = compiler()
    # An engine may have the old one mapped: it is replaced, never written into.
    partial = library.with_suffix(f".{os.getpid()}.partial")
    try:
        # The engine takes no library that was made from another source than it finds.
        checksum = f"-DSOURCE_CHECKSUM={zlib.crc32(source.read_bytes())}u"
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


class TokenLoopHook(BuildHookInterface[Any]):
    """Puts the library into the wheel, which is then one for this kind of machine; into the checkout only for an
    editable install, which runs from there."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before the wheel is put together; `version` is "standard" or "editable"."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        if version == "editable":
            library = root / LIBRARY
        else:
            self._folder = tempfile.TemporaryDirectory(prefix="llmtui-")
            library = Path(self._folder.name) / Path(LIBRARY).name
        try:
            compile_token_loop(root / SOURCE, library)
        except CompileError as error:
            self.app.display_warning(f"The token loop is not compiled, llmtui runs it in Python: {error}")
            return
        build_data["pure_python"] = False
        if version != "editable":
            build_data["force_include"][str(library)] = LIBRARY
            # Not `sysconfig`'s platform, which is the kernel's where a 32-bit Python runs on a 64-bit one.
            platforms = (tag.platform for tag in sys_tags())
            build_data["tag"] = "py3-none-" + next(name for name in platforms if name.startswith("linux_"))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """After the wheel was put together."""
        if self.target_name == "wheel" and version != "editable":
            self._folder.cleanup()


if __name__ == "__main__":
    checkout = Path(__file__).resolve().parent.parent
    try:
        compile_token_loop(checkout / SOURCE, checkout / LIBRARY)
    except CompileError as error:
        sys.exit(f"The token loop is not compiled: {error}")
