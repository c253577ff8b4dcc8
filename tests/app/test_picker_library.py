"""What the picker does with the library beside loading from it: filters, deleting, what changes on the disk, the order
that is kept, and folders that are added and removed again."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from tests.app.conftest import StartApp
from tests.app.dialogs import KEYS, Stage, opened
from tests.conftest import DENSE, MOE, until
from tests.models.foreign_stores import in_ollama
from tests.models.gguf_files import Shape
from tests.patience import PATIENCE_S
from tui.app.screens.choice import ChoiceScreen
from tui.app.screens.confirm import ConfirmScreen
from tui.app.screens.picker import PickedModel, PickerScreen
from tui.app.screens.picker_table import SORT_KEYS, Sort
from tui.app.widgets.row_list import RowList
from tui.config import paths
from tui.models.folders import Folder
from tui.models.library import Library, LibraryModel, scan
from tui.planning.now import MemoryNow

GIB = 2**30
ROOMY = MemoryNow(host_free_bytes=24 * GIB, host_total_bytes=32 * GIB)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model that fits, one that thinks, a mixture of experts, and one that is far too large."""
    folder = tmp_path / "models"
    Shape().write(folder / "plain.gguf", general__name="Plain model")
    Shape(n_layers=3).write(
        folder / "thinks.gguf", general__name="Thinking model", tokenizer__chat_template="{{ '<think></think>' }}"
    )
    Shape(n_expert=8, n_expert_used=2).write(folder / "moe.gguf", general__name="Expert model")
    Shape(n_embd=16384, n_ff=65536, n_layers=40, n_vocab=150_000).write(
        folder / "huge.gguf", general__name="Huge model", tokenizer__chat_template="{{ enable_thinking }}"
    )
    return folder


def look(*folders: Path) -> Library:
    return scan([Folder(path=one) for one in folders], folders[0] / "cache.msgpack")


def picker(folder: Path, **options: object) -> PickerScreen:
    return PickerScreen(lambda: look(folder), ROOMY, KEYS, **options)  # type: ignore[arg-type]


def shown(stage: Stage[PickedModel]) -> list[str]:
    rows = stage.dialog.query_one(RowList).items
    return [item.info.name for item in rows if isinstance(item, LibraryModel)]


async def choose(stage: Stage[PickedModel], letter: str) -> None:
    """Choose from the menu of filters."""
    await stage.press("f9")
    await until(lambda: isinstance(stage.host.screen, ChoiceScreen))
    await stage.press(letter)
    await until(lambda: stage.host.screen is stage.dialog)


async def test_filters_hold_together_and_are_taken_back_with_one_key(folder: Path) -> None:
    async with opened(picker(folder), (120, 40)) as stage:
        await stage.shows("4 models")
        await choose(stage, "t")
        await stage.shows("can think  2 of 4 models")
        assert shown(stage) == ["Huge model", "Thinking model"]
        await choose(stage, "f")
        await until(lambda: shown(stage) == ["Thinking model"])
        await stage.shows("fits in memory · can think  1 of 4 models")
        await choose(stage, "m")
        await stage.shows("No model matches the filter", "Choose another one (f9)")
        await choose(stage, "a")
        await until(lambda: len(shown(stage)) == 4)
        await choose(stage, "m")
        await until(lambda: shown(stage) == ["Expert model"])
        await choose(stage, "m")
        await until(lambda: len(shown(stage)) == 4)


async def test_what_changes_on_the_disk_appears_by_itself_and_the_place_is_kept(folder: Path) -> None:
    async with opened(picker(folder), (120, 40)) as stage:
        await stage.shows("4 models")
        await stage.press("down", "down")
        await until(lambda: stage.dialog.rows.item.info.name == "Plain model")  # type: ignore[attr-defined]
        Shape(n_layers=5).write(folder / "below" / "new.gguf", general__name="A new model")
        await stage.shows("5 models", "A new model")
        assert stage.dialog.rows.item.info.name == "Plain model"  # type: ignore[attr-defined]
        (folder / "moe.gguf").unlink()
        await until(lambda: "Expert model" not in shown(stage))
        await stage.shows("4 models")


async def test_a_model_is_deleted_after_a_question_that_says_what_it_frees(folder: Path) -> None:
    (folder / "plain.gguf").write_bytes((folder / "plain.gguf").read_bytes())
    async with opened(picker(folder), (120, 40)) as stage:
        await stage.shows("4 models")
        await stage.press("down", "down", "ctrl+d")
        await stage.shows("Delete “Plain model”?", "plain.gguf", "Frees ", "This cannot be undone.")
        await stage.press("n")
        await until(lambda: stage.host.screen is stage.dialog)
        assert (folder / "plain.gguf").exists()
        await stage.press("ctrl+d")
        await until(lambda: isinstance(stage.host.screen, ConfirmScreen))
        await stage.press("y")
        await stage.shows("3 models")
        assert [one.message for one in stage.host._notifications][-1].startswith("Deleted: ")
        assert not (folder / "plain.gguf").exists() and len(list(folder.glob("*.gguf"))) == 3


async def test_the_question_about_the_loaded_model_says_so(folder: Path) -> None:
    async with opened(picker(folder, current=folder / "plain.gguf"), (120, 40)) as stage:
        await stage.shows("4 models")
        await stage.press("ctrl+d")
        await stage.shows("It is loaded: it keeps working until it is unloaded")


async def test_a_tag_of_ollama_is_not_deleted_while_ollama_fetches_but_said_how(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "ollama"
    manifest = in_ollama(store, "library/qwen3:4b", Shape(n_layers=6).write(tmp_path / "x"))
    (store / "blobs" / "sha256-ab-partial").touch()
    folders = (Folder(path=store, source="ollama"), Folder(path=folder))
    screen = PickerScreen(lambda: scan(folders, tmp_path / "cache"), ROOMY, KEYS)
    async with opened(screen, (120, 40)) as stage:
        await stage.shows("5 models", "qwen3:4b")
        await stage.type("qwen3:4b")
        await stage.shows("1 of 5 models")
        await stage.press("ctrl+d")
        await stage.shows("Delete it with `ollama rm qwen3:4b`.")
        assert stage.host.screen is stage.dialog and manifest.exists()


async def test_where_else_a_model_lies_is_told(folder: Path, tmp_path: Path) -> None:
    in_ollama(tmp_path / "ollama", "library/plain:1b", folder / "plain.gguf")
    folders = (Folder(path=folder), Folder(path=tmp_path / "ollama", source="ollama"))
    async with opened(PickerScreen(lambda: scan(folders, tmp_path / "cache"), ROOMY, KEYS), (120, 40)) as stage:
        await stage.shows("4 models")
        await stage.type("plain")
        await stage.shows("plain.gguf", "model folder", "also in Ollama (plain:1b)")


async def test_the_order_is_told_to_whoever_keeps_it_and_taken_up_again(folder: Path) -> None:
    kept: list[Sort] = []
    async with opened(picker(folder, keep_sort=kept.append), (120, 40)) as stage:
        await stage.shows("NAME ↑")
        await stage.press("f4", "f6")
        await stage.shows("PARAMS ↑")
    async with opened(picker(folder, sort=Sort.read(kept[-1].written)), (120, 40)) as stage:
        await stage.shows("PARAMS ↑", "4 models")


def test_every_order_can_be_written_down_and_what_is_none_is_by_name() -> None:
    for key in SORT_KEYS:
        for is_reversed in (False, True):
            sort = Sort(key=key, is_reversed=is_reversed)
            assert Sort.read(sort.written) == sort
    assert Sort.read("") == Sort.read("nonsense") == Sort.read("-") == Sort()


async def test_a_folder_that_was_added_is_removed_again_and_its_files_stay(start: StartApp, tmp_path: Path) -> None:
    shutil.copytree(DENSE.parent, tmp_path / "mine")
    paths.state_file().parent.mkdir(parents=True, exist_ok=True)
    paths.state_file().write_text(f'folders = ["{tmp_path / "mine"}"]\n')
    async with start(model=None) as person:
        await person.wait_for(lambda: isinstance(person.app.screen, PickerScreen))
        await person.press("escape")
        await person.app.run_action("screen.remove_folder")
        await person.wait_for(lambda: isinstance(person.app.screen, ChoiceScreen))
        await person.press("enter")
        await person.wait_for(lambda: "is no longer searched" in person.screen_text())
        assert person.app.main.models.folders == [paths.models_dir()]
        await person.app.run_action("screen.remove_folder")
        await person.wait_for(lambda: "No folder was added in llmtui." in person.screen_text())
    assert (tmp_path / "mine" / DENSE.name).exists()


async def test_a_model_is_deleted_from_the_palette_with_enter(start: StartApp) -> None:
    paths.models_dir().mkdir(parents=True)
    for file in (DENSE, MOE):
        shutil.copy(file, paths.models_dir())
    async with start(model=None) as person:
        await person.wait_for(lambda: isinstance(person.app.screen, PickerScreen))
        await person.press("escape")
        await person.app.run_action("screen.delete_model")
        await person.wait_for(lambda: isinstance(person.app.screen, PickerScreen))
        await person.wait_for(
            lambda: person.app.screen.query_one(RowList).items and "Delete model" in person.screen_text()
        )
        await person.press("enter")
        await person.wait_for(lambda: isinstance(person.app.screen, ConfirmScreen))
        await person.press("y")
        await person.wait_for(lambda: len(list(paths.models_dir().glob("*.gguf"))) == 1)


async def test_the_first_scan_shows_what_it_has_found_before_it_is_done_and_nothing_moves_meanwhile(
    folder: Path,
) -> None:
    go, models = threading.Event(), list(look(folder).models)
    found = models[2:3]

    def slow() -> Library:
        go.wait(PATIENCE_S)
        return look(folder)

    def shown(stage: Stage[PickedModel]) -> list[LibraryModel]:
        return list(stage.dialog.query_one(RowList).items[:4])

    screen = PickerScreen(slow, ROOMY, KEYS, so_far=lambda: Library(models=tuple(found)))
    async with opened(screen, (120, 40)) as stage:
        await stage.shows("looking…  1 model")
        found.insert(1, models[0])
        await stage.shows("looking…  2 models")
        assert shown(stage) == [models[2], models[0]], "what was found first stays where it is"
        go.set()
        await stage.shows("4 models")
        await until(lambda: "looking…" not in stage.text)
        assert shown(stage) == models
        assert stage.dialog.query_one(RowList).item == models[0], "nobody has moved: the first one is highlighted"


async def test_what_somebody_has_highlighted_stays_so_when_the_first_scan_is_done(folder: Path) -> None:
    go, models = threading.Event(), list(look(folder).models)

    def slow() -> Library:
        go.wait(PATIENCE_S)
        return look(folder)

    found = Library(models=(models[2], models[1]))
    async with opened(PickerScreen(slow, ROOMY, KEYS, so_far=lambda: found), (120, 40)) as stage:
        await stage.shows("looking…  2 models")
        await stage.press("down")
        go.set()
        await until(lambda: "looking…" not in stage.text)
        rows = stage.dialog.query_one(RowList)
        assert list(rows.items[:4]) == models and rows.item == models[1]
