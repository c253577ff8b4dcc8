"""Token probabilities of an answer: kept where the settings ask for it, shown by a key, walked with keys and mouse."""

from __future__ import annotations

from tests.app.conftest import StartApp
from tests.app.dialogs import KEYS, opened
from tui.app.screens.odds import OddsScreen
from tui.protocol.records import TokenOdds

TOKENS = (
    TokenOdds(text="Hm", p=0.9, is_thought=True),
    TokenOdds(text="The", p=0.75, others=(("The", 0.75), ("A", 0.2))),
    TokenOdds(text=" 天", p=0.3, others=((" sky", 0.6), (" 天", 0.3), ("\n", 0.0001))),
    TokenOdds(text="\n\n", p=1.0, others=(("\n\n", 1.0),)),
    TokenOdds(text="[red]\x1b", p=0.05, others=(("[red]\x1b", 0.05),)),
)


async def test_an_answer_shows_its_probabilities_where_they_were_kept(start: StartApp) -> None:
    async with start(more_settings="[chat]\nalternatives = 4\n") as person:
        assert await person.ask("hello")
        await person.press("alt+up", "p")
        await person.wait_for(lambda: "Hello! I am Tiny Qwen" in person.screen_text() and "✓ “" in person.screen_text())
        await person.press("end")
        await person.wait_for(lambda: "“<|im_end|>”" in person.screen_text())


async def test_without_the_setting_nothing_is_kept_and_that_is_told(start: StartApp) -> None:
    async with start(temperature=0.0) as person:
        assert await person.ask("hello")
        await person.press("alt+up", "p")
        await person.wait_for(lambda: "alternatives = 10" in person.told)


async def test_keys_and_the_mouse_walk_from_token_to_token() -> None:
    for size in ((80, 24), (40, 12)):
        async with opened(OddsScreen(TOKENS, KEYS), size) as stage:
            board = stage.dialog.board  # type: ignore[attr-defined]
            await stage.shows("token 2 of 5", "“A”", "75.0%")
            assert board.at == 1
            await stage.press("right")
            await stage.shows("“ sky”", "60.0%", "<0.1%", "“↵”")
            await stage.press("n")
            await stage.shows("token 5 of 5")
            assert "\x1b" not in stage.text and "[red]" in stage.text
            await stage.press("N")
            assert board.at == 2
            await stage.press("home")
            await stage.shows("thought")
            await stage.pilot.click(board, offset=(3, 0))
            assert board.at == 1
            await stage.press("escape")
            assert await stage.closes() is None
