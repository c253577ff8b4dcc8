"""What a person types or pastes to name a model on a hub: "owner/name", "owner/name:Q4_K_M", the address of a page or a
file of either hub, "hf://…" and "ms://…", also with what was copied along (`pasted`). Asks nobody."""

from __future__ import annotations

import os
from typing import NoReturn
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from tui.base.text import one_line
from tui.hubs import errors
from tui.hubs.interface import HubError
from tui.hubs.known_hubs import HUBS
from tui.hubs.pasted import named
from tui.hubs.records import HubName
from tui.hubs.safe_names import is_safe_path, is_safe_repo
from tui.words.later import later

_HOSTS: dict[str, HubName] = {host: name for name, hub in HUBS.items() for host in (*hub.hosts, *hub.mirrors)}
_SCHEMES: dict[str, HubName] = {scheme: name for name, hub in HUBS.items() for scheme in (name, hub.short)}
_NO_MODELS = ("datasets", "spaces", "collections", "papers", "docs", "blog", "studios", "organization", "learn")
_OF_A_FILE = ("tree", "blob", "resolve", "raw", "edit", "view")
_ANY_LABEL = "latest"
"""What Ollama writes where no variant is meant."""


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What was meant."""

    hub: HubName | None = None
    """None where it was not said."""
    name: str
    """Such as "Qwen/Qwen3-4B-GGUF"."""
    revision: str = ""
    label: str = ""
    """The variant that follows the colon, such as "Q4_K_M"; "" for none."""
    path: str = ""
    """A file or folder of the repository; "" for none."""


def is_reference(written: str) -> bool:
    """Whether it names a repository rather than a file on this machine. Whoever may mean both looks for the file
    first: "models/qwen" may be either."""
    try:
        reference = parse_reference(written)
    except HubError:
        return _address(named(written)) is not None
    return reference.hub is not None or not reference.path


def parse_reference(written: str) -> Reference:
    """What was meant. Raises `HubError` (name) with what is missing."""
    text = named(written)
    if address := _address(text):
        hub, path, query = address
        return _of_address(hub, path, query, text)
    if text.startswith(("/", ".", "~", "\\")) or "//" in text:
        _refuse(text)
    return _of_segments(None, text.split("/"), text)


def _address(text: str) -> tuple[HubName, str, dict[str, list[str]]] | None:
    """Hub, path and query of an address; None for what is none, or leads elsewhere."""
    scheme, _, rest = text.partition("://")
    if rest and scheme.lower() in _SCHEMES:
        return _SCHEMES[scheme.lower()], rest.removeprefix("models/"), {}
    if rest and scheme.lower() not in ("http", "https"):
        return None
    try:
        parts = urlsplit(f"//{rest or text}")
        host = (parts.netloc.rpartition("@")[2]).lower().removeprefix("www.")
    except ValueError:
        return None
    hub = _hosts().get(host)
    return (hub, parts.path, parse_qs(parts.query)) if hub else None


def _hosts() -> dict[str, HubName]:
    """With those of mirrors that the user has set."""
    own: dict[str, HubName] = {}
    for name, hub in HUBS.items():
        if written := os.environ.get(hub.endpoint, "").strip():
            own[urlsplit(written if "//" in written else f"//{written}").netloc.lower().removeprefix("www.")] = name
    return {**_HOSTS, **own}


def _of_address(hub: HubName, path: str, query: dict[str, list[str]], text: str) -> Reference:
    segments = [segment for segment in path.split("/") if segment]
    if segments[:2] == ["api", "v1"]:
        segments = segments[2:]
    elif segments[:1] == ["api"]:
        segments = segments[1:]
    if segments[:1] == ["models"]:
        segments = segments[1:]
    if segments and segments[0] in _NO_MODELS:
        why = later(
            "{written} is not a model's page: open the page of a model and copy its address.",
            written=one_line(text[:200]),
        )
        raise HubError("name", hub, why)
    reference = _of_segments(hub, segments, text)
    shown = (query.get("show_file_info") or query.get("FilePath") or [""])[0]
    if shown and not reference.path:
        return msgspec.structs.replace(reference, path=shown) if is_safe_path(shown) else _refuse(text)
    return reference


def _of_segments(hub: HubName | None, segments: list[str], text: str) -> Reference:
    """Owner, name with revision and label, and what of the repository is meant."""
    if len(segments) < 2:
        _refuse(text)
    name, label = segments[1], ""
    rest = segments[2:]
    if ":" in name:
        # Where quantizations do not tell its variants apart, labels are paths.
        name, _, label = "/".join(segments[1:]).partition(":")
        rest = []
    elif rest and ":" in rest[-1]:
        _refuse(text)
    name, _, revision = name.partition("@")
    if hub is not None and rest[:1] == ["file"]:  # ModelScope: …/file/view/master/NAME
        rest = rest[1:]
    if hub is not None and rest and rest[0] in _OF_A_FILE:
        revision, rest = (rest[1] if len(rest) > 1 else revision), rest[2:]
    elif hub is not None and rest and not rest[-1].lower().endswith(".gguf"):
        rest = []  # a tab of the page, such as "discussions"
    if label.casefold() == _ANY_LABEL:
        label = ""
    full = f"{segments[0]}/{name.removesuffix('.git')}"
    path = unquote("/".join(rest))
    if not is_safe_repo(full) or (path and not is_safe_path(path)):
        _refuse(text)
    return Reference(hub=hub, name=full, revision=unquote(revision), label=one_line(unquote(label)), path=path)


def _refuse(text: str) -> NoReturn:
    raise errors.no_repo_name(text)
