"""What is wrong with a file that a user may edit, as a record. Reading configuration collects these instead of raising,
so that a typing error never keeps the program from starting."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tui.base import toml
from tui.base.oserrors import kept_reason
from tui.base.text import one_line
from tui.words.later import Later, later

_MOST_OF_A_KEY = 80
_MOST_OF_A_MESSAGE = 800
"""Characters. Both may quote a file, which may hold anything."""


class ConfigProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was ignored, and what to do about it."""

    file: Path | None
    """The file that it was read from or was to be written to; None for the command line and the like."""
    key: str
    """Dotted path of the key, such as "load.n_ctx"; empty when the whole file is meant."""
    message: str | Later
    """One or two sentences: what is wrong, what is used instead, what to do. A `Later` where it is kept until the
    language may be another one."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "key", _short(self.key, _MOST_OF_A_KEY))

    @property
    def text(self) -> str:
        """The message in the language in use."""
        return _short(str(self.message), _MOST_OF_A_MESSAGE)

    def __str__(self) -> str:
        where = ": ".join(part for part in (str(self.file) if self.file else "", self.key) if part)
        return f"{where}: {self.text}" if where else self.text


def _short(text: str, most: int) -> str:
    return one_line(text if len(text) <= most else f"{text[: most - 20]} … {text[-17:]}")


def read_toml(file: Path) -> tuple[dict[str, object] | None, ConfigProblem | None]:
    """The tables of `file`, or None and why they could not be read. A file that does not exist is (None, None)."""
    try:
        return toml.read(file), None
    except FileNotFoundError:
        return None, None
    except IsADirectoryError:
        why = later("is a folder where a file should be, so it is ignored. Move it away.")
    except PermissionError as error:
        why = later("cannot be read ({reason}), so it is ignored. Check its permissions.", reason=kept_reason(error))
    except OSError as error:
        why = later(
            "cannot be read ({reason}), so it is ignored. Put a text file in its place.", reason=kept_reason(error)
        )
    except toml.TomlError as error:
        why = later(
            "{reason}. It is ignored: correct it, and save it as UTF-8.", reason=later(error.text, **error.fields)
        )
    return None, ConfigProblem(file=file, key="", message=why)
