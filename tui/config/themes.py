"""The themes that there are: one TOML file each, the built-in ones and the user's over them, checked when read. Knows
nothing of Textual; the app makes its own theme from a `ThemeSpec`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tui.base.oserrors import kept_reason
from tui.config.overlay import unknown_key
from tui.config.problems import ConfigProblem, read_toml
from tui.config.shades import derive
from tui.words.later import Later, later

FALLBACK = "graphite"
"""The built-in theme that is taken when the wanted one does not exist."""

FEW_COLORS = "terminal"
"""The built-in theme for terminals that have only sixteen colours."""

COLORS = (
    "primary", "secondary", "accent", "foreground", "background", "surface", "panel", "success", "warning", "error",
)  # fmt: skip
"""Keys that [colors] must have."""

Fingerprint = tuple[tuple[str, int, int], ...]

_ANSI_VARIABLES = {
    "ansi-background": "ansi_default",
    "ansi-foreground": "ansi_default",
    "foreground-disabled": "ansi_default 38%",
}
"""Style sheets need these of a theme with the terminal's colours, and Textual derives them for others only."""

_MOST_PROBLEMS = 50
_MOST_QUOTED = 60
"""Characters of a value."""
_MOST_FILES = 500
"""Of a folder that are read."""
_TOP = ("name", "dark", "ansi", "colors", "variables")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_HEX = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_HEX_ALPHA = re.compile(r"#(?:[0-9a-fA-F]{4}|[0-9a-fA-F]{8})")
_ANSI = re.compile(r"ansi_(?:default|(?:bright_)?(?:black|red|green|yellow|blue|magenta|cyan|white))")
_VARIABLE = re.compile(r"[a-z][a-z0-9-]*")
_STYLE_VARIABLE = re.compile(r".*-style(?:-hover)?")
_STYLE = re.compile(r"none|(?:(?:^| )(?:not )?(?:bold|dim|italic|underline|reverse|strike))+")
"""What Textual takes for a style, or it would not start."""


class ThemeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A theme that was checked. Colours are "#rgb" or "#rrggbb", or, with `ansi`, also "ansi_blue" and the like."""

    name: str
    dark: bool
    ansi: bool = False
    """The terminal's own 16 colours are used."""
    primary: str
    """Where one is: focus, the selected row, headings."""
    secondary: str
    """Quiet words of structure: who speaks, keywords of code."""
    accent: str
    """What can be typed: keys, and code within a sentence."""
    foreground: str
    background: str
    surface: str
    """Background of inputs and code."""
    panel: str
    """Background of header, footer, notices and buttons."""
    success: str
    """Fits, is fine."""
    warning: str
    """Is tight."""
    error: str
    """Does not fit, failed."""
    boost: str | None = None
    """Laid over a background to lift it; may have an alpha channel."""
    variables: dict[str, str]
    """Variables of the style sheet that differ from those that `shades.py` and Textual derive."""
    file: Path

    def textual_colors(self) -> dict[str, object]:
        """Keyword arguments for `textual.theme.Theme`, all but its variables."""
        fields = msgspec.structs.asdict(self)
        del fields["file"], fields["variables"]
        return fields

    def textual_variables(self) -> dict[str, str]:
        """Its variables: what is derived, and what the theme gives itself. Takes a millisecond."""
        if self.ansi:
            return _ANSI_VARIABLES | self.variables
        return derive({name: getattr(self, name) for name in COLORS}, self.variables)


def load_themes(builtin_dir: Path, user_dir: Path) -> tuple[dict[str, ThemeSpec], list[ConfigProblem]]:
    """Every good theme by name, in order of name, and what is wrong with the others.

    A user's theme takes the place of a built-in one of the same name. A user's folder need not exist.
    """
    themes, problems = _load_folder(builtin_dir)
    if not themes:
        message = later("has no themes in it, so only Textual's own are there. Install llmtui again.")
        problems.append(ConfigProblem(file=builtin_dir, key="", message=message))
    own, found = _load_folder(user_dir)
    return dict(sorted({**themes, **own}.items())), (problems + found)[:_MOST_PROBLEMS]


def choose_theme(
    themes: Mapping[str, ThemeSpec], *wanted: str, file: Path | None = None
) -> tuple[ThemeSpec | None, list[ConfigProblem]]:
    """The first of the `wanted` names that there is, empty ones skipped, else `FALLBACK`, else any; None when there is
    no theme at all. A wanted name that does not exist is a problem of `file`."""
    problems: list[ConfigProblem] = []
    for name in filter(None, wanted):
        if name in themes:
            return themes[name], problems
        if themes:
            message = later('There is no theme "{name}". Choose one of {names}.', name=name, names=", ".join(themes))
        else:
            message = later('There is no theme "{name}".', name=name)
        problems.append(ConfigProblem(file=file, key="ui.theme", message=message))
    return themes.get(FALLBACK) or next(iter(themes.values()), None), problems


def terminal_is_light(environ: Mapping[str, str]) -> bool:
    """Whether the terminal says, through COLORFGBG ("15;0": text; background), that its background is light."""
    background = environ.get("COLORFGBG", "").rpartition(";")[2]
    return background.isdecimal() and int(background) in (7, *range(9, 16))


def fingerprint(folders: Sequence[Path]) -> Fingerprint:
    """Path, modification time and size of every theme file; differs when one was added, changed or taken away."""
    found = []
    for folder in folders:
        for entry in _toml_entries(folder):
            try:
                status = entry.stat()
            except OSError:
                # Gone since the folder was listed, which the next fingerprint says too.
                continue
            found.append((entry.path, status.st_mtime_ns, status.st_size))
    return tuple(found)


def parse_theme(table: Mapping[str, object], file: Path) -> tuple[ThemeSpec | None, list[ConfigProblem]]:
    """The theme that `table`, read from `file`, describes, and everything that is wrong with it. None with anything but
    unknown keys, which are ignored."""
    unknown = [key for key in table if key not in _TOP][:_MOST_PROBLEMS]
    ignored = [(key, unknown_key(key, _TOP)) for key in unknown]
    complaints: list[tuple[str, Later]] = []
    colors, variables = (_section(table, key, complaints) for key in ("colors", "variables"))
    name, dark, ansi = table.get("name"), table.get("dark"), table.get("ansi", False)

    if not isinstance(name, str) or not _NAME.fullmatch(name):
        complaints.append(("name", later('must be a name of small letters, digits and hyphens, such as "night-sky".')))
    for key, value in (("dark", dark), ("ansi", ansi)):
        if not isinstance(value, bool):
            complaints.append((key, later("must be true or false.")))

    known = (*COLORS, "boost")
    unknown = [key for key in colors if key not in known][:_MOST_PROBLEMS]
    ignored += [(f"colors.{key}", unknown_key(key, known)) for key in unknown]
    complaints += [(f"colors.{key}", later("is missing. Add it.")) for key in COLORS if key not in colors]
    for key in known:
        if key in colors and not _is_color(colors[key], ansi=ansi is True, alpha=key == "boost"):
            wanted = later('"#1e2127" or "ansi_blue"') if ansi is True else '"#1e2127"'
            complaints.append(
                (
                    f"colors.{key}",
                    later(
                        "is {value}, which is not a colour. Write it like {wanted}.",
                        value=_quoted(colors[key]),
                        wanted=wanted,
                    ),
                )
            )

    for key, value in variables.items():
        if not _VARIABLE.fullmatch(key):
            complaints.append(
                (f"variables.{key}", later('is not the name of a variable. Write it like "footer-background".'))
            )
        elif not _is_variable_value(key, value, ansi=ansi is True):
            message = later(
                'is {value}. It must be a colour such as "#1e2127", or a style such as "bold" for -style names.',
                value=_quoted(value),
            )
            complaints.append((f"variables.{key}", message))

    problems = [ConfigProblem(file=file, key=key, message=message) for key, message in ignored + complaints]
    if complaints:
        return None, problems
    fields: dict[str, Any] = {key: colors[key] for key in known if key in colors}
    fields |= {"name": name, "dark": dark, "ansi": ansi, "file": file}
    return ThemeSpec(variables={key: str(value) for key, value in variables.items()}, **fields), problems


def _load_folder(folder: Path) -> tuple[dict[str, ThemeSpec], list[ConfigProblem]]:
    themes: dict[str, ThemeSpec] = {}
    problems = _unreadable(folder)
    for file in (Path(entry.path) for entry in _toml_entries(folder)):
        table, problem = read_toml(file)
        if problem is not None:
            problems.append(problem)
        if table is None:
            continue
        theme, found = parse_theme(table, file)
        problems += found
        if theme is None:
            continue
        if theme.name in themes:
            message = later(
                '"{name}" is already the name of {file}. Give this theme another one.',
                name=theme.name,
                file=themes[theme.name].file.name,
            )
            problems.append(ConfigProblem(file=file, key="name", message=message))
        else:
            themes[theme.name] = theme
    return themes, problems


def _toml_entries(folder: Path) -> list[os.DirEntry[str]]:
    """By name. They are looked for every few seconds, and a Path for each would cost more than all the rest."""
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if entry.name.endswith(".toml")]
        return sorted(entries, key=lambda entry: entry.name)[:_MOST_FILES]
    except OSError:
        return []


def _unreadable(folder: Path) -> list[ConfigProblem]:
    """Why a folder that is there cannot be looked into."""
    try:
        next(iter(folder.iterdir()), None)
    except FileNotFoundError:
        return []
    except OSError as error:
        message = later(
            "cannot be read ({reason}), so its themes are missing. Repair or remove it.", reason=kept_reason(error)
        )
        return [ConfigProblem(file=folder, key="", message=message)]
    return []


def _quoted(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_QUOTED else f"{text[:_MOST_QUOTED]}…"


def _section(table: Mapping[str, object], key: str, complaints: list[tuple[str, Later]]) -> Mapping[str, object]:
    value = table.get(key, {})
    if isinstance(value, Mapping):
        return value
    complaints.append((key, later("must be a section. Write {heading} above its keys.", heading=f"[{key}]")))
    return {}


def _is_color(value: object, *, ansi: bool, alpha: bool = False) -> bool:
    if not isinstance(value, str):
        return False
    return bool(_HEX.fullmatch(value) or (alpha and _HEX_ALPHA.fullmatch(value)) or (ansi and _ANSI.fullmatch(value)))


def _is_variable_value(key: str, value: object, *, ansi: bool) -> bool:
    if _STYLE_VARIABLE.fullmatch(key):
        return isinstance(value, str) and bool(_STYLE.fullmatch(" ".join(value.split())))
    return _is_color(value, ansi=ansi, alpha=True)
