"""A remote file, read by HTTP ranges that grow: a header takes a few requests. What was read is kept, so that it comes
once. Knows no hub's library: how a request is made is handed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from tui.hubs import errors
from tui.hubs.interface import HubError
from tui.hubs.known_hubs import HUBS
from tui.hubs.records import Location, RepoId
from tui.words.later import later

FIRST_BLOCK = 1 << 20
"""Bytes; the header of a model with a small vocabulary."""
_LARGEST_BLOCK = 8 << 20
_MOST_TRIES = 3
"""Requests in a row that may bring nothing."""
_MOST_OF_AN_ERROR = 4096


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A reply whose body is still to come."""

    status: int
    headers: Mapping[str, str]
    """Looked up in small letters."""
    url: str
    """Where it came from, behind all redirects."""
    chunks: Iterator[bytes]
    """The body as it was sent; raises `HubError` when the line breaks."""
    close: Callable[[], None]


Ask = Callable[[str, Mapping[str, str]], Answer]
"""Asks for a URL with these headers, follows redirects without taking a token to another host. Raises `HubError`."""


class _Run:
    """Bytes of the file that follow one another."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.data = bytearray()

    @property
    def end(self) -> int:
        return self.start + len(self.data)

    def take(self, chunk: bytes, at: int) -> bool:
        """Append what of the chunk at `at` follows the run; whether there was something."""
        n_known = self.end - at
        self.data += chunk[n_known:]
        return n_known < len(chunk)


class RangeSource:
    """A `tui.hubs.interface.OpenSource` over HTTP. One thread at a time.

    `size` is what the hub says, None when it does not; `block` how much the first request asks for.
    """

    def __init__(self, repo: RepoId, location: Location, ask: Ask, size: int | None, block: int = FIRST_BLOCK) -> None:
        self.size = size
        self.block = block
        self.n_requests = 0
        self._repo = repo
        self._location = location
        self._place = location
        self._ask = ask
        self._runs: list[_Run] = []
        self._answer: Answer | None = None
        self._at = 0
        """Where in the file the next chunk of the answer belongs."""
        self._end: int | None = None
        """Where the answer ends; None for the end of the file."""

    def read_at(self, offset: int, n: int) -> bytes:
        """`n` bytes from `offset` on, fewer only at the end. Raises `HubError`."""
        end = offset + n if self.size is None else min(offset + n, self.size)
        run = next((run for run in self._runs if run.start <= offset <= run.end), None)
        if run is None:
            run = _Run(offset)
            self._runs.append(run)
        n_empty = 0
        while run.end < end:
            if not self._leads_to(run.end) and not self._open(run.end, end):
                break
            chunk = self._chunk()
            if not chunk:
                self.close()
                n_empty += 1
                if n_empty >= _MOST_TRIES:
                    raise self._cut_off()
            elif run.take(chunk, self._at):
                n_empty = 0
            self._at += len(chunk)
        return bytes(run.data[offset - run.start : max(0, end - run.start)])

    def _chunk(self) -> bytes:
        """The next bytes of the answer; none at its end, or where the line broke."""
        assert self._answer is not None
        try:
            return next(self._answer.chunks, b"")
        except HubError as error:
            if error.kind != "unreachable":
                raise
            return b""

    def close(self) -> None:
        """Let go of the connection; what was read stays readable."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _leads_to(self, start: int) -> bool:
        """Whether the answer that is open comes to `start`; what lies before it is passed over where a server sends
        all of the file anyway."""
        if self._answer is None:
            return False
        return self._at <= start if self._end is None else self._at == start < self._end

    def _open(self, start: int, end: int) -> bool:
        """Ask for what follows `start`; False when there is nothing more."""
        self.close()
        last = max(end, start + self.block) - 1
        self.block = min(2 * self.block, _LARGEST_BLOCK)
        asked = {"Range": f"bytes={start}-{last}", "Accept-Encoding": "identity"}
        answer = self._request(asked)
        if answer.status in (401, 403) and self._place is not self._location:
            # The address that it was led to was signed for a while, which is over.
            answer.close()
            self._place = self._location
            answer = self._request(asked)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        match answer.status:
            case 206:
                self._check_range(answer, headers.get("content-range", ""), start)
                self._at, self._end = start, last + 1
            case 200:  # it does not know ranges: read on in it as far as is needed
                self._at, self._end = 0, None
                if "html" in headers.get("content-type", ""):
                    raise self._failed(answer, errors.captive(self._repo.hub))
            case 416 if self.size is None:
                answer.close()
                self.size = start
                return False
            case status:
                text = self._words(answer)
                has_token = bool(self._location.headers)
                error = errors.of_status(self._repo.hub, status, headers, text, self._repo, has_token=has_token)
                raise self._failed(answer, error)
        self._remember_place(answer.url)
        self._answer = answer
        return True

    def _request(self, headers: dict[str, str]) -> Answer:
        self.n_requests += 1
        return self._ask(self._place.url, {**self._place.headers, **headers})

    def _check_range(self, answer: Answer, written: str, start: int) -> None:
        """See that it is what was asked for; learn the size of the file."""
        place, _, total = written.removeprefix("bytes").strip().partition("/")
        if place.partition("-")[0] != str(start):
            raise self._failed(answer, errors.malformed(self._repo.hub, f"Content-Range: {written}"))
        if total.isascii() and total.isdecimal():
            if self.size is not None and int(total) != self.size:
                why = later(
                    "A file of {repo} was replaced in the meantime: open the repository again.", repo=self._repo.name
                )
                raise self._failed(answer, HubError("protocol", self._repo.hub, why))
            self.size = int(total)

    def _remember_place(self, url: str) -> None:
        """Ask where it was led to from now on, without the token when that is another host."""
        if url != self._place.url:
            headers = self._place.headers if errors.is_same_host(url, self._place.url) else {}
            self._place = Location(url=url, headers=headers)

    def _words(self, answer: Answer) -> str:
        raw = b""
        for chunk in answer.chunks:
            raw += chunk
            if len(raw) >= _MOST_OF_AN_ERROR:
                break
        return raw[:_MOST_OF_AN_ERROR].decode("utf-8", "replace")

    def _failed(self, answer: Answer, error: HubError) -> HubError:
        answer.close()
        return error

    def _cut_off(self) -> HubError:
        return HubError(
            "unreachable",
            self._repo.hub,
            later(
                "The connection to {hub} keeps breaking: try again in a moment.",
                hub=HUBS[self._repo.hub].title,
            ),
        )
