"""What the app says when memory runs out while it runs: a warning in time, and what was swapped, in the footer."""

from __future__ import annotations

import pytest

from tests.app.conftest import StartApp
from tests.app.test_guardrail import told
from tui.machine.figures import MEMORY_PRESSURE
from tui.machine.host import HostReader
from tui.machine.readings import HostSample

GIB, MIB = 1 << 30, 1 << 20


async def test_the_footer_says_how_much_was_swapped_and_keeps_it(start: StartApp) -> None:
    async with start() as person:
        swap = iter((GIB, GIB + 120 * MIB, GIB, GIB))
        person.app.controller.monitoring.swap_used = lambda: next(swap)  # type: ignore[method-assign]
        await person.ask("hello")
        await person.wait_for(lambda: "complete · swapped 120.0 MiB" in person.screen_text())
        await person.ask("ping")
        assert [turn.swapped_bytes for turn in person.turns if turn.role == "assistant"] == [120 * MIB, 0]
    async with start(continue_last=True) as person:
        await person.wait_for(lambda: "complete · swapped 120.0 MiB" in person.screen_text())


async def test_a_shortage_is_told_once_while_it_lasts(start: StartApp, monkeypatch: pytest.MonkeyPatch) -> None:
    n_reads = 0
    short = HostSample(time=0, ram_total_bytes=16 * GIB, ram_available_bytes=2 * GIB, figures={MEMORY_PRESSURE: 35.0})

    def read(_: HostReader) -> HostSample:
        nonlocal n_reads
        n_reads += 1
        return short

    monkeypatch.setattr(HostReader, "read", read)
    async with start() as person:
        await person.wait_for(lambda: "Memory is running out" in told(person))
        n_reads = 0
        await person.wait_for(lambda: n_reads > 1)
        assert told(person).count("Memory is running out. Only 2.0 GiB of 16.0 GiB are available") == 1
        assert "35% of the last 10 s" in told(person)


async def test_swap_is_really_read(start: StartApp) -> None:
    async with start() as person:
        now = person.app.controller.monitoring.swap_used()
        assert now is None or now >= 0
