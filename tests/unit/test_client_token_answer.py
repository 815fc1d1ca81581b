"""A token endpoint's answer: what becomes a grant, and what is refused without a word of it."""

import json
import traceback
from typing import Any

import pytest

from pgbearer.client import LoginRefusedError, MetadataError
from pgbearer.client.grant import Grant
from pgbearer.client.login.token_answer import grant_in
from pgbearer.client.secret import Secret
from pgbearer.errors import PgbearerError
from pgbearer.http import Reply
from tests.issuer import Mint

ENDPOINT = "https://sso.test/token"
GOOD = {"access_token": "a.secret.token", "token_type": "bearer", "expires_in": 300, "scope": "openid db"}
ALL = GOOD | {"refresh_token": "r.secret", "refresh_expires_in": 1800, "id_token": "i.secret"}


def read(answer: Any, status: int = 200) -> Grant:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return grant_in(Reply(status, {}, body), ENDPOINT, 1_000.0, "pgbearer-cli")


def test_all_that_can_be_in_it() -> None:
    grant = read(ALL)
    assert (grant.access.reveal(), grant.access.expires_at, grant.access.scope) == (
        "a.secret.token",
        1_300,
        "openid db",
    )
    assert (grant.refresh, grant.refresh_expires_at, grant.id_token) == (Secret("r.secret"), 2_800, Secret("i.secret"))
    assert grant.client_id == "pgbearer-cli"


def test_the_token_alone() -> None:
    grant = read({"access_token": "a.secret.token", "token_type": "Bearer"})
    assert (grant.access.expires_at, grant.access.scope) == (None, None)
    assert (grant.refresh, grant.refresh_expires_at, grant.id_token) == (None, None, None)


def test_a_token_whose_end_only_itself_says() -> None:
    token = Mint().token(exp=1_800_000_300)
    assert read({"access_token": token, "token_type": "Bearer"}).access.expires_at == 1_800_000_300


def test_a_refresh_token_without_an_end_of_its_own() -> None:
    assert read(ALL | {"refresh_expires_in": 0}).refresh_expires_at is None  # Keycloak's word for an offline session


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"<html>secret", "not a JSON object"),
        (b'["secret"]', "not a JSON object"),
        (GOOD | {"token_type": "DPoP"}, "of type 'DPoP', not Bearer"),
        (GOOD | {"token_type": "\x1b[2J"}, r"of type '\\\\x1b"),
        (GOOD | {"token_type": None}, "without token_type"),
        (GOOD | {"access_token": None}, "without access_token"),
        (GOOD | {"access_token": ["secret"]}, "without access_token"),
        (GOOD | {"access_token": "a secret token"}, "not a bearer token"),
        (GOOD | {"access_token": "secret" * 20_000}, "longer than 60,000 bytes"),
        (GOOD | {"expires_in": "soon"}, "without expires_in"),
        (GOOD | {"expires_in": -1}, "without expires_in"),
        (GOOD | {"expires_in": 1e300}, "without expires_in"),
        (ALL | {"refresh_token": ""}, "without refresh_token"),
        (ALL | {"refresh_token": ["secret"]}, "without refresh_token"),
        (ALL | {"refresh_token": "secret" * 50_000}, "a refresh_token that is not a secret: 300000 characters"),
        (ALL | {"refresh_expires_in": "secret"}, "without refresh_expires_in"),
        (ALL | {"id_token": 7}, "without id_token"),
        (ALL | {"refresh_token": "secret\ud800"}, "without refresh_token"),
        (ALL | {"scope": "openid \udfff"}, "without scope"),
    ],
)
def test_an_answer_that_is_none(answer: Any, says: str) -> None:
    with pytest.raises(MetadataError, match=says) as caught:
        read(answer)
    assert ENDPOINT in str(caught.value)
    assert "secret" not in str(caught.value).replace("not a secret", "")


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_no_is_a_refusal(status: int) -> None:
    with pytest.raises(LoginRefusedError, match=r"does not know this client.*\(invalid_client: in its\\nwords\)"):
        read({"error": "invalid_client", "error_description": "in its\nwords"}, status)


@pytest.mark.parametrize(
    ("status", "answer"),
    [(429, {"error": "slow"}), (500, {"error": "unknown_error"}), (503, b"<html>"), (400, {}), (201, GOOD)],
)
def test_no_answer_now_is_no_refusal(status: int, answer: Any) -> None:
    with pytest.raises(MetadataError, match=f"answered {status}") as caught:
        read(answer, status)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "answer", [ALL | {"token_type": "DPoP"}, ALL | {"access_token": "a secret token"}, ALL | {"expires_in": "soon"}]
)
def test_no_secret_in_a_traceback_with_locals(answer: dict[str, Any]) -> None:
    with pytest.raises(PgbearerError) as caught:
        read(answer)
    ours = (
        frame for frame in traceback.walk_tb(caught.value.__traceback__) if "/client/" in frame[0].f_code.co_filename
    )
    report = "".join(traceback.StackSummary.extract(ours, capture_locals=True).format())
    assert "token_answer.py" in report
    assert "secret" not in report.replace("secret_in", "")
