"""A theme on a terminal that has a palette of fixed colours, 256 of them usually. Each colour becomes the nearest of
the palette with which what it is for can be read or seen: taken one by one, text and ground often come out as
neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tui.base.colors import Rgb, contrast, is_readable, mix, parse, readable_on
from tui.config.shades import MESSAGE_PART, SEEN

_GROUNDS = ("background", "surface", "panel")
_LIT = ("primary-muted", "block-cursor-blurred-background", "screen-selection-background", "input-selection-background")
"""Grounds of what is selected or highlighted."""
_WORDS = ("foreground-muted", "footer-key-foreground")


def in_palette(
    colors: Mapping[str, str], variables: Mapping[str, str], palette: Sequence[Rgb], shown: Callable[[Rgb], Rgb]
) -> tuple[dict[str, str], dict[str, str]]:
    """The `colors` of a theme, "#rgb" or "#rrggbb", and its `variables` in colours of the `palette`. `shown` says what
    the terminal makes of a colour that is not in it, and leaves those that are as they are."""
    fixed = {name: _hex(_nearest(parse(colors[name]), palette)) for name in _GROUNDS}
    on = [parse(color) for color in fixed.values()]
    foreground = _nearest(parse(colors["foreground"]), palette, lambda color: is_readable(color, on))
    fixed["foreground"] = _hex(foreground)
    on.append(shown(parse(mix(fixed["background"], fixed["foreground"], MESSAGE_PART))))
    made = dict(variables)
    for name, value in variables.items():
        if not value.startswith("#"):
            continue
        color = parse(value, fixed["background"])
        if name.startswith("text-") or name in _WORDS:
            made[name] = _hex(_nearest(color, palette, lambda one: is_readable(one, on)))
        elif name in _LIT:
            made[name] = _hex(_nearest(color, palette, lambda one: _is_lit(one, foreground, on)))
    for place in ("screen", "input"):
        behind = parse(made[f"{place}-selection-background"])
        made[f"{place}-selection-foreground"] = readable_on(behind, fixed["foreground"], fixed["background"])
    made |= {"block-cursor-background": made["text-primary"], "block-cursor-foreground": fixed["background"]}
    return fixed, made


def _is_lit(ground: Rgb, text: Rgb, around: Sequence[Rgb]) -> bool:
    return is_readable(text, [ground]) and all(contrast(ground, other) >= SEEN for other in around)


def _nearest(color: Rgb, palette: Sequence[Rgb], is_good: Callable[[Rgb], bool] = lambda _: True) -> Rgb:
    """The nearest that is good; where none is, the nearest of all."""
    return min([one for one in palette if is_good(one)] or palette, key=lambda one: _distance(color, one))


def _distance(first: Rgb, second: Rgb) -> int:
    """How unlike two colours look, roughly; channels weigh as eyes see them."""
    red, green, blue = ((one - other) ** 2 for one, other in zip(first, second, strict=True))
    return 3 * red + 6 * green + blue


def _hex(color: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
