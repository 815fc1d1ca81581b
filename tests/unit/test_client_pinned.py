"""Where a token may go (docs/threats.md: the client gives its token to the wrong server), as rules on values."""

import pytest

from pgbearer.client import UnsafeServerError
from pgbearer.client.connection.known import KnownServers
from pgbearer.client.connection.pinned import check_channel, check_server_issuer, pin, safe_parameters
from pgbearer.errors import UsageError

ISSUER = "https://sso.test/realms/corp"
WELL_KNOWN = f"{ISSUER}/.well-known/openid-configuration"


@pytest.mark.parametrize("named", [(ISSUER,), (None, ISSUER), (ISSUER, ISSUER), (ISSUER, WELL_KNOWN), (WELL_KNOWN,)])
def test_all_who_name_an_issuer_agree(named: tuple[str | None, ...]) -> None:
    assert pin(named) == ISSUER


@pytest.mark.parametrize(
    "other",
    ["https://sso.test/realms/Corp", f"{ISSUER}/", "https://sso.test:443/realms/corp", "https://evil.test", "\x1b[2J"],
)
def test_two_issuers_are_one_too_many(other: str) -> None:
    with pytest.raises(UnsafeServerError, match="issuers differ") as caught:
        pin((ISSUER, other))
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("named", [(), (None,), ("",), ("http://sso.test",)])
def test_no_issuer_no_token(named: tuple[str | None, ...]) -> None:
    with pytest.raises(UsageError):
        pin(named)


@pytest.mark.parametrize("sslmode", ["disable", "allow", "require", "verify-ca"])
def test_weaker_tls_is_refused_over_tcp(sslmode: str) -> None:
    with pytest.raises(UnsafeServerError, match=f"sslmode={sslmode}") as caught:
        safe_parameters({"host": "db.test", "sslmode": sslmode})
    assert "verify-full" in (caught.value.hint or "")


@pytest.mark.parametrize("sslmode", ["prefer", "verify-full"])
def test_over_tcp_tls_is_verified(sslmode: str) -> None:
    assert safe_parameters({"host": "db.test", "sslmode": sslmode})["sslmode"] == "verify-full"


def test_one_tcp_host_among_sockets_needs_tls() -> None:
    with pytest.raises(UnsafeServerError):
        safe_parameters({"host": "/run/postgresql,db.test", "sslmode": "disable"})


@pytest.mark.parametrize("options", [{"host": "/run/postgresql", "sslmode": "disable"}, {"host": "db.test"}])
def test_no_other_way_to_log_in_is_open(options: dict[str, str]) -> None:
    parameters = safe_parameters(options)
    assert parameters["require_auth"] == "oauth"
    assert parameters["password"] == ""
    assert parameters["passfile"] == "/dev/null/none"
    assert parameters["gssencmode"] == "disable"


@pytest.mark.parametrize("methods", ["password", "scram-sha-256,md5", "!oauth", "none"])
def test_another_method_by_request_is_refused(methods: str) -> None:
    with pytest.raises(UnsafeServerError, match="require_auth"):
        safe_parameters({"host": "/run/postgresql", "require_auth": methods})


OAUTH_ONLY = {"require_auth": "oauth"}


@pytest.mark.parametrize(
    ("options", "unix_socket", "encrypted", "allowed"),
    [
        (OAUTH_ONLY, True, False, True),
        (OAUTH_ONLY | {"sslmode": "verify-full"}, False, True, True),
        (OAUTH_ONLY | {"sslmode": "verify-full"}, False, False, False),
        (OAUTH_ONLY | {"sslmode": "verify-ca"}, False, True, False),
        (OAUTH_ONLY | {"sslmode": "require"}, False, True, False),
        (OAUTH_ONLY | {"sslmode": "disable"}, False, False, False),
        (OAUTH_ONLY, False, True, False),
        ({}, True, False, False),
        ({"require_auth": "oauth,password"}, True, False, False),
    ],
)
def test_the_channel_that_asks(options: dict[str, str], unix_socket: bool, encrypted: bool, allowed: bool) -> None:
    if allowed:
        check_channel(options, unix_socket=unix_socket, encrypted=encrypted)
    else:
        with pytest.raises(UnsafeServerError, match="not sent"):
            check_channel(options, unix_socket=unix_socket, encrypted=encrypted)


def test_the_server_names_the_pinned_issuer() -> None:
    check_server_issuer(WELL_KNOWN, ISSUER)


@pytest.mark.parametrize(
    "url",
    [
        "",
        ISSUER,
        f"{ISSUER}2/.well-known/openid-configuration",
        "https://evil.test/.well-known/openid-configuration",
        "https://evil.test/.well-known/openid-configuration?https://sso.test/realms/corp",
        "http://sso.test/realms/corp/.well-known/openid-configuration",
        "https://evil.test/\x1b]0;x\x07/.well-known/openid-configuration",
    ],
)
def test_a_server_that_names_another_gets_nothing(url: str) -> None:
    with pytest.raises(UnsafeServerError, match="not sent") as caught:
        check_server_issuer(url, ISSUER)
    assert "\x1b" not in str(caught.value)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_server_is_known_for_a_while() -> None:
    clock = Clock()
    known = KnownServers(300, monotonic=clock)
    assert known.discovery_url("db") is None
    known.remember("db", WELL_KNOWN)
    clock.now = 299.9
    assert known.discovery_url("db") == WELL_KNOWN
    assert known.discovery_url("other") is None
    clock.now = 300.0
    assert known.discovery_url("db") is None


def test_a_server_that_refused_is_asked_anew() -> None:
    known = KnownServers()
    known.remember("db", WELL_KNOWN)
    known.forget("db")
    assert known.discovery_url("db") is None


def test_several_servers_in_one_are_never_known() -> None:
    known = KnownServers()
    known.remember(None, WELL_KNOWN)
    assert known.discovery_url(None) is None


def test_what_is_known_is_bounded() -> None:
    known = KnownServers()
    for server in range(5_000):
        known.remember(server, WELL_KNOWN)
    assert len(known._said) <= 1_000
