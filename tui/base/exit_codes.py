"""How the `llmtui` command ends: every exit code with its meaning. Imports nothing that takes time."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes; `meaning` is the sentence that the help shows."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitCode:
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    FINE = 0, "everything went well"
    SLOWER = 1, "slower than --fail-below allows; with a traceback: a mistake in llmtui, worth a bug report"
    USAGE = 2, "the arguments make no sense, or not on this machine or terminal"
    MODEL = 3, "there is no model, it cannot be loaded, or it would leave too little memory"
    ENGINE = 4, "the engine process died, or could not compute"
    UNDECIDED = 5, "--fail-below could not tell: too few runs, or something was not measured"
    UNWRITTEN = 6, "the result could not be written, as on a full disk"
    INTERRUPTED = 130, "a command was interrupted; the app ends with 0 after SIGTERM, else 128 + the signal"
