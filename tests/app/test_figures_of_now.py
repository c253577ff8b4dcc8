"""The sidebar shows nothing of a model or conversation that is not there any more."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from tests.app.conftest import Person, StartApp
from tests.conftest import DENSE, MOE
from tui.app.widgets.sidebar import Sidebar
from tui.session.events import LoadFailed
from tui.session.loads import LoadRequest


def rows(person: Person) -> dict[str, str]:
    """Rows of the sidebar by their first word."""
    return {row.split()[0]: " ".join(row.split()) for row in person.app.main.query_one(Sidebar).rows_as_text if row}


async def answered(person: Person) -> None:
    """Figures of an answer are there."""
    await person.ask("Count to 20")
    await person.wait_for(lambda: "ttft" in rows(person).get("prefill", "") and "SPEED –" not in rows(person)["SPEED"])
    assert rows(person)["CONTEXT"] != "CONTEXT 0 / 1,024"


def assert_nothing_was_measured(person: Person) -> None:
    assert rows(person)["SPEED"] == "SPEED – tok/s" and not {"prefill", "min", "answer"} & set(rows(person))
    assert not any(person.app.controller.speed.now.history)


async def test_a_new_conversation_begins_with_no_figures(start: StartApp) -> None:
    async with start() as person:
        await answered(person)
        await person.press("ctrl+n")
        await person.wait_for(lambda: not person.turns)
        await person.wait_for(lambda: rows(person).get("CONTEXT") == "CONTEXT 0 / 1,024")
        assert_nothing_was_measured(person)


async def test_a_sidebar_that_comes_back_shows_the_figures_of_now_at_once(start: StartApp) -> None:
    async with start() as person:
        await person.press("f4")
        await person.ask("Count to 20")
        monitoring = person.app.controller.monitoring
        await monitoring.read()
        monitoring.close()
        await person.press("f4")
        await person.wait_for(lambda: "ttft" in rows(person).get("prefill", ""))


async def test_while_another_model_loads_and_then_nothing_of_the_one_before_is_shown(start: StartApp) -> None:
    async with start() as person:
        await answered(person)
        controller = person.app.controller
        os.kill(person.engine_pid, signal.SIGSTOP)
        controller.load(LoadRequest(path=MOE, choice=controller.model.choice))
        await person.wait_for(lambda: person.phase == "loading")
        await person.wait_for(lambda: not {"CONTEXT", "MODEL"} & set(rows(person)))
        assert_nothing_was_measured(person)
        os.kill(person.engine_pid, signal.SIGCONT)
        await person.wait_until_ready()
        assert_nothing_was_measured(person)
        await person.wait_for(lambda: "/ 1,024" in rows(person).get("CONTEXT", "") and "MODEL" in rows(person))


async def test_after_a_load_that_was_refused_the_context_is_that_of_the_model_that_stays(
    start: StartApp, home: Path
) -> None:
    async with start() as person:
        await answered(person)
        before = rows(person)["CONTEXT"]
        controller = person.app.controller
        failed = asyncio.Event()
        person.at_the_first(LoadFailed, failed.set)
        controller.load(LoadRequest(path=home / "nowhere.gguf", choice=controller.model.choice))
        await person.wait_for(failed.is_set)
        await person.wait_until_ready()
        assert person.loaded.path == str(DENSE)
        await person.wait_for(lambda: rows(person).get("CONTEXT") == before)


async def test_without_a_model_there_are_no_figures_of_one(start: StartApp) -> None:
    async with start() as person:
        await answered(person)
        await person.app.run_action("screen.unload_model")
        await person.wait_for(lambda: person.phase == "no_model")
        await person.wait_for(lambda: not {"CONTEXT", "MODEL"} & set(rows(person)))
        assert_nothing_was_measured(person)
