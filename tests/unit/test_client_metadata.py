"""An issuer's metadata: where it stands, whose it is, and what a client may do with it."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from pgbearer.client import MetadataError
from pgbearer.client.login.metadata import Metadata, check_issuer, discover, issuer_of, well_known_urls
from pgbearer.client.login.steps import Get, run
from pgbearer.errors import UsageError
from pgbearer.http import Reply

ISSUER = "https://sso.test/realms/corp"
OPENID, OAUTH = well_known_urls(ISSUER)
GOOD = {
    "issuer": ISSUER,
    "token_endpoint": f"{ISSUER}/token",
    "device_authorization_endpoint": f"{ISSUER}/device",
}


class Pages:
    """Answers each URL with what stands there, 404 elsewhere."""

    def __init__(self, pages: dict[str, Any]) -> None:
        self.pages = pages
        self.asked: list[str] = []

    def get(self, url: str) -> Reply:
        self.asked.append(url)
        body = self.pages.get(url)
        if isinstance(body, Reply):
            return body
        return Reply(404, {}, b"") if body is None else Reply(200, {}, json.dumps(body).encode())

    def post_form(self, url: str, fields: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        raise AssertionError(f"discovery sent a form to {url}")


def discovered(pages: dict[str, Any], issuer: str = ISSUER) -> Metadata:
    return run(discover(issuer), Pages(pages), lambda code: None)


def test_both_places() -> None:
    assert OPENID == "https://sso.test/realms/corp/.well-known/openid-configuration"
    assert OAUTH == "https://sso.test/.well-known/oauth-authorization-server/realms/corp"


@pytest.mark.parametrize("place", [OPENID, OAUTH])
def test_metadata_is_found_in_either_place(place: str) -> None:
    assert discovered({place: GOOD}) == Metadata(
        ISSUER, f"{ISSUER}/token", device_authorization_endpoint=f"{ISSUER}/device"
    )


def test_the_first_place_that_answers_is_believed() -> None:
    pages = Pages({OPENID: GOOD, OAUTH: GOOD})
    run(discover(ISSUER), pages, lambda code: None)
    assert pages.asked == [OPENID]


def test_an_issuer_without_device_grant_is_metadata_all_the_same() -> None:
    assert discovered({OPENID: GOOD | {"device_authorization_endpoint": None}}).device_authorization_endpoint is None


@pytest.mark.parametrize(
    ("page", "says"),
    [
        (None, "no metadata here"),
        (Reply(500, {}, b"{}"), "answered 500"),
        (Reply(200, {}, b"<html>"), "not a JSON object"),
        (Reply(200, {}, b"[]"), "not a JSON object"),
        (Reply(200, {}, b"\xff"), "not a JSON object"),
        (Reply(200, {}, b"[" * 100_000), "not a JSON object"),
        (GOOD | {"issuer": ISSUER + "/"}, "another issuer"),
        (GOOD | {"issuer": "https://SSO.test/realms/corp"}, "another issuer"),
        (GOOD | {"issuer": None}, "another issuer"),
        (GOOD | {"issuer": "\x1b[2J"}, "another issuer"),
        (GOOD | {"token_endpoint": None}, "no token_endpoint"),
        (GOOD | {"token_endpoint": "http://sso.test/token"}, "token_endpoint is not an https URL"),
        (
            GOOD | {"device_authorization_endpoint": "http://sso.test/d"},
            "device_authorization_endpoint is not an https",
        ),
        (GOOD | {"device_authorization_endpoint": ["https://sso.test"]}, "device_authorization_endpoint is not an"),
        (GOOD | {"token_endpoint": "https://user@sso.test/token"}, "token_endpoint is not an https URL"),
    ],
)
def test_metadata_that_a_client_may_not_act_on(page: Any, says: str) -> None:
    with pytest.raises(MetadataError, match=says) as caught:
        discovered({OPENID: page} if page else {})
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "issuer",
    ["", "sso.test", "http://sso.test", "https://", "https://sso.test?a", "https://sso.test#a", "https://a@sso.test",
     "https://sso.test/a b", "https://sso.test/\n", "https://sso.test:99999", "https://[sso", "HTTPS://sso.test"],
)  # fmt: skip
def test_not_an_issuer(issuer: str) -> None:
    with pytest.raises(UsageError, match="not an issuer"):
        check_issuer(issuer)
    with pytest.raises(UsageError, match="not an issuer"):
        next(discover(issuer))


def test_an_issuer_is_asked_as_it_stands() -> None:
    assert next(discover("https://sso.test:8443/r/x")) == Get(
        "https://sso.test:8443/r/x/.well-known/openid-configuration"
    )


@pytest.mark.parametrize(
    ("url", "issuer"),
    [
        (OPENID, ISSUER),
        (OAUTH, ISSUER),
        ("https://a.test/.well-known/openid-configuration", "https://a.test"),
        ("https://a.test/.well-known/openid-configuration/b", "https://a.test/b"),
        ("https://a.test/x/.well-known/oauth-authorization-server", "https://a.test/x"),
        # what libpq refuses too (issuer_from_well_known_uri)
        ("http://a.test/.well-known/openid-configuration", None),
        ("https://a.test/.well-known/openid-configuration?x", None),
        ("https://a.test/.well-known/openid-configuration#x", None),
        ("https://a.test/.well-known/openid-configuration-bad", None),
        ("https://a.test/.well-known/other", None),
        ("https://a.test/a/.well-known/openid-configuration/b", None),
        ("https://a.test/openid-configuration", None),
        (ISSUER, None),
        ("", None),
    ],
)
def test_the_issuer_of_a_well_known_url(url: str, issuer: str | None) -> None:
    assert issuer_of(url) == issuer
