"""Our reading of pg_hba.conf and PostgreSQL's own, of lines that are right, nearly right, and noise."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pgbearer.hba import Line, parse
from tests.parts.authority import Authority
from tests.parts.postgres import Installation, Server, server_uid
from tests.parts.tls_postgres import TLS_LIBRARIES, installation

LIBRARIES = ("pgbearer",)
BUILT_WITHOUT = "not supported by this build"
"""What depends on how the server was built, and not on the line."""
COMPARED = ("map", "issuer", "scope", "validator", "delegate_ident_mapping")
Row = dict[str, Any]


@pytest.fixture(scope="module")
def reader(need: Callable[..., None]) -> Iterator[Callable[[str], list[Row]]]:
    """Call it with a text for the rows of pg_hba_file_rules. What the server has in force stays as it was."""
    need(TLS_LIBRARIES)
    made = {"oauth_validator_libraries": ",".join(LIBRARIES)}, ["local all postgres trust"]
    server = Server(Installation(installation() / "bin"), *made)
    try:
        authority = Authority(server.folder / "tls")
        certificate = authority.server("server", owner=server_uid())
        files = {"ssl_cert_file": certificate.cert_file, "ssl_key_file": certificate.key_file}
        tls = {"ssl": "on", **{name: str(file) for name, file in files.items()}, "ssl_ca_file": str(authority.ca_file)}
        server.configure({**made[0], **tls}, made[1])
        server.start()
        where = f"host={server.folder} port={server.port} user=postgres dbname=postgres"
        with psycopg.connect(where, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:

            def read(text: str) -> list[Row]:
                (server.data / "pg_hba.conf").write_text(text, newline="")
                return connection.execute("SELECT * FROM pg_hba_file_rules").fetchall()

            yield read
    finally:
        server.remove()


NAMES = (
    "all",
    '"all"',
    "db",
    "+group",
    '"two words"',
    '"a""b"',
    "replication",
    "sameuser",
    "/^x.*$",
    "/(",
    "/[a",
    "Db",
)
ADDRESSES = (
    *("all", "samehost", "samenet", '"all"', "10.0.0.0/8", "10.1/16", "::1/128", "::/0", "0.0.0.0/0", "10.0.0.0/33"),
    *("10.0.0.1 255.255.255.0", "10.0.0.1 ::1", "::1 ffff::", "10.0.0.1 x", "10.0.0.1", "10.0.0.0/", "10.0.0.0/x"),
    *("1.2.3.4.5", "host.example", ".example.org", "host/8", "::1/129", "::ffff:1.2.3.4/96", "1234", "10.0.0.0/+8"),
    *("10.0.0.0/08", "10.0.0.0/-1", "a:b", '"10.0.0.0/8"', "300.1.1.1/8", "0x7f.1/8"),
)
METHODS = (
    *(
        "trust",
        "reject",
        "scram-sha-256",
        "md5",
        "password",
        "ident",
        "peer",
        "cert",
        "oauth",
        "oauth",
        "radius",
        "ldap",
    ),
    *("gss", "oauthx", "OAuth", '"oauth"', "trust,reject"),
)
OPTIONS = (
    *('issuer="https://issuer.example"', 'scope="openid db"', 'scope=""', "map=people", "validator=pgbearer"),
    *("validator=other", "delegate_ident_mapping=1", "delegate_ident_mapping=true", "clientcert=verify-full"),
    *("clientcert=verify-ca", "clientcert=1", "clientname=DN", "clientname=x", "issuer", "=x", "Map=x", "krb_realm=x"),
    *("include_realm=0", "ldapserver=x", "ldapbasedn=x", "ldapprefix=x", "ldapport=x", "ldapport=7", "pamservice=x"),
    *("ldapsearchattribute=uid", "ldapsearchfilter=x", "radiussecrets=x", "a=b=c", '"map=two words"'),
)
TYPES = ("local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc", "hosts", "Host", '"host"', "local,host")
GAPS = (" ", "\t", "  ", " , ", ",", "\r")

word_lists = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).flatmap(
    lambda words: st.sampled_from((", ", ",")).map(lambda comma: comma.join(words))
)
options = st.lists(st.sampled_from(OPTIONS), max_size=6)


@st.composite
def nearly_right(draw: st.DrawFn) -> str:
    kind: str = draw(st.sampled_from(TYPES))
    words: list[str] = [kind, draw(word_lists), draw(word_lists)]
    if kind != "local" or draw(st.booleans()):
        words.append(draw(st.sampled_from(ADDRESSES)))
    words += [draw(st.sampled_from(METHODS)), *draw(options)]
    gap: str = draw(st.sampled_from(GAPS[:3]))
    kept: int = draw(st.sampled_from((len(words), len(words), len(words), 1, 2, 3, 4)))
    return gap.join(words[:kept])


@st.composite
def oauth(draw: st.DrawFn) -> str:
    words = ["hostssl", draw(word_lists), draw(word_lists), "all oauth", 'issuer="https://i" scope="s"', *draw(options)]
    return " ".join(words) + draw(st.sampled_from(("", " # comment", "#", "\\", " \\", "\r")))


noise = st.text(st.sampled_from(' \t,"#\\=+/ab\r'), max_size=20).filter(lambda text: "@" not in text)
mangled = st.tuples(nearly_right(), st.integers(0, 60), st.sampled_from(' ,"#\\')).map(
    lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
)
texts = st.lists(st.one_of(nearly_right(), oauth(), mangled, noise), min_size=1, max_size=12).map("\n".join)


def shown(line: Line) -> Row:
    """As the view shows it."""
    named = dict(line.options)
    if line.method == "oauth":
        named.setdefault("validator", LIBRARIES[0])
    delegates = named.pop("delegate_ident_mapping", None) == "1"
    return {
        "type": line.type,
        "database": [token.text for token in line.databases],
        "user_name": [token.text for token in line.users],
        "address": line.address,
        "netmask": line.netmask,
        "auth_method": line.method,
        "options": {name: named[name] for name in COMPARED if name in named}
        | ({"delegate_ident_mapping": "true"} if delegates else {}),
    }


def told(row: Row) -> Row:
    """The part of a row that is compared."""
    named = dict(option.split("=", 1) for option in row["options"] or ())
    return {name: row[name] for name in ("type", "database", "user_name", "address", "netmask", "auth_method")} | {
        "options": {name: value for name, value in named.items() if name in COMPARED}
    }


def refused(row: Row) -> bool:
    """A line without a type is refused too: for a value of clientcert the server forgets to say why (hba.c)."""
    return row["type"] is None if row["error"] is None else BUILT_WITHOUT not in row["error"]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example("host all all all trust\\\nx=y\nhost all all all reject")
@example("host all all ::ffff:1.2.3.4/96 trust")
@example("hostssl all all all cert clientcert=1")
@example('host "all" all 10.0.0.1 255.0.255.0 reject')
@given(texts)
def test_we_read_what_the_server_reads(reader: Callable[[str], list[Row]], text: str) -> None:
    rows = {row["line_number"]: row for row in reader(text)}
    parsed = parse(text, LIBRARIES)
    unsupported = {number for number, row in rows.items() if row["error"] and BUILT_WITHOUT in row["error"]}
    wrong = {each.number: each.message for each in parsed.wrong if each.number not in unsupported}
    assert set(wrong) == {number for number, row in rows.items() if refused(row)}, (wrong, rows)
    for line in parsed.lines:
        row = rows[line.number]
        if row["error"] is None:  # else the build lacks it
            assert shown(line) == told(row)
    assert {line.number for line in parsed.lines} | {each.number for each in parsed.wrong} == set(rows)


@pytest.mark.parametrize("text", ["include other.conf", "host @names all all reject", 'include_dir "x"'])
def test_other_files_are_told_of_and_not_read(reader: Callable[[str], list[Row]], text: str) -> None:
    assert parse(text).includes == (1,)
    assert [row["error"] for row in reader(text)] != [None]
