"""Headers of remote models, read by ranges from a real server."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hubs.conftest import HUBS, client
from tests.hubserver.exchange import CutConnectionError, Reply, Request
from tests.hubserver.server import HubServer, ServedRepo
from tests.models.gguf_files import Shape, header, pad
from tui.hubs.interface import Hub, HubError, HubErrorKind
from tui.hubs.kept_headers import KeptHeaders
from tui.hubs.records import HubName, Repo, RepoId, Variant
from tui.hubs.registry import Hubs
from tui.hubs.remote_header import read_remote
from tui.hubs.variants import content_of
from tui.hubs.vocabulary import Vocabulary
from tui.models.gguf import ArrayStub, GgufHeader, Value, read_header
from tui.models.info import ModelInfo, from_headers
from tui.models.source import BytesSource

NAME = "me/Test-GGUF"
SHAPE = Shape(n_vocab=40_000, n_embd=32)
VOCABULARY: dict[str, object] = {
    "tokenizer.ggml.tokens": [f"token {number:06d} {'x' * 40}" for number in range(40_000)],
    "tokenizer.ggml.token_type": [1] * 40_000,
}
HEADER_BYTES = 2_700_000
"""Of a model with this vocabulary: more than one request brings, less than a few."""


@cache
def gguf(kind: str = "F16") -> bytes:
    """A whole model."""
    shape = replace(SHAPE, kind=kind)
    raw, size = header({**shape.metadata(), **VOCABULARY, "tokenizer.chat_template": "{{ x }}"}, shape.tensors())
    return raw.ljust(size, b"\0")


def of_file(raw: bytes, name: str) -> ModelInfo:
    return from_headers([read_header(raw)], name)


@pytest.fixture
def served(server: HubServer) -> ServedRepo:
    return server.add(ServedRepo(NAME, {"m-F16.gguf": gguf(), "m-F32.gguf": gguf("F32")}))


def opened(hub: Hub) -> tuple[Repo, dict[str, Variant]]:
    repo = hub.repo(RepoId(hub=hub.name, name=NAME))
    return repo, {variant.label: variant for variant in content_of(repo).variants}


def test_a_header_on_a_hub_says_what_it_says_on_the_disk(hub: Hub, served: ServedRepo, server: HubServer) -> None:
    repo, variants = opened(hub)
    before = server.n_sent
    info = read_remote(hub, repo, variants["F16"], Vocabulary())
    raw = served.files["m-F16.gguf"]
    assert isinstance(raw, bytes)
    assert info == of_file(raw, "m-F16")
    assert info.size_bytes == len(raw) > HEADER_BYTES * 2
    assert len(server.asked("m-F16.gguf")) <= 3
    assert server.n_sent - before < HEADER_BYTES * 2


def test_the_vocabulary_is_fetched_once_for_all_quantizations(hub: Hub, served: ServedRepo, server: HubServer) -> None:
    repo, variants = opened(hub)
    vocabulary = Vocabulary()
    read_remote(hub, repo, variants["F16"], vocabulary)
    before = server.n_sent
    info = read_remote(hub, repo, variants["F32"], vocabulary)
    raw = served.files["m-F32.gguf"]
    assert isinstance(raw, bytes)
    assert info == of_file(raw, "m-F32")
    assert server.n_sent - before < HEADER_BYTES // 4


def test_a_file_with_another_vocabulary_of_the_same_length_is_read_whole(hub: Hub, server: HubServer) -> None:
    tokens = VOCABULARY["tokenizer.ggml.tokens"]
    assert isinstance(tokens, list)
    other = {**SHAPE.metadata(), "tokenizer.ggml.tokens": [f"{token}y" for token in tokens]}
    raw, size = header(other, replace(SHAPE, kind="F16").tensors())
    server.add(ServedRepo(NAME, {"m-F16.gguf": gguf(), "m-Q8_0.gguf": raw.ljust(size, b"\0")}))
    repo, variants = opened(hub)
    vocabulary = Vocabulary()
    read_remote(hub, repo, variants["F16"], vocabulary)
    assert read_remote(hub, repo, variants["Q8_0"], vocabulary) == of_file(raw.ljust(size, b"\0"), "m-Q8_0")


def test_parts_are_read_as_one_model(hub: Hub, server: HubServer) -> None:
    shape = replace(SHAPE, kind="F16")
    tensors = shape.tensors()
    first, first_size = header({**shape.metadata(), **VOCABULARY, "split.count": 3}, tensors[:5])
    parts = [first.ljust(first_size, b"\0")]
    for part in (tensors[5:12], tensors[12:]):
        raw, size = header({"split.count": 3}, part)
        parts.append(raw.ljust(pad(size), b"\0"))
    files = {f"F16/m-F16-0000{n}-of-00003.gguf": raw for n, raw in enumerate(parts, start=1)}
    server.add(ServedRepo(NAME, dict(files)))
    repo, variants = opened(hub)
    info = read_remote(hub, repo, variants["F16"], Vocabulary())
    assert info == from_headers([read_header(raw) for raw in parts], "m-F16")
    assert info.n_params == of_file(gguf(), "").n_params


def test_what_was_read_is_kept_and_costs_nothing_the_next_time(
    hub: Hub, served: ServedRepo, server: HubServer, tmp_path: Path
) -> None:
    repo, variants = opened(hub)
    info = Hubs([hub], KeptHeaders(tmp_path)).info(repo, variants["F16"])
    n_asked = len(server.seen)
    assert Hubs([hub], KeptHeaders(tmp_path)).info(repo, variants["F16"]) == info
    assert len(server.seen) == n_asked


def test_a_kept_header_is_known_on_the_other_hub_and_not_for_other_contents(
    served: ServedRepo, server: HubServer, tmp_path: Path
) -> None:
    kept = KeptHeaders(tmp_path)
    for name in HUBS:
        hub = client(name, server.url)
        repo, variants = opened(hub)
        read_remote(hub, repo, variants["F16"], Vocabulary(), kept)
    assert {request.headers.get("range") for request in server.asked("FilePath")} == set()
    variant = variants["F16"]
    other = replace_file(variant, sha256="0" * 64)
    assert kept.get(variant) is not None
    assert kept.get(other) is None
    assert kept.get(replace_file(variant, sha256="")) is None, "nothing tells whether that is still the same"


def replace_file(variant: Variant, sha256: str) -> Variant:
    files = tuple(msgspec.structs.replace(file, sha256=sha256) for file in variant.files)
    return msgspec.structs.replace(variant, files=files, commit="")


@pytest.mark.parametrize("damage", [b"", b"x" * 40, None])
def test_a_damaged_kept_header_is_read_again(
    hub: Hub, served: ServedRepo, tmp_path: Path, damage: bytes | None
) -> None:
    kept = KeptHeaders(tmp_path)
    repo, variants = opened(hub)
    info = read_remote(hub, repo, variants["F16"], Vocabulary(), kept)
    (file,) = tmp_path.iterdir()
    raw = bytearray(file.read_bytes())
    raw[-5] ^= 1
    file.write_bytes(bytes(raw) if damage is None else damage)
    assert kept.get(variants["F16"]) is None
    assert read_remote(hub, repo, variants["F16"], Vocabulary(), kept) == info
    assert kept.get(variants["F16"]) == info


def test_a_server_that_ignores_ranges_is_left_when_enough_came(hub: Hub, server: HubServer, served: ServedRepo) -> None:
    def whole(request: Request, reply: Reply) -> Reply:
        name = next(name for name in served.files if name in request.target)
        raw = served.files[name]
        assert isinstance(raw, bytes)
        pieces = (raw[at : at + (1 << 16)] for at in range(0, len(raw), 1 << 16))
        return Reply(200, {"Content-Length": str(len(raw))}, pieces)

    server.instead("resolve|FilePath", whole)
    repo, variants = opened(hub)
    vocabulary = Vocabulary()
    for label in ("F16", "F32"):
        raw = served.files[f"m-{label}.gguf"]
        assert isinstance(raw, bytes)
        assert read_remote(hub, repo, variants[label], vocabulary) == of_file(raw, f"m-{label}")
    assert len(server.asked("resolve|FilePath")) <= 4


@pytest.mark.parametrize("n_bytes", [0, 1, 4, 100_000, (1 << 20) - 1])
def test_a_line_that_breaks_within_a_header_is_taken_up_where_it_broke(
    hub: Hub, server: HubServer, served: ServedRepo, n_bytes: int
) -> None:
    def cut(request: Request, reply: Reply) -> Reply:
        def pieces(whole: bytes) -> object:
            yield whole[:n_bytes]
            raise CutConnectionError

        body = reply.body if isinstance(reply.body, bytes) else b"".join(reply.body)
        return Reply(reply.status, reply.headers, pieces(body))  # type: ignore[arg-type]

    server.instead("m-F16.gguf", cut, times=1)
    repo, variants = opened(hub)
    raw = served.files["m-F16.gguf"]
    assert isinstance(raw, bytes)
    assert read_remote(hub, repo, variants["F16"], Vocabulary()) == of_file(raw, "m-F16")


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1", "model", "not a GGUF file"),
        (b"<!doctype html><html>Log in</html>", "captive", "log in"),
        (b"GGUF" + bytes(3), "model", "incomplete"),
        (gguf()[:3_000_000], "model", "incomplete"),
        (b"GGUF\x03\0\0\0" + b"\xff" * 200, "model", "cannot be used"),
        (b"", "model", "m-F16.gguf"),
    ],
)
def test_what_is_no_model_is_said_to_be_none(
    hub: Hub, server: HubServer, content: bytes, kind: HubErrorKind, words: str
) -> None:
    server.add(ServedRepo(NAME, {"m-F16.gguf": content}))
    repo, variants = opened(hub)
    with pytest.raises(HubError) as raised:
        read_remote(hub, repo, variants["F16"], Vocabulary())
    assert raised.value.kind == kind
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(404, {"X-Error-Code": "EntryNotFound"}), "not_found"),
        (Reply(500), "server"),
        (Reply(429, {"Retry-After": "3"}), "busy"),
        (Reply(416, {"Content-Range": "bytes */5"}), "protocol"),
        (Reply(200, {"Content-Type": "text/html"}, b"<html>"), "captive"),
        (Reply(206, {"Content-Range": "bytes 7-9/100"}, b"abc"), "protocol"),
        (Reply(206, {"Content-Range": "bytes 0-9/100"}, b"0123456789"), "protocol"),
        (Reply(206, {"Content-Range": "nonsense"}, b"abc"), "protocol"),
    ],
)
def test_each_failure_of_a_range_has_its_sentence(
    hub: Hub, server: HubServer, served: ServedRepo, reply: Reply, kind: HubErrorKind
) -> None:
    server.instead("resolve|FilePath", reply)
    repo, variants = opened(hub)
    with pytest.raises(HubError) as raised:
        read_remote(hub, repo, variants["F16"], Vocabulary())
    assert raised.value.kind == kind


@pytest.mark.parametrize("name", HUBS)
def test_a_token_stays_with_the_hub_that_redirects(
    name: HubName, server: HubServer, served: ServedRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN" if name == "huggingface" else "MODELSCOPE_API_TOKEN", server.token)
    hub = client(name, server.url)
    with HubServer(served) as elsewhere:
        # Another port of the same address is another origin, and "localhost" another host.
        place = elsewhere.url.replace("127.0.0.1", "localhost")
        server.instead("resolve|FilePath", Reply(302, {"Location": f"{place}/{NAME}/resolve/main/m-F16.gguf"}))
        repo, variants = opened(hub)
        info = read_remote(hub, repo, variants["F16"], Vocabulary())
        assert info.arch == "qwen3"
        assert elsewhere.seen
        for request in elsewhere.seen:
            assert server.token not in str(request.headers)
    assert len(server.asked("resolve|FilePath")) == 1, "where it leads to is asked directly from then on"


def test_an_address_that_has_run_out_is_asked_for_again(server: HubServer, served: ServedRepo) -> None:
    hub = client("huggingface", server.url)
    with HubServer(served) as elsewhere:
        leads = Reply(302, {"Location": f"{elsewhere.url}/{NAME}/resolve/signed/m-F16.gguf"})
        server.instead("resolve", leads)
        elsewhere.instead("signed", Reply(403, body=b"<Error>Request has expired</Error>"), times=1, skip=1)
        repo, variants = opened(hub)
        assert read_remote(hub, repo, variants["F16"], Vocabulary()).arch == "qwen3"
    assert len(server.asked("resolve")) == 2


@given(st.integers(1, 400), st.integers(0, 300), st.integers(0, 900), st.integers(0, 900))
def test_a_lent_vocabulary_changes_no_byte(n_more: int, n_behind: int, offset: int, n: int) -> None:
    lists = random.Random(1).randbytes(300)
    one, other = (bytes([fill]) * count + lists + bytes(n_behind) for fill, count in ((1, 20), (2, n_more)))
    vocabulary = Vocabulary()
    stub: dict[str, Value] = {"tokens": ArrayStub(type="str", count=9)}
    spans = {"tokens": (20, 320)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tui.hubs.vocabulary._LONG_BYTES", 100)
        patch.setattr("tui.hubs.vocabulary._SEEN_BYTES", 50)
        header = GgufHeader(version=3, metadata=stub, tensors=(), data_offset=0, file_size=None, spans=spans)
        vocabulary.learn(header, BytesSource(one))
        lent = vocabulary.lent_to(BytesSource(other))
        assert not isinstance(lent, BytesSource)
        assert lent.read_at(offset, n) == other[offset : offset + n]
        assert isinstance(vocabulary.lent_to(BytesSource(other[: n_more + 299])), BytesSource)
