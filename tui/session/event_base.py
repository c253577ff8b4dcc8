"""What all events of a session have in common."""

from __future__ import annotations

from typing import Literal

import msgspec

Phase = Literal["starting", "no_model", "loading", "ready", "answering", "dead"]
"""What the engine is at: only in "ready" a prompt can be answered, only in "answering" an answer be stopped."""


class SessionEvent(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of what a session tells."""
