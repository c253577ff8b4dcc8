"""What lies between this machine and a hub, and where files go: proxies, certificates, full disks."""

from __future__ import annotations

import base64
import contextlib
import http.server
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tests import small_disk
from tests.downloads.ordering import BYTES, EAGER, FILE, get, is_absent, is_right, order_for, served
from tests.hubserver import faults
from tests.hubserver.exchange import Reply, Request
from tests.hubserver.server import HubServer
from tui.downloads import connection
from tui.downloads.failures import FetchError
from tui.downloads.fetching import fetch
from tui.downloads.records import Download
from tui.hubs.records import Location

SIZE = 300_000


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_proxy_of_the_environment_is_asked_and_no_proxy_is_heeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = served(SIZE)
    order = order_for(repo, tmp_path)
    url = f"http://hub.invalid/{repo.name}/resolve/main/{FILE}"
    with HubServer(repo) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("://", "://me:p%40ss@"))
        assert fetch(order, lambda _: None, lambda: False, locate=lambda *_: Location(url=url), effort=EAGER)
        assert is_right(order, repo)
        assert {request.target for request in proxy.seen} == {url}
        word = base64.b64encode(b"me:p@ss").decode()
        assert {request.headers["proxy-authorization"] for request in proxy.seen} == {f"Basic {word}"}
        (Path(order.folder) / FILE).unlink()
        monkeypatch.setenv("no_proxy", "hub.invalid")
        with pytest.raises(FetchError) as caught:
            fetch(order, lambda _: None, lambda: False, locate=lambda *_: Location(url=url), effort=EAGER)
        assert caught.value.kind in ("offline", "unreachable")


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    order = order_for(served(SIZE), tmp_path)
    with pytest.raises(FetchError) as caught:
        fetch(
            order, lambda _: None, lambda: False, locate=lambda *_: Location(url="https://hub.invalid/x"), effort=EAGER
        )
    assert (caught.value.kind, caught.value.is_temporary) == ("proxy", False)
    assert "127.0.0.1:9" in str(caught.value.why)


@contextlib.contextmanager
def encrypted(folder: Path) -> Iterator[tuple[str, Path]]:
    """A server of this folder with a certificate of its own making; its address, and the certificate."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    request += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(request, check=True, capture_output=True)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Nothing: clients that do not trust it hang up."""

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"https://localhost:{server.server_port}", certificate
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_certificate_that_is_not_trusted_and_one_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = served(SIZE)
    order = order_for(repo, tmp_path)
    (tmp_path / "hub").mkdir()
    content = repo.files[FILE]
    assert isinstance(content, bytes)
    (tmp_path / "hub" / FILE).write_bytes(content)
    with encrypted(tmp_path / "hub") as (url, certificate):
        where = Location(url=f"{url}/{FILE}")
        connection._tls.cache_clear()
        with pytest.raises(FetchError) as caught:
            fetch(order, lambda _: None, lambda: False, locate=lambda *_: where, effort=EAGER)
        assert caught.value.kind == "certificate"
        assert is_absent(order)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        connection._tls.cache_clear()
        assert fetch(order, lambda _: None, lambda: False, locate=lambda *_: where, effort=EAGER)
    connection._tls.cache_clear()
    assert is_right(order, repo)


class Tunnels(socketserver.BaseRequestHandler):
    """A proxy that connects, as companies have it."""

    asked: ClassVar[list[bytes]] = []

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.request.recv(4096)
        self.asked.append(head)
        port = int(head.split()[1].rpartition(b":")[2])
        with socket.create_connection(("127.0.0.1", port)) as there:
            self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            thread = threading.Thread(target=self._pass, args=(self.request, there), daemon=True)
            thread.start()
            self._pass(there, self.request)
            thread.join()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)


def test_an_encrypted_file_comes_through_a_proxy_that_does_not_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = served(SIZE)
    order = order_for(repo, tmp_path)
    (tmp_path / "hub").mkdir()
    content = repo.files[FILE]
    assert isinstance(content, bytes)
    (tmp_path / "hub" / FILE).write_bytes(content)
    proxy = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnels)
    threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
    with encrypted(tmp_path / "hub") as (url, certificate), contextlib.closing(proxy.socket):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:word@127.0.0.1:{proxy.server_address[1]}")
        connection._tls.cache_clear()
        where = Location(url=f"{url}/{FILE}", headers={"authorization": "Bearer secret"})
        assert fetch(order, lambda _: None, lambda: False, locate=lambda *_: where, effort=EAGER)
        proxy.shutdown()
    connection._tls.cache_clear()
    assert is_right(order, repo)
    assert b"Basic " + base64.b64encode(b"me:word") in Tunnels.asked[0]
    assert not any(b"secret" in head for head in Tunnels.asked)


def test_https_does_not_lead_to_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody on the way may take it over."""
    repo = served(SIZE)
    order = order_for(repo, tmp_path)
    (tmp_path / "hub").mkdir()
    with HubServer(repo) as hub, encrypted(tmp_path / "hub") as (url, certificate):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        connection._tls.cache_clear()
        (tmp_path / "hub" / "folder").mkdir()
        monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "do_GET", lambda self: _redirect(self, hub.url))
        where = Location(url=f"{url}/folder")
        with pytest.raises(FetchError) as caught:
            fetch(order, lambda _: None, lambda: False, locate=lambda *_: where, effort=EAGER)
        assert caught.value.kind == "protocol"
        assert hub.seen == []
    connection._tls.cache_clear()


def _redirect(handler: http.server.SimpleHTTPRequestHandler, url: str) -> None:
    handler.send_response(302)
    handler.send_header("Location", f"{url}/x.gguf")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[small_disk.SmallDisk]:
    if why := small_disk.why_not():
        pytest.skip(why)
    with small_disk.small_disk(tmp_path / "disk", 4 << 20) as disk:
        yield disk


def test_too_little_room_is_said_before_anything_is_asked(disk: small_disk.SmallDisk) -> None:
    repo = served(5 << 20)
    with HubServer(repo) as hub:
        with pytest.raises(FetchError) as caught:
            get(hub, order_for(repo, disk.path))
        assert caught.value.kind == "disk_full"
        assert (1 << 20) < int(caught.value.detail) < (2 << 20)
        assert hub.seen == []
    assert list(disk.path.iterdir()) == []


def test_a_disk_that_fills_meanwhile_stops_it_and_it_goes_on_when_there_is_room(disk: small_disk.SmallDisk) -> None:
    repo = served(3 << 20)
    order = order_for(repo, disk.path)
    with HubServer(repo) as hub:
        is_filled = threading.Event()

        def fill(_: Request, reply: Reply) -> Reply:
            if not is_filled.is_set():
                is_filled.set()
                disk.fill()
            return reply

        hub.instead(BYTES, fill, skip=3)
        with pytest.raises(FetchError) as caught:
            get(hub, order)
        assert (caught.value.kind, caught.value.is_temporary) == ("disk_full", False)
        assert is_absent(order)
        disk.free()
        told: list[Download] = []
        n_asked = len(hub.seen)
        assert get(hub, order, told=told)
        assert told[0].n_bytes > 0
        assert sum(request.n_sent for request in hub.seen[n_asked:]) == (3 << 20) - told[0].n_bytes
        is_there = Path(order.folder) / FILE
        assert is_there.read_bytes() == repo.files[FILE]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    repo = served(SIZE)
    (tmp_path / "someone").write_bytes(b"a file where the folder should be")
    with HubServer(repo) as hub, pytest.raises(FetchError) as caught:
        get(hub, order_for(repo, tmp_path))
    assert caught.value.kind == "disk"


def test_a_part_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    repo = served(SIZE)
    order = order_for(repo, tmp_path)
    Path(order.folder).mkdir(parents=True)
    (tmp_path / "precious").write_bytes(b"precious")
    (Path(order.folder) / f"{FILE}.part").symlink_to(tmp_path / "precious")
    with HubServer(repo) as hub:
        hub.instead(BYTES, faults.slow(1 << 30))
        with pytest.raises(FetchError) as caught:
            get(hub, order)
    assert caught.value.kind == "disk"
    assert (tmp_path / "precious").read_bytes() == b"precious"
