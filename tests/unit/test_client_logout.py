"""A login ended: where, with what, in which order, and what counts as ended."""

import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from pgbearer.client import AccessToken, LoginRefusedError, MetadataError
from pgbearer.client.grant import Grant
from pgbearer.client.login.logout import logout
from pgbearer.client.login.request import LoginRequest
from pgbearer.client.login.steps import run
from pgbearer.client.secret import Secret
from pgbearer.errors import PgbearerError, UsageError
from pgbearer.http import Fault, FetchError, Reply

ISSUER = "https://sso.test/realms/corp"
METADATA = {
    "issuer": ISSUER,
    "token_endpoint": f"{ISSUER}/token",
    "end_session_endpoint": f"{ISSUER}/logout",
    "revocation_endpoint": f"{ISSUER}/revoke",
}
HELD = Grant(AccessToken("a.secret"), "pgbearer-cli", refresh=Secret("r-secret"), id_token=Secret("i-secret"))
DONE, NOTHING = Reply(204, {}, b""), Reply(200, {}, b"")


def error(code: str, status: int = 400) -> Reply:
    return Reply(status, {}, json.dumps({"error": code}).encode())


PAGE = Reply(200, {"content-type": "text/html; charset=utf-8"}, b"<html>Do you want to log out?")
UNREACHABLE = FetchError(Fault.CONNECT, "as the test wants", url=ISSUER)


@dataclass
class Issuer:
    """Answers a logout and a revocation with these."""

    session: Any = DONE
    revocation: Any = NOTHING
    without: tuple[str, ...] = ()
    forms: list[tuple[str, dict[str, str]]] = field(default_factory=list, repr=False)

    def get(self, url: str) -> Reply:
        offered = {name: value for name, value in METADATA.items() if name not in self.without}
        return Reply(200, {}, json.dumps(offered).encode())

    def post_form(self, url: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Reply:
        self.forms.append((url.rpartition("/")[2], dict(fields)))
        answer = self.session if url.endswith("/logout") else self.revocation
        if isinstance(answer, FetchError):
            raise answer
        assert isinstance(answer, Reply)
        return answer

    def end(self, held: Grant = HELD) -> None:
        run(logout(LoginRequest(ISSUER, "pgbearer-cli"), held), self)


def test_the_session_ends_before_the_token() -> None:
    issuer = Issuer()
    issuer.end()
    assert issuer.forms == [
        ("logout", {"client_id": "pgbearer-cli", "refresh_token": "r-secret", "id_token_hint": "i-secret"}),
        ("revoke", {"client_id": "pgbearer-cli", "token": "r-secret", "token_type_hint": "refresh_token"}),
    ]


def test_an_access_token_alone_is_revoked() -> None:
    issuer = Issuer()
    issuer.end(Grant(AccessToken("a.secret"), "other"))
    assert issuer.forms == [
        ("logout", {"client_id": "other"}),
        ("revoke", {"client_id": "other", "token": "a.secret", "token_type_hint": "access_token"}),
    ]


@pytest.mark.parametrize("without", ["end_session_endpoint", "revocation_endpoint"])
def test_an_issuer_that_offers_one_of_both(without: str) -> None:
    issuer = Issuer(without=(without,))
    issuer.end()
    assert len(issuer.forms) == 1


def test_an_issuer_that_offers_neither() -> None:
    with pytest.raises(UsageError, match="no way to end a login"):
        Issuer(without=("end_session_endpoint", "revocation_endpoint")).end()


@pytest.mark.parametrize(
    "issuer",
    [
        Issuer(session=error("invalid_grant")),
        Issuer(revocation=error("invalid_token")),
        Issuer(revocation=Reply(200, {"content-type": "application/json"}, b'{"error": "invalid_token"}')),
    ],
)
def test_a_login_that_is_over_already_is_ended(issuer: Issuer) -> None:
    issuer.end()


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (error("invalid_client", 401), LoginRefusedError, "does not know this client"),
        (error("unsupported_token_type"), LoginRefusedError, "unsupported_token_type"),
        (error("invalid_grant", 503), MetadataError, "answered 503"),
        (Reply(400, {}, b"<html>"), MetadataError, "not a JSON object"),
        (PAGE, MetadataError, "a page for a person"),
        (UNREACHABLE, FetchError, "as the test wants"),
    ],
)
@pytest.mark.parametrize("place", ["session", "revocation"])
def test_what_did_not_end_is_said_and_the_other_is_tried(place: str, answer: Any, kind: type, says: str) -> None:
    issuer = Issuer(**{place: answer})
    with pytest.raises(kind, match=says):
        issuer.end()
    assert [where for where, _ in issuer.forms] == ["logout", "revoke"]


@pytest.mark.parametrize("issuer", [Issuer(error("x")), Issuer(revocation=PAGE), Issuer(UNREACHABLE, UNREACHABLE)])
def test_no_secret_in_a_traceback_with_locals(issuer: Issuer) -> None:
    with pytest.raises(PgbearerError) as caught:
        issuer.end()
    frames = traceback.walk_tb(caught.value.__traceback__)
    ours = (frame for frame in frames if "/client/" in frame[0].f_code.co_filename)
    report = "".join(traceback.StackSummary.extract(ours, capture_locals=True).format())
    assert "logout.py" in report
    assert not any(word in report for word in ("a.secret", "r-secret", "i-secret"))
