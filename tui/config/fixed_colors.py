"""A theme on a terminal that has a palette of fixed colours, 256 of them usually. Each colour becomes the nearest of
the palette with which what it is for can be read or seen: taken one by one, text and ground often come out as
neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from tui.base.colors import Rgb, contrast, is_readable, mix, parse
from tui.config.shades import MESSAGE_PART, SEEN

_GROUNDS = ("background", "surface", "panel")
_LIT = ("primary-muted", "block-cursor-blurred-background", "screen-selection-background", "input-selection-background")
"""Grounds of what is selected or highlighted."""
_WORDS = ("foreground-muted", "footer-key-foreground")


def in_palette(
    colors: Mapping[str, str], variables: Mapping[str, str], palette: Mapping[Rgb, Rgb], shown: Callable[[Rgb], Rgb]
) -> tuple[dict[str, str], dict[str, str]]:
    """The `colors` of a theme, "#rgb" or "#rrggbb", and its `variables`, in colours that come out as one of the
    `palette`, which has for each what to ask for. `shown` says what comes out of any colour."""

    def asked(color: Rgb) -> str:
        return "#{:02x}{:02x}{:02x}".format(*palette[color])

    grounds = {name: _nearest(parse(colors[name]), palette) for name in _GROUNDS}
    on = list(grounds.values())
    text = _nearest(parse(colors["foreground"]), palette, lambda color: is_readable(color, on))
    fixed = {name: asked(color) for name, color in (*grounds.items(), ("foreground", text))}
    on.append(shown(parse(mix(fixed["background"], fixed["foreground"], MESSAGE_PART))))

    def is_lit(ground: Rgb) -> bool:
        return is_readable(text, [ground]) and all(contrast(ground, around) >= SEEN for around in on)

    made = dict(variables)
    for name, value in variables.items():
        if not value.startswith("#"):
            continue
        color = parse(value, fixed["background"])
        if name.startswith("text-") or name in _WORDS:
            made[name] = asked(_nearest(color, palette, lambda one: is_readable(one, on)))
        elif name in _LIT:
            made[name] = asked(_nearest(color, palette, is_lit, lambda one: is_readable(text, [one]) and one not in on))
    for place in ("screen", "input"):
        made[f"{place}-selection-foreground"] = fixed["foreground"]
    made |= {
        "footer-background": fixed["panel"],
        "block-cursor-background": made["text-primary"],
        "block-cursor-foreground": fixed["background"],
    }
    return fixed, made


def _nearest(color: Rgb, palette: Iterable[Rgb], *wanted: Callable[[Rgb], bool]) -> Rgb:
    """The nearest that is as the first of the wishes says, or, where none is, as the next one."""
    every = list(palette)
    good = next((found for wish in wanted if (found := [one for one in every if wish(one)])), every)
    return min(good, key=lambda one: _distance(color, one))


def _distance(first: Rgb, second: Rgb) -> float:
    """How unlike two colours look, roughly: by their lightness, and by their hue, so that what is nearly gray does not
    turn pink."""
    red, green, blue = (one - other for one, other in zip(first, second, strict=True))
    return (2 * red + 5 * green + blue) ** 2 / 16 + (red - green) ** 2 + (blue - (red + green) / 2) ** 2
