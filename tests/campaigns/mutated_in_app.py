"""The worst of `tests/campaigns/mutated_models.py` in the real app: each is opened, asked where it loads, and
followed by a sound model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.app.conftest import NO_RESERVE, Person
from tests.campaigns.mutated_files import Mutated
from tests.conftest import DENSE
from tui.app.run import make_app
from tui.app.screens.main import MainScreen
from tui.config import paths
from tui.config.options import AppOptions

LOAD: dict[str, object] = {"n_ctx": 512, "n_threads": 1, "backend": "cpu"}
CARDS = ("could not be loaded", "cannot be loaded", "The engine stopped")


async def through_the_app(
    files: Iterable[Mutated], folder: Path, complain: Callable[[Mutated, Path, str], None]
) -> Counter[str]:
    """Count what the app shows of them; `complain` gets what is wrong."""
    came: Counter[str] = Counter()
    paths.user_settings_file().parent.mkdir(parents=True, exist_ok=True)
    paths.user_settings_file().write_text(NO_RESERVE)
    app = make_app(AppOptions(model=DENSE, load=LOAD))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        person = Person(app, pilot)
        await person.wait_until_ready()
        for number, mutated in enumerate(files):
            path = mutated.write(folder / f"{number:04d}")
            try:
                outcome = await _open(person, path)
                await _sound(person)
            except AssertionError as error:
                complain(mutated, path, f"in the app: {error}\n{person.screen_text()}")
                return came
            came[outcome] += 1
    return came


async def _open(person: Person, path: Path) -> str:
    """Open a file and see what comes of it; where it loads, ask."""
    person.app.main.models.open_model(path)
    await person.wait_for(
        lambda: _is_loaded(person, path) or _card(person) or not isinstance(person.app.screen, MainScreen)
    )
    if not isinstance(person.app.screen, MainScreen):
        await person.press("escape")
        return "a question before it is loaded"
    if card := _card(person):
        return card
    before = len(person.turns)
    await person.send("Hello?")
    await person.wait_for(lambda: person.phase in ("ready", "dead") and len(person.turns) > before)
    return _card(person) or "loaded and asked"


async def _sound(person: Person) -> None:
    """A sound model loads and answers."""
    person.app.main.models.open_model(DENSE)
    await person.wait_for(lambda: _is_loaded(person, DENSE))
    await person.press("ctrl+n")
    await person.wait_for(lambda: not person.turns)
    await person.ask("ping")


def _is_loaded(person: Person, path: Path) -> bool:
    loaded = person.app.controller.engine.loaded
    return person.phase == "ready" and loaded is not None and loaded.path == str(path)


def _card(person: Person) -> str:
    text = person.screen_text()
    return next((words for words in CARDS if words in text), "")
