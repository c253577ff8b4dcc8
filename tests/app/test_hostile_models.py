"""Files that llama.cpp crashes over, or that cannot answer, in front of a person: the card names the file, and a sound
model goes on with the conversation."""

from __future__ import annotations

import math
import struct
from pathlib import Path

from tests.app.conftest import Person, StartApp
from tests.conftest import DENSE
from tests.models.gguf_files import Typed
from tests.models.whole_files import WholeFile, changed


def a_token_twice(parts: WholeFile) -> None:
    tokens = parts.values("tokenizer.ggml.tokens")
    parts.metadata["tokenizer.ggml.tokens"] = Typed(9, [*tokens[:5], tokens[4], *tokens[6:]])


def no_numbers(parts: WholeFile) -> None:
    tensor = parts.tensor("token_embd.weight")
    tensor.data = (struct.pack("<e", math.nan) + b"\1" * 32) * (len(tensor.data) // 34)


def words(person: Person) -> str:
    return " ".join(person.screen_text().split())


async def test_a_file_that_ends_the_engine_is_named_and_another_model_takes_up_the_conversation(
    start: StartApp, tmp_path: Path
) -> None:
    hostile = tmp_path / "hostile.gguf"
    hostile.write_bytes(changed(DENSE.read_bytes(), a_token_twice))
    async with start(size=(70, 40)) as person:  # without the sidebar
        await person.ask("My name is Ada.")
        person.app.main.models.open_model(hostile)
        await person.wait_for(lambda: person.phase == "dead")
        said = words(person)
        assert "The engine stopped while loading the model. The conversation is safe." in said
        assert "crashed over hostile.gguf: it is damaged or malformed" in said
        assert "[o] choose other model" in said and "processor" not in said
        await person.press("ctrl+up", "o")
        await person.wait_for(lambda: "Models" in person.screen_text())
        await person.press("escape")
        person.app.main.models.open_model(DENSE)
        await person.wait_until_ready()
        assert "Ada" in await person.ask("What is my name?")


async def test_a_model_whose_numbers_are_none_is_said_to_be_damaged(start: StartApp, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile.gguf"
    hostile.write_bytes(changed(DENSE.read_bytes(), no_numbers))
    async with start(model=hostile, size=(70, 40)) as person:
        await person.send("hello")
        await person.wait_for(lambda: "invalid numbers (NaN)" in words(person))
        assert "Download the file again" in words(person) and person.phase == "ready"
        person.app.main.models.open_model(DENSE)
        await person.wait_for(lambda: person.phase == "ready" and person.app.controller.model.path == DENSE)
        assert await person.ask("ping")
