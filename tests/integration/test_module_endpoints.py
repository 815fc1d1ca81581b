"""Endpoints in order, failover, the memory of what is down, and who may serve a socket."""

import contextlib
import pwd
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.fix_postgres import BearerServer, MakeServer
from tests.lying_service import LyingService
from tests.parts.needs import ROOT
from tests.parts.processes import wait_until

Pair = tuple[BearerServer, LyingService, LyingService]
MakePair = Callable[..., Pair]

STRANGER = 54321
"""A uid that is neither root's nor the server's."""


@pytest.fixture
def pair(postgres_server: MakeServer) -> Iterator[MakePair]:
    """Call it for a server that asks at two places, and the services there; the second runs and allows."""
    services: list[LyingService] = []

    def make(*, preload: bool = True, **settings: str) -> Pair:
        server = postgres_server(preload=preload, settings=settings)
        first, second = (LyingService(server.folder / f"{name}.sock") for name in ("first", "second"))
        endpoints = f"unix:{first.path}, unix:{second.path}"
        server.sql(f"ALTER SYSTEM SET pgbearer.endpoints = '{endpoints}'")
        server.sql("CREATE ROLE app LOGIN")
        server.reload()
        services.extend((first, second))
        second.start()
        second.allow()
        return server, first, second

    yield make
    for service in services:
        service.stop()


@pytest.mark.parametrize(
    ("fault", "asked"),
    [
        (lambda first: None, 0),
        (lambda first: first.path.mkdir(), 0),
        (lambda first: first.path.symlink_to(first.path), 0),
        (lambda first: (first.start(), first.status(503)), 1),
        (lambda first: (first.start(), first.cut_after(0)), 1),
        (lambda first: (first.start(), first.cut_after(40)), 1),
        (lambda first: (first.start(), first.cut_after(200)), 1),
        (lambda first: (first.start(), first.hang()), 1),
        (lambda first: (first.start(), first.trickle(1, every=5)), 1),
    ],
    ids=["absent", "no socket", "unresolvable", "503", "cut", "cut in head", "cut in body", "hung", "trickling"],
)
def test_fails_over(fault: Callable[[LyingService], object], asked: int, pair: MakePair) -> None:
    server, first, second = pair(**{"pgbearer.timeout": "2s"})
    fault(first)
    with server.login() as connection:
        assert connection.execute("SELECT system_user").fetchone() == ("oauth:alice",)
    assert (len(first.requests), len(second.requests)) == (asked, 1)
    if first.path.is_dir():
        first.path.rmdir()


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (lambda first: first.deny("no_rule"), "no_rule"),
        (lambda first: first.status(500), "answer_status"),
        (lambda first: first.say("{}"), "answer_invalid"),
        (lambda first: first.say("", transfer_encoding="chunked"), "answer_invalid"),
        (lambda first: first.allow(role="postgres"), "answer_mismatch"),
        (lambda first: first.allow(ends_at=1), "answer_expired"),
    ],
)
def test_an_answer_is_final(verdict: Callable[[LyingService], None], reason: str, pair: MakePair) -> None:
    server, first, second = pair()
    first.start()
    verdict(first)
    assert server.refusal().startswith(reason)
    assert second.requests == []


def test_all_endpoints_are_named_when_none_answers(pair: MakePair) -> None:
    server, first, second = pair(**{"pgbearer.timeout": "2s", "pgbearer.connect_timeout": "50ms"})
    second.status(503)
    first.start()
    first.cut_after(0)
    refusal = server.refusal()
    assert refusal.startswith("service_unavailable")
    assert f"Endpoint unix:{first.path} closed the connection after 0 bytes of its answer." in refusal
    assert f"Endpoint unix:{second.path} answered 503." in refusal


@pytest.mark.story("service-down", "refused", on="socket")
def test_nobody_there(pair: MakePair) -> None:
    server, _, second = pair(**{"pgbearer.connect_timeout": "100ms"})
    second.stop()
    refusal = server.refusal()
    assert refusal.startswith("service_unreachable")
    assert refusal.count("No such file or directory") == 2, "each endpoint once, however often it was tried"


def test_socket_that_must_not_be_opened(pair: MakePair) -> None:
    server, first, second = pair(**{"pgbearer.connect_timeout": "60s"})
    for service in (first, second):
        service.stop()
        service.listen(backlog=1)
        service.path.chmod(0)
    refusal = server.refusal()
    assert refusal.startswith("service_unreachable")
    assert refusal.count("Permission denied") == 2, "not retried: waiting does not help"


def test_preloaded_remembers_what_is_down(pair: MakePair) -> None:
    server, first, second = pair(**{"pgbearer.timeout": "2s"})
    first.start()
    first.hang()
    for _ in range(3):
        server.login().close()
    assert (len(first.requests), len(second.requests)) == (1, 3)


def test_what_is_down_is_still_tried_last(pair: MakePair) -> None:
    server, first, second = pair(**{"pgbearer.timeout": "2s"})
    first.start()
    first.status(503)
    server.login().close()
    first.allow(identity="from-first")
    second.stop()
    with server.login() as connection:
        assert connection.execute("SELECT system_user").fetchone() == ("oauth:from-first",)
    second.start()
    server.login().close()
    assert len(first.requests) == 3, "it answered, so it is no longer remembered as down"


def test_lazily_loaded_finds_out_each_time(pair: MakePair) -> None:
    server, first, second = pair(preload=False)
    first.start()
    first.status(503)
    for _ in range(3):
        server.login().close()
    assert (len(first.requests), len(second.requests)) == (3, 3)
    assert "pgbearer is not preloaded" in server.log


def test_restarting_service_is_waited_for(pair: MakePair) -> None:
    server, first, second = pair(**{"pgbearer.connect_timeout": "20s", "pgbearer.timeout": "30s"})
    second.stop()
    with ThreadPoolExecutor(1) as pool:
        login = pool.submit(server.login)
        wait_until(lambda: waiting(server) == 1, 20, "the login to wait", pause=0.01)
        second.start()
        login.result(20).close()
    assert first.requests == []


def waiting(server: BearerServer) -> int:
    """How many backends wait for the service now."""
    return int(server.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgbearerService'"))


def fill_backlog(service: LyingService, stack: contextlib.ExitStack) -> None:
    """Listen without accepting, and connect until the kernel takes no more."""
    service.listen(backlog=0)
    while True:
        client = stack.enter_context(socket.socket(socket.AF_UNIX))
        client.setblocking(False)
        try:
            client.connect(str(service.path))
        except BlockingIOError:
            return


def test_full_backlog_fails_over(pair: MakePair) -> None:
    server, first, second = pair()
    with contextlib.ExitStack() as stack:
        fill_backlog(first, stack)
        server.login().close()
    assert len(second.requests) == 1


def test_full_backlog_alone_is_a_refusal(pair: MakePair) -> None:
    server, first, second = pair(**{"pgbearer.connect_timeout": "100ms"})
    second.stop()
    with contextlib.ExitStack() as stack:
        fill_backlog(first, stack)
        fill_backlog(second, stack)
        refusal = server.refusal()
    assert refusal.startswith("service_unreachable")
    assert "Resource temporarily unavailable" in refusal


@pytest.fixture
def strange(bearer: BearerServer, need: Callable[..., None]) -> Iterator[LyingService]:
    """The service of `bearer`, but listening as a stranger; it would allow anything."""
    need(ROOT)
    service = LyingService(bearer.socket, uid=STRANGER)
    service.start()
    service.allow()
    yield service
    service.stop()


def test_stranger_gets_no_byte(bearer: BearerServer, strange: LyingService) -> None:
    refusal = bearer.refusal()
    assert refusal.startswith("peer_refused")
    assert f"is served by uid {STRANGER}." in refusal
    assert strange.requests == []


def test_stranger_is_passed_over(pair: MakePair, need: Callable[..., None]) -> None:
    need(ROOT)
    server, first, second = pair()
    stranger = LyingService(first.path, uid=STRANGER)
    stranger.start()
    server.login().close()
    stranger.stop()
    assert (len(stranger.requests), len(second.requests)) == (0, 1)


@pytest.mark.parametrize("user", [str(STRANGER), "daemon"])
def test_service_user_may_serve(user: str, postgres_server: MakeServer, need: Callable[..., None]) -> None:
    need(ROOT)
    uid = int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
    server = postgres_server({"pgbearer.service_user": user})
    server.sql("CREATE ROLE app LOGIN")
    service = LyingService(server.socket, uid=uid)
    service.start()
    service.allow()
    server.login().close()
    service.stop()


@pytest.mark.parametrize("preload", [True, False])
def test_unknown_service_user_refuses_even_root(preload: bool, postgres_server: MakeServer) -> None:
    server = postgres_server({"pgbearer.service_user": "nobody-we-know"}, preload=preload)
    server.sql("CREATE ROLE app LOGIN")
    service = LyingService(server.socket)
    service.start()
    service.allow()
    assert server.refusal().startswith("service_user_unknown")
    assert service.requests == []
    service.stop()


def test_no_endpoints_is_a_refusal(postgres_server: MakeServer) -> None:
    server = postgres_server({"pgbearer.endpoints": ""})
    server.sql("CREATE ROLE app LOGIN")
    assert server.refusal().startswith("not_configured")
