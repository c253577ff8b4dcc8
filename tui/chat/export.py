"""Conversations as files: Markdown to read, JSON to keep and to import again.

The JSON is one object, `{"format": "llmtui-conversation", "version": 1, "conversation": {...}, "hidden": [...]}`. Its
`conversation` has the fields of `Conversation`, whose `turns` have those of `Turn`, the oldest first; they are what was
shown. `hidden` are the turns of other branches, and `places` in the conversation says where all of them stand: both
are empty where there is one path only. `place` has its tags, and whether it is pinned or archived. Times are Unix
seconds, durations seconds; fields that hold their default may be left out by other writers. Markdown has what is shown.
"""

from __future__ import annotations

import json
import re
import time
import unicodedata
from pathlib import Path
from typing import Literal

import msgspec
import wcwidth

from tui.base import format, private
from tui.base.newfile import NewFile
from tui.base.text import clean, fit_columns, n_harmful, one_line
from tui.chat.conversation import Conversation, Place, Turn, TurnStop, WholeConversation, encodable
from tui.chat.mending import mended, mended_turn, moment
from tui.chat.place import tags_of
from tui.files.attachment import Attachment, fenced
from tui.files.reading import MOST_BYTES as MOST_FILE_CHARS
from tui.words import mark, tr, trn

FORMAT = "llmtui-conversation"
VERSION = 1
MAX_TURN_CHARS = 4 << 20
"""Of one message that is imported: what can be laid out while somebody waits."""
MAX_TURNS = 20_000
MAX_NAME_BYTES = 120
"""Of a file name without its ending; file systems take 255 bytes in all, encrypted ones about 140."""

_NOWHERE = Place()
Kind = Literal["markdown", "html", "json"]
ENDINGS: dict[Kind, str] = {"markdown": ".md", "html": ".html", "json": ".json"}
_STOPS: dict[TurnStop, str] = {
    "stop": mark("complete"),
    "length": mark("length limit"),
    "context": mark("context full"),
    "cancelled": mark("stopped by the user"),
    "crashed": mark("crashed"),
}


_NOT_READ = (msgspec.DecodeError, UnicodeError, RecursionError, MemoryError)
"""What reading JSON raises, `RecursionError` where it is nested thousands deep."""
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_HALF_PAIR = re.compile(
    r"(?<!\\)((?:\\\\)*)(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
"""An escape in JSON that is half of a surrogate pair, or a whole pair, which is the second group."""
_ESCAPED = re.compile(
    "[\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""What JSON may hold as it is, but a terminal would obey or hide."""


class ImportProblem(Exception):
    """A text is not a conversation that this version can read; `str()` says why and what to do."""


class _ExportHeader(msgspec.Struct):
    format: str
    version: int


class _ExportFile(msgspec.Struct):
    format: str
    version: int
    conversation: Conversation
    hidden: tuple[Turn, ...] = ()
    place: Place = Place()


def to_json(conversation: Conversation, hidden: tuple[Turn, ...] = (), place: Place = _NOWHERE) -> str:
    """The whole conversation, indented, as the format at the top of this file. `hidden` are the turns of its branches
    that are not shown."""
    encoded = msgspec.json.encode(_ExportFile(FORMAT, VERSION, conversation, hidden, place))
    text = msgspec.json.format(encoded, indent=2).decode() + "\n"
    return _ESCAPED.sub(lambda found: json.dumps(found[0])[1:-1], text)


def from_json(text: str | bytes) -> WholeConversation:
    """What `to_json` wrote, ids included; see `conversation.copy_whole_with_new_ids`. ImportProblem."""
    try:
        text = as_text(text)
        header = msgspec.json.decode(text, type=_ExportHeader)
    except _NOT_READ as error:
        raise ImportProblem(
            tr("This is not a conversation exported as JSON by llmtui: {why}.", why=why(error))
        ) from error
    if header.format != FORMAT:
        named = fit_columns(one_line(header.format[:200]), 40)
        raise ImportProblem(
            tr("This is not a conversation exported by llmtui: its format is “{format}”.", format=named)
        )
    if header.version > VERSION:
        raise ImportProblem(
            tr(
                "A newer llmtui wrote this conversation (version {version}, this one reads up to {known}). "
                "Update llmtui to import it.",
                version=header.version,
                known=VERSION,
            )
        )
    try:
        file = msgspec.json.decode(text, type=_ExportFile)
    except _NOT_READ as error:
        raise ImportProblem(tr("This conversation is damaged: {why}.", why=why(error))) from error
    turns = (*file.conversation.turns, *file.hidden)
    longest = max((len(turn.text) + len(turn.reasoning) for turn in turns), default=0)
    if any(sum(len(one.text) for one in turn.files) > MOST_FILE_CHARS for turn in turns):
        raise ImportProblem(tr("The files of one of its messages have more than {n} MiB.", n=MOST_FILE_CHARS >> 20))
    if max(longest, len(file.conversation.system_prompt)) > MAX_TURN_CHARS:
        raise ImportProblem(
            tr(
                "One of its messages has {n} characters. llmtui takes {most}: split or shorten it.",
                n=f"{longest:,}",
                most=f"{MAX_TURN_CHARS:,}",
            )
        )
    if len(turns) > MAX_TURNS:
        raise ImportProblem(
            tr(
                "It has {n} messages; llmtui takes {most}. Split the file.",
                n=f"{len(turns):,}",
                most=f"{MAX_TURNS:,}",
            )
        )
    return WholeConversation(
        shown=mended(file.conversation),
        hidden=tuple(map(mended_turn, file.hidden)),
        place=msgspec.structs.replace(file.place, tags=tags_of(" ".join(file.place.tags))),
    )


def as_text(data: str | bytes) -> str:
    """JSON as other programs write it, too: with a byte order mark, in UTF-16, with half a surrogate pair, or with
    bytes that are no UTF-8, of which a question mark is left."""
    text = data if isinstance(data, str) else None
    if isinstance(data, bytes):
        mark, encoding = next((bom for bom in _BOMS if data.startswith(bom[0])), (b"", "utf-8"))
        text = data[len(mark) :].decode(encoding, "replace")
    assert text is not None
    text = encodable(text.removeprefix("\ufeff"))
    return _HALF_PAIR.sub(lambda found: found[0] if found[2] else f"{found[1]}\\ufffd", text) if "\\u" in text else text


def why(error: BaseException) -> str:
    """What reading JSON says, in a line."""
    if isinstance(error, RecursionError):
        return tr("it is nested too deeply")
    if isinstance(error, MemoryError):
        return tr("there is not enough memory to read it")
    return fit_columns(one_line(str(error)[:1000]), 160).rstrip(".")


def to_markdown(conversation: Conversation, *, thinking: bool = True, stats: bool = False) -> str:
    """The conversation for a reader: thinking folded in <details>, figures below each answer when `stats`. Nothing in
    it is a command for a terminal."""
    return clean(_markdown(conversation, thinking=thinking, stats=stats))


def n_left_out(conversation: Conversation, kind: Kind) -> int:
    """How many characters of its texts an export of this kind changes or leaves out, because a terminal would obey or
    hide them. JSON holds all, as escapes."""
    if kind == "json":
        return 0
    texts = [conversation.title, conversation.system_prompt]
    texts += [text for turn in conversation.turns for text in (turn.text, turn.reasoning, turn.error or "", turn.model)]
    texts += [text for turn in conversation.turns for file in turn.files for text in (file.name, file.text)]
    return sum(map(n_harmful, texts))


def _markdown(conversation: Conversation, *, thinking: bool, stats: bool) -> str:
    parts = [f"# {_one_line(conversation.title) or tr('Conversation')}"]
    parts.append(f"*{time.strftime('%Y-%m-%d %H:%M', time.localtime(moment(conversation.created_at)))}*")
    if conversation.system_prompt.strip():
        parts.append(f"## {tr('System')}")
        parts.append(_closed(conversation.system_prompt))
    for turn in conversation.turns:
        parts.append(f"## {speaker(turn)}")
        if thinking and turn.reasoning.strip():
            parts.append(f"<details>\n<summary>{thought(turn)}</summary>")
            parts.append(_closed(re.sub(r"<(?=/?(?:details|summary)\b)", "&lt;", turn.reasoning, flags=re.IGNORECASE)))
            parts.append("</details>")
        for file in turn.files:
            parts.append(f"<details>\n<summary>{_file(file)}</summary>")
            parts.append(fenced(file.text))
            parts.append("</details>")
        if turn.text.strip():
            parts.append(_closed(turn.text))
        if turn.error:
            parts.append(f"> **{_one_line(turn.error)}**")
        if stats and turn.role == "assistant":
            parts.append(f"*{figures(turn)}*")
    return "\n\n".join(parts) + "\n"


def write(
    conversation: Conversation,
    folder: Path,
    kind: Kind,
    *,
    thinking: bool = True,
    stats: bool = False,
    hidden: tuple[Turn, ...] = (),
    place: Place = _NOWHERE,
) -> Path:
    """Export into a new file of `folder`, named after the title; gives its path. Either the whole file appears or
    none, and no file is ever overwritten. Raises OSError."""
    data = _data(conversation, kind, thinking=thinking, stats=stats, hidden=hidden, place=place)
    private.folder(folder)
    with NewFile(folder) as new:
        new.stream.write(data)
        return _named(new, folder, file_name(conversation.title), ENDINGS[kind])


def free_path(folder: Path, title: str, kind: Kind) -> Path:
    """A name in this folder that is free now."""
    name, ending, count = file_name(title), ENDINGS[kind], 1
    path = folder / f"{name}{ending}"
    while path.exists():
        count += 1
        path = folder / f"{name} ({count}){ending}"
    return path


def write_to(
    conversation: Conversation, file: Path, kind: Kind, *, hidden: tuple[Turn, ...] = (), place: Place = _NOWHERE
) -> Path:
    """Export into this file, which may be anywhere and must not be there yet; its folder is made where it is missing.
    Figures are written below the answers. Either the whole file appears or none. Raises OSError, among them
    FileExistsError."""
    data = _data(conversation, kind, thinking=True, stats=True, hidden=hidden, place=place)
    file.parent.mkdir(parents=True, exist_ok=True)
    with NewFile(file.parent) as new:
        new.stream.write(data)
        new.become_new(file)
    return file


def _data(
    conversation: Conversation,
    kind: Kind,
    *,
    thinking: bool,
    stats: bool,
    hidden: tuple[Turn, ...],
    place: Place,
) -> bytes:
    if kind == "json":
        text = to_json(conversation, hidden, place)
    elif kind == "html":
        from tui.chat.html import to_html  # which takes a while to import

        text = to_html(conversation, thinking=thinking, stats=stats)
    else:
        text = to_markdown(conversation, thinking=thinking, stats=stats)
    return text.encode("utf-8", errors="replace")


def file_name(title: str) -> str:
    """`title` as a file name without ending that any file system takes: letters of all scripts stay, separators,
    controls and what Windows forbids go; at most `MAX_NAME_BYTES` bytes, no grapheme cut."""
    name = "".join(" " if _is_unsafe(char) else char for char in unicodedata.normalize("NFC", title))
    name = " ".join(name.split()).strip(". ")
    kept, n_bytes = [], 0
    for grapheme in wcwidth.iter_graphemes(name):
        n_bytes += len(grapheme.encode("utf-8"))
        if n_bytes > MAX_NAME_BYTES:
            break
        kept.append(grapheme)
    name = "".join(kept).strip(". ")
    reserved = re.fullmatch(r"(?i:con|prn|aux|nul|com\d|lpt\d)(\..*)?", name)
    return f"_{name}" if reserved else name or "conversation"


def _named(new: NewFile, folder: Path, name: str, ending: str) -> Path:
    """Give the file the first of its names that is free."""
    count = 1
    while True:
        path = folder / (f"{name}{ending}" if count == 1 else f"{name} ({count}){ending}")
        try:
            new.become_new(path)
        except FileExistsError:
            count += 1
        else:
            return path


def _is_unsafe(char: str) -> bool:
    return char in '/\\:*?"<>|' or unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp")


def speaker(turn: Turn) -> str:
    """Who says it."""
    match turn.role:
        case "user":
            return tr("You")
        case "system":
            return tr("System")
        case _:
            return _one_line(turn.model) or tr("Assistant")


def thought(turn: Turn) -> str:
    """How long was thought: "Thought for 3.2 s · 96 tokens"."""
    if turn.is_thought_cut:
        return trn("Thought cut after {n} token", "Thought cut after {n} tokens", turn.n_reasoning)
    time_taken = format.duration(turn.reasoning_s)
    told = tr("Thought for {time}", time=time_taken) if turn.reasoning_s else tr("Thought")
    tokens = [trn("{n} token", "{n} tokens", turn.n_reasoning)] if turn.n_reasoning else []
    return " · ".join([told, *tokens])


def _file(file: Attachment) -> str:
    """Such as "notes.txt (3.2 KiB)"."""
    name = re.sub("[<&]", lambda found: {"<": "&lt;", "&": "&amp;"}[found[0]], _one_line(file.name))
    return f"{name} ({format.size(file.n_bytes)})" if file.n_bytes else name


def figures(turn: Turn) -> str:
    """What is known of how an answer was made, in a line."""
    known = []
    if turn.timings is not None:
        known.append(trn("{n} token", "{n} tokens", turn.timings.n_decode))
        if any(turn.speeds):
            moved = zip(turn.backend, turn.speeds, strict=False)
            known.append(" → ".join(f"{where} {format.speed(tps)}" for where, tps in moved) + " tok/s")
        elif turn.timings.decode_tps:
            known.append(f"{format.speed(turn.timings.decode_tps)} tok/s")
        if turn.timings.ttft_s:
            known.append(tr("ttft {time}", time=format.duration(turn.timings.ttft_s)))
    known.append(tr("incomplete") if turn.stop is None else tr(_STOPS[turn.stop]))
    if turn.is_loop:
        known.append(tr("repeated itself"))
    if turn.edited_at:
        known.append(tr("edited by hand"))
    return " · ".join([*known, *(() if any(turn.speeds) else turn.backend)])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _closed(markdown: str) -> str:
    """`markdown`, with a code fence that was left open (a stopped answer) closed, so that it ends where it should."""
    fence = ""
    for line in markdown.splitlines():
        found = re.match(r" {0,3}(`{3,}|~{3,})([^`]*)$", line)
        if found is None:
            continue
        marks, rest = found.groups()
        if not fence:
            fence = marks
        elif marks.startswith(fence) and not rest.strip():
            fence = ""
    body = markdown.strip("\n")
    return f"{body}\n{fence}" if fence else body
