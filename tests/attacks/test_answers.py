"""Whatever the service says that is not a whole, well-typed, own and valid "allow" keeps the client out."""

import gzip
import json
import time

import pytest

from tests.integration.fix_postgres import BearerServer
from tests.lies import Lie, changed, doubled, head, raw, raw_json, status, with_text, without
from tests.lying_service import LyingService

OK = b"HTTP/1.1 200 OK\r\n"
LONG = "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n"

FAR = int(time.time() * 1000) + 10**6
ALLOWING = OK + LONG.format(2).encode() + b"{}"

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
    "over by its duration": (changed(ends_at=FAR, ends_in_ms=0), "answer_expired"),
    "over before 1970": (changed(ends_at=-(10**15)), "answer_expired"),
    # HTTP that another reader might take
    "continue, then allow": (raw(b"HTTP/1.1 100 Continue\r\n\r\n" + ALLOWING), "answer_status"),
    "early hints, then allow": (raw(b"HTTP/1.1 103 Early Hints\r\n\r\n" + ALLOWING), "answer_status"),
    "an empty line, then allow": (raw(b"\r\n" + ALLOWING), "answer_invalid"),
    "created": (status(201), "answer_status"),
    "partial content": (status(206), "answer_status"),
    "unauthorized": (status(401), "answer_status"),
    "too many requests": (status(429), "answer_status"),
    "status 000": (raw(b"HTTP/1.1 000 OK\r\n\r\n"), "answer_status"),
    "version in lower case": (raw(b"http/1.1 200 OK\r\n\r\n"), "answer_invalid"),
    "version 1.10": (raw(b"HTTP/1.10 200 OK\r\n\r\n"), "answer_invalid"),
    "version 0.9": (raw(b"{}\r\n\r\n"), "answer_invalid"),
    "lines without a carriage return": (raw(b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}"), "service_cut"),
    "length with a plus": (head(content_length="+17"), "answer_invalid"),
    "length with a fraction": (head(content_length="17.0"), "answer_invalid"),
    "length in a list": (head(content_length="17, 17"), "answer_invalid"),
    "length empty": (raw(OK + b"Content-Length:\r\nContent-Type: application/json\r\n\r\n"), "answer_invalid"),
    "length in other digits": (raw(OK + "Content-Length: ١٧\r\n\r\n".encode()), "answer_invalid"),
    "length zero": (head(content_length="0"), "answer_invalid"),
    "lengths that differ": (raw(OK + b"Content-Length: 2\r\ncontent-length: 900\r\n\r\n{}"), "answer_invalid"),
    "header without a name": (raw(OK + b": x\r\n\r\n"), "answer_invalid"),
    "header with a tab": (raw(OK + b"Content-Length\t: 2\r\n\r\n{}"), "answer_invalid"),
    "problem+json": (head(content_type="application/problem+json"), "answer_invalid"),
    "json with a prefix": (head(content_type="x-application/json"), "answer_invalid"),
    "json in a parameter": (head(content_type="text/plain; application/json"), "answer_invalid"),
    "compressed": (lambda liar: liar.say(lambda answer: gzip.compress(json.dumps(answer).encode())), "answer_invalid"),
    "two answers": (lambda liar: liar.say(lambda answer: json.dumps(answer) * 2), "answer_invalid"),
    "chunked in a list": (head(transfer_encoding="gzip, chunked"), "answer_invalid"),
    # JSON that another reader might take
    "byte order mark": (lambda liar: liar.say(lambda answer: "\ufeff" + json.dumps(answer)), "answer_invalid"),
    "UTF-16": (lambda liar: liar.say(lambda answer: json.dumps(answer).encode("utf-16")), "answer_invalid"),
    "Latin-1": (lambda liar: liar.say(b'{"identity": "caf\xe9"}'), "answer_invalid"),
    "NUL after": (lambda liar: liar.say(lambda answer: json.dumps(answer) + "\0"), "answer_invalid"),
    "NUL before": (lambda liar: liar.say(lambda answer: "\0" + json.dumps(answer)), "answer_invalid"),
    "a comment": (with_text('/* */"x":1'), "answer_invalid"),
    "single quotes": (raw_json("{'v': 1}"), "answer_invalid"),
    "vertical tab as space": (with_text('"x":\x0b1'), "answer_invalid"),
    "no-break space as space": (with_text('"x":\u00a01'), "answer_invalid"),
    "hexadecimal": (with_text('"x":0x1'), "answer_invalid"),
    "two points": (with_text('"x":1.2.3'), "answer_invalid"),
    "minus alone": (with_text('"x":-'), "answer_invalid"),
    "minus minus": (with_text('"x":--1'), "answer_invalid"),
    "true that goes on": (with_text('"x":truely'), "answer_invalid"),
    "nul": (with_text('"x":nul'), "answer_invalid"),
    "in capitals": (with_text('"x":TRUE'), "answer_invalid"),
    "comma twice": (with_text('"x":1,'), "answer_invalid"),
    "no comma": (with_text('"x":1 "y":2'), "answer_invalid"),
    "no colon": (with_text('"x" 1'), "answer_invalid"),
    "no value": (with_text('"x":'), "answer_invalid"),
    "wrong bracket": (with_text('"x":[1}'), "answer_invalid"),
    "pair the wrong way round": (with_text(r'"x":"\ude00\ud83d"'), "answer_invalid"),
    "half a pair, then text": (with_text(r'"x":"\ud83dx"'), "answer_invalid"),
    "half a pair, then an escape": (with_text(r'"x":"\ud83d\n"'), "answer_invalid"),
    "half a pair at the end of a name": (with_text(r'"\ud83d":1'), "answer_invalid"),
    "signed unicode escape": (with_text(r'"x":"\u+041"'), "answer_invalid"),
    "delete in a name": (with_text('"\t":1'), "answer_invalid"),
    # an answer inside something else
    "in an array": (lambda liar: liar.say(lambda answer: json.dumps([answer])), "answer_invalid"),
    "in an object": (lambda liar: liar.say(lambda answer: json.dumps({"answer": answer})), "answer_invalid"),
    "as text": (lambda liar: liar.say(lambda answer: json.dumps(json.dumps(answer))), "answer_invalid"),
    # members of other types and shapes
    **{
        f"{name} is {value!r}": (changed(**{name: value}), "answer_invalid")
        for name, values in {
            "v": (0, -1, True, None, [1], {}),
            "request_id": (None, 5, [], True),
            "role": (None, 5, ["app"], {"name": "app"}),
            "database": (None, 5, ["postgres"]),
            "decision": ("", 1, "yes", "Allow", "allow\n", "allowed", {"allow": True}),
            "decision_id": (None, 5, "", "a/b", "a\nb", "ä", "../x"),
            "reason": (None, 5, "ALLOWED", "no rule", "a-b", "a" * 65, "ä"),
            "identity": (True, ["alice"], {"name": "alice"}),
            "ends_at": (True, "0", [], {}, 1.5, -(2**53), 2**63, 2**64),
            "ends_in_ms": ("1000", True, 1.5, [], 2**63),
            "claims": (None, "{}", 5, True),
        }.items()
        for value in values
    },
    **{
        f"identity with U+{ord(character):04X}": (changed(identity=f"ali{character}ce"), "answer_invalid")
        for character in "\x01\t\r\x1b\x7f\x80\x9f\u061c\u200e\u200f\u2028\u2029\u202a\u202d\u2066\u2069"
    },
    # nearly ours
    "request in capitals": (
        lambda liar: liar.say(lambda answer: json.dumps(answer | {"request_id": answer["request_id"].upper() + "A"})),
        "answer_mismatch",
    ),
    "request cut": (
        lambda liar: liar.say(lambda answer: json.dumps(answer | {"request_id": answer["request_id"][:-1]})),
        "answer_mismatch",
    ),
    "no request": (changed(request_id=""), "answer_mismatch"),
    "role with a space": (changed(role="app "), "answer_mismatch"),
    "role that goes on": (changed(role="app2"), "answer_mismatch"),
    "role empty": (changed(role=""), "answer_mismatch"),
    "role with a look-alike": (changed(role="\u0430pp"), "answer_mismatch"),
    "database that is how ours begins": (changed(database="postgre"), "answer_mismatch"),
    "database with a space": (changed(database="postgres "), "answer_mismatch"),
    "database empty": (changed(database=""), "answer_mismatch"),
    # hardly over
    "over now": (lambda liar: liar.allow(ends_in=0), "answer_expired"),
    "over at the beginning of time": (changed(ends_at=0), "answer_expired"),
    "over by a negative duration": (changed(ends_at=FAR, ends_in_ms=-1), "answer_expired"),
    "over by a hugely negative duration": (changed(ends_at=FAR, ends_in_ms=-(2**53) + 1), "answer_expired"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lie_is_refused(lie: str, bearer: BearerServer, liar: LyingService) -> None:
    tell, reason = LIES[lie]
    tell(liar)
    refusal = bearer.refusal()
    assert refusal.split()[0] == reason
    assert "token_ref 27d2239a8423." in refusal


def test_an_answer_that_was_given_before_is_refused(bearer: BearerServer, liar: LyingService) -> None:
    """A right one, of the login before this: same role, same database."""
    kept: list[str] = []

    def keep(answer: dict[str, object]) -> str:
        kept.append(json.dumps(answer))
        return kept[0]

    liar.say(keep)
    bearer.login().close()
    assert bearer.refusal().split()[0] == "answer_mismatch"
    assert len(kept) == 2
