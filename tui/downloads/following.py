"""One order followed to its end, for whoever waits for it: in the queue of this machine, where the app shows it too. It
is fetched here, unless another process works through the queue already."""

from __future__ import annotations

from collections.abc import Callable

from tui.downloads import wishes
from tui.downloads.fetching import Listener
from tui.downloads.queue import Queue
from tui.downloads.records import Download, Order
from tui.downloads.shelf import UNFINISHED, Ordered, Shelf, same_variant, shown
from tui.downloads.transfer import Effort


def follow(
    shelf: Shelf,
    order: Order,
    on_progress: Listener,
    should_stop: Callable[[], bool],
    *,
    bytes_per_s: int = 0,
    effort: Effort | None = None,
) -> Download | None:
    """Order it and wait until it is there, stands still, or `should_stop` says so. Gives how it is then; None when
    somebody has cancelled it.

    Both are called in this thread several times a second. What was stopped here is paused for all, unless it was
    in the queue before. `bytes_per_s` is a limit for what is fetched here, 0 for none. Raises `FetchError` when the
    shelf cannot be written.
    """
    known = _known(shelf, order)
    before = shown(known, shelf.progress(known.order.id)) if known else None
    wishes.add(shelf, order)
    known = _known(shelf, order)
    if known is None:  # cancelled already
        return None
    id = known.order.id
    now: list[Download | None] = []

    def hear(found: tuple[Download, ...]) -> None:
        now[:] = [next((one for one in found if one.order.id == id), None)]
        if now[0] is not None:
            on_progress(now[0])

    def is_over() -> bool:
        return should_stop() or (bool(now) and _has_ended(now[0], is_ours=queue.leads))

    queue = Queue(shelf, hear, effort=effort or Effort(), only=id, bytes_per_s=bytes_per_s)
    queue.run(is_over=is_over)
    end = shelf.order(id)
    download = shown(end, shelf.progress(id)) if end else None
    is_new = before is None or before.state not in UNFINISHED
    if is_new and download is not None and download.state in UNFINISHED:
        wishes.pause(shelf, id)
    return download


def _known(shelf: Shelf, order: Order) -> Ordered | None:
    return next((one for one in shelf.orders() if same_variant(one.order, order)), None)


def _has_ended(download: Download | None, *, is_ours: bool) -> bool:
    """Nothing comes of it any more by itself. What is fetched here is not tried again in some minutes: somebody waits
    to hear why it stands still."""
    if download is None or download.state in ("done", "failed", "paused"):
        return True
    return is_ours and download.state == "waiting" and download.problem is not None
