"""The hub itself: an HTTP server in a thread, a table of routes, and what was asked of it.

Each route is a pattern of the path and a function that makes a `Reply`; `api.py` has those about repositories,
`files.py` those about bytes. `HubServer.instead` puts a fault in the place of any answer.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hubserver import api, files
from tests.hubserver.exchange import CutConnectionError, Fault, Reply, Request, Route
from tests.hubserver.repos import ServedRepo

ROUTES: tuple[tuple[str, Route], ...] = (*api.ROUTES, *files.ROUTES)


class HubServer:
    """A running hub. Use it in a `with` block; `url` is the endpoint of both hubs. With a `certificate` (key and
    certificate in one PEM file) it speaks TLS."""

    def __init__(self, *repos: ServedRepo, certificate: Path | None = None) -> None:
        self.repos: dict[str, ServedRepo] = {repo.name: repo for repo in repos}
        self.token = "a-token-of-the-tests"
        self.seen: list[Request] = []
        """Every request, in order; `n_sent` of each says how many bytes of the body went out."""
        self._faults: list[_Instead] = []
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.hub = self
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def add(self, repo: ServedRepo) -> ServedRepo:
        """Serve one more."""
        self.repos[repo.name] = repo
        return repo

    def instead(self, pattern: str, fault: Fault, times: int = 1 << 30, skip: int = 0) -> None:
        """Answer requests whose path and query match `pattern` (as `re.search` does) by `fault`: a `Reply`, or a
        function of the request and of the reply that it would get. Only `times` of them, after `skip`."""
        with self._lock:
            self._faults.append(_Instead(re.compile(pattern), fault, times, skip))

    def heal(self) -> None:
        """No more faults."""
        with self._lock:
            self._faults.clear()

    def asked(self, pattern: str) -> list[Request]:
        """The requests so far whose path and query match."""
        return [request for request in list(self.seen) if re.search(pattern, request.target)]

    @property
    def n_sent(self) -> int:
        """Bytes of bodies that went out."""
        return sum(request.n_sent for request in list(self.seen))

    def answer(self, request: Request) -> Reply:
        """What a request gets."""
        with self._lock:
            self.seen.append(request)
            fault = next((fault for fault in self._faults if fault.takes(request)), None)
        if fault is not None and isinstance(fault.fault, Reply):
            return fault.fault
        reply = self._route(request)
        return fault.fault(request, reply) if fault is not None and not isinstance(fault.fault, Reply) else reply

    def _route(self, request: Request) -> Reply:
        for pattern, route in ROUTES:
            if match := re.fullmatch(pattern, request.path):
                return route(self, request, **{name: unquote(text) for name, text in match.groupdict("").items()})
        return Reply(404, body=json.dumps({"error": "no such route"}).encode())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@dataclass
class _Instead:
    pattern: re.Pattern[str]
    fault: Fault
    times: int
    skip: int

    def takes(self, request: Request) -> bool:
        """Whether it is this one's turn; counts."""
        if self.times <= 0 or not self.pattern.search(request.target):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    hub: HubServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are usual here; all else is told as it is by default."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test looks at `HubServer.seen`."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, parts.path, parse_qs(parts.query), headers)
        try:
            reply = self.server.hub.answer(request)
            self.close_connection = self.close_connection or reply.closes
            self._send(request, reply)
        except (BrokenPipeError, ConnectionResetError, CutConnectionError):
            self.close_connection = True

    def _send(self, request: Request, reply: Reply) -> None:
        body = reply.body
        self.send_response(reply.status)
        sent = {name.lower() for name in reply.headers}
        if isinstance(body, bytes) and "content-length" not in sent and "transfer-encoding" not in sent:
            self.send_header("Content-Length", str(len(body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.closes:
            self.send_header("Connection", "close")
        self.end_headers()
        if request.method == "HEAD":
            return
        for chunk in (body,) if isinstance(body, bytes) else body:
            self.wfile.write(chunk)
            request.n_sent += len(chunk)


__all__ = ["CutConnectionError", "Fault", "HubServer", "Reply", "Request", "Route", "ServedRepo"]
