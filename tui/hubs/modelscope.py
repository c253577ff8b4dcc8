"""ModelScope, through `modelscope-hub`: its endpoint, token and proxies are those of that library. It is
not asked where HF_HUB_OFFLINE is set: who is offline is so for every hub."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from tui.hubs import errors
from tui.hubs.interface import HubError
from tui.hubs.ranges import Answer, RangeSource
from tui.hubs.records import FoundRepo, HubName, Location, Page, Query, RemoteFile, Repo, RepoId, Sort
from tui.hubs.repo_facts import count_of, licence_in, params_in_name, seconds_of, sha256_of, short_text
from tui.hubs.safe_names import is_safe_path, is_safe_repo, safe_files

if TYPE_CHECKING:
    from modelscope_hub import HubApi

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
_PATIENCE = {
    "MODELSCOPE_API_TIMEOUT": "15",
    "MODELSCOPE_API_CONNECT_TIMEOUT": "6",
    "MODELSCOPE_API_MAX_RETRIES": "1",
    "MODELSCOPE_REPO_TREE_PAGE_MAX_ATTEMPTS": "1",
}
"""Read by the library when it is imported. By itself it tries five times, a minute each: too long for a person, who is
told at once and can ask again. Who sets these has what they set."""
_TIMEOUT_S = (6.0, 15.0)
"""Of connecting to where a file lies, and of each wait for more bytes."""
_SORTS: dict[Sort, str] = {"downloads": "downloads", "likes": "likes", "updated": "last_modified"}
_LARGEST_PAGE = 50
_MOST_REPOS = 3000
"""In all pages of a search; the hub refuses what is behind them."""
_REVISION = "master"


class ModelScope:
    """The hub at modelscope.cn, or at MODELSCOPE_ENDPOINT."""

    name: HubName = "modelscope"

    def __init__(self, endpoint: str = "") -> None:
        self._endpoint = endpoint
        self._made: HubApi | None = None

    def search(self, query: Query, page: str = "") -> Page:
        """Repositories with GGUF files; `page` is the `next` of the page before. Raises `HubError`."""
        number = int(page) if page.isascii() and page.isdecimal() else 1
        size = min(query.limit, _LARGEST_PAGE)
        payload = self._call(
            lambda: self._api().openapi.list_models(
                search=query.text or None,
                owner=query.author or None,
                sort=_SORTS[query.sort],
                page_number=number,
                page_size=size,
                filters={"library": "gguf"},
            )
        )
        payload = self._dict(payload)
        models = payload.get("models")
        if not isinstance(models, list):
            raise errors.malformed(self.name, str(payload))
        total = payload.get("total_count")
        has_more = isinstance(total, int) and number * size < total and (number + 1) * size <= _MOST_REPOS
        repos = tuple(repo for repo in map(self._found_in, models) if repo is not None)
        return Page(repos=repos, next=str(number + 1) if has_more and models else "")

    def repo(self, repo: RepoId) -> Repo:
        """A repository with its files. Raises `HubError`."""
        owner, _, name = repo.name.partition("/")
        told = self._dict(self._call(lambda: self._api().openapi.get_model(owner, name), repo))
        revision = repo.revision or _REVISION
        listed = self._call(lambda: self._api().list_repo_files(repo.name, "model", revision=revision), repo)
        files = [
            RemoteFile(path=each.path, size_bytes=size, sha256=sha256_of(each.sha256))
            for each in listed
            if each.type != "tree" and isinstance(each.path, str) and (size := count_of(each.size)) is not None
        ]
        return Repo(id=repo, files=safe_files(files), found=self._found({**told, "id": repo.name}, repo))

    def location(self, repo: Repo, file: RemoteFile) -> Location:
        """Where the bytes of a file are."""
        assert is_safe_path(file.path)
        api = self._call(self._api)
        url = api.legacy.get_download_url(repo.id.name, "model", file.path, repo.id.revision or _REVISION)
        token = api.legacy.token
        # Older endpoints take the cookie, newer ones the header: the library sends both.
        headers = {"Authorization": f"Bearer {token}", "Cookie": f"m_session_id={token}"} if token else {}
        return Location(url=url, headers=headers)

    def open(self, repo: Repo, file: RemoteFile) -> RangeSource:
        """The file, read by ranges. Nothing is asked yet."""
        return RangeSource(repo.id, self.location(repo, file), self._ask, file.size_bytes or None)

    def _ask(self, url: str, headers: Mapping[str, str]) -> Answer:
        import requests

        errors.check_online(self.name)
        response = self._call(lambda: requests.get(url, headers=dict(headers), stream=True, timeout=_TIMEOUT_S))

        def chunks() -> Iterator[bytes]:
            pieces = response.iter_content(1 << 16)
            while (piece := self._try(lambda: next(pieces, b""))) != b"":
                yield piece

        return Answer(
            status=response.status_code,
            headers=response.headers,
            url=response.url,
            chunks=chunks(),
            close=response.close,
        )

    def _api(self) -> HubApi:
        errors.check_online(self.name)
        if self._made is None:
            self._made = _new_api(self._endpoint)
        return self._made

    def _dict(self, payload: object) -> dict[str, Any]:
        """The library hands on as text what is no JSON."""
        if isinstance(payload, dict):
            return payload
        raise errors.not_text(self.name, payload if isinstance(payload, str) else "")

    def _found_in(self, model: object) -> FoundRepo | None:
        """A line of a search; None for one that makes no sense, or is of another kind: the hub may not know the filter
        that it was given."""
        if not isinstance(model, dict) or not _is_gguf(model):
            return None
        try:
            return self._found(model)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            _LOG.info("left out a repository of a search, %r: %s", model["id"], error)
            return None

    def _found(self, model: dict[str, Any], repo: RepoId | None = None) -> FoundRepo:
        from modelscope_hub import RepoInfo

        info = RepoInfo.from_dict(model)
        name = str(model.get("id", ""))
        return FoundRepo(
            id=repo or RepoId(hub=self.name, name=name),
            n_downloads=count_of(info.downloads),
            n_likes=count_of(info.likes),
            updated_at=seconds_of(info.last_modified),
            n_params=count_of(model.get("params")) or params_in_name(name),
            licence=short_text(info.license) or licence_in(info.tags),
            is_gated=bool(info.gated or info.login_required),
        )

    def _call(self, ask: Callable[[], _T], repo: RepoId | None = None) -> _T:
        """What the library answers, asked a second time where the line broke. Raises `HubError` for all that it
        raises."""
        return errors.asked_twice(lambda: self._try(ask, repo))

    def _try(self, ask: Callable[[], _T], repo: RepoId | None = None) -> _T:
        import requests

        hub_errors = _library()
        try:
            return ask()
        except hub_errors.APIError as error:
            raise self._refused(error, repo) from error
        except hub_errors.InvalidParameter as error:
            raise errors.no_repo_name(repo.name if repo else "") from error
        except requests.exceptions.JSONDecodeError as error:
            raise errors.not_text(self.name, error.doc) from error
        except (hub_errors.HubError, requests.RequestException, OSError) as error:
            raise errors.of_exception(self.name, self._api().legacy.endpoint, error) from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise errors.malformed(self.name, str(error)) from error

    def _refused(self, error: Any, repo: RepoId | None) -> HubError:
        wait = getattr(error, "retry_after", None)
        headers = {"retry-after": str(wait)} if wait is not None else {}
        text = str(error.response_body or error)
        has_token = bool(self._api().legacy.token)
        return errors.of_status(self.name, error.status_code or 0, headers, text, repo, has_token=has_token)


def _library() -> Any:
    """The library's package, imported with a person's patience."""
    given = {name: value for name, value in _PATIENCE.items() if name not in os.environ}
    os.environ.update(given)
    try:
        import modelscope_hub
    finally:
        for name in given:
            os.environ.pop(name, None)
    return modelscope_hub


def _new_api(endpoint: str) -> HubApi:
    library = _library()

    class _Anonymous(library.HubConfig):  # type: ignore[misc, name-defined]
        """Without the identifier that the library keeps in the home folder and sends with each request."""

        def get_session_id(self) -> str:
            return uuid.uuid4().hex

    try:
        config = _Anonymous(endpoint=endpoint or None)
    except (EOFError, AttributeError, ImportError, IndexError, ValueError, TypeError) as error:
        # The login that the library keeps is a pickle, which another version may not read.
        _LOG.warning("the login of modelscope cannot be read: %s", error)
        config = _Anonymous(endpoint=endpoint or None, token="")
    api: HubApi = library.HubApi(config, user_agent="llmtui")
    return api


def _is_gguf(model: dict[str, Any]) -> bool:
    name, tags = model.get("id"), model.get("tags")
    if not isinstance(name, str) or not is_safe_repo(name):
        return False
    texts = [tag.lower() for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    return "gguf" in name.lower() or "gguf" in texts or "library:gguf" in texts
