"""The question before a load that would leave too little memory: what is wrong, which changes would mend it, and the
explicit yes without which it is not started."""

from __future__ import annotations

from tui.app.bindings import Keymap
from tui.app.screens.choice import Choice, ChoiceScreen
from tui.planning import verdict_words
from tui.planning.guardrail import LoadPermission
from tui.words import tr

ANYWAY, SETTINGS = "anyway", "settings"
_KEYS = {"fit": "f", "layers": "l", "experts": "e", "context": "c", "cache": "k", "windows": "w", "file": "m"}


def guard_screen(name: str, permission: LoadPermission, keymap: Keymap) -> ChoiceScreen:
    """Gives a remedy's `change`, `SETTINGS`, `ANYWAY`, or None. `name` is the model's. What would help comes first: the
    key which takes the first line never loads what does not fit."""
    verdict = permission.verdict
    choices = [
        Choice(
            id=remedy.change,
            label=verdict_words.remedy_label(remedy),
            note=verdict_words.leaves(remedy.verdict),
            key=_KEYS[remedy.change],
        )
        for remedy in permission.remedies
        if not remedy.quant
    ]
    choices.append(Choice(id=SETTINGS, label=tr("Change the load settings"), key="s"))
    wrong = verdict_words.sentence(verdict)
    if verdict.obstacle:  # memory is not what is missing, and a yes would not help
        return ChoiceScreen(tr("Cannot be loaded with these settings"), choices, keymap, question=f"{name}\n{wrong}")
    choices.append(Choice(id=ANYWAY, label=tr("Load anyway"), note=verdict_words.if_loaded_anyway(verdict), key="y"))
    lines = [f"{name} · {verdict_words.layers(verdict.plan)} · {verdict_words.tokens(verdict.plan)}", wrong]
    if not permission.remedies:
        lines.append(tr(verdict_words.NOTHING_HELPS))
    lines += [verdict_words.elsewhere(remedy) for remedy in permission.remedies if remedy.quant]
    return ChoiceScreen(tr("Too little memory"), choices, keymap, question="\n".join(lines))
