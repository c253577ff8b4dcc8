"""Themes as Textual wants them: registering them, and noticing that their files have changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.color import Color
from rich.color import ColorSystem as RichSystem
from textual.app import App
from textual.design import ColorSystem
from textual.theme import Theme

from tui.base.colors import Rgb
from tui.config import paths
from tui.config.fixed_colors import in_palette
from tui.config.problems import ConfigProblem
from tui.config.settings import Settings
from tui.config.themes import COLORS, FEW_COLORS, Fingerprint, ThemeSpec, fingerprint, load_themes, terminal_is_light


class DerivedTheme(Theme):
    """A theme of ours. Of all that there are, one or two are used: what a theme leaves open is derived only then."""

    def __init__(self, spec: ThemeSpec, *, has_256: bool = False) -> None:
        """`has_256` for a terminal that has 256 fixed colours and no others."""
        super().__init__(**spec.textual_colors())  # type: ignore[arg-type]
        self._spec, self._has_256 = spec, has_256 and not spec.ansi

    def to_color_system(self) -> ColorSystem:
        """The colours that Textual asks for first when the theme is used."""
        if not self.variables:
            self.variables = self._spec.textual_variables()
            if self._has_256:
                colors = {name: getattr(self._spec, name) for name in COLORS}
                fixed, self.variables = in_palette(colors, self.variables, _palette(), _in_256)
                for name, color in fixed.items():
                    setattr(self, name, color)
        return super().to_color_system()


def _in_256(color: Rgb) -> Rgb:
    """What Rich sends to a terminal of 256 colours."""
    shown = Color.from_rgb(*color).downgrade(RichSystem.EIGHT_BIT).get_truecolor()
    return shown.red, shown.green, shown.blue


def _palette() -> dict[Rgb, Rgb]:
    """The colours of such a terminal, and what Rich makes each of. The first 16 are the terminal's own, of which nobody
    knows the look; the upper grays do not come out as they are."""
    numbered = (Color.from_ansi(number).get_truecolor() for number in range(16, 256))
    asked = [(color.red, color.green, color.blue) for color in numbered]
    asked += [(gray, gray, gray) for gray in range(256)]
    return {_in_256(color): color for color in asked}


class ThemeFolder:
    """The built-in and the user's themes, kept in step with the app's."""

    def __init__(self) -> None:
        self._folders = (paths.builtin_themes_dir(), paths.user_themes_dir())
        self._seen: Fingerprint | None = None
        self.specs: dict[str, ThemeSpec] = {}

    def read(self) -> list[ConfigProblem]:
        """Read all theme files; what is wrong with some of them."""
        self._seen = fingerprint(self._folders)
        self.specs, problems = load_themes(*self._folders)
        return problems

    def has_changed(self) -> bool:
        """Whether a file was added, changed or taken away since `read`."""
        return fingerprint(self._folders) != self._seen


def usual_theme(settings: Settings, environ: Mapping[str, str], color_system: str | None) -> str:
    """The theme until one is chosen: the settings' for a terminal such as this one, whose colours are, in Rich's words,
    of this `color_system`. Where it has only sixteen, shades come out as neighbours, so its own are used, unless the
    user's file names a theme."""
    if color_system == "standard" and "ui.theme" not in settings.written:
        return FEW_COLORS
    if settings.ui.theme_light and terminal_is_light(environ):
        return settings.ui.theme_light
    return settings.ui.theme


def register(app: App[Any], specs: Mapping[str, ThemeSpec]) -> None:
    """Make our themes, and only ours, the app's."""
    for spec in specs.values():
        app.register_theme(DerivedTheme(spec, has_256=app.console.color_system == "256"))
    forget_others(app, specs)


def forget_others(app: App[Any], specs: Mapping[str, ThemeSpec]) -> None:
    """Take themes that are not ours away, but for the one that the app has now."""
    for name in set(app.available_themes) - set(specs) - {app.theme}:
        app.unregister_theme(name)
