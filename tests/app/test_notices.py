"""Notices: one at a time, and never over what is typed, a dialog or its buttons, at any size."""

from __future__ import annotations

from textual.geometry import Region
from textual.widget import Widget
from textual.widgets import Button
from textual.widgets._toast import Toast

from tests.app.conftest import Person, StartApp
from tests.patience import PATIENCE_S
from tui.app.screens.dialog import Dialog
from tui.app.screens.log_view import LogScreen
from tui.app.widgets.header import Header
from tui.app.widgets.key_bar import KeyBar
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.sidebar import Sidebar
from tui.app.widgets.status_line import StatusLine

SIZES = ((40, 12), (40, 24), (80, 24), (120, 40))
DIALOGS = ("screen.rename", "screen.load_settings", "screen.pick_model", "screen.system_prompt", "log_view")
LONG = "The conversation was written by another llmtui meanwhile, and what that one wrote is shown here now. " * 3


async def shows(person: Person, *words: str) -> Toast:
    """The one notice that is shown, as soon as it says this."""
    screen = person.app.screen
    await person.wait_for(lambda: [w for w in screen.query(Toast) if all(word in str(w.render()) for word in words)])
    (toast,) = screen.query(Toast)
    return toast


def seen(toast: Toast) -> Region:
    """The cells that it has on the terminal."""
    region, clip = toast.screen._compositor.visible_widgets[toast]
    return region.intersection(clip)


def covered(toast: Toast, *kinds: type[Widget]) -> list[Widget]:
    """Widgets of these kinds that the notice lies over."""
    others = [widget for kind in kinds for widget in toast.screen.query(kind) if widget.display]
    assert others
    return [widget for widget in others if widget.region.overlaps(seen(toast))]


def tell(person: Person, text: str) -> None:
    """Like the app, but for as long as a test waits: on a busy machine it would be gone before it is looked at."""
    person.app.notify(text, severity="warning", timeout=PATIENCE_S, markup=False)


async def test_a_notice_leaves_the_prompt_alone_however_long_both_are(start: StartApp) -> None:
    async with start() as person:
        await person.type("a line\n" * 30)
        tell(person, LONG)
        for size in SIZES:
            await person.pilot.resize_terminal(*size)
            toast = await shows(person, "another llmtui")
            assert not covered(toast, Header, Prompt, KeyBar, StatusLine, Sidebar), size
            assert seen(toast).height >= min(4, toast.region.height), size


async def test_a_notice_covers_nothing_of_a_dialog(start: StartApp) -> None:
    async with start() as person:
        for dialog in DIALOGS:
            await person.app.run_action(dialog)
            await person.wait_for(lambda: isinstance(person.app.screen, Dialog))
            tell(person, "The model is still loading.")
            for size in SIZES:
                await person.pilot.resize_terminal(*size)
                toast = await shows(person, "still loading")
                frame = person.app.screen.query_one("#frame")
                assert not frame.region.overlaps(seen(toast)), (dialog, size)
                for widget in [*person.app.screen.query(KeyBar), *person.app.screen.query(Button)]:
                    if size[1] >= 24:  # with fewer rows some are scrolled away, notice or not
                        assert frame.region.contains_region(widget.region), (dialog, size, widget)
            person.app.clear_notifications()
            await person.press("escape")
            await person.wait_for(lambda: person.app.screen is person.app.main)


async def test_there_is_one_notice_at_a_time_and_what_it_pushed_aside_comes_back(start: StartApp) -> None:
    async with start() as person:
        person.app.clear_notifications()
        tell(person, "The first one.")
        await shows(person, "first")
        tell(person, "The second one.")
        second = await shows(person, "second")
        assert person.notices == ["The first one.", "The second one."]
        await person.pilot.click(second)
        await shows(person, "first")
        assert person.notices == ["The first one."]


async def test_a_notice_goes_along_when_a_dialog_opens_and_closes(start: StartApp) -> None:
    async with start() as person:
        person.app.clear_notifications()
        tell(person, "It was copied.")
        await shows(person, "copied")
        await person.press("f1")
        await person.wait_for(lambda: isinstance(person.app.screen, Dialog))
        await shows(person, "copied")
        await person.press("escape")
        await person.wait_for(lambda: person.app.screen is person.app.main)
        await shows(person, "copied")


async def test_the_same_words_twice_are_one_notice(start: StartApp) -> None:
    async with start() as person:
        person.app.clear_notifications()
        for _ in range(3):
            tell(person, "There is no answer to copy yet.")
        await shows(person, "no answer")
        assert person.notices == ["There is no answer to copy yet."]


async def test_a_notice_takes_three_rows_at_most_and_a_click_shows_all_of_it(start: StartApp) -> None:
    async with start(size=(80, 24)) as person:
        person.app.clear_notifications()
        tell(person, "It was copied.")
        assert seen(await shows(person, "copied")).height == 1
        tell(person, f"{LONG} This is its end.")
        toast = await shows(person, "another llmtui")
        assert seen(toast).height == 3 and "…" in person.screen_text() and "its end" not in person.screen_text()
        await person.pilot.click(toast)
        await person.wait_for(lambda: isinstance(person.app.screen, LogScreen) and "its end." in person.screen_text())
        assert "It was copied." in person.screen_text()


async def test_what_was_told_can_be_read_again(start: StartApp) -> None:
    async with start() as person:
        person.app.main.flows.tell("It was copied.")
        person.app.notify("There is no room.", title="Not saved", severity="error", markup=False)
        await person.wait_for(lambda: "no room" in person.told)
        person.app.clear_notifications()
        await person.app.run_action("notices")
        await person.wait_for(lambda: "Not saved: There is no room." in person.screen_text())
        rows = [row for row in person.screen_text().splitlines() if "copied" in row or "no room" in row]
        assert ["copied" in row for row in rows] == [True, False]


async def test_nothing_is_animated_unless_that_is_asked_for(start: StartApp) -> None:
    async with start(model=None) as person:
        assert person.app.animation_level == "none"
    async with start(model=None, more_settings="[ui]\nanimations = true\n") as person:
        assert person.app.animation_level == "full"
