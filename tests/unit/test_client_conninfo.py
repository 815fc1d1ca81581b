"""Connection strings, service files and environment mean to us what they mean to libpq. Nothing is connected."""

from pathlib import Path

import pytest

from pgbearer.client import oauth_settings
from pgbearer.client.connection.conninfo import resolve, uses_only_unix_sockets
from pgbearer.errors import UsageError

SERVICE = """\
[appdb]
host=db.test
port=6432
dbname=appdb
sslmode=require
oauth_issuer=https://sso.test/realms/corp/.well-known/openid-configuration
oauth_client_id=from-service
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGSSLMODE", "PGSERVICE", "PGPASSWORD"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "pg_service.conf"
    file.write_text(SERVICE)
    monkeypatch.setenv("PGSERVICEFILE", str(file))


def test_what_is_not_utf_8_is_an_error_of_the_persons(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="not UTF-8"):
        resolve("host=\udcff", {})
    monkeypatch.setenv("PGUSER", "\udcff")
    with pytest.raises(UsageError, match="not UTF-8"):
        resolve("", {})


def test_keywords_win_over_the_string_it_over_the_service_it_over_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGHOST", "from-environment")
    monkeypatch.setenv("PGUSER", "from-environment")
    options = resolve("service=appdb dbname=from-string port=1", {"port": 2})
    assert [options[name] for name in ("user", "host", "dbname", "port")] == [
        "from-environment",
        "db.test",
        "from-string",
        "2",
    ]


def test_the_service_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSERVICE", "appdb")
    assert resolve("", {})["sslmode"] == "require"


def test_a_url() -> None:
    options = resolve("postgresql://alice@[::1]:7/db?sslmode=verify-full", {})
    assert [options[name] for name in ("user", "host", "port", "dbname", "sslmode")] == [
        "alice",
        "::1",
        "7",
        "db",
        "verify-full",
    ]


def test_libpqs_default() -> None:
    assert resolve("", {})["sslmode"] == "prefer"


def test_the_probe_leaves_no_trace() -> None:
    assert "load_balance_hosts" not in resolve("load_balance_hosts=random", {})


@pytest.mark.parametrize(
    ("conninfo", "says"),
    [
        ("host", 'missing "=" after "host"'),
        ("colour=blue", "colour"),
        ("service=nope", 'service "nope" not found'),
        ("host=a,b port=1,2,3", "could not match 3 port numbers to 2 hosts"),
        ("sslmode=strict", 'invalid sslmode value: "strict"'),
        ("password=hunter2", "a password has no place"),
        ("postgresql://alice:hunter2@db.test/x", "a password has no place"),
    ],
)
def test_what_libpq_or_we_refuse(conninfo: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        resolve(conninfo, {})
    assert "hunter2" not in str(caught.value)


def test_a_password_of_the_environment_is_not_carried_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    assert "hunter2" not in resolve("", {}).values()


def test_the_login_that_a_service_file_names() -> None:
    assert oauth_settings("service=appdb") == ("https://sso.test/realms/corp", "from-service", None)
    assert oauth_settings("") == (None, None, None)


@pytest.mark.parametrize(
    ("options", "unix"),
    [
        ({}, True),
        ({"host": ""}, True),
        ({"host": "/run/postgresql"}, True),
        ({"host": "@abstract"}, True),
        ({"host": "/a,/b"}, True),
        ({"host": "db.test"}, False),
        ({"host": "localhost"}, False),
        ({"host": "/a,db.test"}, False),
        ({"host": "/a", "hostaddr": "127.0.0.1"}, False),
    ],
)
def test_only_unix_sockets(options: dict[str, str], unix: bool) -> None:
    assert uses_only_unix_sockets(options) is unix


def test_libpqs_words_about_a_typing_mistake_are_one_line() -> None:
    with pytest.raises(UsageError, match=r'^not a connection string: invalid connection option "prot"$'):
        resolve("host=db.test prot=1", {})
