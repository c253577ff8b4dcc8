"""Themes: the built-in ones can be read by everyone, Textual takes them, and a bad file is named with its reason while
the good ones still load."""

from __future__ import annotations

import math
import os
import tomllib
from itertools import combinations, product
from pathlib import Path

import pytest
from rich.errors import StyleSyntaxError
from textual.color import Color
from textual.css.errors import StyleValueError
from textual.css.styles import Styles
from textual.theme import BUILTIN_THEMES, Theme

from tui.config import paths, themes
from tui.config.settings import UiSettings
from tui.config.themes import COLORS, ThemeSpec, choose_theme, fingerprint, load_themes, parse_theme, terminal_is_light

BUILTIN, PROBLEMS = load_themes(paths.builtin_themes_dir(), Path("/nonexistent"))
OWN_COLORS = [theme for theme in BUILTIN.values() if not theme.ansi]
STATES = ("success", "warning", "error")
BACKGROUNDS = ("background", "surface", "panel")

GOOD = """
name = "mine"
dark = true
[colors]
primary = "#7aa7e0"
secondary = "#9db4c8"
accent = "#d3a96a"
foreground = "#ddd"
background = "#17191d"
surface = "#1f2227"
panel = "#24282e"
success = "#7fc48a"
warning = "#e0b04c"
error = "#f0757c"
"""
END = GOOD.splitlines()[-1]


def linear(hex_color: str) -> tuple[float, float, float]:
    r, g, b = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (int(hex_color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    )
    return r, g, b


def contrast(first: str, second: str) -> float:
    """Contrast ratio of WCAG 2, 1 to 21."""
    light = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in (linear(first), linear(second)))
    return (light[1] + 0.05) / (light[0] + 0.05)


def lab(r: float, g: float, b: float) -> tuple[float, float, float]:
    """CIE L*a*b* (D65) of linear RGB."""
    x, y, z = (
        value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116
        for value in (
            (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047,
            0.2126 * r + 0.7152 * g + 0.0722 * b,
            (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883,
        )
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def without_green_cones(r: float, g: float, b: float) -> tuple[float, float, float]:
    """What is left for an eye with deuteranopia (matrix of Machado, Oliveira and Fernandes, 2009, severity 1)."""
    rows = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881))
    red, green, blue = (min(1.0, max(0.0, x * r + y * g + z * b)) for x, y, z in rows)
    return red, green, blue


def distance(first: tuple[float, float, float], second: tuple[float, float, float]) -> float:
    return math.dist(lab(*first), lab(*second))


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(text)
    return file


# The built-in themes


def test_contrast_is_computed_as_wcag_does() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def test_the_built_in_themes_are_good_and_many_enough() -> None:
    assert PROBLEMS == []
    assert len(BUILTIN) >= 8
    assert sum(not theme.dark for theme in BUILTIN.values()) >= 3
    assert all(theme.file.stem == theme.name for theme in BUILTIN.values())


def test_the_default_themes_exist_and_suit_their_terminals() -> None:
    assert BUILTIN[UiSettings().theme].dark
    assert not BUILTIN[UiSettings().theme_light].dark
    assert themes.FALLBACK in BUILTIN


def test_text_can_be_read_everywhere() -> None:
    low = {
        (theme.name, on): round(contrast(theme.foreground, getattr(theme, on)), 2)
        for theme in OWN_COLORS
        for on in BACKGROUNDS
    }
    assert {where: ratio for where, ratio in low.items() if ratio < 7} == {}


def test_coloured_words_can_be_read_everywhere() -> None:
    low = {
        (theme.name, color, on): round(contrast(getattr(theme, color), getattr(theme, on)), 2)
        for theme in OWN_COLORS
        for color in (*STATES, "accent", "primary", "secondary")
        for on in BACKGROUNDS
    }
    assert {where: ratio for where, ratio in low.items() if ratio < 4.5} == {}


def test_text_can_be_read_where_it_is_selected() -> None:
    low = {
        theme.name: round(contrast(theme.foreground, theme.variables["input-selection-background"]), 2)
        for theme in OWN_COLORS
    }
    assert {name: ratio for name, ratio in low.items() if ratio < 4.5} == {}


def test_fits_tight_and_does_not_fit_cannot_be_mistaken_for_each_other() -> None:
    """Distances in L*a*b*, also for eyes that do not tell red from green."""
    near = []
    for theme in OWN_COLORS:
        for one, other in combinations(STATES, 2):
            first, second = linear(getattr(theme, one)), linear(getattr(theme, other))
            if distance(first, second) < 35 or distance(without_green_cones(*first), without_green_cones(*second)) < 10:
                near.append((theme.name, one, other))
    assert near == []


def test_the_accent_is_no_colour_of_state() -> None:
    near = [
        (theme.name, state)
        for theme in OWN_COLORS
        for state in STATES
        if distance(linear(theme.accent), linear(getattr(theme, state))) < 30
    ]
    assert near == []


@pytest.mark.parametrize("theme", BUILTIN.values(), ids=lambda theme: theme.name)
def test_textual_takes_every_theme_and_knows_its_variables(theme: ThemeSpec) -> None:
    made = Theme(**theme.textual_fields())  # type: ignore[arg-type]
    known = BUILTIN_THEMES["textual-dark"].to_color_system().generate()
    assert set(theme.variables) <= set(known)
    assert made.to_color_system().generate()["background"]
    colors = [value for key, value in theme.variables.items() if not key.endswith("-style")]
    for value in filter(None, [*(getattr(theme, color) for color in COLORS), theme.boost, *colors]):
        Color.parse(value)


# A user's themes


def test_a_users_theme_is_added_and_one_of_the_same_name_replaces_the_built_in(tmp_path: Path) -> None:
    write(tmp_path, "a.toml", GOOD)
    write(tmp_path, "b.toml", GOOD.replace('"mine"', '"graphite"').replace("#17191d", "#000"))
    found, problems = load_themes(paths.builtin_themes_dir(), tmp_path)
    assert problems == []
    assert set(found) == {*BUILTIN, "mine"}
    assert found["graphite"].background == "#000"
    assert list(found) == sorted(found)


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ('name = "mine"\n', "", "name", "must be a name"),
        ('"mine"', '"My Theme"', "name", "must be a name"),
        ("dark = true", 'dark = "yes"', "dark", "true or false"),
        ("dark = true", "dark = true\nansi = 1", "ansi", "true or false"),
        ('error = "#f0757c"\n', "", "colors.error", "is missing"),
        ("#f0757c", "#f0757", "colors.error", "no colour"),
        ("#f0757c", "ansi_red", "colors.error", "no colour"),
        ("#f0757c", "#f0757c80", "colors.error", "no colour"),
        ('"#f0757c"', "7", "colors.error", "no colour"),
        (END, f'{END}\n[variables]\n"Not One" = "#fff"', "variables.Not One", "no name of a variable"),
        (END, f'{END}\n[variables]\nborder = "bold; dock: top"', "variables.border", "must be a colour"),
        (END, f'{END}\n[variables]\nlink-style = "fat"', "variables.link-style", '"bold"'),
        (END, f'{END}\n[variables]\nlink-style = "none bold"', "variables.link-style", '"bold"'),
        (END, f'{END}\n[variables]\nlink-style = "bold not"', "variables.link-style", '"bold"'),
        (END, f'{END}\n[variables]\nlink-style-hover = "#fff"', "variables.link-style-hover", '"bold"'),
        ("dark = true", "dark = true\nvariables = 3", "variables", "must be a section"),
        ("dark = true", "dark = = true", "", "line 3"),
    ],
)
def test_a_bad_theme_is_named_with_its_reason_and_the_good_ones_load(
    tmp_path: Path, old: str, new: str, key: str, says: str
) -> None:
    assert old in GOOD
    bad = write(tmp_path, "bad.toml", GOOD.replace(old, new, 1))
    write(tmp_path, "good.toml", GOOD.replace('"mine"', '"other"'))
    found, problems = load_themes(paths.builtin_themes_dir(), tmp_path)
    assert set(found) == {*BUILTIN, "other"}
    assert [(problem.file, problem.key) for problem in problems] == [(bad, key)]
    assert says in problems[0].message


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("dark = true", "dark = true\ndrak = true", "drak", 'Did you mean "dark"?'),
        (END, f'{END}\neror = "#fff"', "colors.eror", 'Did you mean "error"?'),
        (END, f'{END}\n[code]\nstyle = "monokai"', "code", "so it is ignored"),
    ],
)
def test_what_a_theme_cannot_say_is_told_and_the_rest_of_it_taken(
    tmp_path: Path, old: str, new: str, key: str, says: str
) -> None:
    file = write(tmp_path, "mine.toml", GOOD.replace(old, new, 1))
    found, problems = load_themes(paths.builtin_themes_dir(), tmp_path)
    good, _ = parse_theme(tomllib.loads(GOOD), file)
    assert good and found["mine"].textual_fields() == good.textual_fields()
    assert [(problem.file, problem.key) for problem in problems] == [(file, key)]
    assert says in problems[0].message


def test_everything_wrong_with_a_theme_is_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, "bad.toml", 'name = "mine"\n')
    _, problems = load_themes(paths.builtin_themes_dir(), tmp_path)
    assert {problem.key for problem in problems} == {"dark", *(f"colors.{key}" for key in COLORS)}


def test_a_name_that_is_used_twice_is_reported(tmp_path: Path) -> None:
    write(tmp_path, "a.toml", GOOD)
    second = write(tmp_path, "b.toml", GOOD)
    found, problems = load_themes(paths.builtin_themes_dir(), tmp_path)
    assert found["mine"].file.name == "a.toml"
    assert [(problem.file, problem.key) for problem in problems] == [(second, "name")]
    assert "a.toml" in problems[0].message


@pytest.mark.parametrize(
    "variables", ["", 'input-selection-background = "#7aa7e0"', 'screen-selection-background = "#ddd8"']
)
def test_a_users_theme_that_says_nothing_about_selected_text_shows_it_readably(tmp_path: Path, variables: str) -> None:
    write(tmp_path, "a.toml", f"{GOOD}[variables]\n{variables}")
    theme = load_themes(paths.builtin_themes_dir(), tmp_path)[0]["mine"]
    colors = Theme(**theme.textual_fields()).to_color_system().generate()  # type: ignore[arg-type]
    ground = Color.parse(theme.background)
    for place in ("input", "screen"):
        behind = ground + Color.parse(colors[f"{place}-selection-background"])
        text = Color.parse(colors[f"{place}-selection-foreground"])
        assert contrast(text.hex, behind.hex) >= 4.5
        assert distance(linear(ground.hex), linear(behind.hex)) >= 15


def test_ansi_colours_and_styles_are_taken_where_they_belong(tmp_path: Path) -> None:
    text = GOOD.replace("dark = true", "dark = true\nansi = true").replace("#f0757c", "ansi_bright_red")
    write(tmp_path, "a.toml", f'{text}[variables]\nlink-style = "bold not italic"\n')
    found, problems = load_themes(paths.builtin_themes_dir(), tmp_path)
    assert problems == []
    assert (found["mine"].error, found["mine"].variables) == ("ansi_bright_red", {"link-style": "bold not italic"})


def test_a_style_is_taken_if_textual_takes_it() -> None:
    for count in range(4):
        for words in product(("none", "not", "bold", "strike"), repeat=count):
            style = " ".join(words)
            made, _ = parse_theme({**tomllib.loads(GOOD), "variables": {"link-style": style}}, Path("mine.toml"))
            try:
                Styles().text_style = style
            except (StyleValueError, StyleSyntaxError):
                assert made is None, style
            else:
                assert made is not None, style


def test_missing_built_in_themes_are_reported(tmp_path: Path) -> None:
    found, problems = load_themes(tmp_path / "none", tmp_path / "none")
    assert found == {}
    assert "Install llmtui again" in problems[0].message


# Choosing and reloading


def test_the_first_wanted_theme_that_exists_is_chosen() -> None:
    chosen, problems = choose_theme(BUILTIN, "", "sand", "mist")
    assert (chosen, problems) == (BUILTIN["sand"], [])


def test_a_wanted_theme_that_does_not_exist_is_reported_and_another_one_chosen() -> None:
    chosen, problems = choose_theme(BUILTIN, "snad", file=Path("settings.toml"))
    assert chosen == BUILTIN["graphite"]
    assert (problems[0].file, problems[0].key) == (Path("settings.toml"), "ui.theme")
    assert '"snad"' in problems[0].message
    assert choose_theme({}, "sand")[0] is None


@pytest.mark.parametrize(
    ("said", "light"),
    [("15;0", False), ("0;15", True), ("0;default;15", True), ("0;7", True), ("7;8", False), ("x", False)],
)
def test_a_terminal_says_whether_it_is_light(said: str, light: bool) -> None:
    assert terminal_is_light({"COLORFGBG": said}) is light
    assert terminal_is_light({}) is False


def test_the_fingerprint_changes_with_every_change_and_only_then(tmp_path: Path) -> None:
    folders = [paths.builtin_themes_dir(), tmp_path / "none", tmp_path]
    seen = [fingerprint(folders)]
    assert fingerprint(folders) == seen[0]
    assert len(seen[0]) == len(BUILTIN)
    file = write(tmp_path, "a.toml", GOOD)
    seen.append(fingerprint(folders))
    os.utime(file, ns=(1, 1))
    seen.append(fingerprint(folders))
    file.rename(tmp_path / "b.toml")
    seen.append(fingerprint(folders))
    (tmp_path / "notes.txt").write_text("no theme")
    assert fingerprint(folders) == seen[-1]
    assert len(set(seen)) == len(seen)
