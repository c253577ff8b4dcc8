"""Both hubs asked through their libraries: searches, repositories, locations, and how they fail."""

from __future__ import annotations

import email.utils
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from huggingface_hub import close_session

from tests.hubs.conftest import HUBS, client
from tests.hubserver.exchange import CutConnectionError, Reply, Request, in_json
from tests.hubserver.server import HubServer, ServedRepo
from tests.hubserver.tls import self_signed
from tests.patience import PATIENCE_S
from tui.hubs import known_hubs
from tui.hubs.interface import Hub, HubError, HubErrorKind
from tui.hubs.records import HubName, Query, RepoId
from tui.hubs.repo_facts import params_in_name

NAME = "Qwen/Qwen3-4B-GGUF"
GGUF = b"GGUF" + bytes(100)
ANY = r"^/(api|openapi)/"


def qwen(**more: object) -> ServedRepo:
    return ServedRepo(NAME, {"Qwen3-4B-Q8_0.gguf": GGUF, "README.md": b"# hello"}, **more)  # type: ignore[arg-type]


def an_id(hub: Hub, name: str = NAME, revision: str = "") -> RepoId:
    return RepoId(hub=hub.name, name=name, revision=revision)


def failing(hub: Hub, name: str = NAME, revision: str = "") -> HubError:
    """What opening a repository raises."""
    with pytest.raises(HubError) as raised:
        hub.repo(an_id(hub, name, revision))
    return raised.value


def test_a_search_tells_what_the_hub_knows_of_each_repository(hub: Hub, server: HubServer) -> None:
    server.add(qwen(n_downloads=123_456, n_likes=78, n_params=4_022_468_096, is_gated=True))
    server.add(ServedRepo("google/gemma-3-4b-it-qat-q4_0-gguf", {"gemma.gguf": GGUF}))
    server.add(ServedRepo("Qwen/Qwen3-4B", {"model.safetensors": b""}))
    page = hub.search(Query(text="qwen3"))
    (found,) = page.repos
    assert found.id == an_id(hub)
    assert (found.n_downloads, found.n_likes, found.n_params) == (123_456, 78, 4_022_468_096)
    assert (found.licence, found.is_gated, found.updated_at) == ("apache-2.0", True, 1_777_897_800.0)
    assert page.next == ""


def test_pages_follow_one_another_to_the_end(hub: Hub, server: HubServer) -> None:
    for number in range(7):
        server.add(ServedRepo(f"me/m{number}-GGUF", {"a.gguf": GGUF}, n_downloads=number))
    names, page = [], ""
    for size in (3, 3, 1):
        found = hub.search(Query(author="me", limit=3), page)
        assert len(found.repos) == size
        names += [repo.id.name for repo in found.repos]
        page = found.next
    assert page == ""
    assert names == [f"me/m{number}-GGUF" for number in reversed(range(7))]


@pytest.mark.parametrize(("sort", "first"), [("downloads", "a/one"), ("likes", "a/two"), ("updated", "a/three")])
def test_a_search_is_sorted_as_asked(hub: Hub, server: HubServer, sort: str, first: str) -> None:
    for name, downloads, likes, updated in (("one", 9, 1, 2024), ("two", 1, 9, 2025), ("three", 2, 2, 2026)):
        repo = ServedRepo(f"a/{name}-gguf", {"a.gguf": GGUF}, n_downloads=downloads, n_likes=likes)
        server.add(repo).updated = f"{updated}-01-01T00:00:00.000Z"
    found = hub.search(Query(sort=sort))  # type: ignore[arg-type]
    assert found.repos[0].id.name == f"{first}-gguf"


def test_a_repository_of_a_hostile_name_is_left_out(hub: Hub, server: HubServer) -> None:
    server.add(ServedRepo("a/../../gguf", {"a.gguf": GGUF}))
    server.add(ServedRepo("a/b\x1b[2J-gguf", {"a.gguf": GGUF}))
    server.add(ServedRepo("a/fine-gguf", {"a.gguf": GGUF}))
    assert [repo.id.name for repo in hub.search(Query()).repos] == ["a/fine-gguf"]


ODD: tuple[object, ...] = ("text", -1, 1.5, True, None, [], {}, 10**30)


def test_what_makes_no_sense_in_an_answer_counts_as_not_told(hub: Hub, server: HubServer) -> None:
    odd = [
        {
            **dict.fromkeys(("downloads", "likes", "params", "lastModified", "last_modified", "license"), value),
            "id": f"a/m{number}-gguf",
            "tags": [value, "gguf"],
            "gguf": {"total": value},
            "gated": False,
        }
        for number, value in enumerate(ODD)
    ]
    found = {"huggingface": [*odd, 5, {}, {"id": 7}], "modelscope": {"data": {"models": [*odd, 5, {}, {"id": 7}]}}}
    server.instead(ANY, in_json(found[hub.name]))
    repos = hub.search(Query()).repos
    assert {repo.id.name for repo in repos} <= {model["id"] for model in odd}
    assert len(repos) >= 3
    for repo in repos:
        assert {type(repo.n_downloads), type(repo.n_likes), type(repo.n_params)} <= {type(None)}
        assert repo.updated_at is None or isinstance(repo.updated_at, float)
        assert isinstance(repo.licence, str)


@pytest.mark.parametrize("size", [-1, 1.5, "9", None, 10**30])
def test_no_file_has_an_odd_size(hub: Hub, server: HubServer, size: object) -> None:
    server.add(qwen())

    def odd(request: Request, reply: Reply) -> Reply:
        assert isinstance(reply.body, bytes)
        told = reply.body.replace(f": {len(GGUF)}".encode(), f": {json.dumps(size)}".encode())
        return Reply(reply.status, reply.headers, told)

    server.instead("blobs|repo/files", odd)
    try:
        files = hub.repo(an_id(hub)).files
    except HubError as error:
        assert error.kind == "protocol"
    else:
        assert "README.md" in [file.path for file in files]
        for file in files:
            assert isinstance(file.size_bytes, int) and 0 <= file.size_bytes <= 1 << 60


def test_a_repository_is_told_with_its_files(hub: Hub, server: HubServer) -> None:
    served = server.add(qwen())
    served.files |= {"sub/千问-Q4_K_M.gguf": GGUF, "../up.gguf": GGUF, "/etc/cron.gguf": GGUF}
    repo = hub.repo(an_id(hub))
    files = {file.path: file for file in repo.files}
    assert files.keys() == {"Qwen3-4B-Q8_0.gguf", "README.md", "sub/千问-Q4_K_M.gguf"}
    assert files["Qwen3-4B-Q8_0.gguf"].size_bytes == len(GGUF)
    assert files["Qwen3-4B-Q8_0.gguf"].sha256 == served.sha256("Qwen3-4B-Q8_0.gguf")
    assert repo.id == an_id(hub)
    assert repo.commit == (served.commit if hub.name == "huggingface" else "")


def test_bytes_are_where_the_hub_says(hub: Hub, server: HubServer) -> None:
    server.add(qwen()).files["sub dir/a+b#1.gguf"] = GGUF[:-1] + b"x"
    repo = hub.repo(an_id(hub))
    (file,) = (file for file in repo.files if file.path.startswith("sub"))
    source = hub.open(repo, file)
    assert source.size == len(GGUF)
    assert source.read_at(100, 100) == b"\0\0\0x"
    assert hub.location(repo, file).headers == {}


@pytest.mark.parametrize("name", HUBS)
def test_a_token_goes_with_each_request(name: HubName, server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN" if name == "huggingface" else "MODELSCOPE_API_TOKEN", server.token)
    hub = client(name, server.url)
    server.add(qwen(is_gated=True))
    hub.search(Query())
    repo = hub.repo(an_id(hub))
    source = hub.open(repo, repo.files[0])
    assert source.read_at(0, 4) == b"GGUF"
    assert {request.headers.get("authorization") for request in server.seen} == {f"Bearer {server.token}"}


def test_nothing_is_written_into_the_home_folder(hub: Hub, server: HubServer) -> None:
    server.add(qwen())
    hub.repo(an_id(hub))
    assert not Path(os.environ["HOME"]).exists()


def test_a_repository_that_is_not_there_is_said_to_be(hub: Hub, server: HubServer) -> None:
    error = failing(hub, "Qwen/Qwen5")
    assert error.kind == "not_found"
    assert "Qwen/Qwen5" in str(error)
    assert "private" in str(error)


def test_a_revision_that_is_not_there_is_said_to_be(server: HubServer) -> None:
    server.add(qwen())
    error = failing(client("huggingface", server.url), revision="v9")
    assert (error.kind, str(error)) == ("not_found", f"{NAME} has no revision v9: leave it out.")


def test_what_no_repository_can_be_called_is_not_asked_for(server: HubServer) -> None:
    assert failing(client("huggingface", server.url), "a/" + "b" * 200).kind == "name"
    assert server.seen == []


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply(500), "server", "500"),
        (Reply(502, body=b"<html>Bad Gateway</html>"), "server", "502"),
        (Reply(503, {"Retry-After": "7"}), "server", "503"),
        (Reply(407), "proxy", "proxy"),
        (Reply(511), "captive", "log in"),
        (Reply(200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><html>Hotel WiFi"), "captive", "log in"),
        (Reply(403, {"Content-Type": "text/html"}, b"<html>blocked</html>"), "captive", "log in"),
        (Reply(200, {"Content-Type": "application/json"}, b'{"a": '), "protocol", "does not understand"),
        (in_json([1, 2]), "protocol", "does not understand"),
        (in_json("text"), "protocol", "does not understand"),
        (in_json(None), "protocol", "does not understand"),
        (in_json({"id": 3, "models": 5}), "protocol", "does not understand"),
        (Reply(418), "protocol", "418"),
    ],
)
def test_each_failure_of_a_search_has_its_sentence(
    hub: Hub, server: HubServer, reply: Reply, kind: HubErrorKind, words: str
) -> None:
    server.instead(ANY, reply)
    with pytest.raises(HubError) as raised:
        hub.search(Query())
    assert raised.value.kind == kind
    assert words in str(raised.value)
    assert raised.value.hub == hub.name
    assert len(server.seen) == 1, "nobody waits for retries"


@pytest.mark.parametrize(
    ("retry_after", "wait_s"),
    [("30", 30), ("", 0), ("soon", 0), ("-5", 0), ("9" * 40, 86400)],
)
def test_a_hub_that_is_busy_says_how_long_to_wait(hub: Hub, server: HubServer, retry_after: str, wait_s: float) -> None:
    server.instead(ANY, Reply(429, {"Retry-After": retry_after} if retry_after else {}))
    error = failing(hub)
    assert error.kind == "busy"
    assert error.retry_after_s == wait_s
    assert ("try again in a few minutes" in str(error)) == (wait_s == 0)


@pytest.mark.parametrize("header", ["Retry-After", "RateLimit"])
def test_a_time_to_wait_may_be_said_in_other_ways(server: HubServer, header: str) -> None:
    at = email.utils.formatdate(time.time() + 3600, usegmt=True)
    server.instead(ANY, Reply(429, {header: at if header == "Retry-After" else '"api";r=0;t=3600'}))
    assert 3000 < failing(client("huggingface", server.url)).retry_after_s <= 3600


def test_a_token_that_is_wrong_is_said_to_be(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    server.add(qwen())
    error = failing(client("huggingface", server.url))
    assert error.kind == "token"
    assert "HF_TOKEN" in str(error)
    assert "huggingface.co/settings/tokens" in str(error)
    assert "hf_wrong" not in str(error)


@pytest.mark.parametrize("has_token", [False, True])
def test_a_gated_file_says_what_to_do(server: HubServer, monkeypatch: pytest.MonkeyPatch, has_token: bool) -> None:
    served = server.add(qwen(is_gated=True))
    if has_token:
        monkeypatch.setenv("HF_TOKEN", "of somebody else")
        refusal = in_json({"error": "Access is restricted"}, 403, {"X-Error-Code": "GatedRepo"})
        server.instead("/resolve/", refusal)
        server.token = "of somebody else"
    hub = client("huggingface", server.url)
    repo = hub.repo(an_id(hub))
    assert repo.found.is_gated
    with pytest.raises(HubError) as raised:
        hub.open(repo, repo.files[0]).read_at(0, 4)
    assert raised.value.kind == "gated"
    assert f"https://huggingface.co/{served.name}" in str(raised.value)
    assert ("settings/tokens" in str(raised.value)) == (not has_token)


@pytest.mark.parametrize("name", HUBS)
def test_a_line_that_breaks_is_said_to_be(name: HubName, server: HubServer) -> None:
    def cut(request: Request, reply: Reply) -> Reply:
        raise CutConnectionError

    server.instead(ANY, cut)
    error = failing(client(name, server.url))
    assert error.kind == "unreachable"
    assert "(Server disconnected without sending a response)" in str(error)


@pytest.mark.parametrize("name", HUBS)
def test_a_line_that_breaks_once_is_not_noticed(name: HubName, server: HubServer) -> None:
    def cut(request: Request, reply: Reply) -> Reply:
        raise CutConnectionError

    server.add(qwen())
    server.instead(ANY, cut, times=1)
    hub = client(name, server.url)
    assert hub.search(Query()).repos
    server.instead(ANY, cut, times=1)
    assert hub.repo(an_id(hub)).files


@pytest.mark.parametrize("name", HUBS)
@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [("http://127.0.0.1:1", "unreachable"), ("http://nowhere.invalid", "offline")],
)
def test_a_hub_that_is_not_there_is_said_to_be(name: HubName, endpoint: str, kind: HubErrorKind) -> None:
    error = failing(client(name, endpoint))
    assert error.kind == kind
    assert (known_hubs.HUBS[name].endpoint in str(error)) == (kind == "unreachable")


@pytest.mark.parametrize("name", HUBS)
def test_a_certificate_that_nobody_vouches_for_is_not_trusted(name: HubName, tmp_path: Path) -> None:
    with HubServer(qwen(), certificate=self_signed(tmp_path)) as server:
        error = failing(client(name, server.url))
        assert server.seen == []
    assert error.kind == "certificate"
    assert "clock" in str(error)


@pytest.mark.parametrize("name", HUBS)
def test_a_proxy_that_is_not_there_is_named_without_its_password(
    name: HubName, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://me:secret@127.0.0.1:1")
    close_session()
    try:
        error = failing(client(name, "http://hub.invalid"))
    finally:
        close_session()
    assert error.kind == "proxy"
    assert "127.0.0.1:1" in str(error)
    assert "secret" not in str(error)


def test_a_hub_that_says_nothing_is_not_waited_for(
    hub: Hub, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.hubs.huggingface._TIMEOUT_S", 0.2)
    monkeypatch.setattr("tui.hubs.modelscope._TIMEOUT_S", (0.2, 0.2))
    server.add(qwen())
    repo = hub.repo(an_id(hub))
    ends = threading.Event()

    def silent(request: Request, reply: Reply) -> Reply:
        ends.wait(PATIENCE_S)
        raise CutConnectionError

    server.instead("resolve|FilePath", silent)
    with pytest.raises(HubError) as raised:
        hub.open(repo, repo.files[0]).read_at(0, 4)
    ends.set()
    assert raised.value.kind == "timeout"


def test_offline_mode_asks_nobody(server: HubServer) -> None:
    """In a process of its own: the library reads the variable when it is imported."""
    script = (
        "from tui.hubs.interface import HubError\n"
        "from tui.hubs.records import Query, RepoId\n"
        "from tui.hubs.reference import Reference\n"
        "from tui.hubs.registry import Hubs, new_hub\n"
        "hubs = [new_hub(name) for name in ('huggingface', 'modelscope')]\n"
        "asked = [\n"
        "    *((lambda hub=hub: hub.search(Query())) for hub in hubs),\n"
        "    *((lambda hub=hub: hub.repo(RepoId(hub=hub.name, name='a/b'))) for hub in hubs),\n"
        "    lambda: Hubs().repo(Reference(name='a/b')),\n"
        "]\n"
        "for ask in asked:\n"
        "    try:\n        ask()\n"
        "    except HubError as error:\n        print(error.kind, error)\n"
    )
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": server.url, "MODELSCOPE_ENDPOINT": server.url}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environ, timeout=PATIENCE_S
    )
    lines = done.stdout.splitlines()
    assert lines == ["offline No hub is asked, as HF_HUB_OFFLINE is set: unset it to search and download models."] * 5
    assert server.seen == []


@pytest.mark.parametrize(
    ("name", "n_params"),
    [
        ("Qwen/Qwen3-30B-A3B-GGUF", 30_000_000_000),
        ("unsloth/Qwen3-0.6B-GGUF", 600_000_000),
        ("mistralai/Mixtral-8x7B-gguf", 56_000_000_000),
        ("HuggingFaceTB/SmolLM2-135M-Instruct-GGUF", 135_000_000),
        ("a/phi-4-gguf", None),
        ("7B/model", None),
    ],
)
def test_parameters_are_read_from_a_name_where_the_hub_does_not_count_them(name: str, n_params: int | None) -> None:
    assert params_in_name(name) == n_params
