"""How a hub fails, in sentences that say what to do. The libraries raise what their HTTP client, TLS, the system and
the hub have to say; here it becomes a `HubError`. Knows statuses and exceptions, not the libraries themselves, which
are slow to import, as some of Python's own are that only an error wants."""

from __future__ import annotations

import errno
import math
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeVar
from urllib.parse import urlsplit

from tui.base.text import fit_columns, one_line
from tui.hubs.interface import HubError
from tui.hubs.known_hubs import HUBS, page_of
from tui.hubs.records import HubName, RepoId
from tui.words import mark
from tui.words.later import Later, later

_T = TypeVar("_T")
USUAL: Final = (
    mark("Connection reset by peer"),
    mark("Connection timed out"),
    mark("Network is unreachable"),
    mark("Server disconnected without sending a response"),
    mark("the connection broke"),
)
"""What the system and the libraries say besides the texts of `tui.base.oserrors`, and has a translation."""
_MOST_OF_A_REASON = 160
"""Cells of what is quoted from elsewhere."""
_MOST_WAIT_S = 24 * 3600.0
"""What a hub may ask to wait; more is a mistake of its."""
_SYSTEMS_WORDS = re.compile(r"\[Errno -?\d+\] ([^'\")]+)|Error\(\d+, '([^']+)'\)")
_RESET = re.compile(r";\s*t\s*=\s*(\d+)")


def is_web_page(text: str) -> bool:
    """Whether it is HTML, where a hub answers JSON or a model's bytes: a portal that asks for a login, most likely."""
    start = text[:256].lstrip("\ufeff \t\r\n").lower()
    return start.startswith(("<!doctype", "<html", "<head", "<?xml"))


def is_same_host(url: str, other: str) -> bool:
    """Whether two addresses lead to one server, so that what is told to one may be told to the other."""
    (first, second) = (urlsplit(each) for each in (url, other))
    return (first.scheme, first.netloc) == (second.scheme, second.netloc)


def no_repo_name(written: str) -> HubError:
    """What was written is no name of a repository."""
    why = later(
        "{written} is not a repository: write OWNER/NAME, such as Qwen/Qwen3-4B-GGUF.", written=_short(written) or '""'
    )
    return HubError("name", None, why)


def captive(hub: HubName) -> HubError:
    """Something else answers in the hub's place."""
    why = later(
        "A web page came instead of {hub}'s answer: this network may ask for a login first. Open any page in a browser "
        "and log in, then try again.",
        hub=HUBS[hub].title,
    )
    return HubError("captive", hub, why)


def malformed(hub: HubName, detail: str) -> HubError:
    """It answered what makes no sense."""
    why = later(
        "{hub} gave an answer that llmtui does not understand ({detail}). Try again later; a newer llmtui may know it.",
        hub=HUBS[hub].title,
        detail=_short(detail),
    )
    return HubError("protocol", hub, why)


def not_text(hub: HubName, text: str) -> HubError:
    """What came in the place of JSON: a portal's page, or nonsense."""
    return captive(hub) if is_web_page(text) else malformed(hub, text or "nothing")


def offline(hub: HubName) -> HubError:
    """The user said not to ask, which goes for every hub."""
    return HubError(
        "offline", hub, later("No hub is asked, as HF_HUB_OFFLINE is set: unset it to search and download models.")
    )


def asked_twice(ask: Callable[[], _T]) -> _T:
    """What a hub answers, asked a second time where the line broke. Raises the `HubError` that it raises then."""
    try:
        return ask()
    except HubError as error:
        if error.kind != "unreachable":
            raise
    return ask()


def check_online(hub: HubName) -> None:
    """Raises `HubError` where HF_HUB_OFFLINE is set, as the library of Hugging Face reads it."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise offline(hub)


def not_found(repo: RepoId, *, has_token: bool) -> HubError:
    """No such repository, or a private one: hubs do not tell strangers which."""
    said = {"hub": HUBS[repo.hub].title, "repo": repo.name, "token": HUBS[repo.hub].token}
    if has_token:
        why = later(
            "{hub} has no {repo}, or your token may not see it: check the name, and what {token} may read.", **said
        )
    else:
        why = later(
            "{hub} has no {repo}, or it is private: check the name; for a private one set {token} to your token.",
            **said,
        )
    return HubError("not_found", repo.hub, why)


def gated(repo: RepoId, *, has_token: bool) -> HubError:
    """The terms of a repository were not accepted yet."""
    said = {"repo": repo.name, "url": page_of(repo), "token": HUBS[repo.hub].token}
    if has_token:
        why = later(
            "{repo} is gated: open {url} as the owner of your token ({token}) and accept its terms, then try again.",
            **said,
        )
    else:
        why = later(
            "{repo} is gated: log in at {url} and accept its terms, then set {token} to a token from {page}.",
            page=HUBS[repo.hub].token_page,
            **said,
        )
    return HubError("gated", repo.hub, why)


def of_status(
    hub: HubName,
    status: int,
    headers: Mapping[str, str],
    text: str,
    repo: RepoId | None = None,
    *,
    has_token: bool = False,
) -> HubError:
    """Why a hub answered with a status that is no success. `headers` are looked up in small letters; `text` is the
    beginning of the body."""
    told = {name.lower(): value for name, value in headers.items()}
    code, message = told.get("x-error-code", ""), told.get("x-error-message", "") or text
    wait_s = _wait_s(told)
    title = HUBS[hub].title
    if status == 511 or (status in (200, 203, 403) and is_web_page(text)):
        return captive(hub)
    if status == 407:
        return proxy(hub, "407")
    if status == 429:
        return _busy(hub, wait_s)
    if status >= 500 or status == 408:
        why = later(
            "{hub} has a problem of its own ({status}): try again in a few minutes.", hub=title, status=str(status)
        )
        return HubError("server", hub, why, retry_after_s=wait_s)
    if repo is not None and code == "GatedRepo":
        return gated(repo, has_token=has_token)
    if status == 401 and (has_token or "invalid credentials" in message.lower()):
        why = later(
            "{hub} does not take your token: set {token} to a valid one from {page}, or unset it.",
            hub=title,
            token=HUBS[hub].token,
            page=HUBS[hub].token_page,
        )
        return HubError("token", hub, why)
    if repo is not None and code == "RevisionNotFound":
        why = later("{repo} has no revision {revision}: leave it out.", repo=repo.name, revision=_short(repo.revision))
        return HubError("not_found", hub, why)
    if repo is not None and code == "EntryNotFound":
        why = later("A file of {repo} is no longer there: open the repository again.", repo=repo.name)
        return HubError("not_found", hub, why)
    if repo is not None and status == 403:
        return gated(repo, has_token=has_token)
    if repo is not None and status in (401, 404, 410, 451):
        return not_found(repo, has_token=has_token)
    return malformed(hub, f"{status}: {message}" if message else str(status))


def proxy(hub: HubName, reason: str | Later) -> HubError:
    """The proxy on the way does not let it through, or is not there."""
    why = later(
        "The proxy {proxy} does not lead to {hub} ({reason}): check HTTPS_PROXY, or name {host} in NO_PROXY.",
        proxy=proxy_for(HUBS[hub].page) or "HTTPS_PROXY",
        hub=HUBS[hub].title,
        reason=reason,
        host=urlsplit(HUBS[hub].page).hostname or "",
    )
    return HubError("proxy", hub, why)


def of_exception(hub: HubName, endpoint: str, error: BaseException) -> HubError:
    """Why a hub could not be asked at all, from what the library raised; `endpoint` is the URL where it was looked
    for."""
    chain = list(_chain(error))
    names = [type(each).__name__ for each in chain]
    host = urlsplit(endpoint).hostname or one_line(endpoint)
    title, words = HUBS[hub].title, " ".join(str(each) for each in chain)
    if "OfflineModeIsEnabled" in names:
        return offline(hub)
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in chain) or "CERTIFICATE_VERIFY_FAILED" in words:
        why = later(
            "The certificate of {host} cannot be trusted: check this machine's clock; behind a company's proxy set "
            "SSL_CERT_FILE and REQUESTS_CA_BUNDLE to its certificate.",
            host=host,
        )
        return HubError("certificate", hub, why)
    if any("ProxyError" in name for name in names) or "ProxyError(" in words:
        return proxy(hub, _root_of(chain))
    if any(isinstance(each, TimeoutError) or "Timeout" in name for each, name in zip(chain, names, strict=True)):
        return HubError("timeout", hub, _or_elsewhere(hub, host, later("{hub} does not answer in time.", hub=title)))
    if proxy_for(endpoint) and (_is_of_connecting(chain, names) or "NewConnectionError(" in words):
        return proxy(hub, _root_of(chain))
    if any(isinstance(each, socket.gaierror) or _is_no_network(each) for each in chain) or "NameResolution" in words:
        why = later("{hub} cannot be reached: {host} is not found. Is this machine online?", hub=title, host=host)
        return HubError("offline", hub, why)
    why = later("{hub} cannot be reached ({reason}).", hub=title, reason=_root_of(chain))
    return HubError("unreachable", hub, _or_elsewhere(hub, host, why))


def proxy_for(url: str) -> str:
    """The proxy that the environment names for a URL, without the password that may stand in its address; "" for
    none."""
    import urllib.request

    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    written = proxies.get(parts.scheme) or proxies.get("all") or ""
    if not written or urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    return _short(urlsplit(written if "//" in written else f"//{written}").netloc.rpartition("@")[2])


def _or_elsewhere(hub: HubName, host: str, why: Later) -> Later:
    """With what helps where the hub is blocked, or another address was set."""
    known = HUBS[hub]
    if host.removeprefix("www.") not in known.hosts:
        return later("{what} Check {variable}, which leads to {host}.", what=why, variable=known.endpoint, host=host)
    if known.mirrors:
        return later(
            "{what} Try again, or set {variable} to a mirror if it is blocked where you are.",
            what=why,
            variable=known.endpoint,
        )
    return later("{what} Try again in a moment.", what=why)


def _busy(hub: HubName, wait_s: float) -> HubError:
    if wait_s > 0:
        why = later(
            "{hub} accepts no more requests for now: try again in {n} s. A token in {token} raises its limit.",
            hub=HUBS[hub].title,
            n=f"{math.ceil(wait_s):,}",
            token=HUBS[hub].token,
        )
    else:
        why = later(
            "{hub} accepts no more requests for now: try again in a few minutes. A token in {token} raises its limit.",
            hub=HUBS[hub].title,
            token=HUBS[hub].token,
        )
    return HubError("busy", hub, why, retry_after_s=wait_s)


def _wait_s(headers: Mapping[str, str]) -> float:
    """Seconds that the hub asks to wait; 0 when it does not say."""
    from email.utils import parsedate_to_datetime

    written = headers.get("retry-after", "").strip()
    if not written and (reset := _RESET.search(headers.get("ratelimit", ""))):
        written = reset[1]
    try:
        seconds = float(written)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(written).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return min(max(0.0, seconds), _MOST_WAIT_S) if math.isfinite(seconds) else 0.0


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that led to it: what raised it, and what libraries put into its arguments."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop(0)
        if not isinstance(each, BaseException) or any(each is other for other in seen):
            continue
        seen.append(each)
        yield each
        waiting += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]


def _is_no_network(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH)


def _root_of(chain: list[BaseException]) -> Later:
    """The system's own words where there are some, else those of what was raised."""
    systems = [each for each in chain if isinstance(each, OSError) and each.errno and each.strerror]
    if systems:
        return Later(systems[-1].strerror or "")
    said = str(chain[0])
    # Some libraries hand on the text alone.
    if quoted := _SYSTEMS_WORDS.search(said):
        return Later(quoted[1] or quoted[2])
    if "RemoteDisconnected" in said:
        return Later("Server disconnected without sending a response")
    # What is left of their own is Python, such as "('Connection broken: IncompleteRead(5 bytes read)', …)".
    return Later(_short(said).rstrip(".") if said and "(" not in said else "the connection broke")


def _is_of_connecting(chain: list[BaseException], names: list[str]) -> bool:
    """Whether it failed before a word was said: with a proxy, that is the proxy's connection."""
    return any(isinstance(each, socket.gaierror | ConnectionRefusedError) for each in chain) or "ConnectError" in names


def _short(text: str) -> str:
    return fit_columns(one_line(text[: 4 * _MOST_OF_A_REASON]), _MOST_OF_A_REASON)
