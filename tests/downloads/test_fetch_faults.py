"""One file over a line that does everything wrong: in the end it is right, or there is none."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.downloads.ordering import BYTES, EAGER, FILE, at, get, is_absent, is_right, order_for, served
from tests.hubserver import faults
from tests.hubserver.exchange import Reply
from tests.hubserver.repos import ServedRepo
from tests.hubserver.server import HubServer
from tui.downloads.failures import FetchError
from tui.downloads.fetching import fetch
from tui.downloads.pace import Pace
from tui.downloads.partfile import journal_of, part_of
from tui.downloads.records import Download, Order
from tui.hubs.records import Location

SIZE = 3_000_001


@pytest.fixture
def repo() -> ServedRepo:
    return served(SIZE)


@pytest.fixture
def hub(repo: ServedRepo) -> Iterator[HubServer]:
    with HubServer(repo) as hub:
        yield hub


@pytest.fixture
def order(repo: ServedRepo, tmp_path: Path) -> Order:
    return order_for(repo, tmp_path)


def failure(hub: HubServer, order: Order) -> FetchError:
    with pytest.raises(FetchError) as caught:
        get(hub, order)
    assert is_absent(order)
    return caught.value


def test_a_file_comes_over_several_connections_and_each_byte_once(
    hub: HubServer, repo: ServedRepo, order: Order
) -> None:
    told: list[Download] = []
    assert get(hub, order, told=told)
    assert is_right(order, repo)
    assert hub.n_sent == SIZE
    assert len(hub.asked(BYTES)) > 4
    assert [told[0].state, told[-1].state] == ["fetching", "done"]
    assert told[-1].n_bytes == SIZE


def test_an_empty_file_and_one_of_a_byte(tmp_path: Path) -> None:
    for n in (0, 1):
        repo = served(n, name=f"someone/of-{n}")
        with HubServer(repo) as hub:
            order = order_for(repo, tmp_path)
            assert get(hub, order)
            assert is_right(order, repo)


def test_a_split_file_is_all_its_parts(tmp_path: Path) -> None:
    repo = served(300_000, 200_000, 1)
    with HubServer(repo) as hub:
        order = order_for(repo, tmp_path)
        told: list[Download] = []
        assert get(hub, order, told=told)
        assert is_right(order, repo)
        assert told[-1].n_bytes == 500_001
        assert [one.n_bytes for one in told] == sorted(one.n_bytes for one in told)


@pytest.mark.parametrize("with_sum", [True, False])
def test_a_line_that_is_cut_at_fifty_places_costs_no_byte_twice(
    repo: ServedRepo, hub: HubServer, tmp_path: Path, with_sum: bool
) -> None:
    order = order_for(repo, tmp_path, with_sum=with_sum)
    rng = random.Random(15)
    hub.instead(BYTES, faults.cut(lambda: rng.randrange(1, SIZE // 60)), times=50)
    assert get(hub, order)
    assert is_right(order, repo)
    assert len(hub.asked(BYTES)) > 50
    assert hub.n_sent == SIZE


def get_until(hub: HubServer, order: Order, least: int, most: int) -> int:
    """Fetch, and stop when `least` bytes are there: the hub gives `most` more than there were, however fast it all is.
    Gives how many are there then."""
    dam, told = faults.Dam(most), list[Download]()
    hub.instead(BYTES, dam)
    assert not get(hub, order, told=told, should_stop=lambda: bool(told) and told[-1].n_bytes >= least)
    dam.broken()
    hub.heal()
    assert is_absent(order)
    return told[-1].n_bytes


def test_what_was_stopped_goes_on_where_it_was(hub: HubServer, repo: ServedRepo, order: Order) -> None:
    there = 0
    for _ in range(3):
        there = get_until(hub, order, there + SIZE // 5, SIZE // 4)
    assert get(hub, order)
    assert is_right(order, repo)
    assert hub.n_sent <= SIZE + 3 * (SIZE // 4 - SIZE // 5)


def test_a_server_without_ranges_gives_the_whole_file_again(hub: HubServer, repo: ServedRepo, order: Order) -> None:
    hub.instead(BYTES, lambda q, r: faults.cut(SIZE // 2)(q, faults.whole(repo, FILE)(q, r)), times=1)
    hub.instead(BYTES, faults.whole(repo, FILE))
    assert get(hub, order)
    assert is_right(order, repo)
    assert hub.n_sent == SIZE // 2 + SIZE


def test_one_whole_file_instead_of_a_range_does_not_spoil_the_rest(
    hub: HubServer, repo: ServedRepo, order: Order
) -> None:
    hub.instead(BYTES, faults.whole(repo, FILE), times=1, skip=3)
    assert get(hub, order)
    assert is_right(order, repo)


def test_a_server_that_stops_giving_ranges_is_asked_for_all(hub: HubServer, repo: ServedRepo, order: Order) -> None:
    hub.instead(BYTES, faults.whole(repo, FILE), skip=3)
    assert get(hub, order)
    assert is_right(order, repo)


def test_wrong_bytes_never_get_the_name_and_are_gone(hub: HubServer, repo: ServedRepo, order: Order) -> None:
    hub.instead(BYTES, faults.wrong_bytes(), times=1)
    assert failure(hub, order).kind == "sum"
    assert list(Path(order.folder).iterdir()) == []
    assert get(hub, order)
    assert is_right(order, repo)


def test_another_file_in_the_middle_of_it_is_begun_again(hub: HubServer, repo: ServedRepo, tmp_path: Path) -> None:
    old = ServedRepo(repo.name, {FILE: bytes(SIZE)})
    for with_sum in (True, False):
        order = order_for(repo, tmp_path / str(with_sum), with_sum=with_sum)
        hub.instead(BYTES, lambda q, r: faults.cut(SIZE // 3)(q, faults.changed(old, FILE, '"old"')(q, r)), times=1)
        assert get(hub, order)
        assert is_right(order, repo)


def test_an_etag_that_is_never_the_same(hub: HubServer, repo: ServedRepo, tmp_path: Path) -> None:
    """With a sum it does not matter; without one nobody could tell what was put together."""
    numbers = itertools.count()

    def change(request, reply):  # type: ignore[no-untyped-def]
        return faults.changed(repo, FILE, f'"{next(numbers)}"')(request, reply)

    hub.instead(BYTES, change)
    order = order_for(repo, tmp_path / "with")
    assert get(hub, order)
    assert is_right(order, repo)
    without = order_for(repo, tmp_path / "without", with_sum=False)
    try:
        get(hub, without)
        assert is_right(without, repo)
    except FetchError as error:
        assert error.kind == "changed"
        assert is_absent(without)


@pytest.mark.parametrize("tag", ["", 'W/"weak"'])
def test_without_an_etag_to_rely_on_it_is_right_too(hub: HubServer, repo: ServedRepo, order: Order, tag: str) -> None:
    rng = random.Random(16)

    def change(request, reply):  # type: ignore[no-untyped-def]
        assert "if-range" not in request.headers
        return faults.cut(lambda: rng.randrange(1, SIZE // 5))(request, faults.etag(lambda: tag)(request, reply))

    hub.instead(BYTES, change, times=12)
    hub.instead(BYTES, faults.etag(lambda: tag))
    assert get(hub, order)
    assert is_right(order, repo)
    assert hub.n_sent == SIZE


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_or_broken_server_is_asked_again(hub: HubServer, repo: ServedRepo, order: Order, status: int) -> None:
    hub.instead(BYTES, faults.refused(status), times=2)
    hub.instead(BYTES, faults.refused(status), times=3, skip=2)
    told: list[Download] = []
    assert get(hub, order, told=told)
    assert is_right(order, repo)


def test_retry_after_is_honoured(hub: HubServer, repo: ServedRepo, order: Order) -> None:
    hub.instead(BYTES, faults.refused(429, Retry_After="1"), times=1)
    told: list[Download] = []
    hub_asked: list[int] = []

    def stop() -> bool:
        hub_asked.append(len(hub.asked(BYTES)))
        return False

    assert get(hub, order, told=told, should_stop=stop, effort=EAGER_FOR_LONG)
    waits = [one.problem for one in told if one.problem is not None]
    assert waits and {wait.kind for wait in waits} == {"busy"}
    assert all(wait.retry_at > 0 for wait in waits)
    assert hub_asked.count(1) > 3
    assert is_right(order, repo)


EAGER_FOR_LONG = type(EAGER)(least_piece=1 << 16, ramp_s=0.0, first_pause_s=0.002, longest_pause_s=0.01)


def test_a_wait_that_is_longer_than_patience_is_told_at_once(hub: HubServer, order: Order) -> None:
    hub.instead(BYTES, faults.refused(429, Retry_After="3600"))
    error = failure(hub, order)
    assert (error.kind, error.retry_after_s, error.is_temporary) == ("busy", 3600.0, True)
    assert len(hub.asked(BYTES)) == 1


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (faults.refused(401), "token"),
        (faults.refused(403), "gated"),
        (faults.refused(403, X_Error_Code="GatedRepo"), "gated"),
        (faults.refused(404), "not_found"),
        (faults.refused(410), "not_found"),
        (faults.refused(418), "protocol"),
        (faults.refused(511), "captive"),
        (faults.login_page(), "captive"),
    ],
)
def test_what_needs_a_person_is_asked_once_and_told(hub: HubServer, order: Order, reply, kind: str) -> None:  # type: ignore[no-untyped-def]
    hub.instead(BYTES, reply)
    error = failure(hub, order)
    assert (error.kind, error.is_temporary) == (kind, False)
    assert len(hub.asked(BYTES)) == 1


def test_a_file_of_another_size_is_another_file(hub: HubServer, repo: ServedRepo, order: Order) -> None:
    repo.files[FILE] = bytes(SIZE - 1)
    repo._sums.clear()
    assert failure(hub, order).kind == "changed"


def test_a_content_length_that_says_less(hub: HubServer, repo: ServedRepo, order: Order) -> None:
    """Of a range, the rest is asked for; of the whole file, it is another one."""
    hub.instead(BYTES, faults.shorter(1000), times=5)
    assert get(hub, order)
    assert is_right(order, repo)
    (Path(order.folder) / FILE).unlink()
    hub.instead(BYTES, lambda q, r: faults.shorter(1000)(q, faults.whole(repo, FILE)(q, r)))
    assert failure(hub, order).kind == "changed"


def test_a_dead_hub_is_given_up_when_patience_ends(order: Order) -> None:
    with HubServer() as hub:
        pass
    error = failure(hub, order)
    assert (error.kind, error.is_temporary) == ("unreachable", True)


def test_the_token_stays_with_the_host_that_it_is_for(hub: HubServer, repo: ServedRepo, order: Order) -> None:
    with HubServer(repo) as other:
        hub.instead(BYTES, faults.elsewhere(lambda request: f"{other.url}{request.target}?signature=x"))
        assert get(hub, order)
        assert is_right(order, repo)
        assert len(hub.asked(BYTES)) < len(other.asked(BYTES))  # where it led is remembered
        assert all(request.headers["authorization"] == f"Bearer {hub.token}" for request in hub.asked(BYTES))
        assert not any("authorization" in request.headers for request in other.asked(BYTES))


def test_an_address_that_went_out_of_date_is_asked_for_again(hub: HubServer, repo: ServedRepo, order: Order) -> None:
    with HubServer(repo) as other:
        numbers = itertools.count()
        hub.instead(
            BYTES, lambda request, _: Reply(302, {"Location": f"{other.url}{request.target}?n={next(numbers)}"})
        )
        other.instead(r"n=0", faults.refused(403), skip=2)
        assert get(hub, order)
        assert is_right(order, repo)
        assert len(hub.asked(BYTES)) > 1


def test_redirects_without_end_and_to_what_is_no_server(hub: HubServer, order: Order) -> None:
    for url in (f"{hub.url}/loop.gguf", "file:///etc/passwd", "ftp://127.0.0.1/x"):
        hub.heal()
        hub.instead(r"gguf", faults.elsewhere(lambda _, url=url: url))  # type: ignore[misc]
        assert failure(hub, order).kind == "protocol"


@pytest.mark.parametrize("path", ["../a.gguf", "/a.gguf", "a/../../b.gguf", "a\0.gguf", "a\n.gguf", "..", "", "a\\b"])
def test_names_that_lead_elsewhere_are_refused_before_anything_is_asked(
    hub: HubServer, repo: ServedRepo, tmp_path: Path, path: str
) -> None:
    repo.files = {path: b"x"}
    order = order_for(repo, tmp_path)
    with pytest.raises(FetchError) as caught:
        get(hub, order)
    assert caught.value.kind == "name"
    assert hub.seen == []
    assert list(tmp_path.iterdir()) == []


def test_unicode_names(tmp_path: Path) -> None:
    repo = ServedRepo("someone/多言語", {"模型/ñandú 🦤-Q8_0.gguf": b"bytes"})
    with HubServer(repo) as hub:
        order = order_for(repo, tmp_path)

        def locate(*_: object) -> Location:
            from urllib.parse import quote

            return Location(url=hub.url + quote(f"/{repo.name}/resolve/main/{order.files[0].path}"))

        assert fetch(order, lambda _: None, lambda: False, locate=locate, effort=EAGER)
        assert is_right(order, repo)


def test_a_file_of_another_is_neither_replaced_nor_touched(hub: HubServer, repo: ServedRepo, order: Order) -> None:
    target = Path(order.folder) / FILE
    target.parent.mkdir(parents=True)
    target.write_bytes(b"mine")
    with pytest.raises(FetchError) as caught:
        get(hub, order)
    assert (caught.value.kind, hub.seen) == ("taken", [])
    assert target.read_bytes() == b"mine"


def test_a_file_that_appears_meanwhile_is_not_replaced_either(hub: HubServer, repo: ServedRepo, order: Order) -> None:
    target = Path(order.folder) / FILE

    def change(_, reply):  # type: ignore[no-untyped-def]
        target.write_bytes(b"mine")
        return reply

    hub.instead(BYTES, change)
    with pytest.raises(FetchError) as caught:
        get(hub, order)
    assert caught.value.kind == "taken"
    assert target.read_bytes() == b"mine"


def test_what_is_there_already_is_not_fetched(hub: HubServer, repo: ServedRepo, order: Order) -> None:
    assert get(hub, order)
    n_asked = len(hub.seen)
    told: list[Download] = []
    assert get(hub, order, told=told)
    assert len(hub.seen) == n_asked
    assert [one.state for one in told] == ["checking", "done"]


def test_two_do_not_write_one_part(hub: HubServer, repo: ServedRepo, order: Order) -> None:
    is_started, is_over = threading.Event(), threading.Event()
    hub.instead(BYTES, faults.slow(1 << 20))

    def stop() -> bool:
        is_started.set()
        return is_over.is_set()

    thread = threading.Thread(target=get, args=(hub, order), kwargs={"should_stop": stop})
    thread.start()
    is_started.wait()
    try:
        while not part_of(Path(order.folder) / FILE).exists():
            pass
        with pytest.raises(FetchError) as caught:
            get(hub, order)
        assert caught.value.kind == "elsewhere"
    finally:
        is_over.set()
        thread.join()
    hub.heal()
    assert get(hub, order)
    assert is_right(order, repo)


def test_a_part_of_another_boot_is_believed_as_far_as_it_was_on_the_disk(
    hub: HubServer, repo: ServedRepo, order: Order
) -> None:
    get_until(hub, order, SIZE // 3, SIZE // 2)
    journal = journal_of(Path(order.folder) / FILE)
    head, *lines = journal.read_bytes().split(b"\n")
    boot = Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    assert boot in head
    # What was written since the last checkpoint: never reached the disk.
    lost = b"[0,%d]" % SIZE
    journal.write_bytes(b"\n".join([head.replace(boot, b"another"), *lines[:-1], lost, b""]))
    sent = hub.n_sent
    assert get(hub, order)
    assert is_right(order, repo)
    assert hub.n_sent - sent < SIZE * 0.8


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b"[]\n[0,9]\n", b'{"identity":{"size":-1}}\n'])
def test_a_damaged_record_costs_what_it_told_of(hub: HubServer, repo: ServedRepo, order: Order, damage: bytes) -> None:
    target = Path(order.folder) / FILE
    target.parent.mkdir(parents=True)
    part_of(target).write_bytes(bytes(SIZE))
    journal_of(target).write_bytes(damage)
    assert get(hub, order)
    assert is_right(order, repo)


def test_a_limit_holds_for_all_connections_together(hub: HubServer, repo: ServedRepo, order: Order) -> None:
    pace = Pace(SIZE * 2)
    told: list[Download] = []
    assert get(hub, order, told=told, pace=pace)
    assert is_right(order, repo)
    assert len(told) >= 4  # of about half a second, ten looks each


def test_a_process_that_was_killed_between_two_names(hub: HubServer, repo: ServedRepo, order: Order) -> None:
    assert get(hub, order)
    target = Path(order.folder) / FILE
    part_of(target).hardlink_to(target)
    journal_of(target).write_bytes(b"{}")
    assert get(hub, order)
    assert is_right(order, repo)
    assert at(hub)(order, order.files[0]).headers
