"""What becomes of an answer that is right, and of requests that are never sent; wrong answers: tests/attacks."""

import json

import pytest

from tests.integration.fix_postgres import ISSUER, LOCAL, TOKEN, BearerServer, MakeServer
from tests.lies import Lie, with_text
from tests.lying_service import LyingService
from tests.raw_login import RawLogin


def test_denial_says_reason_decision_and_endpoint(bearer: BearerServer, liar: LyingService) -> None:
    liar.deny("role_not_allowed", decision_id="01JD8ZP7Q0")
    assert bearer.refusal() == (
        f"role_not_allowed Decision 01JD8ZP7Q0, endpoint unix:{bearer.socket}, token_ref 27d2239a8423."
    )


def test_denial_sets_no_identity(bearer: BearerServer, liar: LyingService) -> None:
    liar.deny("no_rule", identity="mallory")
    bearer.refusal()
    assert "mallory" not in bearer.log


@pytest.mark.parametrize(
    "tell",
    {
        "as it should be": lambda liar: liar.allow(),
        "byte by byte": lambda liar: liar.trickle(1, every=0),
        "unknown members": lambda liar: liar.allow(later={"a": [1, 2.5e3, True, None, {"b": "\u00e9"}]}),
        "escaped": lambda liar: liar.say(
            lambda answer: json.dumps(answer).replace("alice", r"\u0061l\u0069ce").replace("decision", r"d\u0065cision")
        ),
        "spaced out": lambda liar: liar.say(lambda answer: json.dumps(answer, indent=8) + "\r\n\t "),
        "type with a parameter": lambda liar: liar.say(json.dumps, content_type="Application/JSON; charset=utf-8"),
        "eight deep": with_text('"x":' + "[" * 7 + "]" * 7),
        "64 KiB": lambda liar: liar.say(lambda answer: json.dumps(answer).ljust(65536)),
    }.values(),
)
def test_truth_is_believed(tell: Lie, bearer: BearerServer, liar: LyingService) -> None:
    tell(liar)
    with bearer.login() as connection:
        assert connection.execute("SELECT system_user, current_user").fetchone() == ("oauth:alice", "app")


def test_token_too_large_is_never_sent(bearer: BearerServer, liar: LyingService) -> None:
    liar.allow()
    assert bearer.refusal(token=TOKEN + "A" * 16384).startswith("token_too_large ")
    assert liar.requests == []


@pytest.mark.parametrize("name", ["role", "database"])
async def test_name_that_is_not_utf8_is_never_sent(name: str, bearer: BearerServer, liar: LyingService) -> None:
    liar.allow()
    login = await RawLogin.begin(bearer.folder, TOKEN, **{name: b"caf\xe9"})
    assert not await login.let_in()
    login.hang_up()
    assert "OAuth login refused: name_not_utf8" in bearer.log
    assert liar.requests == []


async def test_request_too_large_is_never_sent(postgres_server: MakeServer) -> None:
    oauth = f'local all all oauth issuer="{ISSUER}" scope="{"s" * 80000}"'
    server = postgres_server({"pgbearer.max_token_size": "65535"}, (LOCAL, oauth))
    service = LyingService(server.socket)
    service.start()
    service.allow()
    login = await RawLogin.begin(server.folder, "t" * 60000)
    assert not await login.let_in()
    login.hang_up()
    assert "OAuth login refused: request_too_large" in server.log
    assert service.requests == []
    service.stop()


def test_longest_token_is_sent_whole(postgres_server: MakeServer) -> None:
    """60 KB is near what PostgreSQL takes in one SASL message (65,535 bytes)."""
    server = postgres_server({"pgbearer.max_token_size": "65535"})
    server.sql("CREATE ROLE app LOGIN")
    service = LyingService(server.socket)
    service.start()
    service.allow()
    server.login(token="t" * 60000).close()
    assert service.requests[0]["token"] == "t" * 60000
    service.stop()
