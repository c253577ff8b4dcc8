"""Records that travel from the splitter to the renderer: a leaf block of Markdown and the containers it stands in."""

from __future__ import annotations

from typing import Literal, NamedTuple

BlockKind = Literal["paragraph", "heading", "code", "table", "rule", "verbatim"]


class Container(NamedTuple):
    """A quote or a list item around a block."""

    kind: Literal["quote", "item"]
    marker: str = ""
    """What stands before the item: a bullet, "3." or a task's box."""
    fresh: bool = True
    """The block is the first one in this container, so the marker is to be drawn."""


class CodeBlock(NamedTuple):
    """A whole fence, to be copied."""

    text: str
    language: str = ""
    """As the fence names it; empty where it does not."""


class Block(NamedTuple):
    """A leaf block, or a piece of a long fence or table. It can be rendered without knowing any other block."""

    kind: BlockKind
    text: str = ""
    """Source without the containers' prefixes; of a fence its lines, tabs included, of a table its rows."""
    containers: tuple[Container, ...] = ()
    gap: bool = False
    """An empty row comes before it."""
    level: int = 0
    """Of a heading, 1 to 6."""
    info: str = ""
    """Of a fence, its language."""
    context: str = ""
    """Of a later piece, what its look depends on: the lines before it of a fence, the first piece of a table."""
    first: bool = True
    """The first piece of its fence or table."""
    closed: bool = True
    """False while more text may still change it."""
