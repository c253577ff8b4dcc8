"""What a session tells: every event survives the way to another process, and all who listen hear the same."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.conftest import DENSE
from tests.loads import loaded_as
from tui.chat.conversation import Turn, new_conversation, user_turn, with_turn
from tui.chat.store import StoreError
from tui.config.problems import ConfigProblem
from tui.downloads.records import Download, Order, OrderedFile, Problem
from tui.hubs.records import RepoId
from tui.machine.pressure import Shortage
from tui.machine.readings import GpuSample, HostSample, NpuSample
from tui.models.library import inspect
from tui.protocol.death import examine
from tui.protocol.messages import ContextRestored, Delta, Hello, Prefill, Started
from tui.protocol.records import ErrorInfo, Timings, TokenOdds
from tui.session import events
from tui.session.announcer import Announcer
from tui.session.events import PhaseChanged, decode, encode
from tui.session.loads import Reload
from tui.session.speed import SpeedNow
from tui.session.standing import ModelStands, SessionStands

TURN = Turn(
    id="a", role="assistant", text="Hello", created_at=1.0, stop="stop", timings=Timings(n_decode=3), backend=("CPU",)
)
CONVERSATION = with_turn(new_conversation(system_prompt="Be short."), user_turn("Hi"))
LOADED = loaded_as(
    path="/models/a.gguf", description="a", n_params=1, size_bytes=2, n_layers=3, n_gpu_layers=0, devices=(), n_ctx=64,
    n_ctx_train=64, n_batch=8, n_ubatch=8, n_threads=1, n_threads_batch=1, flash_attn=False, type_k="f16", type_v="f16",
    can_think=False, buffers=(), load_s=0.1,
)  # fmt: skip
DOWNLOAD = Download(
    order=Order(
        id="o",
        repo=RepoId(hub="huggingface", name="Qwen/X-GGUF"),
        label="Q4_K_M",
        files=(OrderedFile(path="x.gguf", size_bytes=9),),
        folder="/models/Qwen/X-GGUF",
    ),
    state="failed",
    n_bytes=3,
    problem=Problem(kind="sum", detail="x.gguf"),
)
EVENTS: tuple[events.AnySessionEvent, ...] = (
    PhaseChanged(phase="ready"),
    events.LoadAdvanced(fraction=0.5),
    events.ModelLoaded(loaded=LOADED),
    events.ModelReloaded(
        reload=Reload(source="CPU", target="Vulkan0", took_s=1.0, n_kept=9, n_lost=0, keep_s=0.1, prefill_tps=90.0),
        turn_id="a",
    ),
    events.LoadFailed(path=Path("/models/b.gguf"), info=ErrorInfo(kind="model_not_found", detail="no such file")),
    events.TurnAwaited(n_before=2),
    events.EngineLost(death=examine(-9, ["loading"], "loading")),
    events.CacheRestored(restored=ContextRestored(n_tokens=9, problem="damaged")),
    events.ContextUsed(n_used=3, n_ctx=64, n_system=2),
    events.ConversationOpened(conversation=CONVERSATION),
    events.ConversationChanged(before=CONVERSATION.turns, now=CONVERSATION, n_same=1),
    events.ConversationReplaced(before=CONVERSATION.turns, now=CONVERSATION),
    events.ConversationGone(is_saved=True, is_other_database=False),
    events.OtherWindowWrites(),
    events.OtherWindowWrote(has_turns=True),
    events.ReplaceConflict(),
    events.TurnsRemoved(turn_id="a", n=2),
    events.TurnsPutBack(came=(TURN,), turns=(TURN,)),
    events.QueueChanged(texts=("one", "two"), is_held=True),
    events.PromptsWithdrawn(texts=("one",)),
    events.UserSaid(turn=CONVERSATION.turns[0]),
    events.AnswerBegan(turn=TURN, started=Started(n_prompt=9, n_cached=3, n_dropped=0, n_ctx=64)),
    events.PromptAdvanced(turn_id="a", progress=Prefill(done=3, total=9, tps=0.0, eta_s=0.0)),
    events.AnswerGrew(turn_id="a", delta=Delta(kind="answer", text="你好\n", n_decode=3, decode_tps=9.5, n_used=12)),
    events.AnswerRecast(turn_id="a"),
    events.AnswerPaused(turn_id="a"),
    events.AnswerEnded(turn=TURN),
    events.DraftModelLeftOut(why="It has another vocabulary."),
    events.TuningOffered(name="a", seconds=110.0),
    events.OddsTold(turn_id="a", tokens=(TokenOdds(text="é", p=0.5, others=(("é", 0.5),)),)),
    events.AnswerRefused(info=ErrorInfo(kind="context_overflow", detail="", n_prompt=90, n_ctx=64, n_drop=2)),
    events.MachineRead(
        host=HostSample(time=1.0, ram_total_bytes=16 << 30),
        gpus=(GpuSample(name="A", kind="gpu", source="nvml"),),
        npus=(NpuSample(name="B", is_usable=False),),
        speed=SpeedNow(decode_tps=9.5, is_decoding=True, history=(0.0, 9.5)),
    ),
    events.SpeedReset(speed=SpeedNow()),
    events.MemoryShort(shortage=Shortage(ram_available_bytes=1, ram_total_bytes=2, pressure_percent=None)),
    events.DownloadsChanged(downloads=(DOWNLOAD,)),
    events.ModelFetched(order=DOWNLOAD.order, path=Path("/models/Qwen/X-GGUF/x.gguf")),
    events.DownloadFailed(download=DOWNLOAD),
    events.DownloadRefused(problem=Problem(kind="disk_full")),
    events.ProblemFound(problem=ConfigProblem(file=Path("/etc/settings.toml"), key="load.n_ctx", message="too small")),
    events.FaultFound(kind="KeyError", detail="'x'"),
    ModelStands(
        alive=True,
        pid=7,
        hello=Hello(pid=7, llama_cpp="0.3", devices=()),
        loaded=LOADED,
        path=Path("/models/a.gguf"),
        name="a",
        headers={"/models/a.gguf": inspect(DENSE).info},
    ),
    SessionStands(head=CONVERSATION, is_saved=True, can_answer=True, n_used=3),
    events.SavingFailed(error=StoreError("full", Path("/data/chats.db"), "no room", 2).fault),
    events.NoHost(why="No room."),
    events.LineBroken(why="It does not answer."),
    events.KeysMoved(are_here=False),
    events.HostLost(was_writing=True),
)


def test_there_is_an_example_of_every_event() -> None:
    kinds = {
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, events.SessionEvent) and kind is not events.SessionEvent
    }
    assert {type(event) for event in EVENTS} == kinds


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_the_same_on_the_other_side(event: events.AnySessionEvent) -> None:
    line = encode(event)
    assert b"\n" not in line
    assert decode(line) == event


def test_what_is_no_event_is_refused() -> None:
    for line in (b"", b"{}", b'{"type":"Nothing"}', b'{"type":"PhaseChanged"}'):
        with pytest.raises(msgspec.MsgspecError):
            decode(line)


def test_all_who_listen_hear_the_same_in_the_same_order() -> None:
    announcer = Announcer()
    first: list[events.AnySessionEvent] = []
    second: list[events.AnySessionEvent] = []

    def answer_the_first(event: events.AnySessionEvent) -> None:
        first.append(event)
        if isinstance(event, events.OtherWindowWrites):
            announcer.tell(events.ReplaceConflict())

    announcer.listen(answer_the_first)
    announcer.listen(second.append)
    announcer.tell(events.OtherWindowWrites())
    announcer.tell(PhaseChanged(phase="ready"))
    expected = [events.OtherWindowWrites(), events.ReplaceConflict(), PhaseChanged(phase="ready")]
    assert first == expected and second == expected


def test_whoever_stops_listening_hears_no_more() -> None:
    announcer = Announcer()
    heard: list[events.AnySessionEvent] = []
    end = announcer.listen(heard.append)
    announcer.tell(PhaseChanged(phase="loading"))
    end()
    end()
    announcer.tell(PhaseChanged(phase="ready"))
    assert heard == [PhaseChanged(phase="loading")]


def test_after_the_end_nobody_hears_anything() -> None:
    announcer = Announcer()
    heard: list[events.AnySessionEvent] = []
    announcer.listen(heard.append)
    announcer.close()
    announcer.tell(PhaseChanged(phase="ready"))
    assert not heard


def test_what_one_listener_raises_does_not_keep_later_events_from_the_others() -> None:
    announcer = Announcer()
    heard: list[events.AnySessionEvent] = []
    announcer.listen(heard.append)

    def fail(event: events.AnySessionEvent) -> None:
        if event == events.ReplaceConflict():
            raise RuntimeError("a fault")

    announcer.listen(fail)
    with pytest.raises(RuntimeError):
        announcer.tell(events.ReplaceConflict())
    announcer.tell(PhaseChanged(phase="ready"))
    assert heard == [events.ReplaceConflict(), PhaseChanged(phase="ready")]
