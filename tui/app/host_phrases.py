"""What is said about a session in the background."""

from __future__ import annotations

from tui.app.bindings import Keymap
from tui.app.phrases import card_choices
from tui.app.widgets.transcript_entries import Card
from tui.base import format
from tui.words import mark, tr, trn

IS_BACK = mark("The line to the background is there again.")
KEYS_TAKEN = mark("Another window goes on with this session. What you send or choose here takes it back.")
STILL_WRITING = mark("An answer is being written: choose something else when it has ended.")
GOES_ON = mark("The session goes on in the background: `llmtui` comes back to it, `llmtui stop` ends it.")


def turn_awaited(n_before: int) -> str:
    """Others that share the engine are answered first."""
    return trn(
        "Another session is answered first. Yours is next.",
        "{n} other sessions are answered first. Then it is your turn.",
        n_before,
    )


def no_host(why: str) -> str:
    """The session is not in the background."""
    return format.sentences(why, tr("This session ends with its window."))


def host_lost(why: str, keymap: Keymap, *, was_writing: bool, is_ended: bool) -> Card:
    """The process of the session has ended; `why` is what is in the way of another one, if something is."""
    if why:
        title = tr("The session could not be begun again.")
    elif is_ended:
        title = tr("The session in the background was ended. What was written is saved.")
    elif was_writing:
        title = tr("The llmtui in the background stopped while answering. The conversation is safe.")
    else:
        title = tr("The llmtui in the background stopped. The conversation is safe.")
    likely = tr("Likely cause: somebody or the system ended it, perhaps out of memory. Going on loads the model again.")
    if is_ended:
        likely = tr("`llmtui stop` or the system ended it. Going on loads the model again.")
    return Card("engine_died", title, why or likely, card_choices(keymap, ("card_reload", tr("go on"))))
