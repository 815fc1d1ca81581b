"""A program that connects by way of a proxy is told where that is, and nothing of where it leads."""

from pathlib import Path

import pytest

from pgbearer.client.local.environment import Door, environment_for

DOOR = Door("/run/user/1000/pgbearer-x", 5432)


@pytest.mark.parametrize(
    "name",
    [
        *("PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE", "PGPASSWORD", "PGPASSFILE"),
        *("PGSSLMODE", "PGSSLROOTCERT", "PGSSLKEY", "PGSSLNEGOTIATION", "PGREQUIREAUTH", "PGCHANNELBINDING"),
        *("PGOAUTHCLIENTSECRET", "PGOAUTHISSUER", "PGOAUTHDEBUG", "PGGSSENCMODE", "PGREQUIREPEER"),
        *("PGTARGETSESSIONATTRS", "PGLOADBALANCEHOSTS", "PGCONNECT_TIMEOUT", "PGKRBSRVNAME"),
    ],
)
def test_what_is_the_upstreams_is_not_the_programs(name: str) -> None:
    made = environment_for(DOOR, {}, {name: "a-secret-or-not", "PATH": "/bin"})
    assert made == {"PATH": "/bin", "PGHOST": DOOR.host, "PGPORT": "5432"}


@pytest.mark.parametrize(
    "name", ["HOME", "PGTZ", "PGDATESTYLE", "PGAPPNAME", "PGOPTIONS", "PGCLIENTENCODING", "PSQLRC", "PGBEARER_PROFILE"]
)
def test_what_is_the_programs_stays(name: str) -> None:
    assert environment_for(DOOR, {}, {name: "as it was"})[name] == "as it was"


def test_what_a_service_says_of_the_session_is_said_by_the_program() -> None:
    options = {
        "user": "app",
        "dbname": "appdb",
        "options": "-c search_path=x",
        "application_name": "reports",
        "client_encoding": "UTF8",
        "host": "db.example.org",
        "sslmode": "verify-full",
    }
    assert environment_for(DOOR, options, {"PGUSER": "alice"}) == {
        "PGHOST": DOOR.host,
        "PGPORT": "5432",
        "PGUSER": "app",
        "PGDATABASE": "appdb",
        "PGOPTIONS": "-c search_path=x",
        "PGAPPNAME": "reports",
        "PGCLIENTENCODING": "UTF8",
    }


def test_what_nobody_says_is_left_to_the_program() -> None:
    assert "PGOPTIONS" not in environment_for(DOOR, {"options": ""}, {})


def test_the_secret_of_a_port_is_named_by_its_file_alone() -> None:
    made = environment_for(Door("127.0.0.1", 40_000, Path("/run/x/passfile")), {}, {"PGPASSFILE": "/home/a/.pgpass"})
    assert made == {"PGHOST": "127.0.0.1", "PGPORT": "40000", "PGPASSFILE": "/run/x/passfile"}
