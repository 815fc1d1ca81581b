"""A token as a file or a program gives it, and what is none."""

import json
import traceback
from typing import Any

import pytest

from pgbearer.client.sources.failure import NoTokenError
from pgbearer.client.sources.printed import printed_token
from pgbearer.client.sources.spiffe import endpoint_socket
from pgbearer.errors import UsageError
from tests.issuer import ABSENT, Mint

JWT = Mint().token(exp=2_000_000)


def read(data: bytes | dict[str, Any], asked: float | None = 1_000_000.0) -> tuple[str, float | None]:
    given = data if isinstance(data, bytes) else json.dumps(data).encode()
    token = printed_token(given, where="here", asked=asked)
    return token.reveal(), token.expires_at


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"opaque", ("opaque", None)),
        (b"  opaque\r\n", ("opaque", None)),
        (JWT.encode(), (JWT, 2_000_000)),
        ({"access_token": "opaque"}, ("opaque", None)),
        ({"access_token": "opaque", "expires_in": 60, "token_type": "bearer"}, ("opaque", 1_000_060)),
        ({"access_token": "opaque", "expires_at": 1_500_000, "issuer": "x"}, ("opaque", 1_500_000)),
        ({"access_token": JWT, "expires_in": 60}, (JWT, 1_000_060)),  # the earlier end counts
        ({"access_token": JWT, "expires_in": 5_000_000}, (JWT, 2_000_000)),
    ],
)
def test_read(data: Any, found: tuple[str, float | None]) -> None:
    assert read(data) == found


def test_a_lifetime_counts_from_nothing_if_nobody_knows_when_it_was_asked_for() -> None:
    assert read({"access_token": "opaque", "expires_in": 60}, asked=None) == ("opaque", None)


@pytest.mark.parametrize("exp", [ABSENT, "soon", True, -1, 1e300])
def test_an_end_that_is_none_is_not_known(exp: Any) -> None:
    token = Mint().token(exp=exp)
    assert read(token.encode()) == (token, None)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a bearer token"),
        (b"two secret words", "not a bearer token"),
        (b"<html>secret", "not a bearer token"),
        (b"\xff\xfe", "not a bearer token"),
        (b"a" * 70_000, "longer than"),
        (b'{"access_token": "secret', "neither a token nor JSON"),
        ({"token": "secret"}, "access_token"),
        ({"access_token": 7}, "str"),
        ({"access_token": "secret", "token_type": "DPoP"}, "another type than Bearer"),
        ({"access_token": "secret", "expires_in": -1}, "expires_in"),
        ({"access_token": "secret", "expires_in": "60"}, "expires_in"),
        ({"access_token": "a secret"}, "not a bearer token"),
    ],
)
def test_what_is_no_token(data: Any, said: str) -> None:
    with pytest.raises(NoTokenError, match=said) as caught:
        read(data)
    assert caught.value.where == "here"
    assert "secret" not in str(caught.value)


def test_no_token_in_a_traceback_with_locals() -> None:
    for data in (b"two secret words", b'{"access_token": "a secret"}', b'{"access_token": "secret", "expires_in": -1}'):
        with pytest.raises(NoTokenError) as caught:
            read(data)
        error: BaseException | None = caught.value
        while error is not None:
            frames = (at for at in traceback.walk_tb(error.__traceback__) if "/client/" in at[0].f_code.co_filename)
            report = "".join(traceback.StackSummary.extract(frames, capture_locals=True).format())
            assert "secret" not in report.replace("secret: str", "").replace("_secret", ""), report
            error = error.__context__


@pytest.mark.parametrize("said", ["unix:///run/agent.sock", "unix:/run/agent.sock"])
def test_the_workload_apis_socket(said: str) -> None:
    assert str(endpoint_socket({"SPIFFE_ENDPOINT_SOCKET": said})) == "/run/agent.sock"


@pytest.mark.parametrize("said", ["", "/run/agent.sock", "tcp://127.0.0.1:8081", "unix://host/x", "unix:relative"])
def test_what_names_no_socket(said: str) -> None:
    with pytest.raises(UsageError, match="SPIFFE_ENDPOINT_SOCKET") as caught:
        endpoint_socket({"SPIFFE_ENDPOINT_SOCKET": said} if said else {})
    assert "unix:///run/spire/agent.sock" in (caught.value.hint or "")
