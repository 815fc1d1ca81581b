"""The proxy's login at a server: the token goes to the right one or nowhere, and the client is told why.

The server here is a fake that keeps every byte it is sent and can be told to lie; test_proxy.py has a real one.
"""

import ssl
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgbearer.client import AccessToken, UnsafeServerError
from tests.fake_postgres import FakePostgres
from tests.parts.authority import Authority
from tests.proxied import ISSUER, SECRET, proxied


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
