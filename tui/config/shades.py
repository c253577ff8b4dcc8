"""What a theme leaves open, derived from its ten colours: text that can be read wherever it stands, grounds that can be
told from what is around them, and the quiet colours of borders and scroll bars. Knows the names of Textual's variables
and nothing else of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tui.base.colors import Rgb, contrast, is_readable, legible, mix, parse, readable_on

SEEN = 1.3
"""The contrast that a ground has at least to what is around it."""
INKS = ("primary", "secondary", "accent", "success", "warning", "error")
"""Colours that text is written in, each as "text-…"."""

MESSAGE_PART = 0.05
"""How much of the foreground is in the background of a person's messages (`transcript_view.py`)."""
_STEPS = 50


def grounds(colors: Mapping[str, str]) -> list[Rgb]:
    """What text stands on where nothing is selected."""
    message = mix(colors["background"], colors["foreground"], MESSAGE_PART)
    return [parse(color) for color in (*(colors[name] for name in ("background", "surface", "panel")), message)]


def derive(colors: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """The variables of Textual's style sheets for the ten `colors` of a theme, "#rgb" or "#rrggbb" each. Those that the
    theme has `given` itself are among them as they are; others that depend on them follow them."""
    background, foreground, primary = colors["background"], colors["foreground"], colors["primary"]
    on = grounds(colors)
    inks = {name: given.get(f"text-{name}", legible(colors[name], on)) for name in INKS}
    quiet = _quiet(foreground, background, on)
    line, lit_line = mix(background, foreground, 0.28), mix(background, foreground, 0.45)
    cursor = _ground(background, primary, 0.28, on, parse(foreground))
    derived = {
        **{f"text-{name}": color for name, color in inks.items()},
        "foreground-muted": quiet,
        "foreground-disabled": mix(background, foreground, 0.3),
        "text-muted": quiet,
        "text-disabled": quiet,
        "primary-muted": cursor,
        "block-cursor-background": inks["primary"],
        "block-cursor-foreground": background,
        "block-cursor-blurred-background": cursor,
        "border": primary,
        "border-blurred": line,
        "footer-background": colors["panel"],
        "footer-key-foreground": inks["accent"],
        "scrollbar": line,
        "scrollbar-hover": lit_line,
        "scrollbar-active": primary,
        **dict.fromkeys(
            (
                "scrollbar-background", "scrollbar-background-hover", "scrollbar-background-active",
                "scrollbar-corner-color",
            ),
            background,
        ),
    }  # fmt: skip
    return derived | _selection(colors, given, on) | dict(given)


def _selection(colors: Mapping[str, str], given: Mapping[str, str], on: Sequence[Rgb]) -> dict[str, str]:
    """Colours of what is selected: text that can be read on a background that differs from what is around it."""
    background, foreground = colors["background"], colors["foreground"]
    derived: dict[str, str] = {}
    usual = _ground(background, colors["primary"], 0.35, on, parse(foreground))
    for place in ("screen", "input"):
        key = f"{place}-selection-background"
        behind = given.get(key) or given.get("input-selection-background") or usual
        text = readable_on(parse(behind, background), foreground, background)
        derived |= {key: behind, f"{place}-selection-foreground": text}
    return derived


def _quiet(foreground: str, background: str, on: Sequence[Rgb]) -> str:
    """The foreground, as near to the background as it can be and still be read, but no nearer than two fifths."""
    nearer = (mix(foreground, background, 0.4 * step / _STEPS) for step in range(_STEPS, 0, -1))
    return next((color for color in nearer if is_readable(parse(color), on)), foreground)


def _ground(background: str, tint: str, least: float, on: Sequence[Rgb], text: Rgb) -> str:
    """The background with the part `least` of a tint in it, or as much more as makes it seen on all of `on`. Where text
    could not be read on that, as much as leaves it readable."""
    first = round(least * _STEPS)
    for step in range(first, _STEPS + 1):
        color = mix(background, tint, step / _STEPS)
        if not is_readable(text, [parse(color)]):
            break
        if all(contrast(parse(color), around) >= SEEN for around in on):
            return color
    less = (mix(background, tint, part / _STEPS) for part in range(step - 1, 0, -1))
    return next((color for color in less if is_readable(text, [parse(color)])), mix(background, tint, least))
