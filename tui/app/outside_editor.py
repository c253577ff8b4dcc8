"""Writing a text in the user's own editor: the terminal is lent to it, and what it saved is read when it has ended."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

from textual.driver import Driver

from tui.app.terminal_modes import ModesDriver
from tui.base.oserrors import os_reason
from tui.base.smallfile import read_small
from tui.base.text import one_line
from tui.words import tr

_USUAL = ("sensible-editor", "nano", "vim", "vi")
"""What is taken where no variable names one."""
_MOST_BYTES = 64 << 20


class NoEditor(Exception):
    """The text could not be written outside; the message says why, and what to do."""


def editor_command(environ: Mapping[str, str]) -> list[str]:
    """The words that start the user's editor. Raises `NoEditor`."""
    for name in ("VISUAL", "EDITOR"):
        if written := environ.get(name, "").strip():
            try:
                return shlex.split(written)
            except ValueError as error:
                raise NoEditor(
                    tr("{name} cannot be read as a command: {value}.", name=name, value=one_line(written))
                ) from error
    if found := next(filter(shutil.which, _USUAL), None):
        return [found]
    raise NoEditor(tr("No editor was found. Name yours in the variable EDITOR, as in: export EDITOR=nano"))


async def written_outside(text: str, driver: Driver | None) -> str:
    """The text as the editor left it. No key is heard before the caller has it. Raises `NoEditor`."""
    command = editor_command(os.environ)
    with driver.lent() if isinstance(driver, ModesDriver) else nullcontext():
        return await _edited(text, command)


async def _edited(text: str, command: list[str]) -> str:
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="llmtui-"))
    try:
        file = folder / "prompt.md"
        await asyncio.to_thread(file.write_text, text, "utf-8")
        if code := await _run([*command, str(file)]):
            raise NoEditor(
                tr("{editor} ended with exit code {code}: the prompt is as it was.", editor=command[0], code=code)
            )
        data = await asyncio.to_thread(read_small, file, _MOST_BYTES)
    except OSError as error:
        raise NoEditor(tr("The text could not be written and read again: {why}.", why=os_reason(error))) from error
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    return data.decode("utf-8-sig", "replace").removesuffix("\n")


async def _run(command: list[str]) -> int:
    """How it ended. Raises `NoEditor` where it could not begin."""
    try:
        process = await asyncio.create_subprocess_exec(*command)
    except OSError as error:
        told = tr("{editor} cannot be started: {why}.", editor=one_line(command[0]), why=os_reason(error))
        raise NoEditor(f"{told} {tr('Name another editor in the variable EDITOR.')}") from error
    return await process.wait()
