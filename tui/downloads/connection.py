"""One connection to whoever has the bytes: asks for a range, follows where that leads, says in one word what went
wrong. Of the standard library's HTTP, which gives the bytes into a buffer of ours at the speed of the line; proxies and
certificates come from the environment as the hubs' own libraries take them."""

from __future__ import annotations

import base64
import contextlib
import errno
import http.client
import os
import socket
import ssl
import threading
import urllib.request
from collections.abc import Mapping
from functools import cache
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from tui.downloads.failures import FetchError, StoppedError, of_the_hub
from tui.hubs import errors
from tui.hubs.records import Location, RepoId

CONNECT_S = 15.0
READ_S = 30.0
"""Without a byte for so long the line is given up."""
MOST_REDIRECTS = 8
_REDIRECTS = (301, 302, 303, 307, 308)
_PORTS = {"http": 80, "https": 443}
_MOST_OF_A_REFUSAL = 2048
"""Bytes of its text."""


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
    """Where a file is: what the hub names, and where that led, which all connections share; and how it is said that
    nothing comes from there."""

    def __init__(self, repo: RepoId, location: Location) -> None:
        self.repo, self.location = repo, location
        self.led_to = ""
        """Of the last answer that was of use, when it came from somewhere else; such addresses go out of date."""
        self._host = urlsplit(location.url).hostname or ""

    def broken(self, error: Exception) -> FetchError:
        """The line broke, or there is none."""
        said = errors.of_exception(self.repo.hub, self._host, error)
        # A machine without a network has one later; who wants none says so before anything is asked.
        return of_the_hub(said, is_temporary=True if said.kind == "offline" else None)

    def nonsense(self, detail: str) -> FetchError:
        """What was answered cannot be used."""
        return of_the_hub(errors.malformed(self.repo.hub, detail))

    def no_proxy(self, detail: str) -> FetchError:
        """The proxy does not lead there."""
        return of_the_hub(errors.proxy(self.repo.hub, detail))

    def captive(self) -> FetchError:
        """A web page came instead of the file."""
        return of_the_hub(errors.captive(self.repo.hub))

    def refused(self, answer: Answer) -> FetchError:
        """It was answered that there is nothing."""
        if answer.status == 416:
            return FetchError("changed", "416")
        view = memoryview(bytearray(_MOST_OF_A_REFUSAL))
        try:
            text = bytes(view[: answer.read_into(view)]).decode("utf-8", "replace")
        except FetchError:
            text = ""
        has_token = any(name.lower() == "authorization" for name in self.location.headers)
        headers = dict(answer.headers.items())
        hub = self.repo.hub
        return of_the_hub(errors.of_status(hub, answer.status, headers, text, self.repo, has_token=has_token))


class Answer:
    """An answer whose body has not been read yet."""

    def __init__(self, address: Address, response: http.client.HTTPResponse, url: str) -> None:
        self._address, self._response, self.url = address, response, url
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
            raise self._address.broken(error) from error
        if n == 0:
            raise self._address.broken(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))
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
            self._check(answer)
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
                raise self._address.nonsense(f"redirected to {url.partition('?')[0]}")
        raise self._address.nonsense(f"more than {MOST_REDIRECTS} redirects")

    def _check(self, answer: Answer) -> None:
        """Raises `FetchError` unless these are bytes of a file."""
        if answer.status not in (200, 206):
            raise self._address.refused(answer)
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise self._address.nonsense("the file comes compressed")
        if answer.headers.get_content_type() == "text/html":
            raise self._address.captive()

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
                raise self._address.broken(error) from error
        except (OSError, ValueError) as error:
            self.close()
            self._stop.check()
            raise self._address.broken(error) from error
        return self._ask(url, headers)  # it was closed meanwhile, as servers do with those that are not used

    def _is_kept(self, parts: SplitResult) -> bool:
        is_free = self._answer is None or self._answer.leave()
        if self._way is None or not is_free or self._way.origin != _origin(parts) or self._way.connection.sock is None:
            self.close()
            return False
        return True

    def _send(self, parts: SplitResult, url: str, headers: Mapping[str, str]) -> Answer:
        if self._way is None:
            self._way = _Way(parts, self._address)
            self._stop.watch(self._way.connect())
        path = url if self._way.is_asked_whole else _path(parts)
        self._way.connection.request("GET", path, headers={**headers, **self._way.headers})
        self._answer = Answer(self._address, self._way.connection.getresponse(), url)
        return self._answer


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def _path(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


class _Way:
    """A connection to where a question goes, and how it has to be asked there."""

    def __init__(self, parts: SplitResult, address: Address) -> None:
        self._address = address
        self.origin = scheme, host, port = _origin(parts)
        self.headers: dict[str, str] = {}
        self.is_asked_whole = False
        """By a proxy that forwards what is not encrypted: it needs the whole address."""
        self.socket: socket.socket | None = None
        self._proxy = self._find_proxy(scheme, host, port)
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
                raise self._address.no_proxy(error.strerror or str(error)) from error
            raise
        self.socket = self.connection.sock
        assert self.socket is not None
        self.socket.settimeout(READ_S)
        return self.socket

    def _find_proxy(self, scheme: str, host: str, port: int) -> SplitResult | None:
        """What the environment says for this host. Raises `FetchError` for a kind that is not spoken here."""
        if urllib.request.proxy_bypass(f"{host}:{port}") or urllib.request.proxy_bypass(host):
            return None
        proxies = urllib.request.getproxies()
        told = proxies.get(scheme) or proxies.get("all")
        if not told:
            return None
        parts = urlsplit(told if "://" in told else f"http://{told}")
        if parts.scheme != "http" or not parts.hostname:
            raise self._address.no_proxy(f"{parts.scheme}://")
        return parts


def _to(scheme: str, host: str, port: int) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=CONNECT_S, context=_tls())
    return http.client.HTTPConnection(host, port, timeout=CONNECT_S)


def _login(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    word = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
    return {"Proxy-Authorization": "Basic " + base64.b64encode(word).decode()}


@cache
def _tls() -> ssl.SSLContext:
    """Certificates of the system or of what SSL_CERT_FILE names; those that other programs are told to trust; and those
    of `certifi`, for a Python that does not know where the system has them."""
    context = ssl.create_default_context()
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if file := os.environ.get(name):
            with contextlib.suppress(OSError):  # then what cannot be trusted is said
                context.load_verify_locations(file)
    with contextlib.suppress(ImportError, OSError):
        import certifi

        context.load_verify_locations(certifi.where())
    return context
