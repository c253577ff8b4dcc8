"""How the `llmtui` command ends: every exit code with its meaning. Imports nothing that takes time."""

from __future__ import annotations

from enum import IntEnum

from tui.words import mark


class ExitCode(IntEnum):
    """Exit codes; `meaning` is the sentence that the help shows, through `tr`."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitCode:
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    FINE = 0, mark("everything went well")
    SLOWER = 1, mark("slower than --fail-below allows; with a traceback: a bug in llmtui, please report it")
    USAGE = 2, mark("the arguments are wrong, or cannot be used on this machine or terminal")
    MODEL = 3, mark("there is no model, it cannot be loaded, or it would leave too little memory")
    ENGINE = 4, mark("the engine process died, or could not compute")
    UNDECIDED = 5, mark("--fail-below could not tell: too few runs, or something was not measured")
    UNWRITTEN = 6, mark("the result could not be written, as on a full disk, or a file not deleted")
    HUB = 7, mark("a hub could not be reached, refused, or sent something wrong")
    INTERRUPTED = 130, mark("a command was interrupted; the app ends with 0 after SIGTERM, else 128 + the signal")
