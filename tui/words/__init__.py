"""The languages of the interface. Owns the texts of all but English (`zh_CN/*.po`, one file for each room) and which
language is used now. Never imports another room, and never decides which language a person wants: that is `tui.config`.

English stands where it is used, as the key: `tr("{model} was not found.", model=name)`.

Begin with `translate.py`; `later.py` is for texts that are kept or sent. The catalogues are kept and compiled by
catalogue.py in scripts.
"""

from tui.words.translate import LANGUAGES, Language, language, language_of, mark, speaking_english, tr, trc, trn, use

__all__ = ["LANGUAGES", "Language", "language", "language_of", "mark", "speaking_english", "tr", "trc", "trn", "use"]
