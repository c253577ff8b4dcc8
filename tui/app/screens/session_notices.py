"""What the session tells that is said in a notice and shown nowhere else."""

from __future__ import annotations

from pathlib import Path

from tui.app import answer_phrases, host_phrases, phrases
from tui.app.screens.flows import Flows
from tui.config.biastext import left_out
from tui.models.info import ModelInfo
from tui.protocol.messages import Loaded, not_granted
from tui.session import events
from tui.session.interface import Session
from tui.words import tr


class SessionNotices:
    """Follows the session."""

    def __init__(self, controller: Session, flows: Flows) -> None:
        self._controller, self._flows = controller, flows
        self._looping = ""
        """The answer of which was said last that it repeats itself."""
        self._told: set[tuple[str, str]] = set()
        """Paths of models and what was said about them."""

    def hear(self, event: events.AnySessionEvent) -> None:
        """Say it."""
        tell, keymap = self._flows.tell, self._flows.keymap
        match event:
            case events.ModelLoaded(loaded=loaded):
                self._tell_about(loaded)
            case events.ModelReloaded(reload=reload) if not reload.n_lost:  # else it was said when it was lost
                tell(phrases.reloaded(reload))
            case events.CacheRestored(restored=restored):
                tell(phrases.context_restored(restored, self._controller.speed.prefill_tps))
            case events.TurnAwaited(n_before=n) if n:
                tell(host_phrases.turn_awaited(n))
            case events.ConversationGone():
                tell(phrases.conversation_gone(event), bad=True)
            case events.OtherWindowWrites():
                tell(tr(phrases.CHANGES_ELSEWHERE))
            case events.OtherWindowWrote(has_turns=has_turns):
                tell(tr(phrases.CHANGED_ELSEWHERE) if has_turns else tr(phrases.CONFIGURED_ELSEWHERE))
            case events.ReplaceConflict():
                tell(tr(phrases.NOT_REPLACED), bad=True)
            case events.TurnsRemoved(n=n) if n > 2:  # more than a prompt and its answer
                tell(phrases.replaced(n, keymap))
            case events.TurnsPutBack():
                tell(tr(phrases.PUT_BACK))
            case events.AnswerBegan(started=started):
                if (model := self._controller.engine.loaded) is not None:
                    self._tell_once(model.path, started.template_note)
                    self._tell_once(model.path, left_out(started.biases_left_out))
            case events.AnswerGrew(turn_id=turn_id, delta=delta) if delta.is_loop and self._looping != turn_id:
                self._looping = turn_id
                tell(answer_phrases.goes_in_circles(keymap), bad=True)
            case events.DraftModelLeftOut(why=why):
                tell(
                    why or tr("The draft model failed. This model answers without it until it is loaded again."),
                    bad=True,
                )
            case events.TuningOffered(name=name, seconds=seconds) if self._controller.has_keys:
                from tui.app import tune_phrases

                tell(tune_phrases.offered(name, seconds, keymap))
            case events.MemoryShort(shortage=shortage):
                tell(phrases.shortage(shortage, keymap), bad=True)
            case events.ProblemFound(problem=problem):
                tell(str(problem), bad=True)
            case events.NoHost(why=why):
                tell(host_phrases.no_host(why), bad=True)
            case events.LineBroken(why=why):
                tell(why or tr(host_phrases.IS_BACK), bad=bool(why))
            case events.KeysMoved(are_here=False):
                tell(tr(host_phrases.KEYS_TAKEN))
            case events.FaultFound():
                tell(phrases.fault(event), bad=True)

    def _tell_about(self, loaded: Loaded) -> None:
        """What of the context was lost, and what the model is used with in place of what its file wants."""
        if loaded.n_lost:
            self._flows.tell(phrases.context_lost(loaded), bad=True)
        for sentence in not_granted(loaded):
            self._flows.tell(tr(sentence), bad=True)
        info = self._controller.model.headers.get(loaded.path)
        if info is not None:
            self._tell_taken_over(Path(loaded.path), info)
        unknown = info.unknown_sampling if info else ()
        for note in (loaded.llama.template_note, answer_phrases.unknown_sampling(unknown)):
            self._tell_once(loaded.path, note)

    def _tell_taken_over(self, path: Path, info: ModelInfo) -> None:
        """Settings that were tuned for another model, once for each file."""
        from tui.app import tune_phrases

        found = self._controller.load_order.tuned_for(path, info)
        said = found is not None and found[0] != path and tune_phrases.tuned_line(found, path)
        if said and (str(path), said) not in self._told:
            self._told.add((str(path), said))
            self._flows.tell(said)

    def _tell_once(self, path: str, note: str) -> None:
        """Once for each file."""
        if note and (path, note) not in self._told:
            self._told.add((path, note))
            self._flows.tell(note, bad=True)
