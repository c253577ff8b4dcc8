"""Turns with a shared engine: who comes first is first, and who gives up holds up nobody."""

from __future__ import annotations

import asyncio

from tui.engines.turns import Turn, Turns


async def test_turns_come_in_order_and_who_gives_up_loses_the_place() -> None:
    turns, order, told = Turns(), list[str](), list[tuple[str, int]]()
    ends = {name: asyncio.Event() for name in "abcd"}

    async def have(name: str, turn: Turn) -> None:
        turn.on_wait = lambda n_before: told.append((name, n_before))
        async with turn.taken():
            order.append(name)
            await ends[name].wait()

    tasks = {}
    for name in "abcd":
        tasks[name] = asyncio.create_task(have(name, Turn(turns)))
        await asyncio.sleep(0)
    assert order == ["a"] and told == [("b", 1), ("c", 2), ("d", 3)]
    tasks["b"].cancel()
    await asyncio.wait([tasks["b"]])
    assert told[3:] == [("c", 1), ("d", 2)]
    ends["a"].set()
    await asyncio.wait([tasks["a"]])
    await asyncio.sleep(0)
    assert order == ["a", "c"] and told[5:] == [("c", 0), ("d", 1)]
    ends["c"].set()
    ends["d"].set()
    await asyncio.gather(tasks["c"], tasks["d"])
    assert order == ["a", "c", "d"] and turns.holder is None


async def test_who_has_a_turn_may_take_it_again_and_keeps_it_until_all_of_that_is_over() -> None:
    turns = Turns()
    mine, other = Turn(turns), Turn(turns)
    async with mine.taken():
        async with mine.taken():
            waiting = asyncio.create_task(other.taken().__aenter__())
            await asyncio.sleep(0)
            assert other.is_waiting and other.n_before == 1 and other.must_wait
        assert mine.is_held and other.is_waiting
    await waiting
    assert other.is_held and not mine.is_held
