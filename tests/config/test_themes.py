"""Themes: Textual takes the built-in ones, and a bad file is named with its reason while the good ones still load.
Whether they can be read is in `test_contrast.py`."""

from __future__ import annotations

import os
import re
import tomllib
from itertools import product
from pathlib import Path

import pytest
from rich.errors import StyleSyntaxError
from textual.color import Color
from textual.css.errors import StyleValueError
from textual.css.styles import Styles
from textual.theme import BUILTIN_THEMES

from tests.seeing import contrast, distance, linear
from tui.app.theming import DerivedTheme, usual_theme
from tui.config import paths, themes
from tui.config.settings import UiSettings, load_settings
from tui.config.themes import COLORS, ThemeSpec, choose_theme, fingerprint, load_themes, parse_theme, terminal_is_light

BUILTIN, PROBLEMS = load_themes(paths.builtin_themes_dir(), Path("/nonexistent"))

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


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(text)
    return file


# The built-in themes


def test_the_built_in_themes_are_good_and_many_enough() -> None:
    assert PROBLEMS == []
    assert len(BUILTIN) >= 19
    assert sum(not theme.dark for theme in BUILTIN.values()) >= 7
    assert all(theme.file.stem == theme.name for theme in BUILTIN.values())


def test_the_default_themes_exist_and_suit_their_terminals() -> None:
    assert BUILTIN[UiSettings().theme].dark
    assert not BUILTIN[UiSettings().theme_light].dark
    assert themes.FALLBACK in BUILTIN


def test_the_settings_file_names_every_theme_and_no_other() -> None:
    text = paths.default_settings_file().read_text(encoding="utf-8")
    told = text[text.index("# Theme to use until") : text.index("\ntheme = ")]
    assert sorted(re.findall(r'"([a-z-]+)"', told)) == sorted(BUILTIN)


@pytest.mark.parametrize("theme", BUILTIN.values(), ids=lambda theme: theme.name)
def test_textual_takes_every_theme_and_knows_its_variables(theme: ThemeSpec) -> None:
    made = DerivedTheme(theme)
    known = BUILTIN_THEMES["textual-dark"].to_color_system().generate()
    assert made.to_color_system().generate()["background"]
    assert set(theme.variables) <= set(made.variables) <= set(known)
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
        ("#f0757c", "#f0757", "colors.error", "not a colour"),
        ("#f0757c", "ansi_red", "colors.error", "not a colour"),
        ("#f0757c", "#f0757c80", "colors.error", "not a colour"),
        ('"#f0757c"', "7", "colors.error", "not a colour"),
        (END, f'{END}\n[variables]\n"Not One" = "#fff"', "variables.Not One", "not the name of a variable"),
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
    assert says in problems[0].text


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
    assert good and found["mine"] == good
    assert [(problem.file, problem.key) for problem in problems] == [(file, key)]
    assert says in problems[0].text


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
    assert "a.toml" in problems[0].text


@pytest.mark.parametrize(
    "variables", ["", 'input-selection-background = "#7aa7e0"', 'screen-selection-background = "#ddd8"']
)
def test_a_users_theme_that_says_nothing_about_selected_text_shows_it_readably(tmp_path: Path, variables: str) -> None:
    write(tmp_path, "a.toml", f"{GOOD}[variables]\n{variables}")
    theme = load_themes(paths.builtin_themes_dir(), tmp_path)[0]["mine"]
    colors = DerivedTheme(theme).to_color_system().generate()
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
    assert "Install llmtui again" in problems[0].text


# Choosing and reloading


def test_the_first_wanted_theme_that_exists_is_chosen() -> None:
    chosen, problems = choose_theme(BUILTIN, "", "sand", "mist")
    assert (chosen, problems) == (BUILTIN["sand"], [])


def test_a_wanted_theme_that_does_not_exist_is_reported_and_another_one_chosen() -> None:
    chosen, problems = choose_theme(BUILTIN, "snad", file=Path("settings.toml"))
    assert chosen == BUILTIN["graphite"]
    assert (problems[0].file, problems[0].key) == (Path("settings.toml"), "ui.theme")
    assert '"snad"' in problems[0].text
    assert choose_theme({}, "sand")[0] is None


@pytest.mark.parametrize(
    ("said", "light"),
    [("15;0", False), ("0;15", True), ("0;default;15", True), ("0;7", True), ("7;8", False), ("x", False)],
)
def test_a_terminal_says_whether_it_is_light(said: str, light: bool) -> None:
    assert terminal_is_light({"COLORFGBG": said}) is light
    assert terminal_is_light({}) is False


@pytest.mark.parametrize(
    ("written", "environ", "color_system", "theme"),
    [
        ("", {}, "truecolor", "graphite"),
        ("", {"COLORFGBG": "0;15"}, "256", "paper"),
        ("", {"COLORFGBG": "0;15"}, "standard", "terminal"),
        ('[ui]\ntheme = "sand"', {}, "standard", "sand"),
        ('[ui]\ntheme = "sand"', {"COLORFGBG": "0;15"}, "truecolor", "paper"),
        ("", {}, None, "graphite"),
    ],
)
def test_until_a_theme_is_chosen_it_suits_the_terminal(
    tmp_path: Path, written: str, environ: dict[str, str], color_system: str | None, theme: str
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(written)
    assert usual_theme(load_settings(file)[0], environ, color_system) == theme


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
