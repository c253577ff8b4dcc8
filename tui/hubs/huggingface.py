"""Hugging Face, through `huggingface_hub`: its endpoint, token, proxies and offline mode are those of that library.

Searches are made with its session and not with `HfApi.list_models`: that one waits up to minutes between its retries,
has no limit of time, and does not tell where the next page is.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from tui.hubs import errors
from tui.hubs.interface import HubError
from tui.hubs.ranges import Answer, RangeSource
from tui.hubs.records import FoundRepo, HubName, Location, Page, Query, RemoteFile, Repo, RepoId, Sort
from tui.hubs.repo_facts import count_of, licence_in, params_in_name, seconds_of, sha256_of, short_text
from tui.hubs.safe_names import is_safe_path, is_safe_repo, safe_files

if TYPE_CHECKING:
    from huggingface_hub import HfApi, ModelInfo

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
_HOME = "https://huggingface.co"
_TIMEOUT_S: Any = (6.0, 15.0, 15.0, 6.0)
"""Of connecting, of each wait while reading and writing, and for a connection."""
_SORTS: dict[Sort, str] = {"downloads": "downloads", "likes": "likes", "updated": "lastModified"}
_TOLD = ("gguf", "downloads", "likes", "lastModified", "gated", "tags")


class HuggingFace:
    """The hub at huggingface.co, or at HF_ENDPOINT."""

    name: HubName = "huggingface"

    def __init__(self, endpoint: str = "") -> None:
        written = (endpoint or os.environ.get("HF_ENDPOINT", "")).strip().rstrip("/") or _HOME
        self._endpoint = written if "://" in written else f"https://{written}"
        self._api: HfApi | None = None

    def search(self, query: Query, page: str = "") -> Page:
        """Repositories with GGUF files; `page` is the `next` of the page before. Raises `HubError`."""
        url, params = f"{self._endpoint}/api/models", None
        if page and errors.is_same_host(page, url):
            url = page
        else:
            params = {"filter": "gguf", "sort": _SORTS[query.sort], "limit": query.limit, "expand": list(_TOLD)}
            params |= {"search": query.text} if query.text else {}
            params |= {"author": query.author} if query.author else {}
        response = self._call(lambda: _session().get(url, params=params, headers=self._headers(), timeout=_TIMEOUT_S))
        if response.status_code != 200:
            raise self._refused(response, None)
        items = self._call(response.json)
        if not isinstance(items, list):
            raise errors.not_text(self.name, response.text[:1000])
        repos = tuple(repo for repo in map(self._found_in, items) if repo is not None)
        if items and not any(isinstance(item, dict) for item in items):
            raise errors.malformed(self.name, response.text[:1000])
        return Page(repos=repos, next=response.links.get("next", {}).get("url") or "")

    def repo(self, repo: RepoId) -> Repo:
        """A repository with its files. Raises `HubError`."""
        revision = repo.revision or None

        def ask() -> ModelInfo:
            return self._hf().model_info(repo.name, revision=revision, files_metadata=True, timeout=_TIMEOUT_S)

        info = self._call(ask, repo)
        files = [
            RemoteFile(path=each.rfilename, size_bytes=size, sha256=sha256_of(each.lfs and each.lfs.sha256))
            for each in info.siblings or ()
            if isinstance(each.rfilename, str) and (size := count_of(each.size)) is not None
        ]
        return Repo(id=repo, commit=short_text(info.sha), files=safe_files(files), found=self._found(info, repo))

    def location(self, repo: Repo, file: RemoteFile) -> Location:
        """Where the bytes of a file are, as of the repository's commit."""
        assert is_safe_path(file.path)
        revision = quote(repo.commit or repo.id.revision or "main", safe="")
        headers = self._headers()
        headers = {name: value for name, value in headers.items() if name.lower() == "authorization"}
        return Location(url=f"{self._endpoint}/{repo.id.name}/resolve/{revision}/{quote(file.path)}", headers=headers)

    def open(self, repo: Repo, file: RemoteFile) -> RangeSource:
        """The file, read by ranges. Nothing is asked yet."""
        return RangeSource(repo.id, self.location(repo, file), self._ask, file.size_bytes or None)

    def _ask(self, url: str, headers: Mapping[str, str]) -> Answer:
        session = _session()
        request = session.build_request("GET", url, headers=dict(headers), timeout=_TIMEOUT_S)
        response = self._call(lambda: session.send(request, stream=True, follow_redirects=True))

        def chunks() -> Iterator[bytes]:
            pieces = response.iter_raw(1 << 16)
            while (piece := self._try(lambda: next(pieces, b""))) != b"":
                yield piece

        return Answer(
            status=response.status_code,
            headers=response.headers,
            url=str(response.url),
            chunks=chunks(),
            close=response.close,
        )

    def _hf(self) -> HfApi:
        if self._api is None:
            from huggingface_hub import HfApi

            self._api = HfApi(endpoint=self._endpoint, library_name="llmtui")
        return self._api

    def _headers(self) -> dict[str, str]:
        from huggingface_hub import utils

        headers: dict[str, str] = utils.build_hf_headers(library_name="llmtui")  # type: ignore[attr-defined]
        return headers

    def _has_token(self) -> bool:
        return any(name.lower() == "authorization" for name in self._headers())

    def _found_in(self, item: object) -> FoundRepo | None:
        """A line of a search; None for one that makes no sense."""
        import huggingface_hub

        make: Any = huggingface_hub.ModelInfo
        if not isinstance(item, dict) or not isinstance(item.get("id"), str) or not is_safe_repo(item["id"]):
            return None
        try:
            return self._found(make(**item))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            _LOG.info("left out a repository of a search, %r: %s", item["id"], error)
            return None

    def _found(self, info: ModelInfo, repo: RepoId | None = None) -> FoundRepo:
        gguf = info.gguf if isinstance(info.gguf, dict) else {}
        return FoundRepo(
            id=repo or RepoId(hub=self.name, name=info.id),
            n_downloads=count_of(info.downloads),
            n_likes=count_of(info.likes),
            updated_at=seconds_of(info.last_modified),
            n_params=count_of(gguf.get("total")) or params_in_name(info.id),
            licence=licence_in(info.tags),
            is_gated=bool(info.gated),
        )

    def _call(self, ask: Callable[[], _T], repo: RepoId | None = None) -> _T:
        """What the library answers, asked a second time where the line broke. Raises `HubError` for all that it
        raises."""
        return errors.asked_twice(lambda: self._try(ask, repo))

    def _try(self, ask: Callable[[], _T], repo: RepoId | None = None) -> _T:
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

        try:
            return ask()
        except HfHubHTTPError as error:
            raise self._refused(error.response, repo) from error
        except HFValidationError as error:
            raise errors.no_repo_name(repo.name if repo else "") from error
        except _failures() as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> HubError:
        """An answer that is no JSON is a ValueError, all others come from the connection."""
        if isinstance(error, ValueError | TypeError | KeyError | AttributeError):
            return errors.not_text(self.name, str(getattr(error, "doc", "")) or str(error))
        return errors.of_exception(self.name, self._endpoint, error)

    def _refused(self, response: Any, repo: RepoId | None) -> HubError:
        try:
            text = response.text[:1000]
        except RuntimeError:  # of a body that was not read
            text = ""
        has_token = self._has_token()
        return errors.of_status(self.name, response.status_code, response.headers, text, repo, has_token=has_token)


def _failures() -> tuple[type[Exception], ...]:
    """What the library and its HTTP client raise besides."""
    from importlib import import_module

    from huggingface_hub.errors import HfHubHTTPError

    client = HfHubHTTPError.__bases__[0]
    invalid = import_module(client.__module__.partition(".")[0]).InvalidURL
    return (client, invalid, OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError)


def _session() -> Any:
    """The library's session, of whichever HTTP client its version uses."""
    from huggingface_hub import utils

    return utils.get_session()  # type: ignore[attr-defined]
