"""The wire: any message in any pieces arrives as it was sent, and rubbish is noticed."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import DENSE, TINY, until
from tests.scripted_engine import ScriptedEngine
from tui.engine.handlers import AT_ONCE, HANDLERS
from tui.engines.interface import EngineError
from tui.engines.local import LocalEngine
from tui.protocol.codec import ANSWERS, COMMANDS, EVENTS, command_decoder, event_decoder
from tui.protocol.death import EngineDied
from tui.protocol.messages import Cancel, Command, Count, Delta, Done, EndThought, Generate, Load, Ok, Prefill, Started
from tui.protocol.records import LoadSettings, Message, Sampling
from tui.protocol.wire import LENGTH, MAX_FRAME_BYTES, FrameDecoder, WireError, encode, read_frame

texts = st.text(max_size=200)
messages = st.one_of(
    st.builds(
        Delta,
        id=st.integers(0, 2**40),
        kind=st.sampled_from(["thinking", "answer"]),
        text=texts,
        n_decode=st.integers(0, 10**6),
        decode_tps=st.floats(0, 1e6),
        n_used=st.integers(0, 10**6),
    ),
    st.builds(
        Generate,
        id=st.integers(0, 2**40),
        messages=st.lists(
            st.builds(
                Message,
                role=st.sampled_from(["system", "user", "assistant"]),
                content=texts,
                reasoning=st.none() | texts,
            ),
            max_size=5,
        ).map(tuple),
        sampling=st.builds(Sampling, seed=st.integers(-1, 2**31)),
    ),
    st.builds(Load, id=st.integers(0, 2**40), path=texts, settings=st.builds(LoadSettings, devices=st.tuples(texts))),
)
commands, events = command_decoder(), event_decoder()


def decoded(frame: bytes) -> msgspec.Struct:
    """The message in a frame of either direction."""
    try:
        return commands.decode(frame)
    except msgspec.ValidationError:
        return events.decode(frame)


@given(st.lists(messages, max_size=8), st.data())
def test_messages_survive_any_cut_of_the_stream(sent: list[msgspec.Struct], data: st.DataObject) -> None:
    stream = b"".join(encode(message) for message in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    frames, received = FrameDecoder(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += [decoded(frame) for frame in frames.feed(stream[start:end])]
    assert received == sent


@given(st.lists(messages, max_size=4))
def test_a_blocking_reader_sees_the_same_messages(sent: list[msgspec.Struct]) -> None:
    stream = io.BytesIO(b"".join(encode(message) for message in sent))
    received = []
    while (frame := read_frame(stream)) is not None:
        received.append(decoded(frame))
    assert received == sent


@given(messages, st.integers(1, 60))
def test_a_stream_that_ends_inside_a_frame_just_ends(message: msgspec.Struct, missing: int) -> None:
    cut = encode(message)[:-missing]
    assert read_frame(io.BytesIO(cut)) is None
    assert list(FrameDecoder().feed(cut)) == []


@given(st.binary(max_size=400))
def test_rubbish_gives_frames_or_a_wire_error_and_nothing_else(data: bytes) -> None:
    try:
        for frame in FrameDecoder().feed(data):
            assert len(frame) <= len(data)
    except WireError:
        assert int.from_bytes(data[:4], "little") > MAX_FRAME_BYTES or len(data) > 4


def test_a_length_beyond_reason_is_refused_before_it_is_allocated() -> None:
    with pytest.raises(WireError, match="frame of"):
        list(FrameDecoder().feed(b"\xff\xff\xff\xff"))


class Newer(msgspec.Struct, kw_only=True):
    """A message of a version of llmtui that is still to come."""

    type: str
    id: int = 0
    novelty: str = "field"
    settings: dict[str, object] = {}
    path: str = ""


def test_fields_that_are_not_known_are_ignored_in_both_directions() -> None:
    settings = {**msgspec.to_builtins(LoadSettings(n_ctx=512)), "novelty": 1}
    load = commands.decode(encode(Newer(type="Load", id=3, path="a.gguf", settings=settings))[LENGTH.size :])
    assert load == Load(id=3, path="a.gguf", settings=LoadSettings(n_ctx=512))
    assert events.decode(encode(Newer(type="Ok", id=3))[LENGTH.size :]) == Ok(id=3)


def test_every_command_says_what_answers_it_and_has_a_handler() -> None:
    assert set(ANSWERS) == set(COMMANDS) - {Cancel, EndThought} and set(ANSWERS.values()) < set(EVENTS)
    assert HANDLERS.keys() | AT_ONCE.keys() == set(COMMANDS) and not HANDLERS.keys() & AT_ONCE.keys()


async def test_a_command_that_the_engine_does_not_know_fails_and_the_engine_goes_on(tiny: LocalEngine) -> None:
    class Dream(Command[Ok], frozen=True):
        """A command of a version that is still to come."""

    commands: tuple[Command[Any], ...] = (Dream(), msgspec.structs.replace(Count(messages=()), messages=7))
    for what in commands:
        ANSWERS.setdefault(type(what), Ok)
        try:
            with pytest.raises(EngineError) as error:
                await tiny.ask(what)
        finally:
            ANSWERS.pop(Dream, None)
        assert error.value.info.kind == "unknown_command" and type(what).__name__ in error.value.info.text
    assert tiny.alive and (await tiny.ask(Count(messages=(Message(role="user", content="hi"),)))).n_tokens > 0


async def test_an_event_that_the_front_end_does_not_know_is_left_out() -> None:
    engine = ScriptedEngine()
    await engine.start()
    await engine.load(DENSE, TINY)
    answer = engine.generate(Generate(messages=(Message(role="user", content="hi"),)))
    command = await engine.asked(Generate)
    engine.begin()
    engine._on_output(encode(Newer(type="Dreamt", id=command.id)))
    engine.finish()
    assert [type(event) for event in [event async for event in answer]] == [Started, Prefill, Done]
    # One that it should know and cannot read is another matter: nothing after it can be trusted.
    engine._on_output(encode(Newer(type="Delta", id=command.id)))
    await until(lambda: not engine.alive)
    with pytest.raises(EngineDied) as died:
        await engine.ask(Count(messages=()))
    assert died.value.death.cause == "out_of_step"


def test_what_is_no_command_at_all_ends_the_engine() -> None:
    command = [sys.executable, "-P", "-m", "tui.engine.worker"]
    done = subprocess.run(command, input=LENGTH.pack(3) + b"\xc1\xc1\xc1", capture_output=True, check=False)
    assert done.returncode == 1 and b"not a message" in done.stderr
