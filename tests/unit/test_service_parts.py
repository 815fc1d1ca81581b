"""Smaller parts: the table of metrics, the log's two looks, questions to the admin socket."""

import asyncio
import json
import logging
from pathlib import Path

import pytest

from pgbearer.audit import Search
from pgbearer.errors import UsageError
from pgbearer.service import lifespan
from pgbearer.service.admin import BadQueryError, _search
from pgbearer.service.callers import login_sockets
from pgbearer.service.logs import _Json, _Plain
from pgbearer.service.metrics import TABLE, Metrics
from pgbearer.service.moving import Logins, MovesCollector
from pgbearer.sockets import gid_of, uid_of
from pgbearer.tokens import KeyStatus
from pgbearer.wire import Allowed, Reason, Refused
from tests.unit.logins import settings


def key_status() -> KeyStatus:
    return KeyStatus(
        issuer="corp", ready=True, keys=("k",), unusable=(), age=1.0, stale=False, generation=1, fetches=2, failures=1,
        last_error=None,
    )  # fmt: skip


def test_every_metric_of_ours_is_in_the_table_and_every_one_in_the_table_is_there() -> None:
    metrics = Metrics()
    metrics.watch_keys(lambda: [key_status()])
    metrics.watch(MovesCollector(Logins(), tuple))
    metrics.watch_deciders(tuple)
    names = {
        family.name + "_total" if family.type == "counter" else family.name
        for family in metrics.registry.collect()
        if family.name.startswith("pgbearer_")
    }
    assert names == {measure.name for measure in TABLE}
    assert all(measure.meaning.endswith(".") for measure in TABLE)


def test_decisions_are_counted_by_server_and_reason() -> None:
    metrics = Metrics()
    metrics.decided("local", Allowed(decision_id="d", identity="i", ends_at=None), seconds=0.001)
    metrics.decided(None, Refused(decision_id="d", reason=Reason.CALLER_UNKNOWN), seconds=0)
    page = metrics.exposition().decode()
    assert 'pgbearer_decisions_total{reason="allowed",server="local"} 1.0' in page
    assert 'pgbearer_decisions_total{reason="caller_unknown",server=""} 1.0' in page


def record(message: str) -> logging.LogRecord:
    return logging.LogRecord("pgbearer.test", logging.ERROR, "f", 1, "saw %s", (message,), None)


def test_a_log_line_shows_what_it_says() -> None:
    hostile = "x\u202e\x1b[2J\r"
    assert _Plain(journal=False).format(record(hostile)).isprintable()
    assert _Plain(journal=False).format(record("a\nb")) == "error: saw a\nerror: b"
    assert _Plain(journal=True).format(record("a\nb")) == "<3>saw a\n<3>b"
    entry = json.loads(_Json().format(record(hostile + "\n")))
    assert entry["message"].isprintable()
    assert entry["level"] == "error"


@pytest.mark.parametrize(
    ("query", "search"),
    [
        ("", Search()),
        ("role=app_readonly&limit=3", Search(role="app_readonly", limit=3)),
        ("identity=corp%3Au%2B1&reason=no_rule&since=1000", Search(identity="corp:u+1", reason="no_rule", since=1000)),
    ],
)
def test_filters_are_read(query: str, search: Search) -> None:
    assert _search(query) == search


@pytest.mark.parametrize(
    "query", ["who=x", "limit=-1", "limit=x", "since=1e9", "role=a&role=b", "role", "limit=" + "9" * 17]
)
def test_filters_that_make_no_sense_are_refused(query: str) -> None:
    with pytest.raises(BadQueryError):
        _search(query)


def test_users_and_groups_are_looked_up_by_name_or_taken_as_numbers() -> None:
    assert uid_of("root") == uid_of(0) == 0
    assert gid_of(None, 0) == gid_of("root", 4242) == gid_of(0, 4242) == 0
    with pytest.raises(UsageError):
        uid_of("no such user")
    for group, uid in (("no such group", 0), (None, 4_242_424)):
        with pytest.raises(UsageError):
            gid_of(group, uid)


def test_servers_on_one_socket_are_told_apart_by_uid() -> None:
    servers = settings().servers
    one = servers["local"].model_copy(update={"uid": 0})
    two = one.model_copy(update={"uid": 1, "group": 0})
    read = settings().model_copy(update={"servers": {"a": one, "b": two}})
    (login,) = login_sockets(read).values()
    assert login.callers == {0: "a", 1: "b"}


@pytest.mark.parametrize(
    "second", [{"uid": "root"}, {"uid": 1, "group": 1}], ids=["the same user by another name", "another group"]
)
def test_servers_that_cannot_share_a_place_are_refused(second: dict[str, object]) -> None:
    one = settings().servers["local"].model_copy(update={"uid": 0, "group": 0})
    read = settings().model_copy(update={"servers": {"a": one, "b": one.model_copy(update=second)}})
    with pytest.raises(UsageError, match=r"servers\.b"):
        login_sockets(read)


def test_a_service_closes_its_memory_before_it_reads_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    class ClosedError(Exception):
        pass

    def close() -> None:
        raise ClosedError

    monkeypatch.setattr(lifespan, "forbid_dumps", close)
    with pytest.raises(ClosedError):
        lifespan.serve(Path("/nonexistent/pgbearer.yaml"))


async def test_what_fails_in_one_second_is_done_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates are renewed there, and a failed audit is tried again."""
    done = asyncio.Event()
    seconds = []

    async def look_after() -> None:
        seconds.append(1)
        if len(seconds) == 1:
            raise RuntimeError("can't start new thread")
        done.set()

    service = object.__new__(lifespan.Service)
    monkeypatch.setattr(service, "_look_after", look_after)
    monkeypatch.setattr(lifespan, "_TICK_SECONDS", 0)
    ticking = asyncio.create_task(service._tick())
    await asyncio.wait({ticking, asyncio.create_task(done.wait())}, return_when=asyncio.FIRST_COMPLETED)
    assert not ticking.done()
    ticking.cancel()
