"""An access token never shows itself, and is never more than a bearer token."""

import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from pgbearer.cli.show import facts
from pgbearer.client import AccessToken, StaticSource, TokenFormatError, user_in
from pgbearer.client.connection.hook import Offer
from pgbearer.client.token import MAX_TOKEN_BYTES
from tests.issuer import Mint

SECRET = "eyJhbGciOiJub25l.c2VjcmV0.c2lnbmF0dXJl"


@pytest.mark.parametrize("render", [repr, str, "{}".format, "%s".__mod__, lambda token: f"{token!s:>50}"])
def test_no_rendering_shows_the_token(render: Callable[[AccessToken], str]) -> None:
    shown = render(AccessToken(SECRET, expires_at=1.0))
    assert "c2Vj" not in shown
    assert str(len(SECRET)) in shown


@pytest.mark.parametrize("holder", [StaticSource(SECRET), Offer(AccessToken(SECRET), "https://a.test")])
def test_what_holds_a_token_does_not_show_it_either(holder: object) -> None:
    assert "c2Vj" not in repr(holder)


def test_it_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(AccessToken(SECRET))


def test_it_is_immutable() -> None:
    token = AccessToken(SECRET)
    with pytest.raises(AttributeError):
        token.scope = "more"


@pytest.mark.parametrize(
    "text",
    ["", " ", f"Bearer {SECRET}", f"{SECRET}\n", f"{SECRET}\x01auth=x", f'"{SECRET}"', "naïve.c2VjcmV0", "\0", "=a"],
)
def test_what_is_no_bearer_token_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(TokenFormatError) as caught:
        AccessToken(text)
    assert "c2Vj" not in str(caught.value)


def test_the_longest_token_that_postgresql_takes() -> None:
    assert len(AccessToken("a" * MAX_TOKEN_BYTES).reveal()) == MAX_TOKEN_BYTES
    with pytest.raises(TokenFormatError, match="longer than 60,000 bytes"):
        AccessToken("a" * (MAX_TOKEN_BYTES + 1))


def test_a_traceback_with_locals_does_not_show_it() -> None:
    def fail(token: AccessToken) -> None:
        raise ValueError(token)

    try:
        fail(AccessToken(SECRET))
    except ValueError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "AccessToken of" in shown
    assert "c2Vj" not in shown.replace(f"SECRET = {SECRET!r}", "")


@pytest.mark.parametrize(
    ("expires_at", "now", "margin", "expired"),
    [(100.0, 99.9, 0.0, False), (100.0, 100.0, 0.0, True), (100.0, 75.0, 30.0, True), (None, 1e12, 30.0, False)],
)
def test_expiry(expires_at: float | None, now: float, margin: float, expired: bool) -> None:
    assert AccessToken(SECRET, expires_at=expires_at).expired(now, margin=margin) is expired


@pytest.mark.parametrize(
    ("claims", "user"),
    [
        ({"preferred_username": "alice", "sub": "a1"}, "alice"),
        ({"preferred_username": ["alice"], "sub": "a1"}, "a1"),
        ({"preferred_username": "", "sub": "a1"}, "a1"),
        ({"preferred_username": {}, "sub": 7}, None),
        ({"preferred_username": None, "sub": None}, None),
    ],
)
def test_whose_it_says_it_is(claims: dict[str, Any], user: str | None) -> None:
    token = AccessToken(Mint().token(**claims))
    assert user_in(token) == facts(token)["user"] == user


def test_the_reference_is_that_of_the_audit() -> None:
    assert AccessToken("abc").ref == "ba7816bf8f01"  # SHA-256("abc"), FIPS 180-4


def test_equality_is_of_the_text() -> None:
    assert AccessToken(SECRET) == AccessToken(SECRET, expires_at=1.0)
    assert AccessToken(SECRET) != AccessToken("other")
    assert AccessToken(SECRET) != SECRET
    assert len({AccessToken(SECRET), AccessToken(SECRET)}) == 1
