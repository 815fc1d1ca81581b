"""What comes to the address that the browser is sent back to: one answer, and everything else."""

import pytest

from pgbearer.client.login.landing import Landing
from pgbearer.client.login.steps import Redirect

HOST = "127.0.0.1:54321"
LANDING = Landing(HOST, "the-state")


def request(target: str, *headers: str, method: str = "GET", version: str = "HTTP/1.1") -> bytes:
    lines = [f"{method} {target} {version}", *(headers or (f"Host: {HOST}",)), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def judged(head: bytes) -> tuple[int, str, Redirect | None]:
    page, redirect = LANDING.judge(head)
    return page.status, page.text, redirect


@pytest.mark.parametrize(
    "head",
    [
        request("/callback?code=c&state=the-state&iss=https%3A%2F%2Fsso.test%2F"),
        request("/callback?code=c&state=the-state&iss=https://sso.test/", f"hOST:\t{HOST} ", "Accept: */*"),
        request("/callback?code=c&state=the-state&iss=https://sso.test/", f"Host: {HOST}", version="HTTP/1.0"),
    ],
)
def test_the_answer(head: bytes) -> None:
    status, text, redirect = judged(head)
    assert (status, "You may close this window" in text) == (200, True)
    assert redirect == Redirect({"code": "c", "state": "the-state", "iss": "https://sso.test/"})


def test_a_no_is_an_answer_too() -> None:
    status, text, redirect = judged(request("/callback?error=access_denied&error_description=&state=the-state"))
    assert (status, "did not succeed" in text) == (200, True)
    assert redirect == Redirect({"error": "access_denied", "error_description": "", "state": "the-state"})


def test_an_answer_without_anything_is_for_the_login_to_refuse() -> None:
    assert judged(request("/callback?state=the-state"))[2] == Redirect({"state": "the-state"})


ANSWER = "/callback?code=c&state=the-state"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (request("/favicon.ico"), 404),
        (request("/"), 404),
        (request("/callback/?code=c&state=the-state"), 404),
        (request("//callback?code=c&state=the-state"), 404),
        (request(f"http://{HOST}{ANSWER}"), 404),
        (request("*"), 404),
        (request("/callback"), 400),
        (request("/callback?code=c"), 400),
        (request("/callback?code=c&state="), 400),
        (request("/callback?code=c&state=the-stat"), 400),
        (request("/callback?code=c&state=the-state2"), 400),
        (request("/callback?code=c&state=The-State"), 400),
        (request("/callback?code=c&state=%ff"), 400),
        (request("/callback?code=c&state=the-state&state=the-state"), 400),
        (request("/callback?code=c&code=d&state=the-state"), 400),
        (request("/callback?state=the-state&" + "&".join(f"p{number}=" for number in range(40))), 400),
        (request(ANSWER, method="POST"), 405),
        (request(ANSWER, method="HEAD"), 405),
        (request(ANSWER, method="OPTIONS"), 405),
        (request(ANSWER, method="get"), 405),
        (request(ANSWER, "Host: evil.test:54321"), 421),  # DNS rebinding
        (request(ANSWER, "Host: localhost:54321"), 421),
        (request(ANSWER, "Host: 127.0.0.1"), 421),
        (request(ANSWER, "Host: 127.0.0.1:54322"), 421),
        (request(ANSWER, f"Host: {HOST}", "Host: evil.test"), 421),
        (request(ANSWER, "Accept: */*"), 421),
        (request(ANSWER, version="HTTP/2.0"), 400),
        (request(ANSWER, version="HTTP/0.9"), 400),
        (b"GET /callback\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),  # TLS
        (request("/callback?code=c&state=the-st\xe4te"), 400),
    ],
)
def test_everything_else_gets_a_page_and_is_no_answer(head: bytes, status: int) -> None:
    page, redirect = LANDING.judge(head)
    assert (page.status, redirect) == (status, None)


@pytest.mark.parametrize(
    "target", [ANSWER, "/callback?code=<script>&state=the-state", "/<script>", "/callback?state=<script>"]
)
def test_a_page_repeats_nothing_and_asks_for_nothing(target: str) -> None:
    page, _ = LANDING.judge(request(target))
    head, _, body = page.encode().partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == f"HTTP/1.1 {page.status.value} {page.status.phrase}"
    assert f"Content-Length: {len(body)}" in lines
    assert {"Connection: close", "Cache-Control: no-store", "Referrer-Policy: no-referrer"} <= set(lines)
    assert "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'" in lines
    assert not any(word in body for word in (b"script", b"the-state", b"href", b"src"))


def test_the_answer_is_in_no_repr() -> None:
    assert "secret" not in repr(LANDING.judge(request("/callback?code=secret&state=the-state")))
