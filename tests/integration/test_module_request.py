"""What the module tells the service of a login: all that is asked, and the truth about the role."""

import json
import os
import re
import time
from collections.abc import Iterator

import psycopg
import pytest

from pgbearer.wire import decode_request
from pgbearer.wire.request import Replication
from tests.integration.fix_postgres import ISSUER, LOCAL, OAUTH, TOKEN, BearerServer, MakeServer
from tests.lying_service import LyingService
from tests.parts.ports import free_port
from tests.parts.postgres import server_uid


@pytest.fixture
def cluster(postgres_server: MakeServer) -> Iterator[tuple[BearerServer, LyingService]]:
    """A server of the test's own on TCP as well, and its service, which allows."""
    physical = OAUTH.replace("local all", "local replication", 1)
    tcp = f'host all all 127.0.0.1/32 oauth issuer="{ISSUER}" scope="" map=corp'
    server = postgres_server(
        {
            "listen_addresses": "127.0.0.1",
            "cluster_name": "prod-1",
            "log_hostname": "on",
            "wal_level": "logical",
            "port": str(free_port()),
        },
        (LOCAL, OAUTH, physical, tcp),
        ("corp alice app",),
    )
    server.sql("CREATE ROLE app LOGIN")
    liar = LyingService(server.socket)
    liar.start()
    liar.allow()
    yield server, liar
    liar.stop()


def test_request_is_what_the_protocol_says(bearer: BearerServer, liar: LyingService) -> None:
    liar.allow()
    began = time.time()
    with bearer.login(application_name='a "b"\\c') as connection:
        pid = connection.info.backend_pid
    body = liar.requests[0]
    request = decode_request(json.dumps(body, ensure_ascii=False).encode())
    access = request.access

    assert request.version == 1
    assert request.token == TOKEN
    assert re.fullmatch("[0-9a-f]{32}", access.request_id)
    assert began * 1000 - 1 <= access.now <= time.time() * 1000 + 1
    assert (access.role, access.database, access.replication) == ("app", "postgres", Replication.NONE)
    assert (access.hba.issuer, access.hba.scopes) == (ISSUER, ("db:demo", "openid"))
    assert (access.hba.delegate, access.hba.map) == (True, None)
    assert (access.client.address, access.client.port, access.client.tls) == (None, None, None)
    assert access.application_name == 'a "b"\\c'
    assert access.server.system_identifier == bearer.sql("SELECT system_identifier FROM pg_control_system()")
    assert access.server.version == int(bearer.sql("SHOW server_version_num"))
    assert not access.server.in_recovery
    start = float(bearer.sql("SELECT extract(epoch FROM pg_postmaster_start_time()) * 1000"))
    assert access.server.start == int(start)
    assert access.backend.pid == pid
    assert access.server.start < access.backend.start <= access.now


def test_request_head_is_small_and_closes(bearer: BearerServer, liar: LyingService) -> None:
    liar.allow()
    bearer.login().close()
    assert liar.heads[0].split("\r\n")[0] == "POST /v1/login HTTP/1.1"
    assert "Connection: close" in liar.heads[0]
    assert "Content-Type: application/json" in liar.heads[0]


def test_request_ids_differ(bearer: BearerServer, liar: LyingService) -> None:
    for _ in range(3):
        bearer.refusal()
    assert len({request["request_id"] for request in liar.requests}) == 3


@pytest.mark.parametrize(
    ("sql", "attributes"),
    [
        ("CREATE ROLE r LOGIN", {}),
        ("CREATE ROLE r LOGIN SUPERUSER", {"super": True}),
        ("CREATE ROLE r LOGIN REPLICATION", {"replication": True}),
        ("CREATE ROLE r LOGIN CREATEROLE", {"createrole": True}),
        ("CREATE ROLE r LOGIN CREATEDB", {"createdb": True}),
        ("CREATE ROLE r LOGIN BYPASSRLS", {"bypassrls": True}),
        ("CREATE ROLE r LOGIN IN ROLE pg_read_all_data", {"member_of": ["pg_read_all_data"]}),
        (
            "CREATE ROLE g IN ROLE pg_execute_server_program, pg_monitor; CREATE ROLE r LOGIN IN ROLE g",
            {
                "member_of": [
                    "pg_execute_server_program",
                    "pg_monitor",
                    "pg_read_all_settings",
                    "pg_read_all_stats",
                    "pg_stat_scan_tables",
                ]
            },
        ),
        ("CREATE ROLE g SUPERUSER; CREATE ROLE r LOGIN IN ROLE g", {"super": True}),
        ("CREATE ROLE g BYPASSRLS; CREATE ROLE h IN ROLE g; CREATE ROLE r LOGIN IN ROLE h", {"bypassrls": True}),
        (
            "CREATE ROLE g CREATEROLE; CREATE ROLE r LOGIN; GRANT g TO r WITH INHERIT FALSE, SET FALSE, ADMIN TRUE",
            {"createrole": True},
        ),
        ("SELECT 1", {"exists": False}),
    ],
)
def test_role_is_what_the_catalog_says(
    sql: str, attributes: dict[str, object], bearer: BearerServer, liar: LyingService
) -> None:
    bearer.sql(sql)
    try:
        bearer.refusal(role="r")
    finally:
        bearer.sql("DROP ROLE IF EXISTS r, h, g")
    said = liar.requests[0]["role_attributes"]
    said["member_of"].sort()
    plain = dict.fromkeys(("super", "replication", "createrole", "createdb", "bypassrls"), False)
    assert said == {"exists": True, **plain, "member_of": [], **attributes}


def test_physical_replication_is_told_apart(cluster: tuple[BearerServer, LyingService]) -> None:
    server, liar = cluster
    server.sql("ALTER ROLE app REPLICATION")
    with server.login(replication="true") as connection:
        connection.execute("IDENTIFY_SYSTEM")
    assert (liar.requests[-1]["replication"], liar.requests[-1]["database"]) == ("physical", "")


def test_logical_replication_is_told_apart(cluster: tuple[BearerServer, LyingService]) -> None:
    server, liar = cluster
    server.sql("ALTER ROLE app REPLICATION")
    server.login(replication="database").close()
    assert (liar.requests[-1]["replication"], liar.requests[-1]["database"]) == ("logical", "postgres")


def test_network_client_is_numeric_and_map_is_named(cluster: tuple[BearerServer, LyingService]) -> None:
    server, liar = cluster
    with server.login(host="127.0.0.1") as connection:
        local = int(connection.execute("SELECT inet_client_port()").fetchone()[0])  # type: ignore[index]
    request = liar.requests[-1]
    assert request["client"] == {"address": "127.0.0.1", "port": local, "tls": None}
    assert request["hba"] == {"issuer": ISSUER, "scopes": [], "delegate": False, "map": "corp"}
    assert request["server"]["instance"] == "prod-1"


def test_map_decides_from_the_identity(cluster: tuple[BearerServer, LyingService]) -> None:
    server, liar = cluster
    liar.allow(identity="bob")
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        server.login(host="127.0.0.1")


def test_server_runs_as_an_ordinary_uid(bearer: BearerServer) -> None:
    assert os.stat(f"/proc/{bearer.pid}").st_uid == server_uid() != 0  # noqa: PTH116 - procfs
