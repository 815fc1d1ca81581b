"""SCRAM-SHA-256 on the server's side: RFC 7677's own example, a client that knows the secret, and all who do not."""

import base64
import hashlib
import hmac

import pytest

from pgbearer.client.proxy.refusal import RefusedError
from pgbearer.client.proxy.scram import ScramExchange, ScramVerifier, new_secret


def verifier(secret: str, salt: bytes) -> ScramVerifier:
    """As `ScramVerifier.of`, with a salt that is known."""
    salted = hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, 4096)
    client = hmac.digest(salted, b"Client Key", "sha256")
    return ScramVerifier(salt, hashlib.sha256(client).digest(), hmac.digest(salted, b"Server Key", "sha256"))


RFC = verifier("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
SERVER_NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
FINAL = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="


def test_the_example_of_rfc_7677() -> None:
    exchange = ScramExchange(RFC, SERVER_NONCE)
    assert exchange.begin(FIRST) == (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    assert exchange.finish(FINAL) == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.mark.parametrize(
    ("first", "final", "sqlstate"),
    [
        (b"p=tls-server-end-point,,n=user,r=rOprNGfwEbeRWgbNEkqO", FINAL, "08P01"),
        (b"n,a=root,n=user,r=rOprNGfwEbeRWgbNEkqO", FINAL, "08P01"),
        (b"n,,m=ext,n=user,r=rOprNGfwEbeRWgbNEkqO", FINAL, "08P01"),
        (b"n,,n=user,r=short", FINAL, "08P01"),
        (b"", FINAL, "08P01"),
        (b"\xff\xfe", FINAL, "08P01"),
        (FIRST, b"", "08P01"),
        (FIRST, FINAL.replace(b"c=biws", b"c=eSws"), "08P01"),  # another header than the first message had
        (FIRST, FINAL.replace(b",p=d", b",p=e"), "28P01"),
        (FIRST, FINAL.replace(b"$k0,", b"$k1,"), "28P01"),
        (FIRST, FINAL.replace(b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", b""), "28P01"),
        (FIRST, FINAL[:-1], "08P01"),
        (FIRST, FINAL.partition(b",p=")[0] + b",p=AAAA", "28P01"),
        (FIRST, FINAL.partition(b",p=")[0] + b",p=", "08P01"),
    ],
)
def test_refused(first: bytes, final: bytes, sqlstate: str) -> None:
    def prove() -> None:
        exchange = ScramExchange(RFC, SERVER_NONCE)
        exchange.begin(first)
        exchange.finish(final)

    with pytest.raises(RefusedError) as caught:
        prove()
    assert caught.value.sqlstate == sqlstate


def test_a_proof_is_good_for_one_exchange() -> None:
    exchange = ScramExchange(RFC)
    exchange.begin(FIRST)
    with pytest.raises(RefusedError, match="password authentication failed"):
        exchange.finish(FINAL)


def test_each_run_has_another_secret_and_shows_none() -> None:
    one, other = new_secret(), new_secret()
    assert one != other
    assert len(one) >= 43
    assert ScramVerifier.of(one).stored_key != ScramVerifier.of(one).stored_key
    assert "stored_key" not in repr(ScramVerifier.of(one))
