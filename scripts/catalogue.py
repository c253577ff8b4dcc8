"""Keeps the translations of the interface (`tui/words/*/*.po`, one file for each room) in step with the code, and
compiles them. By hand, in the checkout, after `make dev`:

    python scripts/catalogue.py update [PART ...]   new texts go in, unused ones out; fill in what is empty then
    python scripts/catalogue.py check               what is missing, or has other fields than the English
    python scripts/catalogue.py build               compile, so that the app shows them
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import string
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

WORDS = "tui/words"
FUNCTIONS = {"tr": 1, "trn": 2, "trc": 2, "mark": 1, "later": 1}
"""Names in `tui.words`, and how many texts each begins with."""
_OF_MARKED = ("tr", "later")
"""Those that also take a text that was marked elsewhere."""
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
HEADER = """\
# {part}: {language} texts of llmtui. Kept in step with the code by scripts/catalogue.py.
msgid ""
msgstr ""
"Language: {language}\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"

"""


class Text(NamedTuple):
    """A text in the code."""

    file: str
    line: int
    context: str | None
    msgid: str | tuple[str, str]

    @property
    def key(self) -> tuple[str | None, str]:
        """What gettext finds it by."""
        return self.context, self.msgid if isinstance(self.msgid, str) else self.msgid[0]


class BadCall(Exception):
    """A call that gettext could not serve: the message says where and why."""


def part_of(file: str) -> str:
    """The catalogue for a file, by its path in the checkout: its room's, or "screens"."""
    room = file.split("/")[1]
    if room.endswith(".py"):
        return "cli"
    return "screens" if file.startswith("tui/app/screens/") else room


def fields_of(text: str) -> set[str]:
    """The names in braces. Raises `ValueError` for what is no format."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def texts_in(source: str, file: str) -> Iterator[Text]:
    """The texts of one file, in order. Raises `BadCall`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
            yield from _text(node, node.func.id, file)


def _text(call: ast.Call, function: str, file: str) -> Iterator[Text]:
    where = f"{file}:{call.lineno}: {function}"
    arguments = call.args[: FUNCTIONS[function]]
    texts = [node.value for node in arguments if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    if not texts and function in _OF_MARKED and isinstance(arguments[0], ast.Name | ast.Attribute | ast.Subscript):
        return
    if len(texts) < FUNCTIONS[function]:
        raise BadCall(f"{where} takes a literal text, not one that is put together")
    given = {keyword.arg for keyword in call.keywords} | ({"n"} if function == "trn" else set())
    shown = texts[1:] if function == "trc" else texts
    if function != "mark" and None not in given and (given or function == "trn"):
        named = set().union(*map(fields_of, shown))
        if not named <= given or not given - {"n"} <= named:
            raise BadCall(f"{where} has the fields {sorted(named)} and is given {sorted(map(str, given))}")
    if function == "trn":
        yield Text(file, call.lineno, None, (texts[0], texts[1]))
    else:
        yield Text(file, call.lineno, texts[0] if function == "trc" else None, texts[-1])


def texts_of(root: Path) -> dict[str, list[Text]]:
    """All texts of the program by part, in the order of files and lines. Raises `BadCall`."""
    found: dict[str, list[Text]] = {}
    for path in sorted((root / "tui").rglob("*.py")):
        file = path.relative_to(root).as_posix()
        if not file.startswith(WORDS):
            texts = sorted(texts_in(path.read_text("utf-8"), file), key=lambda text: text.line)
            found.setdefault(part_of(file), []).extend(texts)
    return found


def read(path: Path) -> Catalog:
    """A catalogue's file; an empty one when it is not there."""
    try:
        with path.open("rb") as file:
            return read_po(file, locale=path.parent.name)
    except FileNotFoundError:
        return Catalog(locale=path.parent.name)


def update(root: Path, folder: Path, parts: set[str]) -> None:
    """Bring the files of one language in step with the code, or only those of some `parts` and of the rooms that texts
    moved to from there. Translations of texts that are still there stay, wherever they stand now."""
    found = texts_of(root)
    have = {path.stem: _translations(path) for path in folder.glob("*.po")}
    wanted = parts or set(found)
    gone = {key for part in wanted for key in have.get(part, {}).keys() - {text.key for text in found.get(part, ())}}
    moved_to = {part for part, texts in found.items() if any(text.key in gone for text in texts)}
    known = {key: done for translations in have.values() for key, done in translations.items() if done}
    for part in sorted((wanted & found.keys()) | moved_to):
        path, new = folder / f"{part}.po", Catalog(locale=folder.name)
        for text in found[part]:
            done = have.get(part, {}).get(text.key) or known.get(text.key, "")
            new.add(
                text.msgid,
                (done,) if isinstance(text.msgid, tuple) else done,
                locations=[(text.file, text.line)],
                context=text.context,
            )
        out = io.BytesIO()
        write_po(out, new, width=0, omit_header=True, include_lineno=False)
        path.write_text(HEADER.format(part=part, language=folder.name) + out.getvalue().decode(), "utf-8")


def _translations(path: Path) -> dict[tuple[str | None, str], str]:
    """What stands in a file, by what gettext finds it by; empty for what is not translated yet."""
    return {(message.context, _forms(message.id)[0]): _forms(message.string)[0] for message in read(path) if message.id}


def problems(root: Path, folder: Path) -> Iterator[str]:
    """What is wrong with a language: texts that are missing, unused, or say another thing in another room, and fields
    that the English does not have."""
    told: dict[tuple[str | None, str], object] = {}
    for part, texts in texts_of(root).items():
        have = {
            (message.context, _forms(message.id)[0]): message for message in read(folder / f"{part}.po") if message.id
        }
        for key in {text.key for text in texts} - have.keys():
            yield f"{part}.po: not there: {key[1]!r} (scripts/catalogue.py update {part})"
        for key in have.keys() - {text.key for text in texts}:
            yield f"{part}.po: not used any more: {key[1]!r} (scripts/catalogue.py update {part})"
        for key, message in have.items():
            forms, english = _forms(message.string), _forms(message.id)
            if not all(forms):
                yield f"{part}.po: not translated: {key[1]!r}"
                continue
            fields = set().union(*map(fields_of, english))
            if any(fields_of(form) - {"n"} != fields - {"n"} or fields_of(form) - fields for form in forms):
                yield f"{part}.po: other fields than the English: {forms[0]!r}"
            if told.setdefault(key, forms) != forms:
                yield f"{part}.po: another room says {told[key]!r}: {forms!r}"


def _forms(text: object) -> tuple[str, ...]:
    """The forms of a text: Babel has a string where there is one, and a sequence where there are several."""
    return tuple(map(str, text)) if isinstance(text, tuple | list) else (str(text or ""),)


def compiled(folder: Path) -> bytes:
    """All files of a language as one of gettext's .mo files, which is the same whenever it is made."""
    whole = Catalog(locale=folder.name, project="llmtui", creation_date=_LONG_AGO, revision_date=_LONG_AGO)
    for path in sorted(folder.glob("*.po")):
        for message in read(path):
            if message.id:
                whole.add(message.id, message.string, context=message.context)
    out = io.BytesIO()
    write_mo(out, whole)
    return out.getvalue()


def build(root: Path, target: Path | None = None) -> list[Path]:
    """Compile every language into `target`, by default beside its folder, and give the files."""
    made = []
    for folder in sorted(path for path in (root / WORDS).iterdir() if any(path.glob("*.po"))):
        file = (target or folder.parent) / f"{folder.name}.mo"
        # An app may be reading the old one.
        partial = file.with_suffix(f".{os.getpid()}.partial")
        try:
            partial.write_bytes(compiled(folder))
            partial.replace(file)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink()
        made.append(file)
    return made


def main(arguments: list[str]) -> int:
    """The command; its exit code."""
    root = Path(__file__).resolve().parent.parent
    folders = sorted(path for path in (root / WORDS).iterdir() if path.is_dir() and not path.name.startswith("_"))
    match arguments:
        case ["update", *parts]:
            for folder in folders:
                update(root, folder, set(parts))
        case ["check"]:
            found = [f"{folder.name}/{problem}" for folder in folders for problem in problems(root, folder)]
            print("\n".join(found) or "Every text is there.")
            return 1 if found else 0
        case ["build"]:
            build(root)
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BadCall as bad:
        sys.exit(str(bad))
