"""A search over both hubs, and a repository found by what a person wrote."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hubs.conftest import client
from tests.hubserver.exchange import Reply
from tests.hubserver.server import HubServer, ServedRepo
from tui.hubs.interface import HubError
from tui.hubs.records import Page, Query
from tui.hubs.reference import Reference, parse_reference
from tui.hubs.registry import Hubs
from tui.words import use

FILES = {"m-Q4_K_M.gguf": b"GGUF"}


def repo(name: str, *hubs: str, n: int = 1, updated: int = 2026) -> ServedRepo:
    when = f"{updated}-01-01T00:00:00.000Z"
    return ServedRepo(name, dict(FILES), n_downloads=n, updated=when, hubs=hubs or ("huggingface", "modelscope"))


@pytest.fixture
def both(server: HubServer) -> Hubs:
    return Hubs([client("huggingface", server.url), client("modelscope", server.url)])


def test_a_repository_that_both_have_is_found_once(server: HubServer, both: Hubs) -> None:
    server.add(repo("Qwen/both-GGUF", n=9))
    server.add(repo("a/one-GGUF", "huggingface", n=5))
    server.add(repo("b/two-GGUF", "modelscope", n=7))
    found = both.search(Query())
    assert [each.id.name for each in found.repos] == ["Qwen/both-GGUF", "a/one-GGUF", "b/two-GGUF"]
    first = found.repos[0]
    assert (first.id.hub, first.also_on) == ("huggingface", ("modelscope",))
    assert (found.failures, found.next) == ((), ())


def test_the_newest_come_first_whichever_hub_has_them(server: HubServer, both: Hubs) -> None:
    for year, hub in ((2023, "huggingface"), (2026, "modelscope"), (2024, "huggingface"), (2025, "modelscope")):
        server.add(repo(f"a/of-{year}-gguf", hub, updated=year))
    found = both.search(Query(sort="updated"))
    assert [each.id.name for each in found.repos] == [f"a/of-{year}-gguf" for year in (2026, 2025, 2024, 2023)]


@pytest.mark.parametrize(("pattern", "failed"), [("^/api/models", "huggingface"), ("^/openapi", "modelscope")])
def test_a_search_survives_the_failure_of_one_hub(server: HubServer, both: Hubs, pattern: str, failed: str) -> None:
    server.add(repo("a/m-GGUF"))
    server.instead(pattern, Reply(503))
    found = both.search(Query())
    assert [each.id.name for each in found.repos] == ["a/m-GGUF"]
    assert [error.hub for error in found.failures] == [failed]


def test_a_search_that_no_hub_answers_fails(server: HubServer, both: Hubs) -> None:
    server.instead("", Reply(503))
    with pytest.raises(HubError) as raised:
        both.search(Query())
    first, second = str(raised.value).splitlines()
    assert "Hugging Face" in first and "ModelScope" in second


def test_a_repository_that_no_hub_can_be_asked_for_says_why_of_each(server: HubServer, both: Hubs) -> None:
    server.instead("", Reply(503))
    with pytest.raises(HubError) as raised:
        both.repo(Reference(name="a/m-GGUF"))
    first, second = str(raised.value).splitlines()
    assert "Hugging Face" in first and "ModelScope" in second


def test_more_of_a_search_is_asked_of_those_that_have_more(server: HubServer, both: Hubs) -> None:
    for number in range(5):
        server.add(repo(f"a/{number}-gguf", "huggingface", n=number))
    server.add(repo("b/only-gguf", "modelscope"))
    query = Query(limit=3)
    first = both.search(query)
    assert [hub for hub, _ in first.next] == ["huggingface"]
    more = both.search(query, pages=dict(first.next))
    assert [each.id.name for each in more.repos] == ["a/1-gguf", "a/0-gguf"]
    assert more.next == ()


def test_a_search_may_be_of_one_hub(server: HubServer, both: Hubs) -> None:
    server.add(repo("a/m-GGUF"))
    found = both.search(Query(), only="modelscope")
    assert found.repos[0].id.hub == "modelscope"
    assert server.asked("^/api/models") == []


def test_each_hub_is_told_as_soon_as_it_answers(server: HubServer, both: Hubs) -> None:
    server.add(repo("a/m-GGUF"))
    server.instead("^/openapi", Reply(500))
    answers = dict(both.search_each(Query()))
    assert isinstance(answers["huggingface"], Page)
    assert isinstance(answers["modelscope"], HubError)


def test_a_repository_is_looked_for_on_one_hub_after_the_other(server: HubServer, both: Hubs) -> None:
    server.add(repo("b/two-GGUF", "modelscope"))
    assert both.repo(parse_reference("b/two-GGUF")).id.hub == "modelscope"
    with pytest.raises(HubError) as raised:
        both.repo(parse_reference("hf.co/b/two-GGUF"))
    assert (raised.value.kind, raised.value.hub) == ("not_found", "huggingface")
    with pytest.raises(HubError) as raised:
        both.repo(parse_reference("b/nowhere-GGUF"))
    assert (raised.value.kind, raised.value.hub) == ("not_found", "huggingface")


def test_what_a_hub_could_not_say_is_not_called_missing(server: HubServer, both: Hubs) -> None:
    server.instead("^/openapi", Reply(500))
    with pytest.raises(HubError) as raised:
        both.repo(parse_reference("b/nowhere-GGUF"))
    assert (raised.value.kind, raised.value.hub) == ("server", "modelscope")


@pytest.fixture
def chinese() -> Iterator[None]:
    use("zh")
    yield
    use("en")


def test_with_a_chinese_interface_modelscope_is_asked_first(chinese: None) -> None:
    assert Hubs().names == ("modelscope", "huggingface")


def test_else_hugging_face_is_asked_first() -> None:
    assert Hubs().names == ("huggingface", "modelscope")
