"""What an API server may answer to a token review, and to whom our own token goes."""

import json
from pathlib import Path
from typing import Any

import pytest

from pgbearer.config.settings import Issuer
from pgbearer.errors import UnreachableError
from pgbearer.http import Reply
from pgbearer.tokens import Denied
from pgbearer.tokens.api_server import ApiServer, read_review
from pgbearer.wire import Reason

ORDERS = "system:serviceaccount:shop:orders"
AUDIENCE = "db:shop"
YES: dict[str, Any] = {"authenticated": True, "user": {"username": ORDERS, "uid": "1"}, "audiences": [AUDIENCE]}
JSON = {"content-type": "application/json"}


def said(status: Any, code: int = 201, headers: dict[str, str] | None = None) -> Reason:
    body = status if isinstance(status, bytes) else json.dumps({"kind": "TokenReview", "status": status}).encode()
    try:
        read_review(Reply(code, JSON if headers is None else headers, body), audience=AUDIENCE, subject=ORDERS)
    except Denied as denied:
        return denied.reason
    return Reason.ALLOWED


@pytest.mark.parametrize("code", [200, 201])
def test_yes(code: int) -> None:
    assert said(YES, code) is Reason.ALLOWED


@pytest.mark.parametrize(
    "status", [{"authenticated": False}, {"authenticated": False, "error": "gone"}, {"user": {}}, {}]
)
def test_no(status: Any) -> None:
    assert said(status) is Reason.TOKEN_INACTIVE


USERS: tuple[Any, ...] = (None, ORDERS, {}, {"username": None}, {"username": ORDERS + "x"})
AUDIENCES: tuple[Any, ...] = (None, AUDIENCE, [], [AUDIENCE, "other"], ["other"], {})
NO_YES: tuple[Any, ...] = ("true", 1, None, [True], {})


@pytest.mark.parametrize(
    "status",
    [
        None,
        [],
        "true",
        *({**YES, "authenticated": value} for value in NO_YES),
        {"authenticated": True},
        *({**YES, "user": value} for value in USERS),
        *({**YES, "audiences": value} for value in AUDIENCES),
        b'{"status": {"authenticated": true',
        b'{"status": {"authenticated": false, "authenticated": true}}',
        b"<html>",
        b"[]",
        b"",
    ],
)
def test_anything_else_is_no_answer(status: Any) -> None:
    assert said(status) is Reason.ISSUER_UNAVAILABLE


@pytest.mark.parametrize("code", [202, 204, 400, 401, 403, 404, 409, 422, 429, 500, 503])
def test_any_other_status_is_no_answer(code: int) -> None:
    assert said(YES, code) is Reason.ISSUER_UNAVAILABLE


def test_a_page_is_no_answer() -> None:
    assert said(YES, headers={"content-type": "text/html"}) is Reason.ISSUER_UNAVAILABLE


def cluster(token_file: Path) -> Issuer:
    return Issuer.model_validate(
        {
            "profile": "kubernetes",
            "issuer": "https://kubernetes.default.svc",
            "audience": AUDIENCE,
            "identity": "{sub}",
            "kubernetes": {"api_server": "https://127.0.0.1:6443", "token_file": str(token_file), "review": "always"},
        },
        strict=False,
    )


@pytest.mark.parametrize("url", ["https://elsewhere.example/", "https://127.0.0.1:64433/", "https://127.0.0.1:6443@x/"])
async def test_our_token_goes_to_the_api_server_only(url: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc")
    server = ApiServer(cluster(tmp_path / "token"))
    with pytest.raises(UnreachableError, match="not an address of the API server"):
        await server.get(url)
    await server.aclose()


@pytest.mark.parametrize("content", [None, "", "a b", "a\r\nX-Remote-User: admin", "tök"])
async def test_a_token_file_that_holds_none_is_a_fault(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content, encoding="utf-8")
    server = ApiServer(cluster(tmp_path / "token"))
    with pytest.raises(UnreachableError, match="own token"):
        await server.get("https://127.0.0.1:6443/openid/v1/jwks")
    await server.aclose()
