"""Where the tests find what they read."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
DATA = CHECKOUT / "tests" / "data"
SYSFS = DATA / "sysfs"
