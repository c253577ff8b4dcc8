"""One request to the hub on 127.0.0.1, and its reply."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.hubserver.server import HubServer


class CutConnectionError(Exception):
    """Raised by the body of a reply: the connection is closed there, as by a broken line."""


@dataclass
class Request:
    """What was asked."""

    method: str
    target: str
    """Path and query as they came."""
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    """Names in lower case."""
    n_sent: int = 0
    """Bytes of the reply's body that went out."""

    def value(self, name: str, default: str = "") -> str:
        """The first value of a field of the query."""
        return self.query.get(name, [default])[0]


@dataclass
class Reply:
    """What is answered. A body that comes in pieces needs a Content-Length, or `closes`."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] = b""
    closes: bool = False
    """Whether the connection is closed after it."""


def in_json(data: object, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """A reply of JSON."""
    return Reply(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(data).encode())


Route = Callable[..., Reply]
"""Called with the server, the request and the named groups of the route's pattern."""
Fault = Reply | Callable[[Request, Reply], Reply]

__all__ = ["CutConnectionError", "Fault", "HubServer", "Reply", "Request", "Route", "in_json"]
