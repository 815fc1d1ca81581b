"""Logins of which the issuer is asked whether the token is still good: what it says, and every way not to say it."""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.integration.fix_chain import PGBEARER, Chain, whole_chain
from tests.introspecting_issuer import CLIENT_ID, SECRET, IntrospectingIssuer
from tests.issuer import ABSENT, AUDIENCE, CLIENT
from tests.parts.authority import Authority
from tests.parts.postgres import Installation

RULES = [
    {"name": "readers", "any_role": ["db-read"], "databases": ["appdb"], "roles": ["app_readonly"]},
    {
        "name": "owners",
        "any_role": ["db-read"],
        "databases": ["appdb"],
        "roles": ["app_readwrite"],
        "tier": "critical",
    },
]


@pytest.fixture(scope="module")
def asked(
    postgres: Installation, issuer_authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Chain, IntrospectingIssuer, Path]]:
    """A chain, its issuer, and the file with our secret there."""
    secret = tmp_path_factory.mktemp("secrets") / "introspection"
    secret.write_text(f"{SECRET}\n")
    secret.chmod(0o600)
    with whole_chain(postgres, issuer_authority, make_issuer=IntrospectingIssuer) as chain:
        assert isinstance(chain.issuer, IntrospectingIssuer)
        settle(chain, introspection=introspection(chain, secret))
        yield chain, chain.issuer, secret


def introspection(chain: Chain, secret: Path, **changes: Any) -> dict[str, Any]:
    assert isinstance(chain.issuer, IntrospectingIssuer)
    endpoint = chain.issuer.introspection_endpoint
    usual = {"endpoint": endpoint, "client_id": CLIENT_ID, "client_secret_file": str(secret), "timeout": "1s"}
    return {**usual, **changes}


def settle(chain: Chain, **issuer: Any) -> None:
    """Have the service know the issuer so."""
    usual = {"profile": "keycloak", "audience": AUDIENCE, "clients": [CLIENT, "agent"], "identity": "demo:{sub}"}
    usual |= {"issuer": chain.issuer.url, "ca_file": str(chain.issuer.ca_file)}
    chain.service.settle(issuers={"demo": {**usual, "critical": {"clients": [CLIENT]}, **issuer}}, rules=RULES)


@pytest.fixture
def issuer(asked: tuple[Chain, IntrospectingIssuer, Path]) -> Iterator[IntrospectingIssuer]:
    """The issuer, a good one again afterwards."""
    issuer = asked[1]
    yield issuer
    issuer.mend()
    issuer.tell = None
    issuer.ended.clear()
    issuer.asked.clear()


@pytest.fixture
def chain(asked: tuple[Chain, IntrospectingIssuer, Path], issuer: IntrospectingIssuer) -> Chain:
    """The chain; every login is asked about."""
    del issuer
    return asked[0]


def test_a_session_that_ended_is_refused_from_the_next_login_on(chain: Chain, issuer: IntrospectingIssuer) -> None:
    token = issuer.token()
    with chain.login(token=token):
        pass
    issuer.ended.add("5f3a7c1e")
    assert chain.refusal(token=token) == "token_inactive"
    with chain.login(token=issuer.token(sid="another")):
        pass
    assert len(issuer.asked) == 3
    assert chain.service.decisions()[-2]["authentic"] is True


def test_nobody_is_asked_about_what_is_refused_anyway(chain: Chain, issuer: IntrospectingIssuer) -> None:
    assert chain.refusal(token=issuer.token(aud="db:other")) == "audience_mismatch"
    assert chain.refusal(token=issuer.token(scope="openid")) == "scope_missing"
    assert issuer.asked == []


def told(change: Callable[[dict[str, Any]], Mapping[str, Any]], status: int = 200) -> Callable[[Any], None]:
    """The issuer answers with the token's claims, changed."""

    def tell(issuer: IntrospectingIssuer) -> None:
        issuer.tell = lambda said: (status, change({**said, "active": True}))

    return tell


FAULTS: dict[str, tuple[Callable[[IntrospectingIssuer], None], str]] = {
    "down": (IntrospectingIssuer.down, "issuer_unavailable"),
    "hangs": (IntrospectingIssuer.hang, "issuer_unavailable"),
    "trickles": (lambda issuer: issuer.trickle(), "issuer_unavailable"),
    "cuts": (IntrospectingIssuer.cut, "issuer_unavailable"),
    "redirects": (lambda issuer: issuer.redirect(), "issuer_unavailable"),
    "sends 10 MB": (lambda issuer: issuer.huge_body(10_000_000), "issuer_unavailable"),
    "sends a gzip bomb": (IntrospectingIssuer.gzip_bomb, "issuer_unavailable"),
    "sends a page": (IntrospectingIssuer.html, "introspection_invalid"),
    "sends a JWT": (
        lambda issuer: issuer.body(b"a.b.c", "application/token-introspection+jwt"),
        "introspection_invalid",
    ),
    "sends nothing": (lambda issuer: issuer.body(b""), "introspection_invalid"),
    "says the text true": (told(lambda said: {**said, "active": "true"}), "introspection_invalid"),
    "says 1": (told(lambda said: {**said, "active": 1}), "introspection_invalid"),
    "says no word of it": (told(lambda said: {"sub": said["sub"], "exp": said["exp"]}), "introspection_invalid"),
    "speaks of another person": (told(lambda said: {**said, "sub": "somebody"}), "introspection_invalid"),
    "speaks of another token": (told(lambda said: {**said, "jti": "onrtdg:other"}), "introspection_invalid"),
    "speaks of a later end": (told(lambda said: {**said, "exp": said["exp"] + 1}), "introspection_invalid"),
    "speaks of another audience": (told(lambda said: {**said, "aud": "db:other"}), "introspection_invalid"),
    "speaks of another issuer": (told(lambda said: {**said, "iss": said["iss"] + "2"}), "introspection_invalid"),
    "says no and yes": (lambda issuer: issuer.body(b'{"active": false, "active": true}'), "introspection_invalid"),
    "answers 401": (told(dict, 401), "introspection_refused"),
    "answers 403": (told(dict, 403), "introspection_refused"),
    "answers 404": (told(dict, 404), "introspection_refused"),
    "answers 429": (told(dict, 429), "issuer_unavailable"),
    "answers 500": (told(dict, 500), "issuer_unavailable"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_denies_and_mended_allows(chain: Chain, issuer: IntrospectingIssuer, fault: str) -> None:
    break_it, reason = FAULTS[fault]
    break_it(issuer)
    assert chain.refusal() == reason
    issuer.mend()
    issuer.tell = None
    with chain.login():
        pass


def test_answers_swapped_between_logins_deny_both(chain: Chain, issuer: IntrospectingIssuer) -> None:
    tokens = [issuer.token(), issuer.token(sub="11111111-6f40-4b4e-8b55-5f2b29a35b2e")]
    first, second = (json.loads(json.dumps(issuer.claims())) for _ in tokens)
    answers = {"11111111-6f40-4b4e-8b55-5f2b29a35b2e": first}
    issuer.tell = lambda said: (200, {**answers.get(said["sub"], second), "active": True, "jti": "of the other"})
    assert [chain.refusal(token=token) for token in tokens] == ["introspection_invalid"] * 2


def test_our_secret_is_sent_and_no_login_without_it(
    asked: tuple[Chain, IntrospectingIssuer, Path], issuer: IntrospectingIssuer
) -> None:
    chain, _, secret = asked
    try:
        secret.unlink()
        assert chain.refusal() == "issuer_unavailable"
        assert issuer.asked == []
    finally:
        secret.write_text(SECRET)
        secret.chmod(0o600)
    with chain.login():
        pass
    log = "".join(chain.service.output) + chain.service.audit_file.read_text()
    assert SECRET not in log
    assert "a+secret" not in log


def test_a_secret_that_others_can_write_is_refused(asked: tuple[Chain, IntrospectingIssuer, Path]) -> None:
    chain, _, secret = asked
    refused = chain.service.count("introspection.client_secret_file: not trusted")
    secret.chmod(0o666)
    try:
        chain.service.hang_up()
        chain.service.await_count("introspection.client_secret_file: not trusted", refused + 1)
    finally:
        secret.chmod(0o600)


def test_a_yes_is_remembered_only_as_long_as_that_is_asked_for(
    asked: tuple[Chain, IntrospectingIssuer, Path], issuer: IntrospectingIssuer
) -> None:
    chain, _, secret = asked
    token = issuer.token()
    settle(chain, introspection=introspection(chain, secret, cache="60s"))
    for _ in range(2):
        with chain.login(token=token):
            pass
    assert len(issuer.asked) == 1
    settle(chain, introspection=introspection(chain, secret))  # a reload forgets it
    issuer.ended.add("5f3a7c1e")
    assert chain.refusal(token=token) == "token_inactive"


def test_only_the_critical_tier_is_asked_about_where_that_is_said(
    asked: tuple[Chain, IntrospectingIssuer, Path], issuer: IntrospectingIssuer
) -> None:
    chain, _, secret = asked
    settle(chain, introspection=introspection(chain, secret, when="critical"))
    issuer.ended.add("5f3a7c1e")
    now = issuer.claims()["iat"]
    strong = issuer.token(auth_time=now, acr="mfa")
    with chain.login(token=strong):
        pass
    assert issuer.asked == []
    assert chain.refusal("app_readwrite", token=strong) == "token_inactive"
    assert chain.refusal("app_readwrite", token=issuer.token(acr=ABSENT)) == "authentication_unknown"
    assert len(issuer.asked) == 1
    issuer.ended.clear()
    with chain.login("app_readwrite", token=strong):
        pass
    settle(chain, introspection=introspection(chain, secret))


def test_a_rehearsal_asks_too(asked: tuple[Chain, IntrospectingIssuer, Path], issuer: IntrospectingIssuer) -> None:
    chain, _, secret = asked
    settle(chain, introspection=introspection(chain, secret, when="critical"))
    now = issuer.claims()["iat"]
    token = issuer.token(auth_time=now, acr="mfa")
    issuer.ended.add("5f3a7c1e")
    words = [PGBEARER, "explain", "--token-file", "-", "--database", "appdb", "-c", str(chain.service.file), "--role"]
    for role, said in (("app_readonly", "was allowed"), ("app_readwrite", "REFUSED: token_inactive")):
        done = subprocess.run([*words, role], input=token, capture_output=True, text=True, check=False, timeout=60)
        assert said in done.stdout, done.stderr
    assert len(issuer.asked) == 1
    settle(chain, introspection=introspection(chain, secret))
