"""How colours look to eyes, computed apart from the program's own arithmetic: contrast, distance, and what is left for
eyes that do not tell red from green."""

from __future__ import annotations

import math

NEAREST = ("graphite", "paper", "catppuccin-latte", "solarized-dark", "terminal")
"""Themes that stand for all where screens are painted in each: our dark and our light one, the two whose colours are
nearest to what can still be read, and the terminal's own colours. `tests/config/test_contrast.py` looks at all."""


def linear(hex_color: str) -> tuple[float, float, float]:
    """Linear red, green and blue of "#rrggbb", 0 to 1 each."""
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


def gray(hex_color: str) -> str:
    """The colour as a terminal gets it where NO_COLOR is set."""
    r, g, b = (int(hex_color[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + f"{round(0.2126 * r + 0.7152 * g + 0.0722 * b):02x}" * 3


def least_contrast(text: str, *grounds: str) -> float:
    """Of a text on these grounds, in colours and without."""
    return min(min(contrast(text, ground), contrast(gray(text), gray(ground))) for ground in grounds)
