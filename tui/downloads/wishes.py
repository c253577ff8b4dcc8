"""What people ask of the queue, as changes of what stands on the shelf. Whoever fetches reads them there, in this
process or in another. All of it raises `FetchError` when the disk refuses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec

from tui.downloads.failures import of_the_disk
from tui.downloads.records import Order
from tui.downloads.shelf import Ordered, Shelf, Wish, same_variant, shown


def add(shelf: Shelf, order: Order) -> None:
    """Put it at the end of the queue. What is there for the same variant goes on instead."""
    orders = shelf.orders()
    for known in orders:
        if same_variant(known.order, order):
            is_new = known.wish in ("cancel", "forget")
            state = "waiting" if (download := shown(known, shelf.progress(known.order.id))) is None else download.state
            if is_new or state in ("paused", "failed", "done"):
                renewed = msgspec.structs.replace(order, id=known.order.id)
                _put(shelf, msgspec.structs.replace(known, order=renewed, wish="fetch", n_asked=known.n_asked + 1))
            return
    _put(shelf, Ordered(order=order, place=orders[-1].place + 1 if orders else 0.0))


def pause(shelf: Shelf, id: str) -> None:
    """Stop fetching; what is there stays."""
    _wish(shelf, id, "pause")


def resume(shelf: Shelf, id: str) -> None:
    """Go on, also after a failure."""
    if (known := shelf.order(id)) is not None:
        _put(shelf, msgspec.structs.replace(known, wish="fetch", n_asked=known.n_asked + 1))


def cancel(shelf: Shelf, id: str) -> None:
    """Drop it with what was fetched of it."""
    _wish(shelf, id, "cancel")


def forget(shelf: Shelf, id: str) -> None:
    """Take it off the list; whole files stay."""
    _wish(shelf, id, "forget")


def move(shelf: Shelf, id: str, place: int) -> None:
    """Give it another place, counted among what people see."""
    orders = shelf.orders()
    moved = next((one for one in orders if one.order.id == id), None)
    if moved is None:
        return
    others = [one for one in orders if one is not moved]
    seen = [one for one in others if one.wish not in ("cancel", "forget")]
    place = max(0, min(place, len(seen)))
    at = others.index(seen[place]) if place < len(seen) else len(others)
    for number, one in enumerate([*others[:at], moved, *others[at:]]):
        if one.place != number:
            _put(shelf, msgspec.structs.replace(one, place=float(number)))


def limit(shelf: Shelf, bytes_per_s: int) -> None:
    """Fetch no faster than that, all together; 0 for as fast as it goes."""
    with _disk():
        shelf.set_limit(max(0, bytes_per_s))


def _wish(shelf: Shelf, id: str, wish: Wish) -> None:
    if (known := shelf.order(id)) is not None:
        _put(shelf, msgspec.structs.replace(known, wish=wish))


def _put(shelf: Shelf, ordered: Ordered) -> None:
    with _disk():
        shelf.put(ordered)


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise of_the_disk(error) from error
