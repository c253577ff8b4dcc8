"""The messages of a conversation as a tree: where each stands, which path through it is shown, what its siblings are.
Pure functions on places; the texts are no part of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec


class Place(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a message stands."""

    id: str
    parent: str = ""
    """Id of the message before it; empty for a first one."""
    left_at: float = 0.0
    """Unix time at which another took its place; 0 for one that is shown."""


Places = tuple[Place, ...]
"""All messages of a conversation, each behind its parent, siblings in the order in which they came. Those that are
shown are one path."""


def in_line(ids: Iterable[str]) -> Places:
    """Messages that follow each other, all of them shown."""
    places, parent = [], ""
    for id_ in ids:
        places.append(Place(id=id_, parent=parent))
        parent = id_
    return tuple(places)


def agreed(found: Iterable[tuple[str, str | None, float | None]]) -> Places:
    """Places of what a database or a file tells: id, parent, and when it was left. Whatever that is, the result is a
    tree, and what is shown a path in it."""
    places: list[Place] = []
    known: set[str] = set()
    last_shown = ""
    for id_, parent, left_at in found:
        if id_ in known:
            continue
        if left_at:
            places.append(Place(id=id_, parent=parent if parent in known else "", left_at=left_at))
        else:
            places.append(Place(id=id_, parent=last_shown))
            last_shown = id_
        known.add(id_)
    return tuple(places)


def shown(places: Places) -> tuple[str, ...]:
    """The path that is shown, from the first message on."""
    return tuple(place.id for place in places if not place.left_at)


def siblings(places: Places, id_: str) -> tuple[str, ...]:
    """All that follow the same message as this one does, itself among them. Raises KeyError."""
    parent = _by_id(places)[id_].parent
    return tuple(place.id for place in places if place.parent == parent)


def children(places: Places) -> dict[str, list[Place]]:
    """What follows each message; what a conversation begins with stands under ""."""
    found: dict[str, list[Place]] = defaultdict(list)
    for place in places:
        found[place.parent].append(place)
    return found


def forks(places: Places) -> dict[str, tuple[int, int]]:
    """Of each message that is shown and has siblings: which of them it is, from 1, and how many they are."""
    found = {}
    for alike in children(places).values():
        if len(alike) > 1:
            found.update(
                {place.id: (number, len(alike)) for number, place in enumerate(alike, start=1) if not place.left_at}
            )
    return found


def latest(places: Sequence[Place]) -> Place:
    """Of siblings the one that is shown, or was shown last."""
    return max(enumerate(places), key=lambda item: (not item[1].left_at, item[1].left_at, item[0]))[1]


def path_through(places: Places, id_: str) -> tuple[str, ...]:
    """The path that leads to a message, and on from it to what was shown behind it last. Raises KeyError."""
    by_id, after = _by_id(places), children(places)
    path, at = [id_], by_id[id_].parent
    while at:
        path.append(at)
        at = by_id[at].parent
    path.reverse()
    while following := after.get(path[-1]):
        path.append(latest(following).id)
    return tuple(path)


def with_added(places: Places, id_: str) -> Places:
    """One more at the end of what is shown."""
    parent = next((place.id for place in reversed(places) if not place.left_at), "")
    return (*places, Place(id=id_, parent=parent))


def with_shown(places: Places, path: Collection[str], now: float) -> Places:
    """This path is shown from `now` on, and nothing else."""
    path = frozenset(path)
    return tuple(
        msgspec.structs.replace(place, left_at=0.0 if place.id in path else now)
        if (place.id in path) == bool(place.left_at)
        else place
        for place in places
    )


def without(places: Places, id_: str) -> Places:
    """One less; what follows it follows the one before it."""
    parent = next((place.parent for place in places if place.id == id_), "")
    return tuple(
        msgspec.structs.replace(place, parent=parent) if place.parent == id_ else place
        for place in places
        if place.id != id_
    )


def renamed(places: Places, names: Mapping[str, str]) -> Places:
    """The same tree under other ids."""
    return tuple(
        msgspec.structs.replace(place, id=names[place.id], parent=names.get(place.parent, "")) for place in places
    )


def _by_id(places: Places) -> dict[str, Place]:
    return {place.id: place for place in places}
