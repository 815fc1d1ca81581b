"""What is asked, what is read, and how a fault is told: the fetcher's rules without a network."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from pgbearer.errors import UnreachableError, UsageError
from pgbearer.http import Fault, FetchError, Reply
from pgbearer.http.exchange import HEADERS, checked_url, read_reply, tls_context
from pgbearer.http.fault import fault_of

URL = "https://sso.example.com/token"


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def response(*chunks: bytes, status: int = 200, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, content=stream(*chunks))


@pytest.mark.parametrize("url", ["https://sso.example.com", "https://sso.example.com:8443/a?b=c", "https://[::1]/"])
def test_https_with_a_host_is_asked(url: str) -> None:
    assert checked_url(url).scheme == "https"


@pytest.mark.parametrize(
    "url",
    [
        "http://sso.example.com/",
        "file:///etc/passwd",
        "ftp://sso.example.com/",
        "sso.example.com",
        "",
        "https:///path",
        "https://user:secret@sso.example.com/",
        "https://user@sso.example.com/",
        "https://sso.example.com/#part",
        "https://[::",
        "https://sso.example.com/\n",
        "https://sso.example.com:99999/",
        "https://sso.example.com:0/",
        "https://xn--/",
        f"https://{'a' * 64}.example/",
        f"https://{'a.' * 127}example/",
    ],
)
def test_nothing_else_is_asked(url: str) -> None:
    with pytest.raises(FetchError) as caught:
        checked_url(url)
    assert caught.value.kind is Fault.URL
    assert "secret" not in str(caught.value)


async def test_reply_is_read_to_its_end() -> None:
    reply = await read_reply(response(b"ab", b"cd", content_type="text/plain"), url=URL, max_bytes=4)
    assert (reply.status, reply.content_type, reply.body) == (200, "text/plain", b"abcd")


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (response(b"abc", b"de"), Fault.TOO_LARGE),
        (response(b"ab", content_encoding="gzip"), Fault.ENCODING),
        (response(b"ab", content_encoding="br"), Fault.ENCODING),
        (response(status=301, location="https://evil.example/"), Fault.REDIRECT),
        (response(status=304), Fault.REDIRECT),
        (response(status=307), Fault.REDIRECT),
    ],
)
async def test_reply_that_is_not_read(given: httpx.Response, kind: Fault) -> None:
    with pytest.raises(FetchError) as caught:
        await read_reply(given, url=URL, max_bytes=4)
    assert caught.value.kind is kind


@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500, 503])
async def test_any_other_status_is_a_reply(status: int) -> None:
    assert (await read_reply(response(b"", status=status), url=URL, max_bytes=4)).status == status


def raised(error: httpx.HTTPError, cause: BaseException) -> httpx.HTTPError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("refused"), Fault.CONNECT),
        (httpx.ConnectTimeout("slow"), Fault.TIMEOUT),
        (httpx.ReadTimeout("slow"), Fault.TIMEOUT),
        (httpx.PoolTimeout("busy"), Fault.TIMEOUT),
        (httpx.RemoteProtocolError("not HTTP"), Fault.PROTOCOL),
        (httpx.ReadError(""), Fault.PROTOCOL),
        (raised(httpx.ConnectError("x"), ssl.SSLCertVerificationError("self-signed")), Fault.TLS),
        (raised(httpx.ReadError("x"), raised(httpx.ReadError("y"), ssl.SSLError("alert"))), Fault.TLS),
    ],
)
def test_fault_has_a_kind(error: httpx.HTTPError, kind: Fault) -> None:
    assert fault_of(error, url=URL).kind is kind


def test_fault_is_unreachable_and_keeps_queries_to_itself() -> None:
    error = fault_of(httpx.ReadError(""), url=f"{URL}?code=secret")
    assert isinstance(error, UnreachableError)
    assert "secret" not in str(error)
    assert str(error) == f"{URL}: the exchange broke off: ReadError"


@pytest.mark.parametrize(
    ("content_type", "is_json"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/jwk-set+json", True),
        ("text/json", False),
        ("text/html; charset=utf-8", False),
        ("application/jsonp", False),
        ("", False),
    ],
)
def test_reply_knows_json(content_type: str, is_json: bool) -> None:
    assert Reply(200, {"content-type": content_type}, b"").is_json is is_json


def test_reply_hides_its_body() -> None:
    assert "secret" not in repr(Reply(200, {}, b"secret"))


def test_only_identity_is_accepted() -> None:
    assert HEADERS["accept-encoding"] == "identity"


def test_tls_is_verified_and_recent() -> None:
    context = tls_context(None)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_unusable_ca_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=r"ca\.pem: cannot read certificates"):
        tls_context(file)
