"""The proxy's login at a server: the token goes to the right one or nowhere, and the client is told why.

The server here is a fake that keeps every byte it is sent and can be told to lie; test_proxy.py has a real one.
"""

import asyncio
import logging
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgbearer.client import AccessToken, StaticSource, UnsafeServerError
from pgbearer.client.proxy import ProxySettings
from pgbearer.client.proxy.messages import message
from pgbearer.client.proxy.refusal import fatal
from pgbearer.errors import PgbearerError, UnreachableError
from tests.fake_postgres import FakePostgres
from tests.parts.authority import Authority
from tests.proxied import ISSUER, SECRET, proxied
from tests.raw_client import RawClient, fields, startup_packet


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s")  # short: a socket's path has at most 107 bytes


@pytest.fixture
def server(folder: Path) -> Iterator[FakePostgres]:
    with FakePostgres(folder / ".s.PGSQL.5432") as serving:
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


@pytest.fixture(autouse=True)
def no_token_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert SECRET not in caplog.text


def over(server: FakePostgres, name: str = "localhost") -> str:
    return f"host={name} hostaddr=127.0.0.1 port={server.port}"


async def test_over_a_unix_socket(server: FakePostgres, folder: Path) -> None:
    async with proxied(folder, f"host={folder}") as proxy, await proxy.connect() as connection:
        assert connection.info.parameter_status("token_ref") == AccessToken(SECRET).ref
    assert server.tokens == [SECRET]


async def test_over_verified_tls(tls_server: FakePostgres, folder: Path, authority: Authority) -> None:
    conninfo = f"{over(tls_server)} sslrootcert={authority.ca_file}"
    async with proxied(folder, conninfo) as proxy, await proxy.connect() as connection:
        assert connection.info.parameter_status("token_ref") == AccessToken(SECRET).ref
    assert (tls_server.discoveries, tls_server.tokens) == (1, [SECRET])


async def test_a_server_is_asked_once_whose_token_it_wants(server: FakePostgres, folder: Path) -> None:
    async with proxied(folder, f"host={folder}") as proxy:
        for _ in range(3):
            await (await proxy.connect()).close()
    assert (server.discoveries, len(server.tokens)) == (1, 3)


@pytest.mark.parametrize("sslmode", ["disable", "allow", "require", "verify-ca"])
async def test_weaker_tls_is_refused_before_anything_listens(
    tls_server: FakePostgres, folder: Path, sslmode: str
) -> None:
    with pytest.raises(UnsafeServerError, match=f"sslmode={sslmode}"):
        async with proxied(folder, f"{over(tls_server)} sslmode={sslmode}"):
            pass
    assert tls_server.received == []
    assert not (folder / "proxy").exists()


async def test_a_certificate_of_another_name(tls_server: FakePostgres, folder: Path, authority: Authority) -> None:
    async with proxied(folder, f"{over(tls_server, 'other.test')} sslrootcert={authority.ca_file}") as proxy:
        with pytest.raises(psycopg.OperationalError, match=r"certificate verify failed: Hostname mismatch"):
            await proxy.connect()
    assert tls_server.tokens == []


async def test_a_server_that_asks_for_another_issuers_token(server: FakePostgres, folder: Path) -> None:
    server.issuer = "https://other.test"
    async with proxied(folder, f"host={folder}") as proxy:
        with pytest.raises(psycopg.OperationalError, match=r"other\.test, not of https://issuer\.test"):
            await proxy.connect()
    assert (server.discoveries, server.tokens) == (1, [])


async def test_a_refusal_is_the_servers_with_what_this_side_knows(server: FakePostgres, folder: Path) -> None:
    server.accepts = lambda _token: False
    async with proxied(folder, f"host={folder}") as proxy:
        with pytest.raises(psycopg.OperationalError, match="OAuth bearer authentication failed") as caught:
            await proxy.connect()
        assert f"explain --token-ref {AccessToken(SECRET).ref}" in str(caught.value)
        assert proxy.proxy.status().upstreams[0].refused == 1
    assert ISSUER not in str(caught.value)


@pytest.mark.parametrize(
    ("pin", "refused"), [(("user", "dbname"), {"user", "dbname"}), (("user",), {"user"}), ((), set())]
)
async def test_what_is_pinned_is_the_only_one_and_the_rest_the_clients_choice(
    server: FakePostgres, folder: Path, pin: tuple[str, ...], refused: set[str]
) -> None:
    async with proxied(folder, f"host={folder} user=app dbname=appdb", pin=pin) as proxy:
        for keyword in ("user", "dbname"):
            if keyword in refused:
                with pytest.raises(psycopg.OperationalError, match="alone, not for 'another'"):
                    await proxy.connect(**{keyword: "another"})
            else:
                await (await proxy.connect(**{keyword: "another"})).close()
    assert len(server.tokens) == 2 - len(refused)


# servers that lie, break off, or want something else


def request(code: int, data: bytes = b"") -> bytes:
    return message(b"R", struct.pack("!i", code) + data)


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (request(3), "asks for a cleartext password, not for a token, and was sent nothing"),
        (request(5, b"salt"), "asks for an MD5 password"),
        (request(10, b"SCRAM-SHA-256\0\0"), "asks for SASL with SCRAM-SHA-256"),
        (request(7), "asks for GSSAPI"),
        (request(4711), "authentication request 4711"),
        (request(0), "let us in without our token"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak PostgreSQL's protocol"),
        (b"\0" * 100, "does not speak PostgreSQL's protocol"),
        (b"R" + struct.pack("!i", 2**30), "does not speak PostgreSQL's protocol"),
        (b"R" + struct.pack("!i", -5), "does not speak PostgreSQL's protocol"),
        (message(b"Z", b"I"), "does not speak PostgreSQL's protocol"),
        (message(b"v", b"xx"), "does not speak PostgreSQL's protocol"),
    ],
)
@pytest.mark.parametrize("known", [False, True])
async def test_a_server_that_wants_or_says_something_else_is_sent_nothing(
    server: FakePostgres, folder: Path, says: bytes, told: str, known: bool
) -> None:
    async with proxied(folder, f"host={folder}") as proxy:
        if known:  # then the token is ready to be sent on the first connection
            await (await proxy.connect()).close()
        server.says = says
        before = len(server.received)
        with pytest.raises(psycopg.OperationalError) as caught:
            await proxy.connect()
        assert told in str(caught.value)
        server.says = None
        await (await proxy.connect()).close()  # it is alive, and asks nobody twice
    said = b"".join(server.received[before:])
    assert said.count(SECRET.encode()) == 1
    assert b"Bearer" not in said.partition(b"OAUTHBEARER")[0]


async def test_a_failure_after_which_it_lets_us_in(server: FakePostgres, folder: Path) -> None:
    server.says = request(10, b"OAUTHBEARER\0\0") + request(11, b'{"status":"x"}') + request(0)
    async with proxied(folder, f"host={folder}") as proxy:
        with pytest.raises(psycopg.OperationalError, match="does not say whose token it wants"):
            await proxy.connect()
    assert SECRET.encode() not in b"".join(server.received)


@pytest.mark.parametrize("before", [b"E", b"R\0\0\0\x08\0\0\0\0", b"\x16\x03\x01"])
async def test_bytes_before_tls_are_somebody_in_between(
    tls_server: FakePostgres, folder: Path, authority: Authority, before: bytes
) -> None:
    tls_server.before_tls = before
    async with proxied(folder, f"{over(tls_server)} sslrootcert={authority.ca_file}") as proxy:
        with pytest.raises(psycopg.OperationalError, match="bytes came in before TLS began"):
            await proxy.connect()
    assert tls_server.tokens == []
    assert b"app" not in b"".join(tls_server.received)


async def test_a_server_without_tls_gets_no_byte_but_the_question_for_tls(folder: Path, authority: Authority) -> None:
    with FakePostgres(("127.0.0.1", 0)) as plain:
        async with proxied(folder, f"{over(plain)} sslrootcert={authority.ca_file}") as proxy:
            with pytest.raises(psycopg.OperationalError, match="does not support SSL"):
                await proxy.connect()
        assert b"".join(plain.received) == bytes.fromhex("0000000804d2162f")  # SSLRequest


async def test_a_certificate_of_another_authority(tls_server: FakePostgres, folder: Path, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other").ca_file
    async with proxied(folder, f"{over(tls_server)} sslrootcert={other}") as proxy:
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            await proxy.connect()
    assert tls_server.tokens == []


async def test_direct_tls(tls_server: FakePostgres, folder: Path, authority: Authority) -> None:
    tls_server.direct_tls = True
    direct = f"{over(tls_server)} sslrootcert={authority.ca_file} sslmode=verify-full sslnegotiation=direct"
    async with proxied(folder, direct) as proxy:
        with pytest.raises(psycopg.OperationalError, match=r"not PostgreSQL's \(no ALPN\)"):
            await proxy.connect()
        assert tls_server.received == []
        assert tls_server.tls is not None
        tls_server.tls.set_alpn_protocols(["postgresql"])
        await (await proxy.connect()).close()
    assert tls_server.tokens == [SECRET]


async def test_nobody_there(folder: Path) -> None:
    async with proxied(folder, f"host={folder}/nowhere") as proxy:
        with pytest.raises(psycopg.OperationalError, match=r"cannot connect: No such file") as caught:
            await proxy.connect()
    assert f"{folder}/nowhere:5432" in str(caught.value)


async def test_a_server_that_says_nothing_is_given_up(server: FakePostgres, folder: Path) -> None:
    server.says = b""
    async with proxied(folder, f"host={folder} connect_timeout=1") as proxy:
        with pytest.raises(psycopg.OperationalError, match="the login took too long"):
            await proxy.connect()


async def test_who_serves_the_socket_can_be_pinned(server: FakePostgres, folder: Path) -> None:
    async with proxied(folder, f"host={folder} requirepeer=nobody") as proxy:
        with pytest.raises(psycopg.OperationalError, match="not by requirepeer's"):
            await proxy.connect()
    assert server.received == []


@pytest.mark.parametrize("secure", [False, True])
async def test_a_server_that_is_gone_without_a_word(
    server: FakePostgres, tls_server: FakePostgres, folder: Path, authority: Authority, secure: bool
) -> None:
    server.leaves_on = tls_server.leaves_on = b"Q"
    conninfo = f"{over(tls_server)} sslrootcert={authority.ca_file}" if secure else f"host={folder}"
    async with proxied(folder, conninfo) as proxy, await RawClient.to(proxy.socket) as client:
        await client.log_in()
        client.query("SELECT 1")
        ((_, body),) = await client.until(b"E")
        assert (fields(body)["C"], fields(body)["M"]) == ("08006", "pgbearer: the connection to the server was lost")
        assert await client.rest() == b""


# several hosts


async def test_the_first_host_that_answers(server: FakePostgres, folder: Path) -> None:
    async with proxied(folder, f"host={folder}/nowhere,{folder}") as proxy, await proxy.connect() as connection:
        assert connection.info.parameter_status("token_ref") == AccessToken(SECRET).ref


async def test_a_host_that_is_starting_up_is_passed_over(server: FakePostgres, folder: Path) -> None:
    starting = folder / "starting"
    starting.mkdir()
    with FakePostgres(starting / ".s.PGSQL.5432", says=fatal("57P03", "the database system is starting up")):
        async with proxied(folder, f"host={starting},{folder}") as proxy, await proxy.connect():
            assert server.tokens == [SECRET]
        async with proxied(folder, f"host={starting}") as proxy:
            with pytest.raises(psycopg.OperationalError, match="the database system is starting up"):
                await proxy.connect()


async def test_a_host_that_refuses_the_token_is_the_last(server: FakePostgres, folder: Path) -> None:
    refusing = folder / "refusing"
    refusing.mkdir()
    with FakePostgres(refusing / ".s.PGSQL.5432", accepts=lambda _token: False):
        async with proxied(folder, f"host={refusing},{folder}") as proxy:
            with pytest.raises(psycopg.OperationalError, match="authentication failed"):
                await proxy.connect()
    assert server.received == []


PRIMARY = {"in_hot_standby": "off", "default_transaction_read_only": "off"}
STANDBY = {"in_hot_standby": "on", "default_transaction_read_only": "off"}
READ_ONLY = {"in_hot_standby": "off", "default_transaction_read_only": "on"}


@pytest.mark.parametrize(
    ("attrs", "first", "second", "chosen"),
    [
        ("any", STANDBY, PRIMARY, 0),
        ("read-write", STANDBY, PRIMARY, 1),
        ("read-write", READ_ONLY, PRIMARY, 1),
        ("read-only", PRIMARY, READ_ONLY, 1),
        ("primary", READ_ONLY, PRIMARY, 0),
        ("primary", STANDBY, PRIMARY, 1),
        ("standby", PRIMARY, STANDBY, 1),
        ("prefer-standby", PRIMARY, STANDBY, 1),
        ("prefer-standby", PRIMARY, READ_ONLY, 0),
        ("standby", PRIMARY, READ_ONLY, None),
        ("read-write", STANDBY, READ_ONLY, None),
    ],
)
async def test_the_kind_of_session_that_is_wanted(
    server: FakePostgres, folder: Path, attrs: str, first: dict[str, str], second: dict[str, str], chosen: int | None
) -> None:
    other = folder / "other"
    other.mkdir()
    server.parameters = first | {"which": "0"}
    with FakePostgres(other / ".s.PGSQL.5432", parameters=second | {"which": "1"}):
        async with proxied(folder, f"host={folder},{other} target_session_attrs={attrs}") as proxy:
            if chosen is None:
                with pytest.raises(psycopg.OperationalError, match=f"the session is not {attrs}"):
                    await proxy.connect()
                return
            async with await proxy.connect() as connection:
                assert connection.info.parameter_status("which") == str(chosen)


# whose token


async def test_a_token_of_another_issuer_than_the_pinned_one(server: FakePostgres, folder: Path) -> None:
    theirs = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL290aGVyLnRlc3QifQ.c2ln"  # {"iss":"https://other.test"}

    class Silent(StaticSource):
        @property
        def issuer(self) -> None:
            return None

    async with proxied(folder, f"host={folder}", Silent(theirs)) as proxy:
        with pytest.raises(psycopg.OperationalError, match="issuers differ"):
            await proxy.connect()
    assert server.received == []


class Programmable(StaticSource):
    """A source that waits, fails, or gives; and counts."""

    def __init__(self) -> None:
        super().__init__(SECRET)
        self.asked = 0
        self.waits = asyncio.Event()
        self.go_on = asyncio.Event()
        self.error: Exception | None = None

    async def token_async(self) -> AccessToken:
        self.asked += 1
        if self.asked == 1:
            self.waits.set()
            await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return self.token()


async def test_a_source_that_waits_for_one_does_not_hold_up_others(server: FakePostgres, folder: Path) -> None:
    source = Programmable()
    async with proxied(folder, f"host={folder}", source) as proxy:
        slow = asyncio.create_task(proxy.connect())
        await source.waits.wait()
        await (await proxy.connect()).close()
        assert not slow.done()
        assert proxy.proxy.status().upstreams[0].connecting == 1
        source.go_on.set()
        await (await slow).close()
    assert source.asked == 2


async def test_a_client_that_leaves_while_its_token_is_fetched(server: FakePostgres, folder: Path) -> None:
    source = Programmable()
    async with proxied(folder, f"host={folder}", source) as proxy:
        async with await RawClient.to(proxy.socket) as client:
            client.send(startup_packet())
            await source.waits.wait()
            assert proxy.proxy.status().upstreams[0].connecting == 1
        await proxy.none_connecting()
    assert server.received == []


@pytest.mark.parametrize(
    ("error", "sqlstate", "told"),
    [
        (PgbearerError("the login was denied"), "28000", "pgbearer: the login was denied"),
        (UnreachableError("the issuer does not answer", where="issuer.test"), "08006", "the issuer does not answer"),
        (RuntimeError(f"never to be seen {SECRET}"), "XX000", "internal error"),
    ],
)
async def test_a_source_that_fails(
    server: FakePostgres, folder: Path, error: Exception, sqlstate: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = Programmable()
    source.go_on.set()
    source.error = error
    async with proxied(folder, f"host={folder}", source) as proxy:
        async with await RawClient.to(proxy.socket) as client:
            client.send(startup_packet())
            ((_, body),) = await client.until(b"E")
            assert fields(body)["C"] == sqlstate
            assert told in fields(body)["M"]
        source.error = None
        await (await proxy.connect()).close()
    assert SECRET not in body.decode() + caplog.text
    assert server.tokens == [SECRET]


async def test_a_source_that_never_gives(server: FakePostgres, folder: Path) -> None:
    settings = ProxySettings(source_seconds=0.05, drain_seconds=0)
    async with proxied(folder, f"host={folder}", Programmable(), settings) as proxy:
        with pytest.raises(psycopg.OperationalError, match=r"no token came within"):
            await proxy.connect()
    assert server.received == []
