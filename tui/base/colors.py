"""Arithmetic of colours, for what a theme leaves to be derived: mixing, and how well text can be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Rgb = tuple[int, int, int]

READABLE = 4.5
"""The contrast that text needs to be read with ease (WCAG 2, level AA)."""
_SHADES = 50
_LINEAR = [
    value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in (n / 255 for n in range(256))
]
"""Light of a channel by its number."""


def parse(color: str, behind: str = "#000") -> Rgb:
    """Red, green and blue, 0 to 255, of "#rgb", "#rgba", "#rrggbb" or "#rrggbbaa"; what is transparent shows the colour
    `behind` it."""
    digits = color.removeprefix("#")
    pairs = [digit * 2 for digit in digits] if len(digits) <= 4 else [digits[at : at + 2] for at in range(0, 8, 2)]
    red, green, blue, *alpha = (int(pair, 16) for pair in pairs if pair)
    solid = (red, green, blue)
    return _blend(parse(behind), solid, alpha[0] / 255) if alpha else solid


def mix(first: str, second: str, part: float) -> str:
    """ "#rrggbb" that lies between two colours; `part` of it, 0 to 1, is the second one."""
    return "#{:02x}{:02x}{:02x}".format(*_blend(parse(first), parse(second), part))


def contrast(first: Rgb, second: Rgb) -> float:
    """Contrast ratio of WCAG 2: 1 for the same colour to 21 for black on white."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def gray(color: Rgb) -> Rgb:
    """The colour as a terminal without colours gets it (NO_COLOR): the luma of ITU-R BT.709, as Textual takes it."""
    red, green, blue = color
    luma = round(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    return luma, luma, luma


def is_readable(text: Rgb, on: Iterable[Rgb]) -> bool:
    """Whether text of that colour can be read on all these backgrounds, also without colours."""
    return all(contrast(text, ground) >= READABLE and contrast(gray(text), gray(ground)) >= READABLE for ground in on)


def legible(color: str, on: Sequence[Rgb]) -> str:
    """The colour itself where it can be read on all these backgrounds, else the nearest brighter or darker shade of it
    that can; white or black where none can."""
    away = "#ffffff" if contrast((255, 255, 255), on[0]) > contrast((0, 0, 0), on[0]) else "#000000"
    shades = (mix(color, away, step / _SHADES) for step in range(_SHADES + 1))
    return next((shade for shade in shades if is_readable(parse(shade), on)), away)


def readable_on(background: Rgb, *wanted: str) -> str:
    """The first of the colours that can be read on it, or the one of them, black and white that can be read best."""
    for color in wanted:
        if contrast(parse(color), background) >= READABLE:
            return color
    return max((*wanted, "#000000", "#ffffff"), key=lambda color: contrast(parse(color), background))


def _blend(first: Rgb, second: Rgb, part: float) -> Rgb:
    red, green, blue = (round(one + (other - one) * part) for one, other in zip(first, second, strict=True))
    return red, green, blue


def _luminance(color: Rgb) -> float:
    red, green, blue = color
    return 0.2126 * _LINEAR[red] + 0.7152 * _LINEAR[green] + 0.0722 * _LINEAR[blue]
