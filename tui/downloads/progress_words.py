"""How far a download is, in words and figures that the app and the command line share."""

from __future__ import annotations

from tui.base import format
from tui.base.text import one_line
from tui.downloads.records import Download, Order
from tui.words import tr


def order_name(order: Order) -> str:
    """What a download is called: "Qwen3-4B · Q4_K_M"."""
    name = order.repo.name.rpartition("/")[2]
    for ending in ("-GGUF", "-gguf"):
        name = name.removesuffix(ending)
    return one_line(f"{name} · {order.label}")


def share_of(download: Download) -> float:
    """How much of it is there, from 0 to 1."""
    whole = download.order.size_bytes
    return min(1.0, download.n_bytes / whole) if whole else 0.0


def percent(part: float) -> str:
    """ "43%"; never "100%" of what is not whole."""
    return f"{int(part * 100)}%"


def per_second(n_bytes: float) -> str:
    """ "12.3 MiB/s"."""
    return f"{format.size(n_bytes)}/s"


def figures(download: Download) -> tuple[str, ...]:
    """What a line tells of a download that is worked on, the most important first: "43%", "12.3 MiB/s",
    "2 min left"."""
    told = [percent(share_of(download))]
    if download.state == "checking":
        return (*told, tr("checking"))
    if download.bytes_per_s:
        told.append(per_second(download.bytes_per_s))
    if (left := download.seconds_left) is not None:
        told.append(tr("{time} left", time=format.about(left)))
    return tuple(told)
