"""A client that says goodbye and waits for the server to close: it hears the end, and no error."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fake_postgres import FakePostgres
from tests.parts.authority import Authority
from tests.proxied import Proxied, proxied

STARTUP = b"user\0app\0database\0appdb\0\0"
TERMINATE = b"X\0\0\0\4"
READY = b"Z\0\0\0\5I"


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s")  # short: a socket's path has at most 107 bytes


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def server(authority: Authority) -> Iterator[FakePostgres]:
    certificate = authority.server("db")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert_file, certificate.key_file)
    with FakePostgres(("127.0.0.1", 0), tls=context) as serving:
        yield serving
    assert serving.faults == []


@pytest.fixture
async def proxy(server: FakePostgres, folder: Path, authority: Authority) -> AsyncIterator[Proxied]:
    conninfo = f"host=localhost hostaddr=127.0.0.1 port={server.port} sslrootcert={authority.ca_file}"
    async with proxied(folder, conninfo) as running:
        yield running


async def test_nothing_comes_after_a_goodbye(proxy: Proxied) -> None:
    """As node-postgres takes leave: libpq would not even look."""
    reader, writer = await asyncio.open_unix_connection(str(proxy.socket))
    writer.write(struct.pack("!ii", len(STARTUP) + 8, 3 << 16) + STARTUP)
    await reader.readuntil(READY)

    writer.write(TERMINATE)
    writer.write_eof()

    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
