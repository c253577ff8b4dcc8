"""Texts that a benchmark of speculation has the model write: what each asks for, and the answer. Made here, so that the
same ones are written everywhere."""

from __future__ import annotations

from typing import NamedTuple

from tui.words import mark


class RepeatedText(NamedTuple):
    """One text."""

    name: str
    """Key in records."""
    words: str
    """What people call it."""
    prompt: str
    answer: str


_FUNCTION = '''
def {verb}_{noun}(path: Path, settings: Settings, limit: int = {n}) -> list[{kind}]:
    """{sentence}"""
    found: list[{kind}] = []
    for line in path.read_text("utf-8").splitlines():
        name, _, value = line.partition("{mark}")
        if not name.strip() or name.startswith("#"):
            continue
        if settings.{noun}_only and name not in settings.{noun}_names:
            continue
        found.append({kind}(name=name.strip(), value=value.strip()))
        if len(found) >= limit:
            break
    return found

'''
_PARTS = (
    ("read", "host", 16, "Host", "Hosts of the file, the first ones first.", "="),
    ("list", "user", 64, "User", "Everyone who may log in, without those that are commented out.", ":"),
    ("load", "route", 128, "Route", "Routes in the order in which they are tried.", "->"),
    ("find", "alias", 32, "Alias", "Other names that something goes by.", "="),
    ("take", "limit", 8, "Limit", "What nobody may use more of.", ":"),
)
_SENTENCES = (
    "A cache that is never emptied grows until the machine has nothing left to give.",
    "The first reading takes longest, because nothing of the file is in memory yet.",
    "Two writers of one file must agree on who comes first, or one of them loses.",
    "What is measured on a quiet evening says little about a busy morning.",
    "An error without a next step is a riddle, and nobody likes riddles at work.",
    "Most of the time is spent waiting for something that could have been asked earlier.",
)
_REMARKS = (
    "The text opens with a warning that every operator learns sooner or later:",
    "It goes on to explain why people complain about slow starts on Mondays.",
    "One passage deserves to be read twice, since it concerns lost work:",
    "The author doubts benchmarks that were made under friendly conditions:",
    "There is a plea for better messages, put in a memorable way:",
    "And the closing thought points at planning rather than hardware:",
)
_PROSE = """Harbour towns keep two calendars. One hangs in the office of the pilot and counts tides; the other
is kept by bakers, who know from the colour of the morning whether the boats will come home hungry. When the
ferry was replaced by a bridge, clerks expected the second calendar to vanish. Instead it grew richer: lorries
arrived at odd hours, students rented attics, and a woman from the hills opened a workshop for violins beside
the old customs shed. Nobody had planned this. A council report, eleven pages long, praised the new road for
shortening journeys to the hospital, mentioned noise only in a footnote, and closed with a photograph of gulls.
Yet older people remember how silence used to sound there after midnight, broken by chains and by somebody
coughing on deck. They say that distance once gave quarrels time to cool. Now an argument begun at breakfast can
be carried across the water before noon, and apologies, being heavier, travel more slowly than anger does. Even
so, few would tear the concrete down."""


def _code() -> str:
    fields = ("verb", "noun", "n", "kind", "sentence", "mark")
    return "".join(_FUNCTION.format(**dict(zip(fields, part, strict=True))) for part in _PARTS)


def repeated_texts() -> tuple[RepeatedText, ...]:
    """Code that is written again with small changes, a summary that quotes, and a story that repeats nothing."""
    code = _code()
    edited = code.replace("settings", "options").replace("limit: int", "most: int").replace(">= limit", ">= most")
    passage = " ".join(f"{sentence} So says the handbook." for sentence in _SENTENCES)
    quotes = (f'{remark} "{quoted}"' for remark, quoted in zip(_REMARKS, _SENTENCES, strict=True))
    return (
        RepeatedText(
            "edit",
            mark("code edited"),
            f"Rename settings to options and limit to most in this module:\n{code}\nThe module after that:\n",
            edited,
        ),
        RepeatedText(
            "summary",
            mark("summary with quotations"),
            f"{passage}\n\nWhat does the handbook say? Quote what matters.\n\n",
            "\n\n".join(quotes),
        ),
        RepeatedText("story", mark("story"), "Tell me about a town by the sea.\n\n", _PROSE),
    )
