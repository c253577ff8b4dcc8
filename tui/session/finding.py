"""Finding models on the hubs: all are asked at once, what each answers is shown as it comes, and one that fails does
not take the others along. Then a repository, and what each of its variants would mean on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from tui.config.settings import ChosenLoad
from tui.hubs.interface import HubError
from tui.hubs.records import FoundRepo, HubName, Page, Query, Repo, RepoContent, Sort, Variant
from tui.hubs.reference import Reference, is_reference, parse_reference
from tui.measure.forecast import Range
from tui.models.info import ModelInfo
from tui.models.library import LibraryModel
from tui.planning.formula import MemoryPlan
from tui.planning.now import MemoryNow
from tui.planning.recommending import JudgedVariant, as_variant, first_to_read
from tui.planning.suggestions import permitted
from tui.protocol.records import Device
from tui.session.aside import aside

if TYPE_CHECKING:  # it is asked for in a thread: what it imports takes its time
    from tui.hubs.registry import Hubs

PAUSE_S = 0.3
"""After nothing was typed for so long, the hubs are asked."""
KNOWN_AUTHORS = ("Qwen", "lmstudio-community", "unsloth", "bartowski", "ggml-org")
"""Who publishes most of what people load, with care."""
_FIRST_TEXT = "Qwen3"
"""What is looked for while nothing is typed: Qwen3 and its successors have it in their names."""
_LIMIT = 40
"""Repositories of a hub that are asked for at a time."""

SpeedOf = Callable[[ModelInfo, MemoryPlan], Range | None]
"""How fast it is expected to write, of a model that is loaded as planned; None when there is no telling."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for."""

    text: str = ""
    hub: HubName | None = None
    """Only this one; None for all."""
    sort: Sort = "downloads"


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """What is found so far."""

    wanted: Wanted = Wanted()
    repos: tuple[FoundRepo, ...] = ()
    failures: tuple[HubError, ...] = ()
    """Of hubs that could not be asked."""
    next: tuple[tuple[HubName, str], ...] = ()
    """What asks each hub for more; empty when there is no more."""
    is_whole: bool = False
    """All hubs have answered."""

    @property
    def is_offline(self) -> bool:
        """No hub could be reached, and it is not the hubs' fault."""
        kinds = {failure.kind for failure in self.failures}
        return bool(kinds) and not self.repos and kinds <= {"offline", "unreachable"}


class Prospect(JudgedVariant, frozen=True, kw_only=True):
    """A variant, what loading it here would mean, and how fast it would be."""

    decode: Range | None = None
    """None when there is no telling."""


class OpenedRepo(msgspec.Struct, frozen=True, kw_only=True):
    """A repository and what can be loaded of it."""

    repo: Repo
    content: RepoContent
    meant: Variant | None = None
    """The variant that was asked for."""
    trouble: HubError | None = None
    """Why that is not there."""


def all_hubs() -> Hubs:
    """The hubs in the order of the language in use. Blocks: meant for a thread."""
    from tui.hubs.registry import Hubs

    return Hubs()


class Finding:
    """Asks the hubs in threads. Everything it is asked for may be cancelled: only what is asked last counts."""

    def __init__(self, hubs: Callable[[], Hubs] = all_hubs) -> None:
        self._make_hubs = hubs
        self._hubs: Hubs | None = None
        self.results = Results()
        """What was found last, to show it again at once."""

    async def search(self, wanted: Wanted, *, pause_s: float = PAUSE_S) -> AsyncGenerator[Results, None]:
        """What the hubs have, again with each that answers. Waits `pause_s` first, for more may be typed."""
        if wanted == self.results.wanted and self.results.is_whole and self.results.repos:
            yield self.results
            return
        await asyncio.sleep(pause_s)
        hubs = await self._all()
        names = [name for name in hubs.names if wanted.hub in (None, name)]
        async for results in self._ask(hubs, Results(wanted=wanted), dict.fromkeys(names, "")):
            yield results

    async def more(self, before: Results) -> AsyncGenerator[Results, None]:
        """What comes behind that."""
        async for results in self._ask(await self._all(), before, dict(before.next)):
            yield results

    async def _ask(self, hubs: Hubs, before: Results, pages: Mapping[HubName, str]) -> AsyncGenerator[Results, None]:
        wanted = before.wanted
        query = Query(text=wanted.text or _FIRST_TEXT, sort=wanted.sort, limit=_LIMIT)
        works = {asyncio.ensure_future(_page(hubs, name, query, page)): name for name, page in pages.items()}
        answers: dict[HubName, Page | HubError] = {}
        try:
            waiting = set(works)
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                answers |= {works[work]: work.result() for work in done}
                self.results = _results(hubs, query, before, answers, is_whole=not waiting)
                yield self.results
        finally:
            for work in works:
                work.cancel()

    async def _all(self) -> Hubs:
        if self._hubs is None:
            self._hubs = await aside(self._make_hubs)
        return self._hubs

    def forget_order(self) -> None:
        """The language is another one, and with it which hub is asked first."""
        self._hubs = None

    # Repositories -----------------------------------------------------------------------------------------------------

    async def open(self, reference: Reference) -> OpenedRepo:
        """A repository with what can be loaded of it. Raises `HubError`."""
        return await aside(partial(_open, await self._all(), reference))

    async def header(self, repo: Repo, variant: Variant) -> ModelInfo:
        """What the header of a variant says. Raises `HubError`."""
        hubs = await self._all()
        return await aside(lambda: hubs.info(repo, variant))


class Judge:
    """What variants of a repository would mean on this machine, as it is now."""

    def __init__(
        self, finding: Finding, devices: Sequence[Device], memory: MemoryNow, choice: ChosenLoad, speed_of: SpeedOf
    ) -> None:
        self._finding, self._devices, self._memory, self._choice = finding, tuple(devices), memory, choice
        self._speed_of = speed_of

    async def all(self, opened: OpenedRepo) -> AsyncGenerator[tuple[Prospect, ...], None]:
        """All variants, judged by the header of one of them that is scaled to the others' sizes; again with each that
        is judged. Raises `HubError` when that header cannot be read."""
        variants = opened.content.variants
        if (first := first_to_read(variants)) is None:
            return
        judged = [Prospect(variant=variant) for variant in variants]
        info = await self._finding.header(opened.repo, first)
        for place in sorted(range(len(variants)), key=lambda place: variants[place] is not first):
            variant = variants[place]
            own = info if variant is first else as_variant(info, variant)
            judged[place] = await self._judged(variant, own, is_exact=variant is first)
            yield tuple(judged)

    async def one(self, opened: OpenedRepo, variant: Variant) -> Prospect:
        """A variant, judged by its own header. Raises `HubError`."""
        return await self._judged(variant, await self._finding.header(opened.repo, variant), is_exact=True)

    async def _judged(self, variant: Variant, info: ModelInfo, *, is_exact: bool) -> Prospect:
        permission = await permitted(info, self._devices, self._memory, self._choice)
        speed = self._speed_of(info, permission.outcome.plan) if permission.fit != "no" else None
        return Prospect(
            variant=variant,
            info=info,
            is_exact=is_exact,
            permission=permission,
            decode=speed,
            decode_tps=speed.tps if speed else None,
        )


def meant(text: str) -> Reference | None:
    """The repository whose name or address was typed; None for words to search for."""
    if not is_reference(text):
        return None
    try:
        return parse_reference(text)
    except HubError:
        return None


def on_machine(variant: Variant, models: Iterable[LibraryModel]) -> LibraryModel | None:
    """The model of the library that has the files of a variant, wherever it lies: by names and size, or by the sum that
    Ollama's names have."""
    names = {file.path.rpartition("/")[2] for file in variant.files}
    sums = {f"sha256-{file.sha256}" for file in variant.files if file.sha256}
    for model in models:
        own = {path.name for path in model.paths}
        if model.info.size_bytes == variant.size_bytes and (own == names or own <= sums):
            return model
    return None


async def _page(hubs: Hubs, name: HubName, query: Query, page: str) -> Page | HubError:
    try:
        return await aside(lambda: hubs.hub(name).search(query, page))
    except HubError as error:
        return error


def _results(
    hubs: Hubs, query: Query, before: Results, answers: Mapping[HubName, Page | HubError], *, is_whole: bool
) -> Results:
    # In the order of the hubs, whichever was the first to fail: what is read must not change places.
    failures = tuple(answer for name in hubs.names if isinstance(answer := answers.get(name), HubError))
    repos: tuple[FoundRepo, ...] = ()
    following: tuple[tuple[HubName, str], ...] = ()
    if len(failures) < len(answers):
        merged = hubs.merged(query, answers)
        repos, following = merged.repos, merged.next
    if not before.wanted.text:  # nobody asked for these in particular
        repos = tuple(one for one in repos if one.id.author in KNOWN_AUTHORS) or repos
    known = {one.id.name.casefold() for one in before.repos}
    return Results(
        wanted=before.wanted,
        repos=(*before.repos, *(one for one in repos if one.id.name.casefold() not in known)),
        failures=failures,
        next=following,
        is_whole=is_whole,
    )


def _open(hubs: Hubs, reference: Reference) -> OpenedRepo:
    """Blocking."""
    from tui.hubs.registry import variant_of
    from tui.hubs.variants import content_of

    repo = hubs.repo(reference)
    content = content_of(repo)
    try:
        return OpenedRepo(repo=repo, content=content, meant=variant_of(content, reference, repo.id))
    except HubError as error:
        return OpenedRepo(repo=repo, content=content, trouble=error)
