"""A running server, asked for what `pgbearer cnpg check` judges: its lines, its settings and its passwords."""

import json
import re

from typer.testing import CliRunner

from pgbearer.cli import app
from tests.integration.fix_postgres import LOCAL, MakeServer

ISSUER = 'oauth issuer="https://issuer.example/realms/corp" scope="openid db:pg"'
LINES = (
    LOCAL,
    "local all all peer map=local",
    "host all breakglass 10.0.0.0/8 scram-sha-256",
    f"host all +people all {ISSUER} delegate_ident_mapping=1 validator=pgbearer",
    "host all all all scram-sha-256",
)


def codes(*words: str) -> list[str]:
    result = CliRunner().invoke(app, ["cnpg", "check", "--json", *words])
    assert result.stdout, result.exception
    found = json.loads(result.stdout)
    assert result.exit_code == (0 if found["ok"] else 1)
    return sorted(finding["code"] for finding in found["findings"])


def test_what_is_in_force_is_judged(postgres_server: MakeServer) -> None:
    server = postgres_server({"pgbearer.forbid_passwords": "+people"}, hba=LINES)
    server.sql("CREATE ROLE app LOGIN PASSWORD 'x'")
    where = f"host={server.folder} port={server.port} user=postgres dbname=postgres"
    expected = ["hba_plaintext", "hba_trust", "named_beside_oauth", "oauth_plaintext"]
    assert codes("--live", where) == sorted([*expected, "operator_line_reached", "role_password"])
    server.configure({}, ["host all all 10.0.0.0/33 reject", *LINES[:-1], "host all all all oauthx"])
    assert codes("--live", where).count("hba_syntax") == 2


def test_a_name_in_quotes_is_no_keyword(postgres_server: MakeServer) -> None:
    oauth = 'hostssl all +people all oauth issuer="https://issuer.example" scope="openid" validator=pgbearer'
    lines = ["local all postgres trust", oauth]
    server = postgres_server({"pgbearer.forbid_passwords": "+people"}, hba=(*lines, "host all all all reject"))
    where = f"host={server.folder} port={server.port} user=postgres dbname=postgres"
    without = codes("--live", where)
    server.configure({}, [*lines, 'host "all" all all reject', "host all all all scram-sha-256"])
    assert "beside_oauth" in codes("--live", where)
    assert "beside_oauth" not in without


def test_lines_of_maps_are_read(postgres_server: MakeServer) -> None:
    """In quotes, with more than three fields, and refused: as the server itself takes them."""
    oauth = f"hostssl all +people all {ISSUER} validator=pgbearer map=people"
    lines = ("local all postgres trust", oauth, "host all all all reject")
    settings = {"pgbearer.forbid_passwords": "+people"}
    server = postgres_server(settings, hba=lines, ident=(r"people /^(.*)@corp$ \1", 'people somebody "all"'))
    where = f"host={server.folder} port={server.port} user=postgres dbname=postgres"
    before = codes("--live", where)
    wide = ("people /.* postgres and more", "people somebody all")
    server.configure(settings, lines, wide)
    assert codes("--live", where) == sorted([*before, "map_wide", "map_wide"])
    server.configure(settings, lines, (*wide, "people somebody"))
    assert codes("--live", where) == sorted([*before, "map_wide", "map_wide", "hba_syntax"])


def test_who_may_not_ask_is_told_so(postgres_server: MakeServer) -> None:
    server = postgres_server(hba=("local all all trust",))
    server.sql("CREATE ROLE app LOGIN")
    where = f"host={server.folder} port={server.port} user=app dbname=postgres"
    result = CliRunner().invoke(app, ["cnpg", "check", "--live", where])
    assert result.exit_code == 1
    assert re.search("permission denied .*\n.*superuser", str(result.exception))


def test_nobody_there_is_unreachable() -> None:
    result = CliRunner().invoke(app, ["cnpg", "check", "--live", "host=/nowhere"])
    assert getattr(result.exception, "exit_code", None) == 3
