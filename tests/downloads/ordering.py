"""A hub with one file, and orders for it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from tests.hubserver.repos import COMMIT, ServedRepo
from tests.hubserver.server import HubServer
from tui.downloads.fetching import Whole, fetch
from tui.downloads.pace import Pace
from tui.downloads.records import Download, Order, OrderedFile, order_id
from tui.downloads.transfer import Effort
from tui.hubs.records import Location, RepoId

NAME = "someone/Tiny-GGUF"
FILE = "tiny-Q4_K_M.gguf"
BYTES = r"/resolve/.*\.gguf"
"""Of the requests for the bytes of a file."""
EAGER = Effort(least_piece=1 << 16, ramp_s=0.0, first_pause_s=0.002, longest_pause_s=0.01, patience_s=0.5)
"""Several connections for small files, and no long pauses."""


def content(n: int, seed: int = 0) -> bytes:
    """Bytes that do not repeat."""
    return random.Random(seed).randbytes(n)


def served(*sizes: int, name: str = NAME) -> ServedRepo:
    """A repository with one file, or with a file in so many parts."""
    if len(sizes) == 1:
        return ServedRepo(name, {FILE: content(sizes[0])})
    parts = {f"big/big-{i:05}-of-{len(sizes):05}.gguf": content(n, i) for i, n in enumerate(sizes, 1)}
    return ServedRepo(name, dict(parts))


def order_for(repo: ServedRepo, folder: Path, *, with_sum: bool = True, label: str = "Q4_K_M") -> Order:
    """All files of a repository."""
    files = tuple(
        OrderedFile(path=path, size_bytes=repo.size(path), sha256=repo.sha256(path) if with_sum else "")
        for path in repo.files
    )
    id = RepoId(hub="huggingface", name=repo.name)
    where = folder / repo.name
    return Order(
        id=order_id(id, label, str(where)), repo=id, commit=COMMIT, label=label, files=files, folder=str(where)
    )


def at(hub: HubServer) -> Callable[[Order, OrderedFile], Location]:
    """Where the files are, with a token."""

    def locate(order: Order, file: OrderedFile) -> Location:
        url = f"{hub.url}/{order.repo.name}/resolve/{order.commit}/{file.path}"
        return Location(url=url, headers={"authorization": f"Bearer {hub.token}"})

    return locate


def get(
    hub: HubServer,
    order: Order,
    *,
    effort: Effort = EAGER,
    should_stop: Callable[[], bool] = lambda: False,
    told: list[Download] | None = None,
    pace: Pace | None = None,
    whole: Whole | None = None,
) -> bool:
    """Fetch it in this process."""
    heard: list[Download] = [] if told is None else told
    return fetch(order, heard.append, should_stop, locate=at(hub), effort=effort, pace=pace, whole=whole)


def is_right(order: Order, repo: ServedRepo) -> bool:
    """All files are there under their names, with the right bytes, and nothing else is."""
    top = Path(order.folder)
    there = {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}
    return there == set(repo.files) and all((top / path).read_bytes() == repo.files[path] for path in there)


def is_absent(order: Order) -> bool:
    """No file has its name."""
    return not any((Path(order.folder) / file.path).exists() for file in order.files)
