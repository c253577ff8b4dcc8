"""All hubs as one: which there are, in which order they are asked, a search over all of them that survives the failure
of one, and a model found by what a person wrote. Everything here blocks and is meant for a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import zip_longest

import msgspec

from tui.config import paths
from tui.hubs.at_once import as_they_come
from tui.hubs.interface import AllFailed, Hub, HubError, HubErrorKind
from tui.hubs.kept_headers import KeptHeaders
from tui.hubs.known_hubs import HUBS
from tui.hubs.records import FoundRepo, HubName, Page, Query, Repo, RepoContent, RepoId, Variant
from tui.hubs.reference import Reference
from tui.hubs.remote_header import read_remote
from tui.hubs.variants import variant_named, variants_below
from tui.hubs.vocabulary import Vocabulary
from tui.models.info import ModelInfo
from tui.words import Language, language

_ORDER: dict[Language, tuple[HubName, ...]] = {"zh": ("modelscope", "huggingface")}
_PASSED_BY: tuple[HubErrorKind, ...] = (
    "not_found", "offline", "unreachable", "timeout", "certificate", "proxy", "captive", "busy", "server", "protocol",
)  # fmt: skip
"""What one hub may say while the next is asked."""
_MOST_VOCABULARIES = 3
"""Some MB each."""


def new_hub(name: HubName) -> Hub:
    """The client of a hub; its library is imported when something is asked."""
    if name == "modelscope":
        from tui.hubs.modelscope import ModelScope

        return ModelScope()
    from tui.hubs.huggingface import HuggingFace

    return HuggingFace()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a search over several hubs found."""

    repos: tuple[FoundRepo, ...] = ()
    """Best first. A repository that several hubs have is there once, from the hub that is asked first."""
    failures: tuple[HubError, ...] = ()
    """Of hubs that could not be asked."""
    next: tuple[tuple[HubName, str], ...] = ()
    """What `Hubs.search` takes for more; empty when there is no more."""


class Hubs:
    """Hubs in the order in which they are asked: ModelScope first where the interface is Chinese."""

    def __init__(self, hubs: Sequence[Hub] | None = None, kept: KeptHeaders | None = None) -> None:
        order = _ORDER.get(language(), tuple(HUBS))
        self._hubs: dict[HubName, Hub] = {hub.name: hub for hub in hubs or map(new_hub, order)}
        self._kept = kept or KeptHeaders(paths.remote_headers_dir())
        self._vocabularies: dict[tuple[RepoId, str], tuple[Vocabulary, threading.Lock]] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[HubName, ...]:
        """Of the hubs, the first to be asked first."""
        return tuple(self._hubs)

    def hub(self, name: HubName) -> Hub:
        """The client of a hub."""
        return self._hubs[name]

    def search_each(
        self, query: Query, only: HubName | None = None, pages: Mapping[HubName, str] | None = None
    ) -> Iterator[tuple[HubName, Page | HubError]]:
        """What each hub answers, as soon as it does. `pages` is the `Found.next` of the search before."""
        wanted = [name for name in self._hubs if only in (None, name) and (pages is None or name in pages)]
        pages = pages or {}
        return as_they_come({name: partial(self._search, name, query, pages.get(name, "")) for name in wanted})

    def search(self, query: Query, only: HubName | None = None, pages: Mapping[HubName, str] | None = None) -> Found:
        """What all hubs answer, as one. Raises `HubError` when none could be asked."""
        return self.merged(query, dict(self.search_each(query, only, pages)))

    def merged(self, query: Query, answers: Mapping[HubName, Page | HubError]) -> Found:
        """What was answered so far as one result. Raises `HubError` when all have failed."""
        in_order = [(name, answers[name]) for name in self._hubs if name in answers]
        failures = tuple(answer for _, answer in in_order if isinstance(answer, HubError))
        pages = [(name, answer) for name, answer in in_order if isinstance(answer, Page)]
        if failures and not pages:
            raise failures[0] if len(failures) == 1 else AllFailed(failures)
        return Found(
            repos=_merged(query, [page.repos for _, page in pages]),
            failures=failures,
            next=tuple((name, page.next) for name, page in pages if page.next),
        )

    def repo(self, reference: Reference) -> Repo:
        """The repository that was meant; where no hub was named, of the first that has it. Raises `HubError`: of all
        that could not be asked, or else of the first, which does not have it."""
        failures: list[HubError] = []
        for name in [reference.hub] if reference.hub else self._hubs:
            try:
                return self._hubs[name].repo(RepoId(hub=name, name=reference.name, revision=reference.revision))
            except HubError as error:
                if error.kind not in _PASSED_BY:
                    raise
                failures.append(error)
        unasked = [error for error in failures if error.kind != "not_found"]
        raise AllFailed(unasked) if len(unasked) > 1 else (unasked or failures)[0]

    def info(self, repo: Repo, variant: Variant) -> ModelInfo:
        """What the header of a variant says; kept, so that it costs nothing the next time. Raises `HubError`."""
        key = (repo.id, repo.commit)
        with self._lock:
            vocabulary, lock = self._vocabularies.setdefault(key, (Vocabulary(), threading.Lock()))
            while len(self._vocabularies) > _MOST_VOCABULARIES:
                del self._vocabularies[next(iter(self._vocabularies))]
        with lock:
            return read_remote(self._hubs[repo.id.hub], repo, variant, vocabulary, self._kept)

    def _search(self, name: HubName, query: Query, page: str) -> Page | HubError:
        try:
            return self._hubs[name].search(query, page)
        except HubError as error:
            return error


def variant_of(content: RepoContent, reference: Reference, repo: RepoId) -> Variant | None:
    """The variant that was asked for by label or file; None when none was. Raises `HubError`."""
    if reference.label:
        return variant_named(content, reference.label, repo)
    if not reference.path:
        return None
    below = variants_below(content, reference.path)
    return below[0] if len(below) == 1 else variant_named(content, reference.path, repo)


def _merged(query: Query, lists: Sequence[Sequence[FoundRepo]]) -> tuple[FoundRepo, ...]:
    """Hubs count downloads and likes each in its own way: their lists are taken in turns. Times are compared."""
    found = [repo for turn in zip_longest(*lists) for repo in turn if repo is not None]
    if query.sort == "updated":
        found.sort(key=lambda repo: repo.updated_at or 0.0, reverse=True)
    by_name: dict[str, FoundRepo] = {}
    first = {repo.id: place for place, repos in enumerate(lists) for repo in repos}
    for repo in found:
        name = repo.id.name.casefold()
        if (known := by_name.get(name)) is None:
            by_name[name] = repo
        elif known.id.hub != repo.id.hub:
            kept, other = sorted((known, repo), key=lambda each: first[each.id])
            by_name[name] = msgspec.structs.replace(kept, also_on=(other.id.hub,))
    return tuple(by_name.values())
