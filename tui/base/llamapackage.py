"""Where llama.cpp's package is and which version it has, without importing it: that would load llama.cpp."""

from __future__ import annotations

import importlib.util
from pathlib import Path

PACKAGE = "llama-cpp-python"


def libraries() -> Path | None:
    """Folder of llama.cpp's libraries; None where it is not installed."""
    spec = importlib.util.find_spec("llama_cpp")
    return Path(spec.origin).parent / "lib" if spec and spec.origin else None


def version() -> str | None:
    """Version of the installed package, such as "0.3.36"; None where it is not installed."""
    folder = libraries()
    if folder is None:
        return None
    # By the name of its folder: `importlib.metadata` reads e-mail, and is a fifth of the engine's start.
    name = PACKAGE.replace("-", "_")
    for found in folder.parent.parent.glob(f"{name}-*.dist-info"):
        return found.name.removesuffix(".dist-info").rpartition("-")[2]
    from importlib import metadata

    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return None
