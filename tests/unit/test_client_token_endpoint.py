"""A token for a client that proves itself, and what an exchange may bring. Nobody is asked here."""

import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pgbearer.client import AccessToken, LoginRefusedError, MetadataError, StaticSource
from pgbearer.client.login.steps import run
from pgbearer.client.sources.authentication import Proof
from pgbearer.client.sources.exchange import ExchangeSource, _of_the_same
from pgbearer.client.sources.failure import NoTokenError
from pgbearer.client.sources.token_endpoint import Form, token_request
from pgbearer.errors import PgbearerError
from pgbearer.http import Fault, FetchError, Reply
from tests.issuer import ABSENT, Mint

ISSUER = "https://sso.test/realms/corp"
METADATA = {"issuer": ISSUER, "token_endpoint": f"{ISSUER}/token"}
TOKEN: dict[str, Any] = {"access_token": "a.token", "token_type": "Bearer", "expires_in": 300, "scope": "db"}
MTLS = "https://mtls.sso.test/token"


@dataclass(frozen=True)
class Fake:
    """Proves itself by a word."""

    client_id: str = "billing"
    certificate: tuple[Path, Path] | None = None

    def prove(self, issuer: str, now: float) -> Proof:
        return Proof({"proof": f"a-secret for {issuer} at {now:.0f}"}, {"authorization": "Basic a-secret"})


@dataclass
class World:
    """An issuer that answers `token`."""

    token: Any = field(default_factory=lambda: TOKEN, repr=False)
    metadata: Any = field(default_factory=lambda: METADATA)
    sent: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list, repr=False)

    def get(self, url: str) -> Reply:
        return self._reply(self.metadata)

    def post_form(self, url: str, fields: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        self.sent.append((url, dict(fields), dict(headers)))
        return self._reply(self.token)

    def _reply(self, answer: Any) -> Reply:
        if isinstance(answer, FetchError):
            raise answer
        return answer if isinstance(answer, Reply) else Reply(200, {}, json.dumps(answer).encode())

    def ask(self, client: Fake | None = None) -> AccessToken:
        form = Form(grant_type="client_credentials", subject_token="a-secret")
        return run(token_request(ISSUER, client or Fake(), form, wall=lambda: 1_000_000), self)


def test_a_token() -> None:
    world = World()
    token = world.ask()
    assert (token.reveal(), token.scope, token.expires_at) == ("a.token", "db", 1_000_300)
    (sent,) = world.sent
    form = {"grant_type": "client_credentials", "subject_token": "a-secret"}
    proof = {"proof": f"a-secret for {ISSUER} at 1000000"}
    assert sent == (f"{ISSUER}/token", form | proof, {"authorization": "Basic a-secret"})


def test_who_shows_a_certificate_asks_where_that_is_asked_for() -> None:
    """RFC 8705 section 5."""
    world = World(metadata=METADATA | {"mtls_endpoint_aliases": {"token_endpoint": MTLS}})
    world.ask(Fake(certificate=(Path("crt"), Path("key"))))
    world.ask(Fake())
    plain = World()
    plain.ask(Fake(certificate=(Path("crt"), Path("key"))))
    assert [url for url, _, _ in (*world.sent, *plain.sent)] == [MTLS, f"{ISSUER}/token", f"{ISSUER}/token"]


def test_an_alias_that_is_not_https_is_refused() -> None:
    with pytest.raises(MetadataError, match="token_endpoint is not an https URL"):
        World(metadata=METADATA | {"mtls_endpoint_aliases": {"token_endpoint": "http://sso.test"}}).ask()


def test_the_tokens_own_end_counts_if_it_is_earlier() -> None:
    world = World(token=TOKEN | {"access_token": Mint().token(exp=1_000_100)})
    assert world.ask().expires_at == 1_000_100
    world.token = TOKEN | {"access_token": Mint().token(exp=1_000_900)}
    assert world.ask().expires_at == 1_000_300


def refusal(code: str, status: int = 400) -> Reply:
    return Reply(status, {}, json.dumps({"error": code, "error_description": "in its\nown words"}).encode())


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (refusal("invalid_client", 401), LoginRefusedError, "not by what it proves itself with"),
        (refusal("unauthorized_client", 401), LoginRefusedError, "may not have such a token"),
        (refusal("invalid_scope"), LoginRefusedError, "scope does not exist"),
        (refusal("anything"), LoginRefusedError, "own words"),
        (refusal("server_error", 503), MetadataError, "cannot say now"),
        (Reply(200, {}, b"<html>a-secret"), MetadataError, "not a JSON object"),
        (Reply(404, {}, b"{}"), MetadataError, "without an OAuth error code"),
        (TOKEN | {"token_type": "DPoP"}, MetadataError, "not Bearer"),
        (TOKEN | {"expires_in": -5}, MetadataError, "not a number of seconds"),
        (TOKEN | {"expires_in": "300"}, MetadataError, "not a number of seconds"),
        (TOKEN | {"access_token": "a a-secret"}, MetadataError, "not a bearer token"),
        (TOKEN | {"expires_in": 0}, NoTokenError, "has ended"),
        (TOKEN | {"access_token": Mint().token(exp=999_999)}, NoTokenError, "has ended"),
        (FetchError(Fault.TIMEOUT, "as the test wants", url=ISSUER), FetchError, "as the test wants"),
    ],
)
def test_what_is_no_token(answer: Any, kind: type[PgbearerError], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        World(token=answer).ask()
    assert "a-secret" not in str(caught.value)
    frames = traceback.walk_tb(caught.value.__traceback__)
    ours = (frame for frame in frames if "/pgbearer/client/" in frame[0].f_code.co_filename)
    report = "".join(traceback.StackSummary.extract(ours, capture_locals=True).format())
    assert "token_endpoint.py" in report
    assert "a-secret" not in report


ALICE, BOB = (AccessToken(Mint(ISSUER).token(sub=name)) for name in ("alice", "bob"))


@pytest.mark.parametrize(
    ("person", "given"),
    [
        (ALICE, AccessToken(Mint(ISSUER).token(sub="alice"))),
        (ALICE, AccessToken("opaque")),
        (AccessToken("opaque"), ALICE),
        (ALICE, AccessToken(Mint(ISSUER).token(sub=ABSENT))),
        (ALICE, AccessToken(Mint("https://other.test").token(sub="bob"))),  # names of another namespace
    ],
)
def test_an_exchange_for_the_same_person(person: AccessToken, given: AccessToken) -> None:
    assert _of_the_same(person, given, ISSUER) is given


def test_an_exchange_that_brings_somebody_else_is_refused() -> None:
    with pytest.raises(LoginRefusedError, match="somebody else") as caught:
        _of_the_same(ALICE, BOB, ISSUER)
    assert caught.value.error == "other_subject"


def test_what_is_kept_is_kept_for_one_token_and_bounded() -> None:
    source = ExchangeSource(ISSUER, Fake(), StaticSource(ALICE))
    assert source._kept_for(ALICE) is source._kept_for(AccessToken(ALICE.reveal()))
    assert source._kept_for(ALICE) is not source._kept_for(BOB)
    first = source._kept_for(ALICE)
    for number in range(300):
        source._kept_for(AccessToken(f"token-{number}"))
    assert len(source._persons) == 256
    assert source._kept_for(ALICE) is not first
