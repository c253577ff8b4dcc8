"""The model gives a conversation its title where the session is: in the background."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import until
from tests.host.remote import front
from tests.tape import CHATML, IM, Tape, build
from tui.session import events


async def test_a_session_in_the_background_makes_one_and_its_screens_hear_of_it(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    build(model, [Tape("assistant\n", ["Hello", " there!", "<|im_end|>"])], control=IM, eos=IM[1], template=CHATML)
    async with front(ends=True, settings="[chat]\ntitles = true\n") as one:
        await one.load(model)
        await one.ask("hello")
        id_ = one.session.conversation.id
        await until(lambda: one.session.conversation.title == "Hello there")
        assert (await one.store.open(id_)).title == "Hello there"
        assert not one.heard(events.OtherWindowWrote)
        one.session.configure(title="Mine")
        await one.ask("hello")
        assert (await one.store.open(id_)).title == "Mine"
