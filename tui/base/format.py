"""How facts are written for people: parameters, sizes, token counts, speeds, durations, paths. Every screen and table
uses these, so that one figure never appears in two ways."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from pathlib import Path

from tui.words import tr

_THOUSANDS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))
_BINARY = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def params(n: float) -> str:
    """Parameters with three digits at most: 30.5e9 is "30.5B", 235e9 "235B", 596e6 "596M"."""
    # A figure that rounds up to a thousand belongs to the next unit: 999.6e6 is 1.0B, not 1000M.
    unit, letter = next(((u, x) for u, x in _THOUSANDS if n >= u * 0.9995), (1, ""))
    value = n / unit
    return f"{value:.0f}{letter}" if value >= 99.95 or unit == 1 else f"{value:.1f}{letter}"


def size(n_bytes: float) -> str:
    """Bytes in binary units with one digit behind the point: "13.5 GiB", "812 B"."""
    unit, name = next(((u, x) for u, x in _BINARY if n_bytes >= u * 0.99995), (1, "B"))
    return f"{n_bytes / unit:.1f} {name}" if unit > 1 else f"{n_bytes:.0f} B"


def tokens(n: int) -> str:
    """A context size the way that people name it: 40960 is "40k", 1048576 "1M", 512 "512"."""
    if n >= 1 << 20:
        return f"{n / (1 << 20):.3g}M"
    return f"{n >> 10}k" if n >= 1 << 10 else str(n)


def n_params(total: int, active: int) -> str:
    """Parameters of a model, with those used for each token where they are fewer: "30.5B (3.3B)", "8.2B"."""
    return params(total) if active >= total else f"{params(total)} ({params(active)})"


def experts(total: int, active: int, n_expert: int, n_expert_used: int) -> str:
    """One line about the size: "30.5B · 3.3B active · 128 experts, 8 used", or "8.2B" without experts."""
    if not n_expert:
        return params(total)
    return tr(
        "{total} · {active} active · {n_expert} experts, {n_used} used",
        total=params(total),
        active=params(active),
        n_expert=n_expert,
        n_used=n_expert_used,
    )


def speed(tps: float) -> str:
    """Tokens per second in five characters at most, "4.10", "31.4", "1,204", "12.3k"; "–" when unknown."""
    if tps <= 0:
        return "–"
    if tps >= 9_999.5:
        value, unit = (tps / 10**6, "M") if tps >= 999_500 else (tps / 1000, "k")
        return f"{value:,.0f}{unit}" if value >= 99.95 else f"{value:.1f}{unit}"
    return f"{tps:.2f}" if tps < 9.995 else f"{tps:.1f}" if tps < 999.95 else f"{tps:,.0f}"


def speed_digits(tps: float) -> int:
    """Digits behind the point of a speed that is written in full."""
    return 2 if tps < 9.995 else 1 if tps < 999.95 else 0


def full_speed(tps: float, digits: int | None = None) -> str:
    """As `speed`, never shortened ("12,345"): for tables and charts of what was measured. `digits` behind the point
    where all figures of a table are to have as many. Also of the deviation of a speed, which may be zero."""
    if digits is None:
        digits = speed_digits(tps)
    return f"{tps:.2e}" if tps >= 1e7 else f"{tps:,.{digits}f}"


def backend(devices: Sequence[str]) -> str:
    """Where a model is, by llama.cpp's names of the `devices` that have layers: "Vulkan0", "CUDA0+CUDA1", "CPU" for
    none."""
    return "+".join(devices) or "CPU"


def place(devices: Sequence[str], n_gpu_layers: int, n_layers: int) -> str:
    """The same with how many layers are there: "Vulkan0 41/65", "CPU"."""
    return f"{backend(devices)} {n_gpu_layers}/{n_layers}" if devices else backend(())


def duration(seconds: float) -> str:
    """A duration that was measured: "0.62 s", "12.3 s", "4 min 05 s"."""
    if seconds < 100:
        return tr("{seconds} s", seconds=f"{seconds:.2f}" if seconds < 1 else f"{seconds:.1f}")
    minutes, rest = divmod(int(seconds), 60)
    return tr("{minutes} min {seconds} s", minutes=minutes, seconds=f"{rest:02d}")


def about(seconds: float) -> str:
    """A duration that was computed and not measured, with no more digits than it deserves: "0.2 s", "20 s", "12 min",
    "3.5 h"."""
    if seconds < 99.5:
        whole = seconds >= 0.95 or seconds <= 0
        return tr("{seconds} s", seconds=f"{seconds:.0f}" if whole else f"{max(seconds, 0.1):.1f}")
    if seconds < 99.5 * 60:
        return tr("{minutes} min", minutes=f"{seconds / 60:.0f}")
    return tr("{hours} h", hours=f"{seconds / 3600:.1f}")


def path(file: Path) -> str:
    """A path with "~" for the home folder."""
    home, text = str(Path.home()), str(file)
    return f"~{text.removeprefix(home)}" if text.startswith(f"{home}/") else text


def sentences(*parts: str) -> str:
    """Whole sentences one after the other, as the language puts them; empty ones are left out."""
    found = [part for part in parts if part]
    return reduce(lambda first, second: tr("{first} {second}", first=first, second=second), found) if found else ""


def listed(*parts: str) -> str:
    """Things in a row, as the language puts them: "a, b, c"."""
    return reduce(lambda first, second: tr("{first}, {second}", first=first, second=second), parts) if parts else ""
