"""Files with conversations, ours and those of other programs: what a file is, and its conversations one after the
other, so that one that is damaged takes none of the others along. Reading blocks: it is for a thread."""

from __future__ import annotations

import hashlib
import stat
import time
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import msgspec

from tui.base.oserrors import os_reason
from tui.chat import export
from tui.chat.conversation import WholeConversation, copy_whole_with_new_ids
from tui.chat.export import ImportProblem
from tui.chat.foreign import chatgpt, lm_studio, open_webui, openai_messages
from tui.chat.foreign.assembling import assembled
from tui.chat.foreign.nodes import LeftOut, Talk, Unreadable
from tui.chat.place import Place, tags_of
from tui.words import tr

MOST_BYTES = 1 << 30
"""Of a file, and of what is packed in one."""
_STARTS = (b"{", b"[", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_NOT_JSON = (msgspec.DecodeError, UnicodeError, RecursionError, MemoryError)


class Format(Protocol):
    """A program's way to write conversations."""

    def is_one(self, found: Mapping[str, Any]) -> bool:
        """Whether this looks like such a conversation."""

    def talk_of(self, found: Mapping[str, Any]) -> Talk:
        """What it says."""


_FORMATS: dict[str, Format] = {
    "chatgpt": chatgpt,
    "lm-studio": lm_studio,
    "open-webui": open_webui,
    "openai": openai_messages,
}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one conversation of a file."""

    whole: WholeConversation | None = None
    """None where it could not be read."""
    place: Place = Place()
    left_out: Mapping[LeftOut, int] = {}
    """What it has that could not be taken over, and how often."""
    why: str = ""
    """Why it could not be read."""


class Reading:
    """A file that was recognised, and its conversations."""

    def __init__(self, items: Sequence[bytes | msgspec.Raw]) -> None:
        self._items = items

    @property
    def n(self) -> int:
        """Conversations in it, as far as that can be told."""
        return len(self._items)

    def outcomes(self) -> Iterator[Outcome]:
        """One after the other."""
        now = time.time()
        for item in self._items:
            yield _outcome(bytes(item), now)


def read(file: Path) -> Reading:
    """What is in a file: a conversation that was exported here, ChatGPT's export (also packed), one or all of LM Studio
    or Open WebUI, OpenAI's messages as JSON or a line each. Raises ImportProblem."""
    items: list[bytes | msgspec.Raw] = []
    for data in _contents(file):
        items += _items(data)
    if not items:
        raise ImportProblem(tr("There is no conversation in it."))
    return Reading(items)


def _contents(file: Path) -> list[bytes]:
    """The JSON of a file, or of those that are packed in it."""
    try:
        about = file.stat()
        if stat.S_ISDIR(about.st_mode):
            raise ImportProblem(tr("It is a folder: give the path of a .json file in it."))
        if not stat.S_ISREG(about.st_mode):
            raise ImportProblem(tr("It is no file with conversations."))
        if about.st_size > MOST_BYTES:
            raise ImportProblem(tr("It has more than {most} MiB, which are not read.", most=MOST_BYTES >> 20))
        if zipfile.is_zipfile(file):
            return _unpacked(file)
        with file.open("rb") as stream:
            if not stream.read(4096).lstrip().startswith(_STARTS):  # a model that is named by mistake is not read
                raise ImportProblem(tr("It is no file with conversations."))
            stream.seek(0)
            return [stream.read()]
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a zero byte, which no name has
        raise ImportProblem(tr("There is no such file.")) from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ImportProblem(tr("It cannot be unpacked: {why}.", why=str(error).rstrip("."))) from error
    except OSError as error:
        raise ImportProblem(tr("It cannot be read: {why}.", why=os_reason(error))) from error


def _unpacked(file: Path) -> list[bytes]:
    with zipfile.ZipFile(file) as packed:
        names = [one for one in packed.infolist() if one.filename.lower().endswith(".json") and not one.is_dir()]
        chats = [one for one in names if PurePosixPath(one.filename).name.startswith("conversations")] or names
        if not chats:
            raise ImportProblem(tr("There is no conversation in it."))
        left, found = MOST_BYTES, []
        for one in chats:
            with packed.open(one) as stream:
                data = stream.read(left + 1)
            left -= len(data)
            if left < 0:
                raise ImportProblem(tr("It has more than {most} MiB, which are not read.", most=MOST_BYTES >> 20))
            found.append(data)
    return found


def _items(data: bytes) -> list[bytes | msgspec.Raw]:
    """The conversations in JSON, each as it is written."""
    data = _utf8(data)
    try:
        whole = _parsed(data)
    except _NOT_JSON as error:
        if len(lines := _lines(data)) > 1:
            return list(lines)
        try:  # half a surrogate pair, or bytes that are no UTF-8
            data = export.as_text(data).encode()
            whole = _parsed(data)
        except _NOT_JSON:
            raise ImportProblem(tr("This is no JSON, or damaged: {why}.", why=export.why(error))) from error
    start = bytes(whole)[:1]
    if start == b"{":
        return _inside(data)
    if start != b"[":
        raise ImportProblem(tr("There is no conversation in it."))
    try:
        found = msgspec.json.decode(data, type=list[msgspec.Raw])
    except _NOT_JSON as error:
        raise ImportProblem(tr("This is no JSON, or damaged: {why}.", why=export.why(error))) from error
    if found and _is_message(bytes(found[0])):
        return [b'{"messages":' + data + b"}"]
    return list(found)


def _parsed(data: bytes) -> msgspec.Raw:
    return msgspec.json.decode(data, type=msgspec.Raw)


def _inside(data: bytes) -> list[bytes | msgspec.Raw]:
    """One conversation, or the many that an object holds."""
    try:
        parts = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except _NOT_JSON:
        return [data]  # which says by itself what is wrong
    for name in ("conversations", "chats", "data"):
        if bytes(parts.get(name, b"")).lstrip()[:1] == b"[":
            try:
                return list(msgspec.json.decode(parts[name], type=list[msgspec.Raw]))
            except _NOT_JSON:
                break
    return [data]


def _lines(data: bytes) -> list[bytes]:
    """JSON Lines: an object a line."""
    lines = [line for line in data.splitlines() if line.strip()]
    return lines if lines and all(line.lstrip()[:1] in (b"{", b"[") for line in lines[:20]) else []


def _is_message(item: bytes) -> bool:
    try:
        return "role" in msgspec.json.decode(item, type=dict[str, msgspec.Raw])
    except _NOT_JSON:
        return False


def _utf8(data: bytes) -> bytes:
    """Without a byte order mark; of UTF-16 what it says."""
    for start, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if data.startswith(start):
            return data[2:].decode(encoding, "replace").encode("utf-8", "replace")
    return data.removeprefix(b"\xef\xbb\xbf")


def _outcome(item: bytes, now: float) -> Outcome:
    try:
        found = _decoded(item)
        if found.get("format") == export.FORMAT:
            own = export.from_json(item)
            return Outcome(whole=copy_whole_with_new_ids(own), place=own.place)
        for name, form in _FORMATS.items():
            if form.is_one(found):
                talk = form.talk_of(found)
                whole = assembled(talk, f"{name} {'' if talk.id else hashlib.sha256(item).hexdigest()}", now)
                place = Place(is_pinned=talk.is_pinned, is_archived=talk.is_archived, tags=tags_of(" ".join(talk.tags)))
                left_out = {what: n for what, n in Counter(talk.left_out).items() if n}
                return Outcome(whole=whole, place=place, left_out=left_out)
        return Outcome(why=tr("it is no conversation that llmtui knows"))
    except (Unreadable, ImportProblem) as problem:
        return Outcome(why=str(problem))
    except _NOT_JSON as error:
        return Outcome(why=export.why(error))


def _decoded(item: bytes) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(item)
    except (msgspec.DecodeError, UnicodeError):
        found = msgspec.json.decode(export.as_text(item))  # half a surrogate pair, or bytes that are no UTF-8
    if isinstance(found, list):
        found = {"messages": found}
    return found if isinstance(found, dict) else {}
