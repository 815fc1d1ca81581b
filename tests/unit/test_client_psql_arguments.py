"""What psql's arguments say of where to connect, as psql itself would read them."""

import pytest
from psycopg.conninfo import conninfo_to_dict
from typer.main import get_command

from pgbearer.cli import app
from pgbearer.client.local.psql_arguments import read_psql_arguments
from pgbearer.errors import UsageError

WHOLE = {"host": "db", "port": "5433", "user": "app", "dbname": "appdb"}


@pytest.mark.parametrize(
    ("words", "where", "rest"),
    [
        ([], {}, []),
        (["appdb"], {"dbname": "appdb"}, []),
        (["appdb", "app"], {"dbname": "appdb", "user": "app"}, []),
        (["-d", "appdb", "app"], {"dbname": "appdb", "user": "app"}, []),
        (["-h", "db", "-p", "5433", "-U", "app", "-d", "appdb"], WHOLE, []),
        (["-hdb", "-p5433", "-Uapp", "-dappdb"], WHOLE, []),
        (["--host=db", "--port", "5433", "--username=app", "--dbname", "appdb"], WHOLE, []),
        (["--ho", "db", "--user=app"], {"host": "db", "user": "app"}, []),
        (["appdb", "-c", "select 1"], {"dbname": "appdb"}, ["-c", "select 1"]),
        (["-c", "select 1", "appdb"], {"dbname": "appdb"}, ["-c", "select 1"]),
        (["-Atc", "select 1"], {}, ["-A", "-t", "-c", "select 1"]),
        (["-XAtUapp", "-f", "-"], {"user": "app"}, ["-X", "-A", "-t", "-f", "-"]),
        (["-c", "--host=x", "-v", "-h"], {}, ["-c", "--host=x", "-v", "-h"]),
        (["--set", "ON_ERROR_STOP=1", "--csv"], {}, ["--set", "ON_ERROR_STOP=1", "--csv"]),
        (["--set=a=b", "-P", "null=-", "-1"], {}, ["--set=a=b", "-P", "null=-", "-1"]),
        (["-q", "--", "-odd"], {"dbname": "-odd"}, ["-q"]),
        (["appdb", "--", "-c", "select 1"], {"dbname": "appdb"}, ["-c", "select 1"]),
        (["service=appdb", "--", "-h", "db"], {"service": "appdb", "host": "db"}, []),
        (["service=appdb user=app", "-U", "other"], {"service": "appdb", "user": "app"}, []),
        (["-d", "host=db dbname=appdb", "app"], {"host": "db", "dbname": "appdb", "user": "app"}, []),
        (["postgresql://app@db:5433/appdb?sslsni=1", "-l"], {**WHOLE, "sslsni": "1"}, ["-l"]),
        (["", "-l"], {}, ["-l"]),
        (["--no-such-option", "-j"], {}, ["--no-such-option", "-j"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_where_to_connect_is_taken_out_and_the_rest_is_psqls(
    words: list[str], where: dict[str, str], rest: list[str]
) -> None:
    call = read_psql_arguments(words)
    assert (conninfo_to_dict(call.conninfo), list(call.rest)) == (where, rest)
    assert (call.upstream, call.connects) == (None, True)


@pytest.mark.parametrize("word", ["-V", "--version", "-?", "--help", "--help=commands", "-qV", "--vers"])
def test_help_and_version_connect_nowhere(word: str) -> None:
    call = read_psql_arguments([word])
    assert not call.connects
    assert call.rest


@pytest.mark.parametrize(
    ("words", "where", "rest"),
    [
        (["appdb"], {}, []),
        (["appdb", "-c", "select 1"], {}, ["-c", "select 1"]),
        (["appdb", "--", "-c", "select 1"], {}, ["-c", "select 1"]),
        (["appdb", "otherdb", "-U", "app"], {"dbname": "otherdb", "user": "app"}, []),
    ],
)
def test_a_first_argument_may_be_the_name_of_an_upstream(
    words: list[str], where: dict[str, str], rest: list[str]
) -> None:
    call = read_psql_arguments(words, {"appdb"})
    assert (call.upstream, conninfo_to_dict(call.conninfo), list(call.rest)) == ("appdb", where, rest)


@pytest.mark.parametrize("words", [["-d", "appdb"], ["-U", "app", "appdb"], ["--dbname=appdb"]])
def test_only_the_first_argument_is_such_a_name(words: list[str]) -> None:
    call = read_psql_arguments(words, {"appdb"})
    assert call.upstream is None
    assert conninfo_to_dict(call.conninfo)["dbname"] == "appdb"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-W"], "ask for a password"),
        (["--password"], "ask for a password"),
        (["-qAW", "appdb"], "ask for a password"),
        (["-c"], "-c wants a value"),
        (["-At", "-qf"], "-f wants a value"),
        (["--host"], "--host wants a value"),
        (["appdb", "app", "more"], "an argument too many for psql: 'more'"),
        (["-U", "app", "appdb", "more"], "an argument too many"),
        (["host='db"], "not a connection string"),
        (["nothing=known"], "not a connection string"),
        (["corp", "-h", "db"], "the upstream 'corp' says where it is"),
        (["corp", "-d", "host=db"], "the upstream 'corp' says where it is"),
        (["corp", "postgresql://db/appdb"], "the upstream 'corp' says where it is"),
        (["corp", "hostaddr=192.0.2.1"], "the upstream 'corp' says where it is"),
        (
            ["appdb", "--issuer", "https://sso.example/realms/x", "--scope", "db:x"],
            "--issuer is an option of pgbearer's",
        ),
        (["-h", "db", "--scope=db:x"], "--scope is an option of pgbearer's"),
        (["-U", "\udcff"], "something else than UTF-8"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_meant_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_psql_arguments(words, {"corp"})


def test_every_option_of_ours_is_known_as_such() -> None:
    command = get_command(app).commands["psql"]  # type: ignore[attr-defined]  # it is a group
    ours = {name.removeprefix("--") for each in command.params if each.opts[0].startswith("-") for name in each.opts}
    for name in ours - {"help"}:
        with pytest.raises(UsageError, match=f"--{name} is an option of pgbearer's"):
            read_psql_arguments(["appdb", f"--{name}"])
    assert len(ours) > 5
