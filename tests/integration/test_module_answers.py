"""Whatever the service says that is not a whole, well-typed, own and valid "allow" keeps the client out."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.fix_postgres import ISSUER, LOCAL, TOKEN, BearerServer, MakeServer
from tests.lying_service import LyingService
from tests.raw_login import RawLogin

Lie = Callable[[LyingService], None]


def changed(**members: Any) -> Lie:
    """An allowing answer, some of whose members are replaced."""
    return lambda liar: liar.allow(**members)


def raw_json(text: str) -> Lie:
    """`text` as the body."""
    return lambda liar: liar.say(text)


def with_text(text: str) -> Lie:
    """An allowing answer that begins with the members `text`."""
    return lambda liar: liar.say(lambda answer: "{" + text + "," + json.dumps(answer)[1:])


def without(member: str) -> Lie:
    """An allowing answer that lacks `member`."""
    return lambda liar: liar.leave_out(member)


def doubled(member: str) -> Lie:
    """An allowing answer with `member` twice."""
    return lambda liar: liar.twice(member)


def head(**headers: str) -> Lie:
    """An allowing answer under other headers."""
    return lambda liar: liar.say(json.dumps, **headers)


def raw(data: bytes) -> Lie:
    """`data` and no HTTP but it."""
    return lambda liar: liar.raw(data)


def status(code: int) -> Lie:
    """Another status."""
    return lambda liar: liar.status(code)


OK = b"HTTP/1.1 200 OK\r\n"
LONG = "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n"

LIES: dict[str, tuple[Lie, str]] = {
    # below HTTP
    "cut before anything": (lambda liar: liar.cut_after(0), "service_cut"),
    "cut in the head": (lambda liar: liar.cut_after(30), "service_cut"),
    "cut in the body": (lambda liar: liar.cut_after(200), "service_cut"),
    # HTTP
    "no HTTP": (raw(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"), "answer_invalid"),
    "HTTP 1.0": (raw(b"HTTP/1.0 200 OK\r\n\r\n"), "answer_invalid"),
    "HTTP 2": (raw(b"HTTP/2 200 OK\r\n\r\n"), "answer_invalid"),
    "status without digits": (raw(b"HTTP/1.1 2x0 OK\r\n\r\n"), "answer_invalid"),
    "status of four digits": (raw(b"HTTP/1.1 2000 OK\r\n\r\n"), "answer_invalid"),
    "header without colon": (raw(OK + b"Content-Length\r\n\r\n"), "answer_invalid"),
    "header with a space": (raw(OK + b"Content-Length : 2\r\n\r\n{}"), "answer_invalid"),
    "folded header": (raw(OK + b"X: a\r\n b: c\r\n\r\n"), "answer_invalid"),
    "endless headers": (raw(OK + b"X: aaaaaaaa\r\n" * 1000), "answer_invalid"),
    "one endless header": (raw(OK + b"X: " + b"a" * 10000), "answer_invalid"),
    "long but complete headers": (raw(OK + b"X: a\r\n" * 2000 + b"\r\n"), "answer_invalid"),
    "no length": (head(content_length=""), "answer_invalid"),
    "two lengths": (raw(OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"), "answer_invalid"),
    "negative length": (head(content_length="-1"), "answer_invalid"),
    "hexadecimal length": (head(content_length="0x10"), "answer_invalid"),
    "length over 64 KiB": (head(content_length="65537"), "answer_invalid"),
    "huge length": (head(content_length="9" * 40), "answer_invalid"),
    "length shorter than the body": (head(content_length="10"), "answer_invalid"),
    "length longer than the body": (head(content_length="60000"), "service_cut"),
    "chunked": (head(transfer_encoding="chunked"), "answer_invalid"),
    "identity as transfer encoding": (head(transfer_encoding="identity"), "answer_invalid"),
    "text/plain": (head(content_type="text/plain"), "answer_invalid"),
    "no type": (head(content_type=""), "answer_invalid"),
    "continue": (status(100), "answer_status"),
    "no content": (status(204), "answer_status"),
    "redirect": (status(302), "answer_status"),
    "not found": (status(404), "answer_status"),
    "error": (status(500), "answer_status"),
    "unavailable": (status(503), "service_unavailable"),
    # JSON
    "empty body": (raw_json(""), "answer_invalid"),
    "array": (raw_json("[]"), "answer_invalid"),
    "null": (raw_json("null"), "answer_invalid"),
    "open object": (raw_json('{"v":1'), "answer_invalid"),
    "open string": (raw_json('{"v":"'), "answer_invalid"),
    "open escape": (raw_json('{"v":"\\'), "answer_invalid"),
    "short unicode escape": (with_text(r'"x":"\u00'), "answer_invalid"),
    "unquoted name": (raw_json("{v:1}"), "answer_invalid"),
    "trailing comma": (with_text('"x":[1,]'), "answer_invalid"),
    "text after": (lambda liar: liar.say(lambda answer: json.dumps(answer) + "{}"), "answer_invalid"),
    "not UTF-8": (lambda liar: liar.say(b'{"x":"\xff"}'), "answer_invalid"),
    "overlong UTF-8": (lambda liar: liar.say(b'{"x":"\xc0\xaf"}'), "answer_invalid"),
    "surrogate in UTF-8": (lambda liar: liar.say(b'{"x":"\xed\xa0\x80"}'), "answer_invalid"),
    "half a surrogate pair": (with_text(r'"x":"\ud83d"'), "answer_invalid"),
    "the other half": (with_text(r'"x":"\ude00"'), "answer_invalid"),
    "NUL": (with_text(r'"x":"\u0000"'), "answer_invalid"),
    "raw newline in a string": (with_text('"x":"\n"'), "answer_invalid"),
    "unknown escape": (with_text(r'"x":"\a"'), "answer_invalid"),
    "leading zero": (with_text('"x":01'), "answer_invalid"),
    "plus sign": (with_text('"x":+1'), "answer_invalid"),
    "NaN": (with_text('"x":NaN'), "answer_invalid"),
    "number without fraction": (with_text('"x":1.'), "answer_invalid"),
    "number without exponent": (with_text('"x":1e'), "answer_invalid"),
    "nine deep": (with_text('"x":' + "[" * 8 + "]" * 8), "answer_invalid"),
    "a thousand deep": (with_text('"x":' + "[" * 10000), "answer_invalid"),
    # members
    **{
        f"no {name}": (without(name), "answer_invalid")
        for name in ("v", "request_id", "role", "database", "decision", "decision_id", "reason", "identity", "ends_at")
    },
    **{
        f"{name} twice": (doubled(name), "answer_invalid")
        for name in ("v", "request_id", "role", "decision", "identity", "ends_at", "claims")
    },
    "decision twice, once in disguise": (with_text(r'"deci\u0073ion":"allow"'), "answer_invalid"),
    "version 2": (changed(v=2), "answer_invalid"),
    "version in text": (changed(v="1"), "answer_invalid"),
    "version 1.0": (with_text('"v":1.0'), "answer_invalid"),
    "decision true": (changed(decision=True), "answer_invalid"),
    'decision "true"': (changed(decision="true"), "answer_invalid"),
    "decision in capitals": (changed(decision="ALLOW"), "answer_invalid"),
    "decision with a space": (changed(decision="allow "), "answer_invalid"),
    "decision null": (changed(decision=None), "answer_invalid"),
    "decision list": (changed(decision=["allow"]), "answer_invalid"),
    "identity null": (changed(identity=None), "answer_invalid"),
    "identity empty": (changed(identity=""), "answer_invalid"),
    "identity a number": (changed(identity=7), "answer_invalid"),
    "identity too long": (changed(identity="a" * 513), "answer_invalid"),
    "identity with a newline": (changed(identity="alice\nLOG:  forged"), "answer_invalid"),
    "identity with a C1 control": (changed(identity="alice\x85"), "answer_invalid"),
    "identity reordered": (changed(identity="ali\u202ece"), "answer_invalid"),
    "identity with what nobody sees": (changed(identity="ali\u200bce"), "answer_invalid"),
    "identity over two lines": (changed(identity="ali\u2028ce"), "answer_invalid"),
    "reason with a newline": (changed(reason="ok\nLOG:  forged"), "answer_invalid"),
    "reason empty": (changed(reason=""), "answer_invalid"),
    "decision id with a space": (changed(decision_id="a b"), "answer_invalid"),
    "decision id too long": (changed(decision_id="a" * 65), "answer_invalid"),
    "claims a list": (changed(claims=[]), "answer_invalid"),
    "end in text": (changed(ends_at="2099-01-01"), "answer_invalid"),
    "end with a fraction": (changed(ends_at=1e12 + 0.5), "answer_invalid"),
    "end beyond 2^53": (changed(ends_at=2**53), "answer_invalid"),
    "end only relative": (changed(ends_in_ms=5000), "answer_invalid"),
    # whom it is about
    "another request": (changed(request_id="0" * 32), "answer_mismatch"),
    "another role": (changed(role="postgres"), "answer_mismatch"),
    "role in capitals": (changed(role="APP"), "answer_mismatch"),
    "another database": (changed(database="other"), "answer_mismatch"),
    # when it ends
    "over long ago": (changed(ends_at=1), "answer_expired"),
    "over a second ago": (lambda liar: liar.allow(ends_in=-1), "answer_expired"),
    "over by its duration": (changed(ends_at=int(time.time() * 1000) + 10**6, ends_in_ms=0), "answer_expired"),
    "over before 1970": (changed(ends_at=-(10**15)), "answer_expired"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lie_is_refused(lie: str, bearer: BearerServer, liar: LyingService) -> None:
    tell, reason = LIES[lie]
    tell(liar)
    refusal = bearer.refusal()
    assert refusal.split()[0] == reason
    assert "token_ref 27d2239a8423." in refusal


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
