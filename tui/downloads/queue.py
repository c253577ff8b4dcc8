"""Whoever works through the shelf: fetches one order after the other, and does what is wished meanwhile. Only one
process at a time does so, the others look on and take over when it ends."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from tui.base import private
from tui.downloads import fetching
from tui.downloads.failures import FetchError
from tui.downloads.fetching import Listener, Whole
from tui.downloads.pace import Pace
from tui.downloads.records import Download, Order
from tui.downloads.shelf import UNFINISHED, Ordered, Progress, Shelf, has_work, shown
from tui.downloads.transfer import Effort

TURN_S = 0.25
"""Between two looks at the shelf, and so between two tellings."""
_NOTE_S = 1.0
"""Between two notes on the disk of how far it is, for those who look on."""
_PATIENCE_S = 120.0
"""Without a byte for so long, the next order has its turn."""
_FIRST_RETRY_S, _LONGEST_RETRY_S = 30.0, 600.0
_LOCK = "queue.lock"
_log = logging.getLogger("llmtui.downloads")


class Fetch(Protocol):
    """What fetches an order: `fetching.fetch`, or what does it in another way."""

    def __call__(
        self,
        order: Order,
        on_progress: Listener,
        should_stop: Callable[[], bool],
        *,
        effort: Effort,
        pace: Pace,
        whole: Whole,
    ) -> bool: ...


class Queue:
    """`run` it in a thread or a process of its own; `wake` and `close` are for others. With `only` it fetches the order
    of that id and leaves the others to whoever comes after it. `bytes_per_s` is a limit beside that of the shelf."""

    def __init__(
        self,
        shelf: Shelf,
        tell: Callable[[tuple[Download, ...]], None],
        *,
        fetch: Fetch = fetching.fetch,
        effort: Effort | None = None,
        turn_s: float = TURN_S,
        only: str = "",
        bytes_per_s: int = 0,
    ) -> None:
        self._shelf, self._tell, self._fetch = shelf, tell, fetch
        self._effort, self._turn_s = effort or Effort(patience_s=_PATIENCE_S), turn_s
        self._only, self._limit = only, bytes_per_s
        self._pace = Pace()
        self._woken = threading.Event()
        self._is_closed = False
        self._lock = -1
        self._running: _Running | None = None
        self._told: tuple[Download, ...] | None = None

    def wake(self) -> None:
        """Something was put on the shelf."""
        self._woken.set()

    def close(self) -> None:
        """Stop; `run` returns as soon as nothing is being fetched any more."""
        self._is_closed = True
        self.wake()

    @property
    def leads(self) -> bool:
        """Whether it is this process that fetches."""
        return self._lock >= 0

    def run(self, idle_s: float = float("inf"), is_over: Callable[[], bool] = lambda: False) -> None:
        """Until `close`, until `is_over` says so between two turns, or until nothing is left to do for so long."""
        idle_since = time.monotonic()
        try:
            while not self._is_closed and time.monotonic() - idle_since < idle_s and not is_over():
                if self._turn():
                    idle_since = time.monotonic()
                self._woken.wait(self._turn_s)
                self._woken.clear()
        finally:
            self._leave()

    def _turn(self) -> bool:
        """Look once; whether something is to be done."""
        if self._lead():
            self._act(self._shelf.orders())
        found = tuple(filter(None, map(self._shown, self._shelf.orders())))
        if found != self._told:
            self._told = found
            self._tell(found)
        return has_work(self._shelf)

    def _shown(self, ordered: Ordered) -> Download | None:
        running = self._running
        if running is not None and running.ordered.order.id == ordered.order.id:
            return shown(ordered, running.progress)
        return shown(ordered, self._shelf.progress(ordered.order.id))

    def _leave(self) -> None:
        if self._running is not None:
            self._running.stop()
            self._running.thread.join()
            self._finish(self._running)
        if self._lock >= 0:
            self._drop_unwanted(self._shelf.orders())
            os.close(self._lock)
            self._lock = -1

    def _lead(self) -> bool:
        """Be the process that fetches, if no other is; whether that is so."""
        if self.leads:
            return True
        try:
            private.folder(self._shelf.folder)
            self._lock = private.open_file(self._shelf.folder / _LOCK, os.O_RDWR | os.O_CREAT)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = -1
        except OSError as error:  # a disk without locks
            _log.warning("the downloads cannot be locked: %s", error)
        return self.leads

    # As the one that fetches ------------------------------------------------------------------------------------------

    def _act(self, orders: list[Ordered]) -> None:
        self._pace.limit = min(filter(None, (self._shelf.limit, self._limit)), default=0)
        running = self._running
        if running is not None:
            if not running.thread.is_alive():
                self._finish(running)
            else:
                wanted = next((one for one in orders if one.order.id == running.ordered.order.id), None)
                if wanted is None or wanted.wish != "fetch":
                    running.stop()
                elif running.is_due():
                    self._note(running.ordered, running.progress)
        self._drop_unwanted(orders)
        if self._running is None and not self._is_closed:
            self._begin(next(filter(self._is_due, orders), None))

    def _drop_unwanted(self, orders: list[Ordered]) -> None:
        for one in orders:
            is_running = self._running is not None and self._running.ordered.order.id == one.order.id
            if one.wish in ("cancel", "forget") and not is_running:
                self._drop(one)

    def _is_due(self, ordered: Ordered) -> bool:
        if self._only and ordered.order.id != self._only:
            return False
        progress = self._shelf.progress(ordered.order.id)
        download = shown(ordered, progress)
        if download is None or download.state not in UNFINISHED:
            return False
        is_asked = progress.n_asked != ordered.n_asked
        return is_asked or progress.problem is None or progress.problem.retry_at <= time.time()

    def _begin(self, ordered: Ordered | None) -> None:
        if ordered is not None:
            progress = self._shelf.progress(ordered.order.id)
            self._running = _Running(ordered, progress, self._fetch, self._effort, self._pace, self.wake)
            self._note(ordered, self._running.progress)

    def _finish(self, running: _Running) -> None:
        self._running = None
        if self._shelf.order(running.ordered.order.id) is not None:
            self._note(running.ordered, running.result())

    def _drop(self, ordered: Ordered) -> None:
        progress = self._shelf.progress(ordered.order.id)
        try:
            if ordered.wish == "cancel" or progress.state != "done":
                whole = progress.whole if ordered.wish == "cancel" and progress.state != "done" else {}
                fetching.remove(ordered.order, whole)
        except FetchError as error:
            if error.kind == "elsewhere":  # it has to end there first
                return
            _log.warning("%s was not removed: %s %s", ordered.order.folder, error.kind, error.detail)
        try:
            self._shelf.drop(ordered.order.id)
        except OSError as error:
            _log.warning("the record of %s stays: %s", ordered.order.label, error)

    def _note(self, ordered: Ordered, progress: Progress) -> None:
        try:
            self._shelf.note(ordered.order.id, progress)
        except OSError as error:  # a full disk; the part files know how far they are
            _log.warning("the state of a download cannot be written: %s", error)


class _Running:
    """An order that is being fetched, in a thread."""

    def __init__(
        self, ordered: Ordered, before: Progress, fetch: Fetch, effort: Effort, pace: Pace, wake: Callable[[], None]
    ) -> None:
        self.ordered = ordered
        self.progress = msgspec.structs.replace(before, state="fetching", problem=None, n_asked=ordered.n_asked)
        self._before, self._whole = before, dict(before.whole)
        self._fetch, self._effort, self._pace, self._wake = fetch, effort, pace, wake
        self._is_stopped = False
        self._error: FetchError | None = None
        self._is_whole = False
        self._noted_at = time.monotonic()
        self.thread = threading.Thread(target=self._run, name="order", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Come to an end soon."""
        self._is_stopped = True

    def is_due(self) -> bool:
        """Whether those who look on should hear how far it is."""
        if (now := time.monotonic()) - self._noted_at < _NOTE_S:
            return False
        self._noted_at = now
        return True

    def result(self) -> Progress:
        """What came of it, when the thread has ended."""
        progress = msgspec.structs.replace(self.progress, bytes_per_s=0.0, whole=self._whole, state="waiting")
        if self._is_whole:
            return msgspec.structs.replace(progress, state="done", problem=None, n_retries=0)
        if self._error is None:
            return msgspec.structs.replace(progress, problem=None)
        if not self._error.is_temporary:
            n_bytes = 0 if self._error.kind == "sum" else progress.n_bytes
            return msgspec.structs.replace(progress, state="failed", n_bytes=n_bytes, problem=self._error.problem())
        n = 0 if progress.n_bytes > self._before.n_bytes else self._before.n_retries
        pause_s = max(self._error.retry_after_s, min(_LONGEST_RETRY_S, _FIRST_RETRY_S * 2.0 ** min(n, 10)))
        return msgspec.structs.replace(progress, problem=self._error.problem(time.time() + pause_s), n_retries=n + 1)

    def _run(self) -> None:
        try:
            self._is_whole = self._fetch(
                self.ordered.order,
                self._hear,
                lambda: self._is_stopped,
                effort=self._effort,
                pace=self._pace,
                whole=self._whole,
            )
        except FetchError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 - a fault of llmtui's costs this order and not the queue
            _log.exception("fetching broke off")
            self._error = FetchError("process", f"{type(error).__name__}: {error}")
        self._wake()

    def _hear(self, download: Download) -> None:
        self.progress = msgspec.structs.replace(
            self.progress,
            state="checking" if download.state == "done" else download.state,  # it is done when that is noted
            n_bytes=download.n_bytes,
            bytes_per_s=download.bytes_per_s,
            problem=download.problem,
        )
