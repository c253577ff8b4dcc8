"""What a person does in the prompt besides typing: files, what is offered, earlier prompts. For `scenes.py`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from tests.app.conftest import Person
from tests.app.steps import chat
from tui.chat.conversation import new_conversation, user_turn


async def ask_about_files(person: Person) -> None:
    """A question about files, and another one that is being written."""
    home = Path.home()
    (home / "src").mkdir()
    (home / "lighthouse.md").write_text("The lamp burns oil.\n" * 40)
    for name in ("lamp", "keeper", "rock", "sea"):
        (home / "src" / f"{name}.py").write_text(f"# {name}\n" * 9)
    (home / "灯塔笔记.txt").write_bytes("灯塔建在礁石上，夜里指引船只。".encode("gb18030"))
    (home / "photo.png").write_bytes(b"\x89PNG\0")
    await person.ask("What do @~/lighthouse.md and @~/src/ have in common?")
    await person.type("And @~/灯塔笔记.txt or @~/photo.png with @~/lighthouse.md")
    await person.wait_for(lambda: "photo.png" in person.screen_text())


async def complete_path(person: Person) -> None:
    """A path is being written."""
    home = Path.home()
    (home / "src").mkdir()
    (home / "notes.md").write_text("Notes.\n" * 40)
    (home / "灯塔笔记.txt").write_text("灯塔")
    await chat(person)
    await person.press(*"See @~/")
    await person.wait_for(lambda: "notes.md" in person.screen_text())


async def complete_command(person: Person) -> None:
    """A command is being written."""
    await chat(person)
    await person.press(*"/mo")


async def choose_files(person: Person) -> None:
    """Some of the files of a folder are chosen."""
    for name in ("src/app/main.py", "src/app/widgets/prompt.py", "src/base/text.py", "src/README.md"):
        (Path.home() / name).parent.mkdir(parents=True, exist_ok=True)
        (Path.home() / name).write_text("text\n" * 400)
    await person.press(*"@~/src/")
    await person.wait_for(lambda: "README" in person.screen_text())
    await person.press("enter")
    await person.wait_for(lambda: "prompt.py" in person.screen_text())
    await person.press("f2")


async def find_prompt(person: Person) -> None:
    """Prompts of all conversations."""
    for number, text in enumerate(("Why is the sky blue?", "天空为什么是蓝色的？", "Review this code:\nbe strict")):
        turn = msgspec.structs.replace(user_turn(text), created_at=datetime(2024, 11, 5 + number).timestamp())
        conversation = new_conversation(title=("Sky", "天空", "Code")[number])
        await person.app.store.create(msgspec.structs.replace(conversation, turns=(turn,)))
    await person.app.run_action("screen.find_prompt")
