"""Every text can be read in every built-in theme, in colours and without, and what is selected or focused is seen:
computed from the theme files and what the style sheets get of them. What stands on the screens is in
`tests/app/readable.py`."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import msgspec
import pytest
from rich.color import Color as RichColor
from rich.color import ColorSystem
from textual.color import Color

from tests.seeing import contrast, distance, least_contrast, linear, without_green_cones
from tui.app.theming import DerivedTheme
from tui.base.colors import contrast as our_contrast
from tui.base.colors import legible, parse, readable_on
from tui.config import paths
from tui.config.themes import ThemeSpec, load_themes

THEMES = {
    name: theme
    for name, theme in load_themes(paths.builtin_themes_dir(), Path("/nowhere"))[0].items()
    if not theme.ansi
}
FROM_ELSEWHERE = ("catppuccin", "gruvbox", "nord", "rose-pine", "solarized", "tokyo-night")
"""Their palettes are what they are: greens and reds lie nearer to each other there, and state is told by sign too."""
STATES = ("success", "warning", "error")
INKS = (*STATES, "primary", "secondary", "accent")

every_theme = pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)


def is_from_elsewhere(theme: ThemeSpec) -> bool:
    return theme.name.startswith(FROM_ELSEWHERE)


def tokens(theme: ThemeSpec, *, has_256: bool = False) -> dict[str, str]:
    """What the style sheets get, "#rrggbb" each; what is transparent lies on the background."""
    made = DerivedTheme(theme, has_256=has_256)
    ground = Color.parse(theme.background)
    found = {}
    for name, value in ({**made.to_color_system().generate(), **made.variables}).items():
        if value.startswith("#"):
            found[name] = (ground + Color.parse(value)).hex
    return found


def grounds(theme: ThemeSpec) -> list[str]:
    """What text stands on: the last one is that of a person's messages."""
    message = Color.parse(theme.background) + Color.parse(theme.foreground).with_alpha(0.05)
    return [theme.background, theme.surface, theme.panel, message.hex]


def test_contrast_is_computed_as_wcag_does() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
    assert our_contrast(parse("#a17"), parse("#eef0f2")) == pytest.approx(contrast("#aa1177", "#eef0f2"))


@every_theme
def test_text_and_what_is_said_quietly_can_be_read_everywhere(theme: ThemeSpec) -> None:
    found = tokens(theme)
    assert least_contrast(theme.foreground, *grounds(theme)) >= (5.9 if is_from_elsewhere(theme) else 7)
    quiet = ("foreground-muted", "text-muted", "text-disabled", "footer-key-foreground")
    low = {name: ratio for name in quiet if (ratio := least_contrast(found[name], *grounds(theme))) < 4.5}
    assert low == {}


@every_theme
def test_coloured_words_and_code_can_be_read_everywhere(theme: ThemeSpec) -> None:
    found = tokens(theme)
    low = {name: ratio for name in INKS if (ratio := least_contrast(found[f"text-{name}"], *grounds(theme))) < 4.5}
    assert low == {}


@every_theme
def test_quiet_words_are_quieter_than_others(theme: ThemeSpec) -> None:
    muted = contrast(tokens(theme)["foreground-muted"], theme.background)
    assert muted * 1.2 <= contrast(theme.foreground, theme.background)


@every_theme
def test_what_is_selected_is_seen_and_read(theme: ThemeSpec) -> None:
    found = tokens(theme)
    for text, ground in (
        (theme.foreground, "primary-muted"),
        (found["screen-selection-foreground"], "screen-selection-background"),
        (found["input-selection-foreground"], "input-selection-background"),
        (found["block-cursor-foreground"], "block-cursor-background"),
    ):
        assert least_contrast(text, found[ground]) >= 4.5, ground
        assert min(contrast(found[ground], around) for around in grounds(theme)) >= 1.3, ground


@every_theme
def test_the_focus_stands_out(theme: ThemeSpec) -> None:
    found = tokens(theme)
    assert contrast(found["border"], theme.background) >= 3
    assert contrast(found["border"], found["border-blurred"]) >= 1.3
    assert contrast(found["border-blurred"], theme.background) >= 1.3


@every_theme
def test_fits_tight_and_does_not_fit_cannot_be_mistaken_for_each_other(theme: ThemeSpec) -> None:
    """Distances in L*a*b*, also for eyes that do not tell red from green."""
    found, (apart, apart_without_green) = tokens(theme), (25, 5) if is_from_elsewhere(theme) else (35, 10)
    for one, other in combinations(STATES, 2):
        first, second = linear(found[f"text-{one}"]), linear(found[f"text-{other}"])
        assert distance(first, second) >= apart, (one, other)
        assert distance(without_green_cones(*first), without_green_cones(*second)) >= apart_without_green, (one, other)


@every_theme
def test_the_accent_is_no_colour_of_state(theme: ThemeSpec) -> None:
    found = tokens(theme)
    for state in STATES:
        apart = distance(linear(found["text-accent"]), linear(found[f"text-{state}"]))
        assert apart >= (24 if is_from_elsewhere(theme) else 30), state


# Whatever a user writes


@pytest.mark.parametrize(
    ("foreground", "background"), [("#777777", "#888888"), ("#ffffff", "#ffffff"), ("#123", "#321"), ("#0f0", "#f0f")]
)
def test_colours_that_cannot_be_told_apart_are_taken_and_what_can_be_mended_is(
    foreground: str, background: str
) -> None:
    theme = msgspec.structs.replace(
        THEMES["graphite"], foreground=foreground, background=background, surface=background, panel=background
    )
    found = tokens(theme)
    for name in INKS:
        assert contrast(found[f"text-{name}"], Color.parse(background).hex) >= 4.5, name


def test_what_a_theme_gives_itself_stays_and_what_depends_on_it_follows() -> None:
    theme = msgspec.structs.replace(
        THEMES["graphite"], variables={"text-accent": "#101010", "foreground-muted": "#202020"}
    )
    found = tokens(theme)
    assert (found["text-accent"], found["foreground-muted"]) == ("#101010", "#202020")
    assert found["footer-key-foreground"] == "#101010"


def test_a_colour_that_can_be_read_stays_and_another_becomes_the_nearest_shade_that_can() -> None:
    white, black = [parse("#fff")], [parse("#000")]
    assert legible("#103070", white) == "#103070"
    darker, brighter = legible("#4080ff", white), legible("#103070", black)
    assert 4.5 <= contrast(darker, "#ffffff") < 5.5
    assert 4.5 <= contrast(brighter, "#000000") < 5.5
    assert readable_on(parse("#808080"), "#7f7f7f", "#818181") == "#000000"


def in_256(color: str) -> str:
    """What a terminal of 256 colours gets of it."""
    return RichColor.parse(color).downgrade(ColorSystem.EIGHT_BIT).get_truecolor().hex


@every_theme
def test_words_can_be_read_on_a_terminal_of_256_colours_too(theme: ThemeSpec) -> None:
    found = {name: in_256(color) for name, color in tokens(theme, has_256=True).items()}
    made = tokens(theme, has_256=True)
    message = Color.parse(made["background"]) + Color.parse(made["foreground"]).with_alpha(0.05)
    on = [*(found[name] for name in ("background", "surface", "panel", "footer-background")), in_256(message.hex)]
    words = ("foreground", "foreground-muted", "text-muted", "footer-key-foreground", *(f"text-{ink}" for ink in INKS))
    assert {name: ratio for name in words if (ratio := least_contrast(found[name], *on)) < 4.5} == {}
    for text, ground in (
        ("foreground", "primary-muted"),
        ("screen-selection-foreground", "screen-selection-background"),
        ("input-selection-foreground", "input-selection-background"),
        ("block-cursor-foreground", "block-cursor-background"),
    ):
        assert contrast(found[text], found[ground]) >= 4.5, ground
        assert found[ground] not in on, ground


@every_theme
def test_states_stay_apart_on_a_terminal_of_256_colours(theme: ThemeSpec) -> None:
    made = tokens(theme, has_256=True)
    assert len({in_256(made[f"text-{state}"]) for state in STATES}) == len(STATES)
