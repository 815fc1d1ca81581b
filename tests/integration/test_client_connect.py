"""The token goes to the right server or nowhere, and each connection gets its own.

The server here is a fake that keeps every byte it is sent and can be told to lie; test_client_login.py has a real one.
"""

import asyncio
import ctypes
import logging
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

import pgbearer
from pgbearer.client import (
    AccessToken,
    ServerUnreachableError,
    StaticSource,
    TokenRefusedError,
    UnsafeServerError,
    check_server,
)
from pgbearer.client.connection import libpq
from pgbearer.client.connection.hook import CARRIER, Offer, _Hook, _offers, offer
from pgbearer.client.connection.known import KnownServers
from pgbearer.errors import PgbearerError, UsageError
from tests.fake_postgres import FakePostgres
from tests.parts.authority import Authority

ISSUER = "https://issuer.test"
SECRET = "eyJzZWNyZXQ.c2VjcmV0LXRva2Vu.c2lnbmF0dXJl"


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s")  # short: a socket's path has at most 107 bytes


@pytest.fixture
def server(folder: Path) -> Iterator[FakePostgres]:
    with FakePostgres(folder / ".s.PGSQL.5432") as serving:
        yield serving
    assert serving.faults == []


@pytest.fixture
def tcp_server() -> Iterator[FakePostgres]:
    with FakePostgres(("127.0.0.1", 0)) as serving:
        yield serving
    assert serving.faults == []


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def tls_server(authority: Authority) -> Iterator[FakePostgres]:
    certificate = authority.server("db", ["db.test", "localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert_file, certificate.key_file)
    with FakePostgres(("127.0.0.1", 0), tls=context) as serving:
        yield serving
    assert serving.faults == []


class Silent(StaticSource):
    """A source that does not say whose tokens it gives."""

    @property
    def issuer(self) -> None:
        return None


def connect(where: str, token: str = SECRET, **more: Any) -> psycopg.Connection[Any]:
    return pgbearer.connect(f"{where} user=app dbname=appdb", token=token, issuer=ISSUER, **more)


def over(server: FakePostgres, name: str = "localhost") -> str:
    return f"host={name} hostaddr=127.0.0.1 port={server.port}"


# where the token goes


def test_over_a_unix_socket(server: FakePostgres, folder: Path) -> None:
    connect(f"host={folder}").close()
    assert server.tokens == [SECRET]


def test_over_verified_tls_which_is_set_if_nothing_is(tls_server: FakePostgres, authority: Authority) -> None:
    with connect(f"{over(tls_server)} sslrootcert={authority.ca_file}") as connection:
        assert connection.pgconn.ssl_in_use
        assert "sslmode=verify-full" in connection.info.dsn
    assert tls_server.tokens == [SECRET]


# and where not: before any token leaves


def test_a_server_without_tls_gets_no_byte_but_the_question_for_tls(tcp_server: FakePostgres) -> None:
    with pytest.raises(ServerUnreachableError, match="does not support SSL"):
        connect(over(tcp_server))
    assert b"".join(tcp_server.received) == bytes.fromhex("0000000804d2162f")  # SSLRequest


@pytest.mark.parametrize("sslmode", ["disable", "allow", "require", "verify-ca"])
def test_weaker_tls_is_refused_before_anything_is_sent(tls_server: FakePostgres, sslmode: str) -> None:
    with pytest.raises(UnsafeServerError, match=f"sslmode={sslmode}"):
        connect(f"{over(tls_server)} sslmode={sslmode}")
    assert tls_server.received == []


@pytest.mark.parametrize("where", ["environment", "service"])
def test_weaker_tls_is_refused_wherever_it_is_said(
    tls_server: FakePostgres, where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service = tmp_path / "pg_service.conf"
    service.write_text("[s]\nsslmode=require\n")
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    monkeypatch.setenv(*{"environment": ("PGSSLMODE", "require"), "service": ("PGSERVICE", "s")}[where])
    with pytest.raises(UnsafeServerError, match="sslmode=require"):
        connect(over(tls_server))
    assert tls_server.received == []


def test_a_certificate_of_another_name(tls_server: FakePostgres, authority: Authority) -> None:
    with pytest.raises(ServerUnreachableError, match="does not match host name"):
        connect(f"{over(tls_server, 'other.test')} sslrootcert={authority.ca_file}")
    assert tls_server.tokens == []


def test_a_certificate_of_another_authority(tls_server: FakePostgres, tmp_path: Path) -> None:
    with pytest.raises(ServerUnreachableError, match="certificate verify failed"):
        connect(f"{over(tls_server)} sslrootcert={Authority(tmp_path / 'other').ca_file}")
    assert tls_server.tokens == []


def test_a_server_that_asks_for_another_issuers_token(server: FakePostgres, folder: Path) -> None:
    server.issuer = "https://other.test"
    with pytest.raises(UnsafeServerError, match=r"other\.test"):
        connect(f"host={folder}")
    assert (server.discoveries, server.tokens) == (1, [])


def test_a_token_of_another_issuer_than_the_pinned_one(server: FakePostgres, folder: Path) -> None:
    theirs = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL290aGVyLnRlc3QifQ.c2ln"  # {"iss":"https://other.test"}
    for given in ({"token": theirs}, {"source": Silent(theirs)}):
        with pytest.raises(UnsafeServerError, match="issuers differ"):
            pgbearer.connect(f"host={folder} user=app", issuer=ISSUER, **given)
    assert server.received == []


def test_a_connection_string_that_names_another_issuer(server: FakePostgres, folder: Path) -> None:
    with pytest.raises(UnsafeServerError, match="issuers differ"):
        connect(f"host={folder} oauth_issuer=https://other.test")
    assert server.received == []


@pytest.mark.parametrize("asks_for", ["password", "nothing"])
def test_a_server_that_wants_another_login_gets_neither_password_nor_token(
    server: FakePostgres, folder: Path, asks_for: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    passfile = tmp_path / "pgpass"
    passfile.write_text("*:*:*:*:hunter2\n")
    passfile.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    server.asks_for = asks_for
    with pytest.raises(TokenRefusedError, match="requirement"):
        connect(f"host={folder}")
    assert b"hunter2" not in b"".join(server.received)
    assert server.tokens == []


@pytest.mark.parametrize("sslmode", ["disable", "require"])
def test_the_hook_itself_holds_back_what_got_past_the_first_check(
    tcp_server: FakePostgres, tls_server: FakePostgres, sslmode: str
) -> None:
    server = {"disable": tcp_server, "require": tls_server}[sslmode]
    with offer(AccessToken(SECRET), ISSUER) as offered, pytest.raises(psycopg.OperationalError):
        psycopg.connect(
            f"{over(server)} sslmode={sslmode} user=app require_auth=oauth"
            f" oauth_issuer={ISSUER} oauth_client_id=c {CARRIER}={offered.name}"
        )
    assert isinstance(offered.error, UnsafeServerError)
    assert not offered.handed_over
    assert (server.discoveries, server.tokens) == (1, [])


# asking the server before anybody has a token


def test_a_server_that_asks_for_our_token_is_asked_once(server: FakePostgres, folder: Path) -> None:
    check_server(f"host={folder} user=app dbname=appdb", issuer=ISSUER)
    assert (server.discoveries, server.tokens) == (1, [])
    connect(f"host={folder}").close()
    assert (server.discoveries, server.tokens) == (1, [SECRET])


def test_no_server_to_ask(tmp_path: Path) -> None:
    with pytest.raises(ServerUnreachableError, match="No such file"):
        check_server(f"host={tmp_path} user=app", issuer=ISSUER)


@pytest.mark.parametrize("asks_for", ["password", "nothing"])
def test_asking_a_server_that_wants_another_login(server: FakePostgres, folder: Path, asks_for: str) -> None:
    server.asks_for = asks_for
    with pytest.raises(TokenRefusedError, match="requirement"):
        check_server(f"host={folder} user=app", issuer=ISSUER)


def test_asking_a_server_that_asks_for_another_issuers_token(server: FakePostgres, folder: Path) -> None:
    server.issuer = "https://other.test"
    with pytest.raises(UnsafeServerError, match=r"other\.test"):
        check_server(f"host={folder} user=app", issuer=ISSUER)


def test_asking_over_a_channel_that_may_not_have_the_token(tls_server: FakePostgres) -> None:
    with pytest.raises(UnsafeServerError, match="sslmode=require"):
        check_server(f"{over(tls_server)} sslmode=require", issuer=ISSUER)
    assert tls_server.received == []


def test_the_hook_itself_knows_whose_token_it_has(server: FakePostgres, folder: Path) -> None:
    server.issuer = "https://other.test"  # and so says the connection string, so that libpq sees no contradiction
    with offer(AccessToken(SECRET), ISSUER) as offered, pytest.raises(psycopg.OperationalError):
        psycopg.connect(
            f"host={folder} user=app require_auth=oauth"
            f" oauth_issuer={server.issuer} oauth_client_id=c {CARRIER}={offered.name}"
        )
    assert isinstance(offered.error, UnsafeServerError)
    assert (server.discoveries, server.tokens) == (1, [])


# the second connection that asks the server for its issuer, and when it is spared


def test_a_server_is_asked_once_for_its_issuer(server: FakePostgres, folder: Path) -> None:
    for _ in range(3):
        connect(f"host={folder}").close()
    assert (server.discoveries, len(server.tokens)) == (1, 3)


def test_it_is_asked_again_after_a_while_however_many_connections_there_were(
    server: FakePostgres, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("pgbearer.client.connection.attempt._known", KnownServers(300, monotonic=lambda: now[0]))
    for now[0] in (0.0, 200.0, 299.0):
        connect(f"host={folder}").close()
        check_server(f"host={folder} user=app dbname=appdb", issuer=ISSUER)
    assert server.discoveries == 1
    now[0] = 300.0
    connect(f"host={folder}").close()
    assert server.discoveries == 2


def test_for_another_database_it_is_asked_again(server: FakePostgres, folder: Path) -> None:
    for database in ("a", "b"):
        pgbearer.connect(f"host={folder} user=app dbname={database}", token=SECRET, issuer=ISSUER).close()
    assert server.discoveries == 2


def test_after_a_refusal_it_is_asked_again(server: FakePostgres, folder: Path) -> None:
    connect(f"host={folder}").close()
    server.accepts = lambda _token: False
    with pytest.raises(TokenRefusedError):
        connect(f"host={folder}")
    server.accepts = lambda _token: True
    connect(f"host={folder}").close()
    assert server.discoveries == 2


# whose token


def tokens(count: int) -> list[str]:
    return [f"token-{number:03}" for number in range(count)]


def came_in_as(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> str | None:
    return connection.info.parameter_status("token_ref")


def test_fifty_threads_each_get_their_own(server: FakePostgres, folder: Path) -> None:
    def log_in(token: str) -> bool:
        seen = []
        for _ in range(4):
            with connect(f"host={folder}", token) as connection:
                seen.append(came_in_as(connection) == AccessToken(token).ref)
        return all(seen)

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(log_in, tokens(50)))
    assert sorted(set(server.tokens)) == tokens(50)
    assert _offers == {}


async def test_fifty_tasks_each_get_their_own(server: FakePostgres, folder: Path) -> None:
    async def log_in(token: str) -> bool:
        where = f"host={folder} user=app dbname=appdb"
        async with await pgbearer.connect_async(where, token=token, issuer=ISSUER) as connection:
            return came_in_as(connection) == AccessToken(token).ref

    assert all(await asyncio.gather(*map(log_in, tokens(50))))
    assert sorted(server.tokens) == tokens(50)
    assert _offers == {}


def test_a_connection_without_an_offer_gets_no_token(server: FakePostgres, folder: Path) -> None:
    with offer(AccessToken(SECRET), ISSUER), pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"host={folder} user=app oauth_issuer={ISSUER} oauth_client_id=c")
    assert server.tokens == []


@pytest.mark.parametrize("name", ["pgbearer-offer-guessed", "pgbearer-offer-"])
def test_a_guessed_or_spent_offer_is_none(server: FakePostgres, folder: Path, name: str) -> None:
    with offer(AccessToken(SECRET), ISSUER), pytest.raises(psycopg.OperationalError, match="OAuth flow failed"):
        psycopg.connect(f"host={folder} user=app oauth_issuer={ISSUER} oauth_client_id=c {CARRIER}={name}")
    assert server.tokens == []


def test_an_offer_ends_with_its_block(server: FakePostgres, folder: Path) -> None:
    with offer(AccessToken(SECRET), ISSUER) as offered:
        pass
    with pytest.raises(psycopg.OperationalError, match="OAuth flow failed"):
        psycopg.connect(f"host={folder} user=app oauth_issuer={ISSUER} oauth_client_id=c {CARRIER}={offered.name}")
    assert server.tokens == []


async def test_a_cancelled_task_leaves_no_offer_behind(server: FakePostgres, folder: Path) -> None:
    loop, arrived, go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def accepts(_token: str) -> bool:
        loop.call_soon_threadsafe(arrived.set)
        return go_on.wait(10)

    server.accepts = accepts
    task = asyncio.create_task(pgbearer.connect_async(f"host={folder} user=app", token=SECRET, issuer=ISSUER))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert _offers == {}
    go_on.set()


def test_an_interrupt_in_the_hook_is_raised_on_this_side(
    server: FakePostgres, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_offer: Offer, _request: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Offer, "give", interrupted)
    with pytest.raises(KeyboardInterrupt):
        connect(f"host={folder}")
    assert server.tokens == []


# other people's hooks


@pytest.fixture
def put_their_hook() -> Iterator[Callable[[], None]]:
    """Call it to set a hook as another library would; the one before comes back after the test."""
    library = libpq.load()
    before = library.auth_data_hook()
    token = ctypes.create_string_buffer(b"theirs")

    def answer(kind: int, _conn: int, data: int) -> int:
        if kind == libpq.BEARER_TOKEN:
            libpq.BearerRequest.from_address(data).token = ctypes.addressof(token)
        return kind

    hook = libpq.AuthDataHook(answer)
    yield lambda: library.set_auth_data_hook(ctypes.cast(hook, ctypes.c_void_p).value or 0)
    library.set_auth_data_hook(before)


def test_connections_of_others_still_reach_their_hook(
    server: FakePostgres, folder: Path, put_their_hook: Callable[[], None]
) -> None:
    put_their_hook()
    ours = _Hook(libpq.load())  # as it is installed where another library came first
    psycopg.connect(f"host={folder} user=app oauth_issuer={ISSUER} oauth_client_id=c").close()
    connect(f"host={folder}").close()
    assert server.tokens == ["theirs", SECRET]
    ours._remove()


def test_a_connection_opened_with_another_token_than_ours_is_closed_again(
    server: FakePostgres, folder: Path, put_their_hook: Callable[[], None]
) -> None:
    connect(f"host={folder}").close()  # our hook is in place
    put_their_hook()
    with pytest.raises(TokenRefusedError, match="without our token"):
        connect(f"host={folder}")
    assert server.tokens == [SECRET, "theirs"]


# and nobody sees it


def test_no_token_in_messages_tracebacks_and_logs(
    server: FakePostgres, folder: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    server.accepts = lambda _token: False
    held = AccessToken(SECRET)
    with caplog.at_level(logging.DEBUG), pytest.raises(TokenRefusedError) as caught:
        pgbearer.connect(f"host={folder} user=app", token=held, issuer=ISSUER)
    with caplog.at_level(logging.DEBUG):
        server.accepts = lambda _token: True
        connection = pgbearer.connect(f"host={folder} user=app", token=held, issuer=ISSUER)
    with connection:
        said = [str(connection.info.get_parameters()), repr(connection)]
    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    everything = "".join([*report.format(), *said, caplog.text, *capfd.readouterr()])
    assert held.ref in everything
    assert "c2VjcmV0" not in everything


@pytest.mark.parametrize("text", [SECRET, f"{SECRET}\n"])
def test_no_token_in_a_traceback_with_locals_even_where_it_came_as_text(folder: Path, text: str) -> None:
    given = [text]
    with pytest.raises(PgbearerError) as caught:
        pgbearer.connect(f"host={folder} user=app", token=given.pop(), issuer=ISSUER)
    ours = (frame for frame in traceback.walk_tb(caught.value.__traceback__) if frame[0].f_code.co_filename != __file__)
    report = "".join(map(str, traceback.StackSummary.extract(ours, capture_locals=True).format()))
    assert "connect.py" in report
    assert "c2VjcmV0" not in report


def test_the_copies_for_libpq_are_wiped(server: FakePostgres, folder: Path) -> None:
    with offer(AccessToken(SECRET), ISSUER) as offered:
        psycopg.connect(
            f"host={folder} user=app require_auth=oauth"
            f" oauth_issuer={ISSUER} oauth_client_id=c {CARRIER}={offered.name}"
        ).close()
        assert server.tokens == [SECRET]
        assert [bytes(buffer).strip(b"\0") for buffer in offered._lent] == [b""]  # by libpq's call, not by the end


# what else can be wrong


@pytest.mark.parametrize("given", [{}, {"token": SECRET, "source": Silent(SECRET)}])
def test_source_or_token(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="either source= or token="):
        pgbearer.connect("", **given)


def test_no_issuer() -> None:
    with pytest.raises(UsageError, match="no issuer"):
        pgbearer.connect("host=/nowhere", token=SECRET)


def test_nobody_logs_in_for_a_connection_string_that_would_be_refused() -> None:
    class Never:
        issuer = ISSUER

        def token(self) -> AccessToken:
            raise AssertionError("asked for a token")

        async def token_async(self) -> AccessToken:
            raise AssertionError("asked for a token")

    with pytest.raises(UnsafeServerError):
        pgbearer.connect("host=db.test sslmode=disable", source=Never())


def test_no_server(folder: Path) -> None:
    with pytest.raises(ServerUnreachableError) as caught:
        connect(f"host={folder}")
    assert caught.value.exit_code == 3


def test_psycopgs_own_arguments(server: FakePostgres, folder: Path) -> None:
    with connect(f"host={folder}", autocommit=True, application_name="test") as connection:
        assert connection.autocommit
        assert "application_name=test" in connection.info.dsn
