"""All about a model on one screen: from the picker and for the model that is loaded, in every size, with the sum of the
file when somebody asks."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.dialogs import KEYS, Stage, opened
from tests.conftest import DENSE, MOE, until
from tui.app.screens.details import DetailsScreen
from tui.models.detail_words import DetailRow
from tui.models.filesums import FileSums
from tui.words import use

FITS = DetailRow(label="memory", value="● fits · needs 13.9 of 22.5 GiB on Vulkan0")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copy(MOE, tmp_path))


def details(path: Path, tmp_path: Path) -> DetailsScreen:
    return DetailsScreen(path, KEYS, sums=FileSums(tmp_path / "sums.json"), here=(FITS,))


async def seen_to_the_end(stage: Stage[None]) -> str:
    """Every row that is seen while one scrolls down."""
    await until(lambda: bool(stage.dialog.groups))  # type: ignore[attr-defined]
    found = [stage.text]
    for _ in range(30):
        await stage.press("pagedown")
        if stage.text == found[-1]:
            break
        found.append(stage.text)
    return "\n".join(found)


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (120, 40), (200, 60)], ids=str)
async def test_everything_can_be_read_in_every_size(model: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    async with opened(details(model, tmp_path), size) as stage:
        text = await seen_to_the_end(stage)
    for wanted in ("On this machine", "qwen3moe", "8, 2 of them used", "4,096 tokens", "BPE (qwen2)", "apache-2.0"):
        assert wanted in text
    assert "enable_thinking" in text and "Q8_0" in text and "…" not in text


@pytest.fixture
def in_chinese() -> Iterator[None]:
    use("zh")
    yield
    use("en")


@pytest.mark.parametrize("size", [(40, 12), (80, 24)], ids=str)
async def test_everything_is_said_in_chinese_too(
    model: Path, tmp_path: Path, size: tuple[int, int], in_chinese: None
) -> None:
    async with opened(details(model, tmp_path), size) as stage:
        text = await seen_to_the_end(stage)
    for wanted in ("架构", "8 个，每次使用 2 个", "训练上下文", "可开关，由 enable_thinking 控制", "许可证"):
        assert wanted in text


async def test_bars_show_where_the_weights_are(model: Path, tmp_path: Path) -> None:
    async with opened(details(model, tmp_path), (120, 40)) as stage:
        await stage.shows("experts", "━━━━━━━━━━━╌╌╌╌╌  1.6 MiB · Q8_0")
    async with opened(details(model, tmp_path), (60, 40)) as stage:
        await stage.shows("1.6 MiB · Q8_0")
        assert "━" not in stage.text


async def test_the_sum_of_the_file_is_computed_when_somebody_asks_and_known_then(model: Path, tmp_path: Path) -> None:
    expected = hashlib.sha256(model.read_bytes()).hexdigest()
    async with opened(details(model, tmp_path), (120, 70)) as stage:
        await stage.shows("Files")
        assert expected not in stage.text
        await stage.press("s")
        await stage.shows(expected)
    async with opened(details(model, tmp_path), (120, 70)) as stage:
        await stage.shows(expected)


async def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(DENSE.read_bytes()[:1000])
    async with opened(details(broken, tmp_path), (80, 24)) as stage:
        await stage.shows("Incomplete: it ends within its header.")
        await stage.press("s", "escape")
        assert await stage.closes() is None


async def test_what_is_shown_can_be_copied(model: Path, tmp_path: Path) -> None:
    copied: list[str] = []

    async def copy(text: str) -> None:
        copied.append(text)

    screen = DetailsScreen(model, KEYS, sums=FileSums(tmp_path / "sums.json"), copy=copy)
    async with opened(screen, (80, 24)) as stage:
        await stage.shows("qwen3moe")
        await stage.press("y")
    assert "  architecture: qwen3moe" in copied[0] and "\nQuantization\n" in copied[0]
