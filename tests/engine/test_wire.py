"""The wire: any message in any pieces arrives as it was sent, and rubbish is noticed."""

from __future__ import annotations

import io

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.protocol.messages import Delta, Generate, Load, command_decoder, event_decoder
from tui.protocol.records import LoadSettings, Message, Sampling
from tui.protocol.wire import MAX_FRAME_BYTES, FrameDecoder, WireError, encode, read_frame

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
def test_messages_survive_any_cut_of_the_stream(sent, data):
    stream = b"".join(encode(message) for message in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    frames, received = FrameDecoder(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += [decoded(frame) for frame in frames.feed(stream[start:end])]
    assert received == sent


@given(st.lists(messages, max_size=4))
def test_a_blocking_reader_sees_the_same_messages(sent):
    stream = io.BytesIO(b"".join(encode(message) for message in sent))
    received = []
    while (frame := read_frame(stream)) is not None:
        received.append(decoded(frame))
    assert received == sent


@given(messages, st.integers(1, 60))
def test_a_stream_that_ends_inside_a_frame_just_ends(message, missing):
    cut = encode(message)[:-missing]
    assert read_frame(io.BytesIO(cut)) is None
    assert list(FrameDecoder().feed(cut)) == []


@given(st.binary(max_size=400))
def test_rubbish_gives_frames_or_a_wire_error_and_nothing_else(data):
    try:
        for frame in FrameDecoder().feed(data):
            assert len(frame) <= len(data)
    except WireError:
        assert int.from_bytes(data[:4], "little") > MAX_FRAME_BYTES or len(data) > 4


def test_a_length_beyond_reason_is_refused_before_it_is_allocated():
    with pytest.raises(WireError, match="frame of"):
        list(FrameDecoder().feed(b"\xff\xff\xff\xff"))
