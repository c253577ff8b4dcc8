"""What both hubs tell of their repositories, as their client libraries ask for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.hubserver.exchange import Reply, Request, Route, in_json
from tests.hubserver.repos import ServedRepo

if TYPE_CHECKING:
    from tests.hubserver.server import HubServer


def huggingface_search(hub: HubServer, request: Request) -> Reply:
    """GET /api/models: a page of repositories; the next one is named by a Link header."""
    wanted, author = request.value("search").lower().split(), request.value("author")
    found = [
        repo
        for repo in hub.repos.values()
        if "huggingface" in repo.hubs
        and all(word in repo.name.lower() for word in wanted)
        and author in ("", repo.author)
        and ("gguf" not in request.query.get("filter", []) or any(path.endswith(".gguf") for path in repo.files))
    ]
    found.sort(key=_SORTS.get(request.value("sort"), _SORTS["downloads"]), reverse=True)
    start, limit = int(request.value("cursor", "0")), int(request.value("limit", "1000"))
    headers = {}
    if start + limit < len(found):
        query = urlencode({**request.query, "cursor": start + limit}, doseq=True)
        headers["Link"] = f'<{hub.url}/api/models?{query}>; rel="next"'
    return in_json([_huggingface(repo) for repo in found[start : start + limit]], headers=headers)


def huggingface_repo(hub: HubServer, request: Request, repo: str, revision: str = "") -> Reply:
    """GET /api/models/{repo}, with the sizes and sums of its files when `blobs` is asked for."""
    served = hub.repos.get(repo)
    if served is None or "huggingface" not in served.hubs:
        # The hub tells a stranger nothing else, so that names of private repositories stay unknown.
        if "authorization" not in request.headers:
            return in_json({"error": "Invalid username or password."}, 401)
        return in_json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
    if request.headers.get("authorization", f"Bearer {hub.token}") != f"Bearer {hub.token}":
        return in_json({"error": "Invalid credentials in Authorization header"}, 401)
    if revision not in ("", "main", served.commit):
        return in_json({"error": f"Invalid rev id: {revision}"}, 404, {"X-Error-Code": "RevisionNotFound"})
    told = _huggingface(served)
    told["siblings"] = [
        {
            "rfilename": path,
            "size": served.size(path),
            "blobId": "0" * 40,
            "lfs": {"sha256": served.sha256(path), "size": served.size(path), "pointerSize": 135},
        }
        if "blobs" in request.query
        else {"rfilename": path}
        for path in served.files
    ]
    return in_json(told)


def _huggingface(repo: ServedRepo) -> dict[str, Any]:
    told: dict[str, Any] = {
        "_id": "0123456789abcdef01234567",
        "id": repo.name,
        "modelId": repo.name,
        "author": repo.author,
        "sha": repo.commit,
        "downloads": repo.n_downloads,
        "likes": repo.n_likes,
        "lastModified": repo.updated,
        "gated": "manual" if repo.is_gated else False,
        "private": False,
        "tags": ["gguf", f"license:{repo.licence}"],
    }
    if repo.n_params is not None:
        told["gguf"] = {"total": repo.n_params, "architecture": "qwen3", "context_length": 40960}
    return told


def modelscope_search(hub: HubServer, request: Request) -> Reply:
    """GET /openapi/v1/models: a numbered page of repositories. Filters are left alone, so that a
    client shows that it does not rely on them."""
    wanted, owner = request.value("search").lower().split(), request.value("owner")
    found = [
        repo
        for repo in hub.repos.values()
        if "modelscope" in repo.hubs
        and all(word in repo.name.lower() for word in wanted)
        and owner in ("", repo.author)
    ]
    found.sort(key=_SORTS.get(request.value("sort"), _SORTS["downloads"]), reverse=True)
    number, size = int(request.value("page_number", "1")), int(request.value("page_size", "10"))
    page = found[(number - 1) * size : number * size]
    models = [_modelscope(repo) for repo in page]
    data = {"models": models, "total_count": len(found), "page_number": number, "page_size": size}
    return in_json({"success": True, "data": data})


def modelscope_repo(hub: HubServer, request: Request, repo: str) -> Reply:
    """GET /openapi/v1/models/{repo}."""
    served = hub.repos.get(repo)
    if served is None or "modelscope" not in served.hubs:
        return in_json({"success": False, "code": "NotFound", "message": "model not exist"}, 404)
    return in_json({"success": True, "data": _modelscope(served)})


def _modelscope(repo: ServedRepo) -> dict[str, Any]:
    return {
        "id": repo.name,
        "display_name": repo.name.partition("/")[2],
        "downloads": repo.n_downloads,
        "likes": repo.n_likes,
        "last_modified": repo.updated,
        "license": repo.licence,
        "private": False,
        "gated": repo.is_gated,
        "params": repo.n_params or 0,
        "tags": ["library:gguf"] if any(path.endswith(".gguf") for path in repo.files) else ["library:pytorch"],
    }


def modelscope_files(hub: HubServer, request: Request, repo: str) -> Reply:
    """GET /api/v1/models/{repo}/repo/files: folders and files of one revision."""
    served = hub.repos.get(repo)
    if served is None or "modelscope" not in served.hubs:
        return in_json({"Code": 10010205001, "Message": "record not found", "Success": False}, 404)
    files = [
        {
            "Name": path.rpartition("/")[2],
            "Path": path,
            "Type": "blob",
            "Size": served.size(path),
            "Sha256": served.sha256(path),
            "IsLFS": True,
            "Revision": served.commit,
        }
        for path in served.files
    ]
    folders = sorted({path.rpartition("/")[0] for path in served.files} - {""})
    trees = [{"Name": folder, "Path": folder, "Type": "tree", "Size": 0, "Sha256": ""} for folder in folders]
    return in_json({"Code": 200, "Success": True, "Data": {"Files": [*trees, *files]}})


_SORTS: dict[str, Callable[[ServedRepo], Any]] = {
    "downloads": lambda repo: repo.n_downloads,
    "likes": lambda repo: repo.n_likes,
    "lastModified": lambda repo: repo.updated,
    "last_modified": lambda repo: repo.updated,
}
_REPO = r"(?P<repo>[^/]+/[^/]+)"
ROUTES: tuple[tuple[str, Route], ...] = (
    (r"/api/models", huggingface_search),
    (rf"/api/models/{_REPO}", huggingface_repo),
    (rf"/api/models/{_REPO}/revision/(?P<revision>[^/]+)", huggingface_repo),
    (r"/openapi/v1/models", modelscope_search),
    (rf"/openapi/v1/models/{_REPO}", modelscope_repo),
    (rf"/api/v1/models/{_REPO}/repo/files", modelscope_files),
)
