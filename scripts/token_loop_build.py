"""Compiles `tui/engine/tokenloop.c` while llmtui is installed: a build hook of hatchling's. Without a C compiler llmtui
is installed all the same, and its engine then chooses tokens in Python. By hand, into the checkout:

    python scripts/token_loop_build.py
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE, LIBRARY = "tui/engine/tokenloop.c", "tui/engine/libtokenloop.so"


class CompileError(Exception):
    """The message says what is missing or wrong, in one line."""


def compile_token_loop(root: Path) -> Path:
    """Make the library beside its source in the checkout `root`. Raises `CompileError`."""
    if not sys.platform.startswith("linux"):
        raise CompileError(f"made for Linux, not for {sys.platform}")
    command = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if shutil.which(command[0]) is None:
        raise CompileError(f"no C compiler ({command[0]}); on Debian: apt-get install build-essential")
    library = root / LIBRARY
    # An engine may have the old one mapped: it is replaced, never written into.
    partial = library.with_suffix(f".{os.getpid()}.partial")
    options = ["-std=gnu11", "-O3", "-fPIC", "-shared", "-Wall", "-Wextra"]
    try:
        done = subprocess.run(
            [*command, *options, "-o", str(partial), str(root / SOURCE)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise CompileError(f"{shlex.join(command)}: {done.stderr.strip()}")
        partial.replace(library)
    except OSError as error:
        raise CompileError(f"{error.filename or command[0]}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    return library


class TokenLoopHook(BuildHookInterface[Any]):
    """Puts the library into the wheel, which is then one for this kind of machine."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before the wheel is put together; `version` is "standard" or "editable"."""
        if self.target_name != "wheel":
            return
        try:
            compile_token_loop(Path(self.root))
        except CompileError as error:
            self.app.display_warning(f"The token loop is not compiled, llmtui runs it in Python: {error}")
            (Path(self.root) / LIBRARY).unlink(missing_ok=True)  # one that was made from another source
            return
        build_data["artifacts"].append(f"/{LIBRARY}")
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")


if __name__ == "__main__":
    try:
        print(compile_token_loop(Path(__file__).resolve().parent.parent))
    except CompileError as error:
        sys.exit(f"The token loop is not compiled: {error}")
