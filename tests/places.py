"""Where the tests find what they read."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
DATA = CHECKOUT / "tests" / "data"
SYSFS = DATA / "sysfs"


def tree(root: Path, files: dict[str, str]) -> Path:
    """`root`, with these files below it, as a test of readers of /proc and /sys wants them."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
