"""Looks texts up in the language that is in use. GNU gettext's catalogues, through Python's own `gettext`: the English
text is the key, so that a text without a translation is shown in English."""

from __future__ import annotations

import gettext
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Literal, get_args

Language = Literal["en", "zh"]
LANGUAGES: Final[dict[Language, str]] = {"en": "English", "zh": "简体中文"}
"""Each in its own words."""
_CATALOGUES: Final[dict[Language, str]] = {"zh": "zh_CN"}
_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
"""As POSIX orders them: the first that is set counts."""
_TRADITIONAL = ("tw", "hk", "mo", "hant")
"""Chinese that is not written in simplified characters."""

_used: Language = "en"
_translations: gettext.NullTranslations = gettext.NullTranslations()


def use(wanted: Language, catalogue: gettext.NullTranslations | None = None) -> bool:
    """Speak this language from now on, in this process. What is on a screen already stays as it is. False when its
    texts are not there, because they were never compiled: then it is English. Tests give a `catalogue` of their own."""
    global _used, _translations
    _used, _translations = "en", gettext.NullTranslations()
    if catalogue is None and wanted in _CATALOGUES:
        import struct  # English does without

        try:
            with open(catalogue_file(wanted), "rb") as file:  # noqa: PTH123 - pathlib takes 10 ms
                catalogue = gettext.GNUTranslations(file)
        except (OSError, ValueError, LookupError, struct.error):  # not there, or no catalogue
            return False
    if catalogue is not None:
        _used, _translations = wanted, catalogue
    return wanted == _used


@contextmanager
def speaking_english() -> Iterator[None]:
    """Speak English for a while."""
    global _used, _translations
    before = _used, _translations
    use("en")
    try:
        yield
    finally:
        _used, _translations = before


def language() -> Language:
    """The one in use."""
    return _used


def language_of(environ: Mapping[str, str]) -> Language:
    """What the environment asks for. `LANGUAGE` is a list, which counts unless the locale is C; Traditional Chinese is
    not there, and its readers may add "zh_CN" to that list."""
    locale = next((value for name in _VARIABLES if (value := environ.get(name))), "")
    if not locale or locale.partition(".")[0] in ("C", "POSIX"):
        return "en"
    for name in (*environ.get("LANGUAGE", "").split(":"), locale):
        if found := _language_of_locale(name):
            return found
    return "en"


def _language_of_locale(name: str) -> Language | None:
    """ "zh_CN.UTF-8" and "zh" are Chinese, "en_GB" is English; None for what is not there."""
    parts = name.partition(".")[0].lower().replace("-", "_").replace("@", "_").split("_")
    if parts[0] not in get_args(Language) or any(part in _TRADITIONAL for part in parts):
        return None
    return "zh" if parts[0] == "zh" else "en"


def catalogue_file(wanted: Language) -> str:
    """Path of the compiled texts of a language other than English."""
    return os.path.join(os.path.dirname(__file__), f"{_CATALOGUES[wanted]}.mo")  # noqa: PTH118, PTH120


def mark(text: str) -> str:
    """The text as it is: one that stands in a table or a constant, and is translated by `tr` where it is shown."""
    return text


def tr(text: str, **fields: object) -> str:
    """A text in the language in use, with its `{fields}` filled in as `str.format` does. Without fields, braces are
    braces."""
    found = _translations.gettext(text) if text else ""  # gettext answers "" with the catalogue's header
    return found.format(**fields) if fields else found


def trn(one: str, many: str, n: int, **fields: object) -> str:
    """The form that goes with a number, which fills `{n}` with thousands separators."""
    return _translations.ngettext(one, many, n).format(n=f"{n:,}", **fields)


def trc(context: str, text: str, **fields: object) -> str:
    """`tr` for an English text that means several things: `context` says which, and is not shown."""
    found = _translations.pgettext(context, text)
    return found.format(**fields) if fields else found
