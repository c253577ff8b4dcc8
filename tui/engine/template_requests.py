"""What the engine asks of the process that renders templates, and what that answers."""

from __future__ import annotations

from typing import Any

import msgspec

from tui.engine.template import FaultKind

CPU_S = 2
"""What a template may compute, in seconds, for each request."""


class Compile(msgspec.Struct, frozen=True, tag=True):
    """Take this template."""

    source: str
    bos: str
    eos: str


class Render(msgspec.Struct, frozen=True, tag=True):
    """Render a conversation with it."""

    turns: list[dict[str, Any]]
    opening: bool
    variables: dict[str, Any]


class RenderResult(msgspec.Struct, frozen=True):
    """What came of either. With a `fault`, nothing did."""

    text: str = ""
    variables: tuple[str, ...] = ()
    fault: FaultKind | None = None
    detail: str = ""
    """As of a `TemplateError`."""


Request = Compile | Render
