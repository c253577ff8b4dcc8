"""What a load was planned to take beside what it took: by llama.cpp's own books place by place, and as the system
counts the engine's process and the devices. Figures and their names, in the language in use; no screen."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tui.planning.formula import Cost, MemoryPlan
from tui.planning.placement import HOST
from tui.planning.taken import taken
from tui.protocol.messages import Loaded
from tui.protocol.records import Placed
from tui.words import mark, tr


class ReportLine(msgspec.Struct, frozen=True, kw_only=True):
    """One purpose in one place, in bytes."""

    place: str
    """ "RAM", a device's name, or `SYSTEM`."""
    purpose: str
    planned_bytes: int | None = None
    """None where nothing was planned."""
    actual_bytes: int

    @property
    def difference_bytes(self) -> int | None:
        """Above zero where more was taken than planned."""
        return None if self.planned_bytes is None else self.actual_bytes - self.planned_bytes


SYSTEM = mark("As the system counts")
PRIVATE = mark("the engine's own memory")
FILES = mark("pages of mapped files")


def report(plan: MemoryPlan, loaded: Loaded) -> tuple[ReportLine, ...]:
    """Line by line; what is neither planned nor taken is left out."""
    lines = [*_by_the_books(plan, loaded), *_as_the_system_counts(plan, loaded)]
    return tuple(line for line in lines if line.planned_bytes or line.actual_bytes)


def private_bytes(plan: MemoryPlan) -> int:
    """What a plan asks of the host beside the pages of the file."""
    return plan.host.total_bytes - plan.host.mapped_bytes


def _by_the_books(plan: MemoryPlan, loaded: Loaded) -> Iterator[ReportLine]:
    found = taken(loaded, [cost.device for cost in plan.devices])
    for cost in (plan.host, *plan.devices):
        actual = found.get(cost.device, Placed(device=cost.device))
        place = "RAM" if cost.device == HOST else cost.device
        for purpose, planned_bytes, actual_bytes in _purposes(cost, actual):
            yield ReportLine(place=place, purpose=purpose, planned_bytes=planned_bytes, actual_bytes=actual_bytes)


def _purposes(cost: Cost, actual: Placed) -> Iterator[tuple[str, int, int]]:
    if cost.device == HOST:
        yield tr("weights, as they are in the file"), cost.mapped_bytes, actual.mapped_bytes
        yield tr("weights, repacked for the CPU"), cost.repacked_bytes, actual.repacked_bytes
    other = cost.weights_bytes - cost.mapped_bytes - cost.repacked_bytes
    yield tr("weights"), other, actual.weights_bytes - actual.mapped_bytes - actual.repacked_bytes
    yield tr("KV cache"), cost.kv_bytes, actual.kv_bytes
    yield tr("compute buffers, logits"), cost.compute_bytes, actual.compute_bytes + actual.output_bytes


def _as_the_system_counts(plan: MemoryPlan, loaded: Loaded) -> Iterator[ReportLine]:
    found = loaded.llama.footprint
    if found is None:
        return
    before, after = found.before, found.after
    yield ReportLine(
        place=tr(SYSTEM),
        purpose=tr(PRIVATE),
        # What a driver pins for a GPU is the host's memory too, and not counted as the process's own.
        planned_bytes=None if plan.devices else private_bytes(plan),
        actual_bytes=after.resident_bytes - before.resident_bytes,
    )
    yield ReportLine(place=tr(SYSTEM), purpose=tr(FILES), actual_bytes=after.file_bytes - before.file_bytes)
    for cost in plan.devices:
        taken = found.device_free_before.get(cost.device, 0) - found.device_free_after.get(cost.device, 0)
        if taken:  # some drivers do not tell
            yield ReportLine(
                place=tr(SYSTEM),
                purpose=tr("{device}, no longer free", device=cost.device),
                planned_bytes=cost.total_bytes,
                actual_bytes=taken,
            )
