"""The module's settings: reloaded, guarded, and the passwords they forbid."""

import psycopg
import pytest

from tests.integration.fix_postgres import BearerServer, MakeServer
from tests.lying_service import LyingService

ALL = {
    "endpoints",
    "connect_timeout",
    "timeout",
    "max_token_size",
    "service_user",
    "instance",
    "forbid_passwords",
    "tls_certificate_file",
    "tls_key_file",
    "tls_ca_file",
}


def test_all_settings_come_from_the_file_only(bearer: BearerServer) -> None:
    rows = bearer.sql("SELECT name, context FROM pg_settings WHERE name LIKE 'pgbearer.%'").splitlines()
    assert set(rows) == {f"pgbearer.{name}|sighup" for name in ALL}


def test_reload_takes_effect(postgres_server: MakeServer) -> None:
    server = postgres_server()
    server.sql("CREATE ROLE app LOGIN")
    service = LyingService(server.folder / "other.sock")
    service.start()
    service.allow()
    server.sql(f"ALTER SYSTEM SET pgbearer.endpoints = 'unix:{service.path}'")
    server.sql("ALTER SYSTEM SET pgbearer.instance = 'prod-2'")
    server.reload()
    server.login().close()
    assert service.requests[-1]["server"]["instance"] == "prod-2"
    server.sql("ALTER SYSTEM SET pgbearer.max_token_size = 10")
    server.reload()
    assert server.refusal().startswith("token_too_large")
    service.stop()


@pytest.mark.parametrize(
    "value",
    [
        "tcp://127.0.0.1:1?hostname=pgbearer.test",
        "/run/x.sock",
        "unix:relative",
        "unix:",
        "unix:/" + "a" * 107,
        ", ".join(f"unix:/{n}" for n in range(9)),
        "unix:/a,,unix:/b",
    ],
)
def test_bad_endpoints_are_not_taken(value: str, bearer: BearerServer) -> None:
    with pytest.raises(Exception, match="returned non-zero exit status"):
        bearer.sql(f"ALTER SYSTEM SET pgbearer.endpoints = '{value}'")


def test_longest_endpoint_is_taken(postgres_server: MakeServer) -> None:
    server = postgres_server({"pgbearer.endpoints": "unix:/" + "a" * 106})
    server.sql("CREATE ROLE app LOGIN")
    assert server.refusal().startswith("service_unreachable")


def test_misspelt_setting_is_refused(bearer: BearerServer) -> None:
    with pytest.raises(Exception, match="returned non-zero exit status"):
        bearer.sql("SET pgbearer.endpoint = 'x'")
    assert 'invalid configuration parameter name "pgbearer.endpoint"' in bearer.log


def test_session_cannot_change_a_setting(bearer: BearerServer, liar: LyingService) -> None:
    liar.allow()
    with bearer.login() as connection, pytest.raises(psycopg.errors.CantChangeRuntimeParam):
        connection.execute("SET pgbearer.forbid_passwords = ''")
    with pytest.raises(psycopg.OperationalError, match="cannot be changed now"):
        bearer.login(options="-c pgbearer.service_user=54321")


def test_error_inside_the_module_is_a_refusal(postgres_server: MakeServer) -> None:
    """An index of the catalog that cannot be read raises an ERROR where the module looks the role up."""
    server = postgres_server()
    server.sql("CREATE ROLE app LOGIN")
    service = LyingService(server.socket)
    service.start()
    service.allow()
    index = server.data / server.sql("SELECT pg_relation_filepath('pg_auth_members_member_role_index')")
    server.shut_down()  # nothing of it is left in shared buffers
    mode = index.stat().st_mode
    index.chmod(0)
    server.start()
    server.sql("SELECT 1")  # from now on the caches of new backends use the index
    refusal = server.refusal()
    assert refusal.startswith("module_error")
    assert "Permission denied" in refusal
    assert server.refusal().startswith("module_error")
    assert service.requests == []
    index.chmod(mode)
    server.login().close()
    service.stop()


@pytest.fixture(scope="module")
def guarded(postgres: object, shared_server: BearerServer) -> BearerServer:
    """`shared_server` with a list of roles that may have no password."""
    shared_server.sql("CREATE ROLE staff")
    shared_server.sql("CREATE ROLE alice LOGIN IN ROLE staff")
    shared_server.sql('CREATE ROLE "Odd, name" LOGIN')
    shared_server.sql("CREATE ROLE robot LOGIN PASSWORD 'allowed'")
    shared_server.sql("ALTER SYSTEM SET pgbearer.forbid_passwords = 'app, +staff, \"Odd, name\"'")
    shared_server.reload()
    return shared_server


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER ROLE app PASSWORD 'x'",
        "ALTER ROLE app ENCRYPTED PASSWORD 'x'",
        "ALTER USER app WITH PASSWORD 'md5" + "0" * 32 + "'",
        "ALTER ROLE app PASSWORD 'x' VALID UNTIL '2099-01-01'",
        "ALTER ROLE alice PASSWORD 'x'",
        "ALTER ROLE staff PASSWORD 'x'",
        "ALTER ROLE \"Odd, name\" PASSWORD 'x'",
    ],
)
def test_password_is_refused(statement: str, guarded: BearerServer, bearer: BearerServer) -> None:
    before = len(guarded.log)
    with pytest.raises(Exception, match="returned non-zero exit status"):
        guarded.sql(statement)
    said = guarded.log[before:]
    if "staff PASSWORD" in statement:
        assert "must not have a password" in said
    assert "ERROR:  role " in said
    assert "HINT:  Log in with a token." in said


def test_own_password_is_refused(guarded: BearerServer, bearer: BearerServer, liar: LyingService) -> None:
    liar.allow()
    with bearer.login() as connection, pytest.raises(psycopg.errors.InvalidPassword, match="must not have a password"):
        connection.execute("ALTER ROLE CURRENT_USER PASSWORD 'mine'")


def test_nor_is_one_for_a_role_that_they_have_become(
    guarded: BearerServer, bearer: BearerServer, liar: LyingService
) -> None:
    guarded.sql("GRANT robot TO app")
    liar.allow()
    with bearer.login() as connection:
        connection.execute("SET ROLE robot")
        with pytest.raises(psycopg.errors.InvalidPassword, match='in a session of role "app"'):
            connection.execute("ALTER ROLE robot PASSWORD 'mine'")
        connection.rollback()
        connection.execute("SET ROLE robot")
        connection.execute("ALTER ROLE robot PASSWORD NULL")
    guarded.sql("REVOKE robot FROM app")


def test_others_give_it_to_a_role_that_they_have_become(guarded: BearerServer, bearer: BearerServer) -> None:
    guarded.sql("SET ROLE robot; ALTER ROLE robot PASSWORD 'again'")


GIVES_ITSELF_ONE = """
    SET ROLE robot;
    CREATE FUNCTION own.gives() RETURNS int LANGUAGE plpgsql {how} AS
      $$ BEGIN ALTER ROLE robot PASSWORD 'left'; RETURN 1; END $$;
    CREATE FUNCTION own.seems_harmless(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
      $$ BEGIN RETURN own.gives() + 0 * $1; END $$;
    CREATE TABLE own.places (x int);
    CREATE INDEX ON own.places (own.seems_harmless(x));
"""


@pytest.mark.parametrize(
    ("how", "triggered"),
    [
        ("SECURITY DEFINER", "SELECT own.gives()"),
        ("SECURITY INVOKER", "INSERT INTO own.places VALUES (1); ANALYZE own.places"),  # as autovacuum does
        ("SECURITY INVOKER", "INSERT INTO own.places VALUES (1); REINDEX TABLE own.places"),
    ],
)
def test_nor_by_what_they_leave_to_be_run_as_that_role(
    how: str, triggered: str, guarded: BearerServer, bearer: BearerServer
) -> None:
    guarded.sql("CREATE SCHEMA own AUTHORIZATION robot; ALTER ROLE robot PASSWORD 'before'")
    guarded.sql(GIVES_ITSELF_ONE.format(how=how))
    before = len(guarded.log)
    try:
        with pytest.raises(Exception, match="returned non-zero exit status"):
            guarded.sql(triggered)
        said = 'role "robot" must not be given a password by what runs as it in a session of role "postgres"'
        assert said in guarded.log[before:]
    finally:
        guarded.sql("DROP SCHEMA own CASCADE")


@pytest.mark.parametrize(
    "statement",
    ["ALTER ROLE app PASSWORD NULL", "ALTER ROLE robot PASSWORD 'x'", "ALTER ROLE app VALID UNTIL 'infinity'"],
)
def test_other_changes_are_allowed(statement: str, guarded: BearerServer, bearer: BearerServer) -> None:
    guarded.sql(statement)


def test_everybody(postgres_server: MakeServer) -> None:
    server = postgres_server({"pgbearer.forbid_passwords": "*"})
    server.sql("CREATE ROLE app LOGIN")
    for statement in ("CREATE ROLE r PASSWORD 'x'", "ALTER ROLE app PASSWORD 'x'", "ALTER ROLE postgres PASSWORD 'x'"):
        with pytest.raises(Exception, match="returned non-zero exit status"):
            server.sql(statement)
    assert server.log.count("must not have a password") == 3


def test_nobody_by_default(bearer: BearerServer) -> None:
    bearer.sql("CREATE ROLE temporary PASSWORD 'x'")
    bearer.sql("DROP ROLE temporary")
