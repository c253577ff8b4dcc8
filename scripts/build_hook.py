"""What is made while llmtui is installed, as a build hook of hatchling's: the compiled token loop and the compiled
translations."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags

sys.path.insert(0, str(Path(__file__).parent))  # hatchling loads this file alone
import catalogue
from token_loop_build import LIBRARY, SOURCE, CompileError, compile_token_loop


class LlmtuiBuildHook(BuildHookInterface[Any]):
    """Puts both into the wheel, which with the token loop is one for this kind of machine; into the checkout only for
    an editable install, which runs from there."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before the wheel is put together; `version` is "standard" or "editable"."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        if version == "editable":
            catalogue.build(root)
            build_data["pure_python"] = not self._compile(root, root / LIBRARY)
            return
        self._folder = tempfile.TemporaryDirectory(prefix="llmtui-")
        folder = Path(self._folder.name)
        for made in catalogue.build(root, folder):
            build_data["force_include"][str(made)] = f"{catalogue.WORDS}/{made.name}"
        library = folder / Path(LIBRARY).name
        if self._compile(root, library):
            build_data["force_include"][str(library)] = LIBRARY
            build_data["pure_python"] = False
            # Not `sysconfig`'s platform, which is the kernel's where a 32-bit Python runs on a 64-bit one.
            platforms = (tag.platform for tag in sys_tags())
            build_data["tag"] = "py3-none-" + next(name for name in platforms if name.startswith("linux_"))

    def _compile(self, root: Path, library: Path) -> bool:
        try:
            compile_token_loop(root / SOURCE, library)
        except CompileError as error:
            self.app.display_warning(f"The token loop is not compiled, llmtui runs it in Python: {error}")
            return False
        return True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """After the wheel was put together."""
        if self.target_name == "wheel" and version != "editable":
            self._folder.cleanup()
