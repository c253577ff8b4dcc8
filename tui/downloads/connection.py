"""One connection to whoever has the bytes: asks for a range, follows where that leads, says in one word what went
wrong. Of the standard library's HTTP, which gives the bytes into a buffer of ours at the speed of the line; proxies and
certificates come from the environment as the hubs' own libraries take them."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import socket
import ssl
import threading
import urllib.request
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import cache
from time import time
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from tui.downloads.failures import FetchError, StoppedError
from tui.downloads.records import ProblemKind
from tui.hubs.records import Location

CONNECT_S = 15.0
READ_S = 30.0
"""Without a byte for so long the line is given up."""
MOST_REDIRECTS = 8
_REDIRECTS = (301, 302, 303, 307, 308)
_PORTS = {"http": 80, "https": 443}
_STATUS: Mapping[int, ProblemKind] = {
    401: "token",
    403: "gated",
    404: "not_found",
    407: "proxy",
    408: "timeout",
    410: "not_found",
    416: "changed",
    425: "busy",
    429: "busy",
    511: "captive",
}
_HUB_SAYS: Mapping[str, ProblemKind] = {
    "GatedRepo": "gated",
    "RepoNotFound": "not_found",
    "EntryNotFound": "not_found",
    "RevisionNotFound": "not_found",
}
"""`X-Error-Code` of Hugging Face, which answers 401 for what is not there, too."""


class Stop:
    """A switch that ends all that a fetch does, also what waits for the network at this moment."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()

    @property
    def is_set(self) -> bool:
        """Whether it was pulled."""
        return self._event.is_set()

    def check(self) -> None:
        """Raises `StoppedError` when it was pulled."""
        if self._event.is_set():
            raise StoppedError

    def wait(self, seconds: float) -> None:
        """Sleep; raises `StoppedError` at once when it is pulled."""
        if self._event.wait(seconds):
            raise StoppedError

    def set(self) -> None:
        """Pull it."""
        with self._lock:
            self._event.set()
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def watch(self, one: socket.socket) -> None:
        """End this socket too."""
        with self._lock:
            self._sockets.add(one)
        self.check()

    def forget(self, one: socket.socket) -> None:
        """It is closed."""
        with self._lock:
            self._sockets.discard(one)


class Address:
    """Where a file is: what the hub names, and where that led, which all connections share."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.led_to = ""
        """Of the last answer that was of use, when it came from somewhere else; such addresses go out of date."""


class Answer:
    """An answer whose body has not been read yet."""

    def __init__(self, response: http.client.HTTPResponse, url: str) -> None:
        self._response, self.url = response, url
        self.status = response.status
        self.headers = response.headers
        length = response.headers.get("Content-Length", "")
        self.length = int(length) if length.isdecimal() and not response.chunked else None
        """Of the body; None when that is not said."""
        self._n_left = self.length

    def read_into(self, view: memoryview) -> int:
        """What has come, at least a byte, up to the length of `view`; 0 at the end. Raises `FetchError`."""
        if self._n_left == 0:
            return 0
        try:
            if self._n_left is None:
                data = self._response.read1(len(view))
                view[: len(data)] = data
                return len(data)
            n = self._response.fp.readinto1(view[: self._n_left])
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: closed under us
            raise _of_the_line(error) from error
        if n == 0:
            raise FetchError("unreachable", "the connection was closed")
        self._n_left -= n
        return n

    def leave(self) -> bool:
        """Whether the connection can be asked again: nothing of the body is left in it."""
        is_over = self._n_left == 0
        if is_over:
            self._response.close()
        return is_over


class Line:
    """A connection that is kept for the next question. Of one thread; `close` it."""

    def __init__(self, address: Address, stop: Stop) -> None:
        self._address, self._stop = address, stop
        self._way: _Way | None = None
        self._answer: Answer | None = None

    def close(self) -> None:
        """Hang up."""
        self._answer = None
        if self._way is not None:
            if self._way.socket is not None:
                self._stop.forget(self._way.socket)
            self._way.connection.close()
            self._way = None

    def get(self, headers: Mapping[str, str]) -> Answer:
        """An answer of 200 or 206. Raises `FetchError` for any other, and `StoppedError`."""
        url = self._address.led_to or self._address.location.url
        try:
            answer = self._follow(url, headers)
            if answer.status in (401, 403, 404, 410) and url != self._address.location.url:
                answer = self._follow(self._address.location.url, headers)  # that address was out of date
            _check(answer)
        except FetchError:
            self._address.led_to = ""
            raise
        self._address.led_to = answer.url if answer.url != self._address.location.url else ""
        return answer

    def _follow(self, url: str, headers: Mapping[str, str]) -> Answer:
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._ask(url, headers)
            where = answer.headers.get("Location", "")
            if answer.status not in _REDIRECTS or not where:
                return answer
            before, url = url, urljoin(url, where)
            if url.partition(":")[0] not in _PORTS or (before.startswith("https:") and url.startswith("http:")):
                raise FetchError("protocol", f"redirected to {url.partition('?')[0]}")
        raise FetchError("protocol", f"more than {MOST_REDIRECTS} redirects")

    def _ask(self, url: str, headers: Mapping[str, str]) -> Answer:
        """The answer of this very address. Only the host that the hub's address names gets what goes with it."""
        location = self._address.location
        parts = urlsplit(url)
        own = location.headers if _origin(parts) == _origin(urlsplit(location.url)) else {}
        agent = next((value for name, value in location.headers.items() if name.lower() == "user-agent"), "llmtui")
        sent = {"Accept-Encoding": "identity", "User-Agent": agent, **own, **headers}
        was_kept = self._is_kept(parts)
        try:
            return self._send(parts, url, sent)
        except (ConnectionError, http.client.HTTPException) as error:
            self.close()
            self._stop.check()
            if not was_kept:
                raise _of_the_line(error) from error
        except (OSError, ValueError) as error:
            self.close()
            self._stop.check()
            raise _of_the_line(error) from error
        return self._ask(url, headers)  # it was closed meanwhile, as servers do with those that are not used

    def _is_kept(self, parts: SplitResult) -> bool:
        is_free = self._answer is None or self._answer.leave()
        if self._way is None or not is_free or self._way.origin != _origin(parts) or self._way.connection.sock is None:
            self.close()
            return False
        return True

    def _send(self, parts: SplitResult, url: str, headers: Mapping[str, str]) -> Answer:
        if self._way is None:
            self._way = _Way(parts)
            self._stop.watch(self._way.connect())
        path = url if self._way.is_asked_whole else _path(parts)
        self._way.connection.request("GET", path, headers={**headers, **self._way.headers})
        self._answer = Answer(self._way.connection.getresponse(), url)
        return self._answer


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def _path(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


class _Way:
    """A connection to where a question goes, and how it has to be asked there."""

    def __init__(self, parts: SplitResult) -> None:
        self.origin = scheme, host, port = _origin(parts)
        self.headers: dict[str, str] = {}
        self.is_asked_whole = False
        """By a proxy that forwards what is not encrypted: it needs the whole address."""
        self.socket: socket.socket | None = None
        self._proxy = _proxy(scheme, host, port)
        if self._proxy is None:
            self.connection = _to(scheme, host, port)
        elif scheme == "http":
            self.connection = _to("http", self._proxy.hostname or "", self._proxy.port or 80)
            self.headers, self.is_asked_whole = _login(self._proxy), True
        else:
            self.connection = _to("https", self._proxy.hostname or "", self._proxy.port or 80)
            self.connection.set_tunnel(host, port, _login(self._proxy))

    def connect(self) -> socket.socket:
        """Raises OSError and `FetchError`."""
        try:
            self.connection.connect()
        except ssl.SSLError:
            raise
        except OSError as error:
            if self._proxy is not None:
                raise FetchError("proxy", f"{self._proxy.hostname}: {error.strerror or error}") from error
            raise
        self.socket = self.connection.sock
        assert self.socket is not None
        self.socket.settimeout(READ_S)
        return self.socket


def _to(scheme: str, host: str, port: int) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=CONNECT_S, context=_tls())
    return http.client.HTTPConnection(host, port, timeout=CONNECT_S)


def _proxy(scheme: str, host: str, port: int) -> SplitResult | None:
    """What the environment says for this host. Raises `FetchError` for a kind that is not spoken here."""
    if urllib.request.proxy_bypass(f"{host}:{port}") or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    told = proxies.get(scheme) or proxies.get("all")
    if not told:
        return None
    parts = urlsplit(told if "://" in told else f"http://{told}")
    if parts.scheme != "http" or not parts.hostname:
        raise FetchError("proxy", f"{parts.scheme}://{parts.hostname or ''}")
    return parts


def _login(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    word = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
    return {"Proxy-Authorization": "Basic " + base64.b64encode(word).decode()}


@cache
def _tls() -> ssl.SSLContext:
    """Certificates of the system, those of `certifi` besides, for a Python that does not know where the system has
    them; only those of a file that the environment names."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        if file := os.environ.get(name):
            return ssl.create_default_context(cafile=file)
    context = ssl.create_default_context()
    with contextlib.suppress(ImportError, OSError):
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def _of_the_line(error: Exception) -> FetchError:
    """What went wrong on the way, in one word."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return FetchError("certificate", error.verify_message)
    if isinstance(error, TimeoutError):
        return FetchError("timeout")
    if isinstance(error, http.client.HTTPException) and not isinstance(
        error, http.client.IncompleteRead | http.client.RemoteDisconnected
    ):
        return FetchError("protocol", f"{type(error).__name__}: {error}")
    if isinstance(error, OSError):
        return FetchError("unreachable", error.strerror or str(error))
    return FetchError("unreachable", str(error))


def _check(answer: Answer) -> None:
    """Raises `FetchError` unless these are bytes of a file."""
    if answer.status in (200, 206):
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise FetchError("protocol", "the file comes compressed")
        if answer.headers.get_content_type() == "text/html":
            raise FetchError("captive", urlsplit(answer.url).hostname or "")
        return
    said = answer.headers.get("X-Error-Code", "")
    wait_s = _retry_after(answer.headers.get("Retry-After", ""))
    kind: ProblemKind = "server" if answer.status >= 500 else "protocol"
    kind = _HUB_SAYS.get(said) or _STATUS.get(answer.status) or kind
    raise FetchError(kind, f"HTTP {answer.status}", retry_after_s=wait_s)


def _retry_after(told: str) -> float:
    """Seconds, of a header that has them or a date; 0 when it has neither."""
    if told.strip().isdecimal():
        return float(told)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(told).timestamp() - time())
    return 0.0
