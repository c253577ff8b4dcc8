"""What is wrong with a file that a user may edit, as a record. Reading configuration collects these instead of raising,
so that a typing error never keeps the program from starting."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec


class ConfigProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was ignored, and what to do about it."""

    file: Path | None
    """The file that it was read from or was to be written to; None for the command line and the like."""
    key: str
    """Dotted path of the key, such as "load.n_ctx"; empty when the whole file is meant."""
    message: str
    """One or two sentences: what is wrong, what is used instead, what to do."""

    def __str__(self) -> str:
        where = ": ".join(part for part in (str(self.file) if self.file else "", self.key) if part)
        return f"{where}: {self.message}" if where else self.message


def read_toml(file: Path) -> tuple[dict[str, object] | None, ConfigProblem | None]:
    """The tables of `file`, or None and why they could not be read. A file that does not exist is (None, None)."""
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        return None, None
    except OSError as error:
        why = f"cannot be read ({error.strerror or error}), so it is ignored. Check its permissions."
        return None, ConfigProblem(file=file, key="", message=why)
    try:
        return tomllib.loads(raw.decode("utf-8-sig")), None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        why = f"is not UTF-8 text (line {line}), so it is ignored. Save it again with the encoding UTF-8."
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        # tomllib ends its sentence with the line and column.
        why = f"is not valid TOML, so it is ignored: {error}. Correct it there."
    return None, ConfigProblem(file=file, key="", message=why)
