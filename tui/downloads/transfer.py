"""One file over HTTP: which connection fetches which bytes, what is tried again and when, until the sum is right.

Pieces are given out from the front, so that the sum keeps up with them. A line that breaks gives back what it has not
got; nothing that was written is asked for again. Each connection is a thread; whoever calls `Transfer.run` looks after
them.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable

import msgspec

from tui.downloads.connection import Address, Answer, Line, Stop
from tui.downloads.failures import FetchError, StoppedError, of_the_disk
from tui.downloads.pace import Pace
from tui.downloads.partfile import Part
from tui.downloads.ranges import Range, Ranges
from tui.downloads.records import DownloadState, Problem
from tui.downloads.summing import Summing

_MOST_OF_A_PIECE = 64 << 20
_LEAST_BUFFER, _MOST_OF_A_BUFFER = 1 << 14, 1 << 20
_FLUSH_S = 0.25
"""What came is written after this time at the latest."""
_LOOK_S = 0.1
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_MOST_RESTARTS = 4


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """How much is done for a file."""

    n_connections: int = 4
    """At once, of a server that gives ranges."""
    least_piece: int = 8 << 20
    """Bytes that a connection asks for at least; several are used where there is one for each."""
    fast_bytes_per_s: int = 128 << 20
    """A line that gives that much needs no other connection beside it."""
    ramp_s: float = 0.4
    """Before another connection is added."""
    first_pause_s: float = 0.5
    """Before something is tried again; twice as long each time, while nothing comes."""
    longest_pause_s: float = 60.0
    patience_s: float = 300.0
    """Without a byte for so long, what is tried again and again is given up."""
    checkpoint_s: float = 5.0
    """What came in this time is fetched again after a power cut."""


Told = Callable[[DownloadState, int, Problem | None], None]
"""Called with what is done, the bytes that are there, and what is waited for, several times a second."""


class _OtherFile(Exception):
    """The server has another file by now, or gives the whole one only: what is there is of no use."""

    def __init__(self, etag: str, *, is_changed: bool) -> None:
        super().__init__(etag)
        self.etag, self.is_changed = etag, is_changed


class Transfer:
    """Fetches what is missing of a part and gives it its name."""

    def __init__(
        self,
        part: Part,
        address: Address,
        effort: Effort,
        pace: Pace,
        *,
        tell: Told,
        check: Callable[[], None],
    ) -> None:
        """`check` is called several times a second, and ends it all by raising `FetchError` or `StoppedError`."""
        self._part, self._effort, self._pace = part, effort, pace
        self._tell, self._check = tell, check
        self._address = address
        self._size = part.identity.size
        self._stop = Stop()
        self._is_over = False
        """The part file is a whole file now, or is gone."""
        self._changed = threading.Condition()
        # All below only with `_changed`.
        self._threads: set[threading.Thread] = set()
        self._taken: list[Range] = []
        self._n_wanted = 1
        self._n_most = effort.n_connections
        self._ramped = (time.monotonic(), part.n_bytes)
        self._gives_ranges = False
        self._n_whole = 0
        self._n_changes = self._n_restarts = 0
        self._n_failures = 0
        self._next_at = 0.0
        self._best = part.n_bytes
        self._best_at = time.monotonic()
        self._trouble: FetchError | None = None
        self._fatal: FetchError | None = None
        self._other: _OtherFile | None = None

    def run(self) -> None:
        """Until the file has its name. Raises `FetchError`, and what `check` raises; what is there stays then."""
        whole = Stop()
        summing = Summing(self._part, whole) if self._part.identity.sha256 else None
        checkpoints = threading.Thread(target=self._keep, args=(whole,), name="checkpoints", daemon=True)
        checkpoints.start()
        try:
            while not self._part.is_whole:
                self._look_after()
            self._hang_up()
            while summing is not None and not summing.wait(_LOOK_S):
                self._check()
                self._tell("checking", self._size, None)
            self._judge(summing.hexdigest if summing is not None else "")
        finally:
            self._hang_up()
            whole.set()
            checkpoints.join()
            if summing is not None:
                summing.wait(1.0)
            if not self._is_over:
                with contextlib.suppress(FetchError):  # a disk that refuses was told of by whoever wrote
                    self._part.checkpoint()

    def _judge(self, found: str) -> None:
        self._is_over = True
        if found == self._part.identity.sha256:
            self._part.finish()
            return
        self._part.discard()
        raise FetchError("sum", found)

    def _keep(self, stop: Stop) -> None:
        try:
            while True:
                stop.wait(self._effort.checkpoint_s)
                self._part.checkpoint()
        except StoppedError:
            return
        except FetchError as error:
            with self._changed:
                self._fatal = self._fatal or error

    # Looking after the connections ------------------------------------------------------------------------------------

    def _look_after(self) -> None:
        self._check()
        with self._changed:
            self._note_progress()
            if self._fatal is not None:
                raise self._fatal
            if self._other is None:
                now = time.monotonic()
                self._want_more(now)
                if now >= self._next_at and self._untaken():
                    while len(self._threads) < self._n_wanted:
                        self._connect()
                elif not self._threads and self._trouble is not None:
                    self._be_patient(now)
                self._changed.wait(_LOOK_S)
            other, problem = self._other, self._problem()
        if other is not None:
            self._begin_again(other)
        self._tell("fetching", self._part.n_bytes, problem)

    def _note_progress(self) -> None:
        n_bytes = self._part.n_bytes
        if n_bytes > self._best:
            self._best, self._best_at = n_bytes, time.monotonic()
            self._n_failures = 0

    def _want_more(self, now: float) -> None:
        """One connection more, where those that there are do not fill the line."""
        (since, before), n_bytes = self._ramped, self._part.n_bytes
        if not self._gives_ranges or n_bytes <= before or now - since < self._effort.ramp_s:
            return
        self._ramped = now, n_bytes
        is_slow = n_bytes - before < self._effort.fast_bytes_per_s * (now - since)
        is_much = self._size - n_bytes >= self._effort.least_piece * (self._n_wanted + 1)
        if is_slow and is_much and self._n_wanted < self._n_most:
            self._n_wanted += 1

    def _be_patient(self, now: float) -> None:
        assert self._trouble is not None
        if max(now, self._next_at) - self._best_at > self._effort.patience_s:
            raise self._trouble

    def _problem(self) -> Problem | None:
        """What is waited for while no connection is at work."""
        left = self._next_at - time.monotonic()
        if self._threads or self._trouble is None or left <= 0:
            return None
        return self._trouble.problem(time.time() + left)

    def _connect(self) -> None:
        thread = threading.Thread(target=self._work, args=(self._stop,), name="connection", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _hang_up(self) -> None:
        self._stop.set()
        with self._changed:
            threads = list(self._threads)
        for thread in threads:
            thread.join(1.0)  # one that is still asking for a name or for a connection has nothing to write

    def _begin_again(self, other: _OtherFile) -> None:
        self._hang_up()
        self._part.reset(other.etag)
        with self._changed:
            self._n_restarts += 1
            if self._n_restarts >= _MOST_RESTARTS:
                raise FetchError("changed") if other.is_changed else self._address.nonsense("ranges now and then")
            if other.is_changed:
                self._n_changes += 1
            else:
                self._gives_ranges, self._n_most = False, 1
            self._stop, self._other, self._threads, self._taken = Stop(), None, set(), []
            self._n_wanted, self._best = 1, 0

    # One connection ---------------------------------------------------------------------------------------------------

    def _work(self, stop: Stop) -> None:
        """A thread's whole life."""
        line = Line(self._address, stop)
        try:
            while (piece := self._take(stop)) is not None:
                try:
                    self._fetch(line, piece, stop)
                finally:
                    self._give_back(piece, stop)
        except StoppedError:
            pass
        except _OtherFile as other:
            with self._changed:
                if not stop.is_set:
                    self._other = other
        except FetchError as error:
            self._failed(error, stop)
        except OSError as error:
            self._failed(of_the_disk(error), stop)
        finally:
            line.close()
            with self._changed:
                self._threads.discard(threading.current_thread())
                self._changed.notify_all()

    def _untaken(self) -> list[Range]:
        return Ranges([*self._part.had(), *self._taken]).gaps(self._size)

    def _take(self, stop: Stop) -> Range | None:
        with self._changed:
            if stop.is_set or self._fatal is not None or self._other is not None:
                return None
            if len(self._threads) > self._n_wanted:
                return None
            gaps = self._untaken()
            if not gaps:
                return None
            left = sum(end - start for start, end in gaps)
            most = max(self._effort.least_piece, min(_MOST_OF_A_PIECE, left // (2 * self._effort.n_connections)))
            start, end = gaps[0]
            piece = (start, min(end, start + most))
            self._taken.append(piece)
            return piece

    def _give_back(self, piece: Range, stop: Stop) -> None:
        with self._changed:
            if not stop.is_set:
                # Of the whole file, that is what stands there instead.
                self._taken = [other for other in self._taken if other not in (piece, (0, self._size))]

    def _failed(self, error: FetchError, stop: Stop) -> None:
        with self._changed:
            if stop.is_set:
                return
            if not error.is_temporary:
                self._fatal = self._fatal or error
                return
            self._note_progress()
            self._n_failures += 1
            if error.kind == "busy":
                self._n_wanted = self._n_most = max(1, len(self._threads) - 1)
            pause_s = self._effort.first_pause_s * 2.0 ** min(self._n_failures - 1, 30)
            pause_s = max(error.retry_after_s, min(self._effort.longest_pause_s, pause_s))
            self._next_at, self._trouble = time.monotonic() + pause_s, error

    def _fetch(self, line: Line, piece: Range, stop: Stop) -> None:
        headers = {"Range": f"bytes={piece[0]}-{piece[1] - 1}"}
        etag = self._part.etag
        if etag and not etag.startswith("W/") and self._part.n_bytes and self._etag_matters:
            headers["If-Range"] = etag
        answer = line.get(headers)
        stop.check()
        generation = self._part.generation
        if answer.status == 206:
            self._accept_part(answer, piece)
            end = piece[1] if answer.length is None else min(piece[1], piece[0] + answer.length)
            if end == piece[0]:
                raise self._address.broken(ValueError("an empty answer"))
            self._read(answer, (piece[0], end), generation, stop)
        else:
            self._accept_whole(answer)
            self._read(answer, (0, self._size), self._part.generation, stop)

    @property
    def _etag_matters(self) -> bool:
        """Where the sum is known, one that changes each time says nothing."""
        return not self._part.identity.sha256 or not self._n_changes

    def _accept_part(self, answer: Answer, piece: Range) -> None:
        match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
        if match is None or int(match[1]) != piece[0]:
            raise self._address.nonsense("another range than the one that was asked for")
        if match[3] not in ("*", str(self._size)):
            raise FetchError("changed", f"{match[3]} bytes")
        with self._changed:
            self._judge_etag(answer.headers.get("ETag", ""))
            self._gives_ranges = True
            self._changed.notify_all()

    def _judge_etag(self, etag: str) -> None:
        known = self._part.etag
        if etag and known and etag != known and self._etag_matters and self._part.n_bytes:
            raise _OtherFile(etag, is_changed=True)
        if etag and etag != known:
            self._part.name(etag)

    def _accept_whole(self, answer: Answer) -> None:
        """The server gives all of the file, from its first byte on."""
        if answer.length is not None and answer.length != self._size:
            raise FetchError("changed", f"{answer.length} bytes")
        etag = answer.headers.get("ETag", "")
        with self._changed:
            is_changed = bool(etag and self._part.etag and etag != self._part.etag and self._etag_matters)
            is_alone = len(self._threads) == 1
            if self._part.n_bytes or not is_alone:
                self._n_whole += 1
                if self._gives_ranges and not is_changed and self._n_whole == 1:
                    raise self._address.broken(ValueError("all of the file instead of a range"))
                if is_changed or not is_alone:
                    raise _OtherFile(etag, is_changed=is_changed)
            self._gives_ranges, self._n_wanted = False, 1
            self._taken = [(0, self._size)]
        if self._part.n_bytes:
            self._part.reset(etag)
        else:
            self._part.name(etag)

    def _read(self, answer: Answer, piece: Range, generation: int, stop: Stop) -> None:
        """Write what comes where it belongs; what has come is kept, however it ends."""
        most = max(_LEAST_BUFFER, min(_MOST_OF_A_BUFFER, self._size // 512))
        view, n = memoryview(bytearray(most)), 0
        at, end = piece
        since = time.monotonic()
        try:
            while at + n < end:
                stop.check()
                portion = self._pace.portion(min(most - n, end - at - n))
                got = answer.read_into(view[n : n + portion])
                if not got:
                    raise self._address.broken(ValueError("the answer ended early"))
                n += got
                self._pace.take(got, stop)
                now = time.monotonic()
                if n == most or now - since > _FLUSH_S:
                    self._part.write(at, view[:n], generation)
                    at, n, since = at + n, 0, now
        finally:
            if n:
                self._part.write(at, view[:n], generation)
