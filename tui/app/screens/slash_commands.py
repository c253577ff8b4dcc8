"""Commands that are typed: "/" and a name at the beginning of the prompt, for actions of the table and for the user's
snippets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from textual.app import App

from tui.app.screens.flows import Flows
from tui.app.widgets.completion_list import Completion
from tui.app.widgets.prompt import Prompt
from tui.base.text import one_line
from tui.config.action import Action
from tui.config.keymap import display_keys
from tui.config.slash import COMMANDS
from tui.config.snippets import Snippets
from tui.words import tr

_CLOSE = 0.6
"""How much alike a name is that may have been meant, of 1."""


class SlashCommands:
    """Runs actions as the palette does."""

    def __init__(self, prompt: Prompt, snippets: Snippets, flows: Flows, is_live: Callable[[Action], bool]) -> None:
        """`is_live` says whether an action can be done now."""
        self._prompt, self._snippets, self._flows, self._is_live = prompt, snippets, flows, is_live
        self.with_text: dict[str, Callable[[str], Awaitable[None]]] = {}
        """What takes the text behind its command, by the id of the action."""

    def read(self) -> None:
        """Read the snippets again. Blocking."""
        self._snippets.read()

    def offered(self, written: str) -> list[Completion]:
        """The commands and snippets that so much of a name may become."""
        found = [
            Completion(
                name, f"/{name}", tr(action.description), display_keys(self._flows.keymap.get(action.id, ()), limit=1)
            )
            for name, action in COMMANDS.items()
            if name.startswith(written) and self._is_live(action)
        ]
        found += [
            Completion(name, f"/{name}", one_line(text[:200]))
            for name, text in self._snippets.texts().items()
            if name.startswith(written) and name not in COMMANDS
        ]
        return sorted(found, key=lambda one: one.id)

    def take(self, name: str) -> None:
        """Run a command, or have the text of a snippet in its place."""
        action = COMMANDS.get(name)
        if action is None:
            self._prompt.set_text(self._snippets.texts().get(name, ""))
        elif action.id in self.with_text:
            self._prompt.set_text(f"/{name} ")
        else:
            self._prompt.set_text("")
            self._run(action)

    def run(self, text: str) -> bool:
        """Do what a text says that was sent, where it is a command, or say what is wrong with it: then it stands in the
        prompt again. False for what is no command, and is to be sent: also what begins with a path."""
        first = text.split(maxsplit=1)[0] if text.startswith("/") else ""
        name = first.removeprefix("/")
        if not name.replace("-", "").replace("_", "").isalnum():
            return False
        wrong = self._do(name, text.removeprefix(first).strip(), text)
        if wrong and self._prompt.text != text:
            self._prompt.put_before(text)
        if wrong:
            self._flows.tell(wrong, bad=True)
        return True

    def _do(self, name: str, rest: str, text: str) -> str:
        """What is wrong with a command; nothing where it is done."""
        action = COMMANDS.get(name)
        if action is None and (snippet := self._snippets.texts().get(name)) is not None:
            self._prompt.set_text(f"{snippet.rstrip()}\n{rest}" if rest else snippet)
            return ""
        if action is None:
            return self._unknown(name)
        if rest and action.id not in self.with_text:
            return tr("/{name} takes nothing behind it. A blank before it sends it as text.", name=name)
        if self._prompt.text == text:  # it could not be sent, as without a model
            self._prompt.set_text("")
        if rest:
            self._app.call_later(self.with_text[action.id], rest)
        else:
            self._run(action)
        return ""

    @property
    def _app(self) -> App[object]:
        return self._prompt.app

    def _run(self, action: Action) -> None:
        self._app.call_later(self._app.run_action, action.id if action.scope == "app" else f"screen.{action.id}")

    def _unknown(self, name: str) -> str:
        from difflib import get_close_matches  # takes time that the first paint does not have

        names = [*COMMANDS, *self._snippets.texts()]
        close = get_close_matches(name, names, n=3, cutoff=_CLOSE) or ["model", "system", "help"]
        return tr(
            "There is no command /{name}. / alone lists all: {names} … A blank before it sends it as text.",
            name=one_line(name[:40]),
            names=", ".join(f"/{one}" for one in close),
        )
