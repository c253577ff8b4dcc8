"""What crosses the pipes of the process that fetches. Wishes do not: they stand on the shelf, where they last."""

from __future__ import annotations

import msgspec

from tui.downloads.records import Download


class Look(msgspec.Struct, frozen=True, tag=True):
    """To the process: there is something new on the shelf."""


class Told(msgspec.Struct, frozen=True, tag=True):
    """From the process: all that there is, in the order of the queue."""

    downloads: tuple[Download, ...]
