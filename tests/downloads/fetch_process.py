"""A process that fetches, to be killed: `python -m tests.downloads.fetch_process URL ORDER.json`."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from tests.downloads.ordering import EAGER
from tui.downloads.fetching import fetch
from tui.downloads.records import Order
from tui.hubs.records import Location


def main() -> None:
    """Fetch, from a hub at this address."""
    hub, order = sys.argv[1], msgspec.json.decode(Path(sys.argv[2]).read_bytes(), type=Order)
    fetch(
        order,
        lambda _: None,
        lambda: False,
        locate=lambda order, file: Location(url=f"{hub}/{order.repo.name}/resolve/{order.commit}/{file.path}"),
        effort=EAGER,
    )


if __name__ == "__main__":
    main()
