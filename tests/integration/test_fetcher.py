"""Both fetchers against a server that answers well and badly, over TLS."""

import asyncio
import gc
import os
import socket
import ssl
import subprocess
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from pgbearer.errors import UsageError
from pgbearer.http import Fault, Fetcher, FetchError, Reply, SyncFetcher
from tests.issuer import Issuer
from tests.parts.authority import Authority

FAULTS: dict[str, tuple[Callable[[Issuer], None], Fault]] = {
    "down": (Issuer.down, Fault.CONNECT),
    "hangs": (Issuer.hang, Fault.TIMEOUT),
    "trickles": (lambda issuer: issuer.trickle(), Fault.TIMEOUT),
    "redirects": (lambda issuer: issuer.redirect(), Fault.REDIRECT),
    "too large": (lambda issuer: issuer.huge_body(), Fault.TOO_LARGE),
    "gzip bomb": (Issuer.gzip_bomb, Fault.ENCODING),
    "cut": (Issuer.cut, Fault.PROTOCOL),
}


@pytest.fixture(params=["async", "sync"])
def get(request: pytest.FixtureRequest, issuer: Issuer) -> Iterator[Callable[[str], Reply]]:
    """GET by either fetcher, which both must behave alike."""
    if request.param == "sync":
        with SyncFetcher(issuer.ca_file, 0.5, 64 * 1024) as fetcher:
            yield fetcher.get
        return

    async def once(url: str) -> Reply:
        fetcher = Fetcher(issuer.ca_file, 0.5, 64 * 1024)
        try:
            return await fetcher.get(url)
        finally:
            await fetcher.aclose()

    yield lambda url: asyncio.run(once(url))


def test_reply(get: Callable[[str], Reply], issuer: Issuer) -> None:
    reply = get(issuer.well_known)
    assert (reply.status, reply.is_json) == (200, True)
    assert issuer.url.encode() in reply.body


@pytest.mark.parametrize("fault", ["down", "hangs", "redirects", "cut"])
@pytest.mark.parametrize("kind", ["async", "sync"])
def test_no_secret_in_a_traceback_with_locals(issuer: Issuer, fault: str, kind: str) -> None:
    """Neither in our frames nor in those of what we use, at the error or at what led to it."""
    FAULTS[fault][0](issuer)
    where, word = issuer.well_known, "secret"

    def post() -> None:
        with SyncFetcher(issuer.ca_file, 0.5) as fetcher:
            fetcher.post_form(where, {"token": f"a-{word}"}, {"authorization": f"a-{word}"})

    async def post_async() -> None:
        fetcher = Fetcher(issuer.ca_file, 0.5)
        try:
            await fetcher.post_form(where, {"token": f"a-{word}"}, {"authorization": f"a-{word}"})
        finally:
            await fetcher.aclose()

    with pytest.raises(FetchError) as caught:
        post() if kind == "sync" else asyncio.run(post_async())
    report = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "post_form" in report
    assert "a-secret" not in report


@pytest.mark.parametrize(("fault", "kind"), FAULTS.values(), ids=FAULTS.keys())
def test_fault(get: Callable[[str], Reply], issuer: Issuer, fault: Callable[[Issuer], None], kind: Fault) -> None:
    fault(issuer)
    with pytest.raises(FetchError) as caught:
        get(issuer.well_known)
    assert caught.value.kind is kind


def test_certificate_for_another_name(get: Callable[[str], Reply], issuer: Issuer) -> None:
    with pytest.raises(FetchError) as caught:
        get(issuer.well_known.replace("127.0.0.1", "127.0.0.2"))
    assert caught.value.kind in {Fault.TLS, Fault.CONNECT}  # 127.0.0.2 is no loopback address everywhere


def test_certificate_of_another_authority(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = Authority(tmp_path_factory.mktemp("other"))
    with SyncFetcher(other.ca_file) as fetcher, pytest.raises(FetchError) as caught:
        fetcher.get(issuer.well_known)
    assert caught.value.kind is Fault.TLS


def test_the_environment_chooses_neither_proxy_nor_authority(
    get: Callable[[str], Reply], issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    assert get(issuer.well_known).status == 200


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_the_environment_adds_no_authority_to_the_systems(
    name: str, issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hashed").mkdir()
    hashed = ["openssl", "x509", "-in", str(issuer.ca_file), "-noout", "-subject_hash"]
    called = subprocess.run(hashed, check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / "hashed" / f"{called}.0").write_bytes(issuer.ca_file.read_bytes())
    monkeypatch.setenv(name, str(issuer.ca_file if name == "SSL_CERT_FILE" else tmp_path / "hashed"))
    with SyncFetcher() as fetcher, pytest.raises(FetchError) as caught:
        fetcher.get(issuer.well_known)
    assert caught.value.kind is Fault.TLS


def test_a_system_without_authorities_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nowhere = ssl.get_default_verify_paths()._replace(
        openssl_cafile=str(tmp_path / "a"), openssl_capath=str(tmp_path / "b")
    )
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nowhere)
    with pytest.raises(UsageError, match="no authorities to trust"):
        SyncFetcher()


@pytest.mark.timeout(20)
def test_a_pipe_is_no_file_of_authorities(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ca.crt")
    with pytest.raises(UsageError, match="is not a regular file"):
        SyncFetcher(tmp_path / "ca.crt")


async def test_sync_fetcher_works_inside_a_running_loop(issuer: Issuer) -> None:
    with SyncFetcher(issuer.ca_file) as fetcher:
        assert fetcher.get(issuer.well_known).status == 200


def test_sync_fetcher_serves_many_threads(issuer: Issuer) -> None:
    statuses: list[int] = []
    with SyncFetcher(issuer.ca_file) as fetcher:
        threads = [
            threading.Thread(target=lambda: statuses.append(fetcher.get(issuer.well_known).status)) for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert statuses == [200] * 20


def test_closing_twice_is_closing_once(issuer: Issuer) -> None:
    fetcher = SyncFetcher(issuer.ca_file)
    fetcher.close()
    fetcher.close()
    assert "pgbearer-fetch" not in {thread.name for thread in threading.enumerate()}


async def test_headers_go_with_a_form_and_the_reply_comes_back(
    issuer_authority: Authority,
) -> None:
    heard: list[str | None] = []

    class Hearing(Issuer):
        def answer_post(
            self, path: str, fields: Mapping[str, str], headers: Mapping[str, str]
        ) -> tuple[int, Mapping[str, Any]]:
            heard.append(headers.get("authorization"))
            return 200, fields

    with Hearing(issuer_authority) as hearing, SyncFetcher(hearing.ca_file) as fetcher:
        assert fetcher.post_form(hearing.url, {"a": "1"}, {"authorization": "Basic abc"}).body == b'{"a": "1"}'
        fetcher.post_form(hearing.url, {"a": "2"})
        with pytest.raises(FetchError, match="cannot be put into HTTP") as caught:
            fetcher.post_form(hearing.url, {}, {"authorization": "a-secret\n"})
    assert heard == ["Basic abc", None]
    assert "a-secret" not in str(caught.value)


def test_a_certificate_of_our_own(issuer: Issuer, issuer_authority: Authority) -> None:
    issuer.context.load_verify_locations(issuer_authority.ca_file)
    issuer.context.verify_mode = ssl.CERT_REQUIRED
    ours = issuer_authority.client("fetcher")
    with SyncFetcher(issuer.ca_file, certificate=(ours.cert_file, ours.key_file)) as fetcher:
        assert fetcher.get(issuer.well_known).status == 200
    with SyncFetcher(issuer.ca_file) as fetcher, pytest.raises(FetchError):
        fetcher.get(issuer.well_known)


def test_a_locked_key_is_refused_and_nobody_is_asked_for_its_password(
    issuer_authority: Authority, tmp_path: Path
) -> None:
    ours = issuer_authority.client("locked")
    key = serialization.load_pem_private_key(ours.key_file.read_bytes(), None)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locked = tmp_path / "locked.key"
    locked.write_bytes(key.private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"password")))
    with pytest.raises(UsageError, match="certificate and key"):
        SyncFetcher(certificate=(ours.cert_file, locked))


def test_a_handshake_that_never_ends_leaves_nothing_open() -> None:
    """What is left open warns when it is collected, and warnings are errors."""
    with socket.create_server(("127.0.0.1", 0)) as silent, SyncFetcher(timeout=0.5) as fetcher:
        with pytest.raises(FetchError) as caught:
            fetcher.get(f"https://localhost:{silent.getsockname()[1]}/")
        assert caught.value.kind is Fault.TIMEOUT
    gc.collect()
