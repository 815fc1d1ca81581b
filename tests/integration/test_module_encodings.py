"""Identities and names beyond ASCII, in databases of each encoding: the bytes of UTF-8 arrive unchanged."""

import pytest

from tests.integration.fix_postgres import ISSUER, LOCAL, BearerServer, MakeServer
from tests.lying_service import LyingService

IDENTITY = 'corp:žofie "ß" \\ 松 😀'
CLAIMS = {"town": "Málaga", "name": "松"}
BYTES = "SELECT encode(convert_to(system_user, getdatabaseencoding()), 'hex')"
"""What system_user is made of, whatever the database takes it for."""


@pytest.fixture(scope="module")
def encodings(shared_server: BearerServer) -> BearerServer:
    """The server with a database of each encoding."""
    for encoding in ("UTF8", "LATIN1", "SQL_ASCII"):
        shared_server.sql(f"CREATE DATABASE in_{encoding.lower()} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    return shared_server


@pytest.mark.parametrize("database", ["in_utf8", "in_latin1", "in_sql_ascii"])
def test_identity_keeps_its_bytes(
    database: str, encodings: BearerServer, bearer: BearerServer, liar: LyingService
) -> None:
    liar.allow(identity=IDENTITY, claims=CLAIMS)
    with encodings.login(database=database, client_encoding="utf8") as connection:
        (said,) = connection.execute(BYTES).fetchone() or ("",)
    assert bytes.fromhex(said).decode() == f"oauth:{IDENTITY}"


@pytest.mark.parametrize("database", ["in_utf8", "in_latin1", "in_sql_ascii"])
def test_escaped_identity_is_the_same(
    database: str, encodings: BearerServer, bearer: BearerServer, liar: LyingService
) -> None:
    liar.say(
        lambda answer: (
            '{"identity":"caf\\u00e9 \\ud83d\\ude00",'
            + ",".join(f'"{name}":"{answer[name]}"' for name in ("request_id", "role", "database"))
            + ',"v":1,"decision":"allow","decision_id":"1","reason":"allowed","ends_at":null}'
        )
    )
    with encodings.login(database=database, client_encoding="utf8") as connection:
        (said,) = connection.execute(BYTES).fetchone() or ("",)
    assert bytes.fromhex(said).decode() == "oauth:café 😀"


def test_role_and_database_beyond_ascii(bearer: BearerServer, liar: LyingService) -> None:
    liar.allow()
    bearer.sql('CREATE ROLE "žofie" LOGIN')
    bearer.sql('CREATE DATABASE "účetní"')
    with bearer.login(role="žofie", database="účetní") as connection:
        assert connection.execute("SELECT current_user, current_database()").fetchone() == ("žofie", "účetní")
    assert (liar.requests[0]["role"], liar.requests[0]["database"]) == ("žofie", "účetní")
    assert liar.requests[0]["role_attributes"]["exists"]


def test_ident_map_compares_the_bytes(postgres_server: MakeServer) -> None:
    oauth = f'local all all oauth issuer="{ISSUER}" scope="" map=corp'
    server = postgres_server(hba=(LOCAL, oauth), ident=('corp "corp:žofie" app',))
    server.sql("CREATE ROLE app LOGIN")
    liar = LyingService(server.socket)
    liar.start()
    liar.allow(identity="corp:žofie")
    server.login().close()
    liar.stop()
