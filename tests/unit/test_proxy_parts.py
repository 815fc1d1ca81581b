"""The smaller parts: errors as a server would send them, keys, the passfile, who is dropped, what an upstream is."""

import os

import pytest

from pgbearer.client import ServerUnreachableError, StaticSource, TokenRefusedError, UnsafeServerError
from pgbearer.client.proxy import Upstream
from pgbearer.client.proxy.cancel import CancelKeys, Target
from pgbearer.client.proxy.channel import Address
from pgbearer.client.proxy.guests import Guests
from pgbearer.client.proxy.passfile import passfile_line
from pgbearer.client.proxy.pins import Pins
from pgbearer.client.proxy.refusal import RefusedError, amended, fatal, fields_of, refusal_of
from pgbearer.client.proxy.startup import Cancel
from pgbearer.client.proxy.upstream import Host, Route, route_of
from pgbearer.errors import PgbearerError, UsageError

ISSUER = "https://issuer.test"


# errors


@pytest.mark.parametrize(
    ("error", "sqlstate"),
    [
        (RefusedError("57P03", "not now"), "57P03"),
        (ServerUnreachableError("nobody there"), "08006"),
        (TokenRefusedError("no"), "28000"),
        (UnsafeServerError("no"), "28000"),
        (PgbearerError("no"), "28000"),
    ],
)
def test_an_error_of_ours_has_a_sqlstate(error: PgbearerError, sqlstate: str) -> None:
    fields = fields_of(refusal_of(error)[5:])
    assert (fields["S"], fields["V"], fields["C"], fields["M"]) == (
        "FATAL",
        "FATAL",
        sqlstate,
        f"pgbearer: {error.what}",
    )


def test_where_and_hint_are_detail_and_hint() -> None:
    fields = fields_of(refusal_of(ServerUnreachableError("gone", where="db:5432", hint="Try\nagain."))[5:])
    assert (fields["D"], fields["H"]) == ("db:5432", "Try\nagain.")


def test_no_text_ends_a_field_or_drives_a_terminal() -> None:
    fields = fields_of(fatal("28000", "a\0CXXXXX\x1b[2J\u202e")[5:])
    assert fields["C"] == "28000"
    assert fields["M"] == r"a\x00CXXXXX\x1b[2J\u202e"


def test_a_servers_error_keeps_all_it_has() -> None:
    body = b"SFATAL\0VFATAL\0C28000\0Mno\0Fauth.c\0\0"
    assert amended(body, hint="because")[5:] == body[:-1] + b"Hbecause\0\0"
    with_hint = body[:-1] + b"Hits own\0\0"
    assert amended(with_hint, hint="because")[5:] == with_hint


# cancel keys


def route(conninfo: str = "host=/tmp user=app", **more: object) -> Route:
    return route_of(Upstream("db", conninfo, StaticSource("t"), ISSUER, **more))  # type: ignore[arg-type]


def target(uid: int | None = 0, key: bytes = b"real") -> Target:
    host = Host("/tmp", None, 5432)  # noqa: S108  a name
    return Target(route(), Address(host, "/tmp/.s.PGSQL.5432"), 4711, key, uid)  # noqa: S108


def test_a_key_leads_to_the_servers_until_it_is_taken_back() -> None:
    keys, wanted = CancelKeys(), target()
    pid, key = keys.give(wanted)
    assert keys.target(Cancel(pid, key), 0) is wanted
    keys.take_back(pid)
    assert keys.target(Cancel(pid, key), 0) is None


def test_no_other_key_leads_anywhere() -> None:
    keys, wanted = CancelKeys(), target()
    pid, key = keys.give(wanted)
    other, its_key = keys.give(target())
    for asked in (Cancel(pid, its_key), Cancel(pid, key[:-1]), Cancel(pid, key + b"x"), Cancel(other + 1, key)):
        assert keys.target(asked, 0) is None
    assert keys.target(Cancel(pid, wanted.key), 0) is None
    assert keys.target(Cancel(wanted.pid, wanted.key), 0) is None


@pytest.mark.parametrize("uid", [1, None])
def test_a_key_is_of_no_use_to_another_user(uid: int | None) -> None:
    keys = CancelKeys()
    pid, key = keys.give(target(uid=0))
    assert keys.target(Cancel(pid, key), uid) is None


@pytest.mark.parametrize(("real", "ours"), [(4, 4), (32, 32), (256, 32), (5, 32)])
def test_a_key_is_as_long_as_the_protocol_allows(real: int, ours: int) -> None:
    _, key = CancelKeys().give(target(key=b"k" * real))
    assert len(key) == ours


def test_a_target_does_not_show_the_servers_key() -> None:
    assert "real" not in repr(target())


# the passfile


@pytest.mark.parametrize(
    ("pins", "line"),
    [
        (Pins(), "127.0.0.1:5555:*:*:s"),
        (Pins(b"app", b"appdb"), "127.0.0.1:5555:appdb:app:s"),
        (Pins(b"a:b", b"c\\d"), "127.0.0.1:5555:c\\\\d:a\\:b:s"),
    ],
)
def test_a_line_is_for_one_place(pins: Pins, line: str) -> None:
    assert passfile_line("127.0.0.1", 5555, pins, "s") == line


def test_a_line_is_for_an_address_of_ipv6_too() -> None:
    assert passfile_line("::1", 5555, Pins(), "s") == "\\:\\:1:5555:*:*:s"


# who is there


class Somebody:
    """A guest that remembers being dropped."""

    uid: int | None = None
    began = 0.0
    last_byte = 0.0
    is_idle = True
    dropped = False

    def drop(self) -> None:
        self.dropped = True

    def end(self, sqlstate: str, text: str) -> None:
        raise NotImplementedError

    def retire(self, sqlstate: str, text: str) -> None:
        raise NotImplementedError


async def test_the_oldest_that_says_nothing_is_dropped() -> None:
    guests = Guests(most_unfinished=2)
    working, *silent = [Somebody() for _ in range(4)]
    guests.came(working)
    guests.has_said(working)
    for one in silent:
        guests.came(one)
    assert [one.dropped for one in (working, *silent)] == [False, True, False, False]
    assert (guests.unfinished, guests.dropped) == (2, 1)


async def test_none_left() -> None:
    guests = Guests(most_unfinished=2)
    one = Somebody()
    guests.came(one)
    assert guests.finished == 0
    guests.has_said(one)
    assert guests.finished == 1
    guests.left(one)
    await guests.none_left()
    assert not guests.drop_oldest()


# upstreams


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("conninfo", "pins"),
    [
        ("host=/tmp", Pins()),
        ("host=/tmp user=app", Pins(b"app")),
        ("host=/tmp user=app dbname=appdb", Pins(b"app", b"appdb")),
        ("host=/tmp user=app dbname=app", Pins(b"app", b"app")),
        ("host=/tmp dbname=appdb replication=database", Pins(None, b"appdb", b"database")),
        ("postgresql:///appdb?host=/tmp", Pins(None, b"appdb")),
    ],
)
def test_what_a_connection_string_pins(conninfo: str, pins: Pins) -> None:
    assert route(conninfo).pins == pins


def test_the_environment_pins_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGUSER", "app")
    monkeypatch.setenv("PGDATABASE", "appdb")
    assert route("host=/tmp").pins == Pins(b"app", b"appdb")


def test_hosts_in_order() -> None:
    hosts = route("host=/tmp,@abstract port=1,2").hosts
    assert [(host.name, host.address, host.port, host.socket) for host in hosts] == [
        ("/tmp", None, 1, "/tmp/.s.PGSQL.1"),  # noqa: S108
        ("@abstract", None, 2, "\0abstract/.s.PGSQL.2"),
    ]


def test_nobody_said_where() -> None:
    (host,) = route("user=app").hosts
    assert host.socket is not None


def test_hosts_at_random() -> None:
    assert route("host=/a,/b load_balance_hosts=random").at_random
    assert not route("host=/a,/b").at_random


@pytest.mark.parametrize(
    ("conninfo", "what"),
    [
        ("host=/tmp port=0", "invalid port"),
        ("host=/tmp port=x", "port"),
        ("host=/tmp target_session_attrs=best", "target_session_attrs"),
        ("host=/tmp connect_timeout=soon", "connect_timeout"),
        ("host=/tmp requirepeer=nobody-of-that-name", "no user"),
        ("host=/tmp password=x", "password"),
        ("host=/tmp sslsni=0", "sslsni=0"),
        ("host=a,b hostaddr=127.0.0.1", "could not match 2 host names to 1 hostaddr"),
        ("host=/tmp nonsense=1", "connection string"),
        ("host=/tmp oauth_issuer=https://other.test", "issuers differ"),
        ("host=db.test sslmode=require", "sslmode=require"),
        ("host=db.test sslrootcert=/nowhere/root.crt", "no file of authorities"),
        ("host=db.test sslrootcert=system ssl_min_protocol_version=SSLv3", "ssl_min_protocol_version"),
        ("host=db.test sslrootcert=system sslcert=/nowhere/x.crt", "cannot be used"),
        ("hostaddr=127.0.0.1 sslrootcert=system", "must be named"),
        ("host=/tmp require_auth=scram-sha-256", "require_auth"),
    ],
)
def test_what_cannot_be_an_upstream(conninfo: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        route(conninfo)


def test_who_may_have_tokens() -> None:
    own, theirs = StaticSource("own"), StaticSource("theirs")
    private = Upstream("db", "", own)
    assert private.source_for(os.geteuid()) is own
    assert private.source_for(os.geteuid() + 1) is None
    assert private.source_for(None) is own
    shared = Upstream("db", "", admit={1234: theirs}.get)
    assert shared.source_for(1234) is theirs
    assert shared.source_for(os.geteuid()) is None
    assert shared.source_for(None) is None


def test_an_upstream_needs_an_issuer() -> None:
    with pytest.raises(UsageError, match="no issuer"):
        route_of(Upstream("db", "host=/tmp", StaticSource("opaque")))
