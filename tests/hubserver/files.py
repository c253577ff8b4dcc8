"""The bytes of files as both hubs serve them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.hubserver.exchange import Reply, Request, Route, in_json
from tests.hubserver.repos import ServedRepo

if TYPE_CHECKING:
    from tests.hubserver.server import HubServer

_CHUNK = 1 << 18


def huggingface_file(hub: HubServer, request: Request, repo: str, revision: str, path: str) -> Reply:
    """GET or HEAD /{repo}/resolve/{revision}/{path}."""
    served = hub.repos.get(repo)
    if served is None or "huggingface" not in served.hubs:
        return in_json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
    if served.is_gated and request.headers.get("authorization") != f"Bearer {hub.token}":
        return in_json({"error": "Access to this repository is restricted"}, 403, {"X-Error-Code": "GatedRepo"})
    if path not in served.files:
        return in_json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
    sha256 = served.sha256(path)
    told = {"ETag": f'"{sha256}"', "X-Linked-Etag": f'"{sha256}"', "X-Repo-Commit": served.commit}
    return bytes_of(served, path, request, {**told, "X-Linked-Size": str(served.size(path))})


def modelscope_file(hub: HubServer, request: Request, repo: str) -> Reply:
    """GET or HEAD /api/v1/models/{repo}/repo?Revision=…&FilePath=…"""
    served, path = hub.repos.get(repo), request.value("FilePath")
    if served is None or "modelscope" not in served.hubs or path not in served.files:
        return in_json({"Code": 10010205001, "Message": "file not found", "Success": False}, 404)
    return bytes_of(served, path, request, {"ETag": f'"{served.sha256(path)}"'})


def bytes_of(repo: ServedRepo, path: str, request: Request, headers: dict[str, str]) -> Reply:
    """A file, or the range of it that is asked for."""
    size = repo.size(path)
    told = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers}
    start, end = 0, size
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if match and request.headers.get("if-range", told.get("ETag")) == told.get("ETag"):
        start, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
        if start >= size:
            return Reply(416, {**told, "Content-Range": f"bytes */{size}"})
        told["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    told["Content-Length"] = str(end - start)
    return Reply(206 if "Content-Range" in told else 200, told, _pieces(repo, path, start, end))


def _pieces(repo: ServedRepo, path: str, start: int, end: int) -> Iterator[bytes]:
    for offset in range(start, end, _CHUNK):
        yield repo.read(path, offset, min(_CHUNK, end - offset))


_REPO = r"(?P<repo>[^/]+/[^/]+)"
ROUTES: tuple[tuple[str, Route], ...] = (
    (rf"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", huggingface_file),
    (rf"/api/v1/models/{_REPO}/repo", modelscope_file),
)
