"""The commands that stand first on the command line, `llmtui search` and its like: their names and what each is for.
Imports nothing that takes time, as `--help` waits for it; what they do is in modules of their own."""

from __future__ import annotations

from tui.words import mark, tr

COMMANDS = {
    "ask": ("QUESTION", mark("answer one question, without the app")),
    "attach": ("[ID]", mark("show the newest answer of the background")),
    "ls": ("", mark("what runs in the background")),
    "stop": ("[ID]", mark("end what runs in the background, or one of it")),
    "search": ("WORDS", mark("find models on Hugging Face and ModelScope")),
    "show": ("REPO[:QUANT] | MODEL", mark("what a model is, and what it would do here")),
    "pull": ("REPO[:QUANT] | URL", mark("download a model")),
    "models": ("[WORDS]", mark("list the models on this machine")),
    "rm": ("MODEL …", mark("delete models")),
}
"""What follows each, and what it is for."""
_CLOSE = 0.75


def listed_commands() -> str:
    """For the help: a line for each."""
    rows = [(f"{name} {what}".rstrip(), tr(about)) for name, (what, about) in COMMANDS.items()]
    return "\n".join(f"{left:<28} {right}" for left, right in rows)


def meant_command(word: str) -> str:
    """The command that may have been meant by a word; "" for none."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, COMMANDS, n=1, cutoff=_CLOSE)), "")
