"""What can go wrong while a file is served, for `HubServer.instead`."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from tests.hubserver.exchange import CutConnectionError, Reply, Request
from tests.hubserver.files import bytes_of
from tests.hubserver.repos import ServedRepo

Change = Callable[[Request, Reply], Reply]


def _body(reply: Reply) -> Iterable[bytes]:
    return (reply.body,) if isinstance(reply.body, bytes) else reply.body


def _in(reply: Reply, body: Iterable[bytes], **headers: str) -> Reply:
    told = {**reply.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Reply(reply.status, told, body, reply.closes)


def cut(after: int | Callable[[], int]) -> Change:
    """The line breaks after so many bytes of the body."""

    def body(reply: Reply) -> Iterator[bytes]:
        left = after if isinstance(after, int) else after()
        for chunk in _body(reply):
            if len(chunk) >= left:
                yield chunk[:left]
                raise CutConnectionError
            left -= len(chunk)
            yield chunk

    return lambda _, reply: _in(reply, body(reply))


def slow(bytes_per_s: float) -> Change:
    """No faster than that on each connection, in small pieces."""

    def body(reply: Reply) -> Iterator[bytes]:
        due, n = time.monotonic(), 1 << 14
        for chunk in _body(reply):
            for at in range(0, len(chunk), n):
                due += n / bytes_per_s
                time.sleep(max(0.0, due - time.monotonic()))
                yield chunk[at : at + n]

    return lambda _, reply: _in(reply, body(reply))


class Dam:
    """Lets so many bytes through, of all connections together, and holds the rest back until it is `broken`: then the
    lines break."""

    def __init__(self, n_bytes: int) -> None:
        self._left, self._lock, self._is_broken = n_bytes, threading.Lock(), threading.Event()

    def __call__(self, _: Request, reply: Reply) -> Reply:
        return _in(reply, self._body(reply))

    def broken(self) -> None:
        """Nobody waits any more."""
        self._is_broken.set()

    def _body(self, reply: Reply) -> Iterator[bytes]:
        n = 1 << 14
        for chunk in _body(reply):
            for at in range(0, len(chunk), n):
                piece = chunk[at : at + n]
                with self._lock:
                    free = min(len(piece), self._left)
                    self._left -= free
                yield piece[:free]
                if free < len(piece):
                    self._is_broken.wait()
                    raise CutConnectionError


def whole(repo: ServedRepo, path: str, *, etag: str = "") -> Change:
    """All of the file, whatever range was asked for."""

    def change(request: Request, _: Reply) -> Reply:
        headers = {name: value for name, value in request.headers.items() if name != "range"}
        told = {"ETag": etag or f'"{repo.sha256(path)}"'}
        return bytes_of(repo, path, dataclasses.replace(request, headers=headers), told)

    return change


def wrong_bytes() -> Change:
    """A bit of each piece is another one."""

    def body(reply: Reply) -> Iterator[bytes]:
        for chunk in _body(reply):
            yield bytes([chunk[0] ^ 1]) + chunk[1:]

    return lambda _, reply: _in(reply, body(reply))


def etag(make: Callable[[], str]) -> Change:
    """With this ETag, or with none where that is empty; the server knows no other, so a range on a condition with
    another one gets all of the file: see `changed`."""

    def change(_: Request, reply: Reply) -> Reply:
        told = {name: value for name, value in reply.headers.items() if name != "ETag"}
        return Reply(reply.status, {**told, **({"ETag": make()} if make() else {})}, reply.body, reply.closes)

    return change


def changed(repo: ServedRepo, path: str, tag: str) -> Change:
    """Served as a file with this ETag: the whole of it to whoever has another."""

    def change(request: Request, _: Reply) -> Reply:
        return bytes_of(repo, path, request, {"ETag": tag})

    return change


def shorter(by: int) -> Change:
    """A Content-Length that says less, and no more than that."""

    def body(reply: Reply, left: int) -> Iterator[bytes]:
        for chunk in _body(reply):
            yield chunk[:left]
            left -= len(chunk[:left])
            if not left:
                return

    def change(_: Request, reply: Reply) -> Reply:
        n = max(0, int(reply.headers["Content-Length"]) - by)
        return _in(reply, body(reply, n), Content_Length=str(n))

    return change


def refused(status: int, **headers: str) -> Reply:
    """Another status, without a file. Underscores in the names of headers are hyphens."""
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"no")


def login_page() -> Reply:
    """What a captive portal gives."""
    return Reply(200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>Log in</html>")


def elsewhere(url: Callable[[Request], str]) -> Change:
    """A redirect."""
    return lambda request, _: Reply(302, {"Location": url(request)})
