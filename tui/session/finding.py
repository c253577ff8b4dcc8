"""Finding models on the hubs: both are asked at once, what each answers is shown as it comes, and one that fails does
not take the other along. Then a repository, and what each of its variants would mean on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from functools import partial

import msgspec

from tui.config.settings import ChosenLoad
from tui.hubs.interface import Hub, HubError
from tui.hubs.records import FoundRepo, HubName, Page, Query, Repo, RepoContent, RepoId, Sort, Variant
from tui.models.info import ModelInfo
from tui.models.library import LibraryModel
from tui.planning.formula import MemoryPlan
from tui.planning.now import MemoryNow
from tui.planning.recommending import JudgedVariant, as_variant, first_to_read
from tui.planning.suggestions import permitted
from tui.protocol.records import Device
from tui.session.aside import aside

PAUSE_S = 0.3
"""After nothing was typed for so long, the hubs are asked."""
KNOWN_AUTHORS = ("Qwen", "lmstudio-community", "unsloth", "bartowski", "ggml-org")
"""Who publishes most of what people load, with care: shown first among equals."""
_FIRST_TEXT = "Qwen3"
"""What is looked for while nothing is typed: Qwen3 and its successors have it in their names."""
_HEAD_START = 6
"""Places that a known author's repository goes before others."""
_LIMIT = 40
"""Repositories of a hub that are asked for at a time."""

SpeedOf = Callable[[ModelInfo, MemoryPlan], float | None]
"""Expected tokens per second of a model that is loaded as planned; None when there is no telling."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for."""

    text: str = ""
    hub: HubName | None = None
    """Only this one; None for all."""
    sort: Sort = "downloads"


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """A hub that could not be asked, and why."""

    hub: HubName
    why: str
    is_offline: bool = False
    """The network, and not this hub, is what fails."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is found so far."""

    wanted: Wanted = Wanted()
    repos: tuple[FoundRepo, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    next: Mapping[HubName, str] = {}
    """What asks each hub for more; only those that have more."""
    is_whole: bool = False
    """All hubs have answered."""


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """A repository that is to be opened."""

    name: str
    """Such as "Qwen/Qwen3-4B-GGUF"."""
    hub: HubName | None = None
    """None: the first hub that has it."""
    revision: str = ""
    label: str = ""
    """The variant that is meant, such as "Q4_K_M"; "" where none was named."""


class OpenedRepo(msgspec.Struct, frozen=True, kw_only=True):
    """A repository and what can be loaded of it."""

    repo: Repo
    content: RepoContent


class Doors(msgspec.Struct, frozen=True, kw_only=True):
    """What `tui.hubs` offers to a session. All of it blocks; imported where it is called, for it is slow to import."""

    hubs: Callable[[], Sequence[Hub]]
    """In the order in which they are asked, and their repositories preferred."""
    sort_out: Callable[[Repo], RepoContent]
    header: Callable[[Hub, Repo, Variant], ModelInfo]
    meant: Callable[[str], Opening | None]
    """The repository whose name or address a text is; None for words to search for. Quick."""


class Finding:
    """Asks the hubs in threads. Everything it is asked for may be cancelled: only what is asked last counts."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._hubs: dict[HubName, Hub] | None = None
        self.found = Found()
        """What was found last, to show it again at once."""

    async def search(self, wanted: Wanted, *, pause_s: float = PAUSE_S) -> AsyncGenerator[Found, None]:
        """What the hubs have, again with each that answers. Waits `pause_s` first, for more may be typed."""
        if wanted == self.found.wanted and self.found.is_whole and self.found.repos:
            yield self.found
            return
        await asyncio.sleep(pause_s)
        hubs = await self._asked(wanted.hub)
        query = Query(text=wanted.text or _FIRST_TEXT, sort=wanted.sort, limit=_LIMIT)
        async for found in self._ask(Found(wanted=wanted), dict.fromkeys(hubs, (query, ""))):
            yield found

    async def more(self, found: Found) -> AsyncGenerator[Found, None]:
        """What comes behind that."""
        query = Query(text=found.wanted.text or _FIRST_TEXT, sort=found.wanted.sort, limit=_LIMIT)
        start = msgspec.structs.replace(found, next={}, is_whole=False)
        async for more in self._ask(start, {hub: (query, page) for hub, page in found.next.items()}):
            yield more

    async def _ask(self, found: Found, asked: Mapping[HubName, tuple[Query, str]]) -> AsyncGenerator[Found, None]:
        hubs = await self._by_name()
        works = {
            asyncio.ensure_future(self._page(hubs[name], query, page)): name for name, (query, page) in asked.items()
        }
        before, pages = found.repos, dict[HubName, Page]()
        try:
            waiting = set(works)
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for work in done:
                    answer = work.result()
                    if isinstance(answer, Trouble):
                        found = msgspec.structs.replace(found, troubles=(*found.troubles, answer))
                    else:
                        pages[works[work]] = answer
                        if answer.next:
                            found = msgspec.structs.replace(found, next={**found.next, works[work]: answer.next})
                merged = merge([pages[name].repos for name in hubs if name in pages], before)
                if not found.wanted.text:  # nobody asked for these in particular
                    merged = tuple(one for one in merged if one.id.author in KNOWN_AUTHORS) or merged
                found = msgspec.structs.replace(found, repos=merged, is_whole=not waiting)
                self.found = found
                yield found
        finally:
            for work in works:
                work.cancel()

    async def _page(self, hub: Hub, query: Query, page: str) -> Page | Trouble:
        try:
            return await aside(lambda: hub.search(query, page))
        except HubError as error:
            is_offline = error.kind in ("offline", "unreachable")
            return Trouble(hub=hub.name, why=str(error), is_offline=is_offline)

    async def _by_name(self) -> dict[HubName, Hub]:
        if self._hubs is None:
            self._hubs = {hub.name: hub for hub in await aside(self._doors.hubs)}
        return self._hubs

    async def _asked(self, only: HubName | None) -> list[HubName]:
        return [name for name in await self._by_name() if only in (None, name)]

    async def hub_names(self) -> tuple[HubName, ...]:
        """In the order in which they are asked."""
        return tuple(await self._by_name())

    # Repositories -----------------------------------------------------------------------------------------------------

    def meant(self, text: str) -> Opening | None:
        """The repository whose name or address was typed; None for words to search for."""
        return self._doors.meant(text)

    async def open(self, opening: Opening) -> OpenedRepo:
        """A repository with what can be loaded of it. Raises `HubError`; where several hubs were asked, what the first
        of them said."""
        hubs = await self._by_name()
        first: HubError | None = None
        for name in (opening.hub,) if opening.hub else hubs:
            hub, repo = hubs[name], RepoId(hub=name, name=opening.name, revision=opening.revision)
            try:
                return await aside(partial(self._look, hub, repo))
            except HubError as error:
                first = first or error
        assert first is not None, "there is no hub"
        raise first

    def _look(self, hub: Hub, repo: RepoId) -> OpenedRepo:
        found = hub.repo(repo)
        return OpenedRepo(repo=found, content=self._doors.sort_out(found))

    async def header(self, repo: Repo, variant: Variant) -> ModelInfo:
        """What the header of a variant says. Raises `HubError` or `ModelFileError`."""
        hub = (await self._by_name())[repo.id.hub]
        return await aside(lambda: self._doors.header(hub, repo, variant))


class Judge:
    """What variants of a repository would mean on this machine, as it is now."""

    def __init__(
        self, finding: Finding, devices: Sequence[Device], memory: MemoryNow, choice: ChosenLoad, speed_of: SpeedOf
    ) -> None:
        self._finding, self._devices, self.memory, self._choice = finding, tuple(devices), memory, choice
        self._speed_of = speed_of

    async def all(self, opened: OpenedRepo) -> AsyncGenerator[tuple[JudgedVariant, ...], None]:
        """All variants, judged by the header of one of them that is scaled to the others' sizes; again with each that
        is judged. Raises `HubError` or `ModelFileError` when that header cannot be read."""
        variants = opened.content.variants
        judged = [JudgedVariant(variant=variant) for variant in variants]
        yield tuple(judged)
        if (first := first_to_read(variants)) is None:
            return
        info = await self._finding.header(opened.repo, first)
        for place in sorted(range(len(variants)), key=lambda place: variants[place] is not first):
            variant = variants[place]
            own = info if variant is first else as_variant(info, variant)
            judged[place] = await self._judged(variant, own, is_exact=variant is first)
            yield tuple(judged)

    async def one(self, opened: OpenedRepo, variant: Variant) -> JudgedVariant:
        """A variant, judged by its own header. Raises as `all`."""
        return await self._judged(variant, await self._finding.header(opened.repo, variant), is_exact=True)

    async def _judged(self, variant: Variant, info: ModelInfo, *, is_exact: bool) -> JudgedVariant:
        permission = await permitted(info, self._devices, self.memory, self._choice)
        return JudgedVariant(
            variant=variant,
            info=info,
            is_exact=is_exact,
            permission=permission,
            decode_tps=self._speed_of(info, permission.outcome.plan) if permission.fit != "no" else None,
        )


def merge(pages: Sequence[Sequence[FoundRepo]], before: Sequence[FoundRepo] = ()) -> tuple[FoundRepo, ...]:
    """What several hubs found, each in its own order, as one list without duplicates behind `before`: turn by turn,
    known authors a little earlier. Of a repository that several have, that of the hub that is asked first."""
    found = {one.id.name.casefold(): one for one in before}
    preferred: dict[str, FoundRepo] = {}
    for repo in (repo for page in pages for repo in page):
        preferred.setdefault(repo.id.name.casefold(), repo)
    places = [
        (place - _HEAD_START * (repo.id.author in KNOWN_AUTHORS), turn, place)
        for turn, page in enumerate(pages)
        for place, repo in enumerate(page)
    ]
    for _, turn, place in sorted(places):
        repo = pages[turn][place]
        key = repo.id.name.casefold()
        known = found.setdefault(key, preferred[key])
        if repo.id.hub not in (known.id.hub, *known.also_on):
            found[key] = msgspec.structs.replace(known, also_on=(*known.also_on, repo.id.hub))
    return tuple(found.values())


def on_machine(variant: Variant, models: Iterable[LibraryModel]) -> LibraryModel | None:
    """The model of the library that has the files of a variant, wherever it lies: by names and size, or by the sum that
    Ollama's names have."""
    names = {file.path.rpartition("/")[2] for file in variant.files}
    sums = {f"sha256-{file.sha256}" for file in variant.files if file.sha256}
    for model in models:
        if model.info.size_bytes != variant.size_bytes:
            continue
        own = {path.name for path in model.paths}
        if own == names or own <= sums:
            return model
    return None
