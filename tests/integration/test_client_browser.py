"""A login with a browser over real sockets: the address that it comes back to, and everybody else who comes there."""

import asyncio
import contextlib
import io
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from pgbearer.client import AccessToken, LoginEndedError, LoginRefusedError, MetadataError, TerminalPrompt
from pgbearer.client.grant import Grant
from pgbearer.client.login.browser import code_login
from pgbearer.client.login.logout import logout
from pgbearer.client.login.loopback import Loopback
from pgbearer.client.login.refresh import refresh
from pgbearer.client.login.request import LoginRequest
from pgbearer.client.login.steps import Browse, Redirect, run, run_async
from pgbearer.client.secret import Secret
from pgbearer.errors import PgbearerError, UnreachableError
from pgbearer.http import Fetcher, FetchError, SyncFetcher
from tests.code_issuer import CodeIssuer
from tests.parts.authority import Authority


@pytest.fixture(scope="module")
def one_issuer(issuer_authority: Authority) -> Iterator[CodeIssuer]:
    with CodeIssuer(issuer_authority) as serving:
        yield serving


@pytest.fixture
def code_issuer(one_issuer: CodeIssuer) -> CodeIssuer:
    one_issuer.begin_anew()
    return one_issuer


def request(issuer: CodeIssuer) -> LoginRequest:
    return LoginRequest(issuer.url, "pgbearer-cli", "openid db:demo")


def follow(issuer: CodeIssuer) -> Callable[[str], None]:
    """A browser that goes to the page and comes back with the answer."""

    def browser(url: str) -> None:
        httpx.get(issuer.authorize(url), trust_env=False).raise_for_status()

    return browser


def log_in(issuer: CodeIssuer, browser: Callable[[str], None] | None = None, *, patience: float = 60) -> Grant:
    with Loopback(browser or follow(issuer)) as loopback, SyncFetcher(issuer.ca_file) as fetcher:
        asked = request(issuer)
        steps = code_login(asked, redirect_uri=loopback.redirect_uri, wall=lambda: 0.0, patience=patience)
        return run(steps, fetcher, browser=loopback)


def renew(issuer: CodeIssuer) -> None:
    held = Grant(AccessToken("opaque"), "pgbearer-cli", refresh=Secret("r-secret"))
    with SyncFetcher(issuer.ca_file) as fetcher:
        run(refresh(request(issuer), held, wall=lambda: 0.0), fetcher)


# a login and what follows it


def test_a_login_is_renewed_and_ended(code_issuer: CodeIssuer) -> None:
    code_issuer.rotates = True
    grant = log_in(code_issuer)
    assert code_issuer.questions[0]["redirect_uri"].startswith("http://127.0.0.1:")
    assert (grant.access.expires_at, grant.refresh_expires_at) == (300, 1800)
    with SyncFetcher(code_issuer.ca_file) as fetcher:
        renewed = run(refresh(request(code_issuer), grant, wall=lambda: 100.0), fetcher)
        assert renewed.access.expires_at == 400
        with pytest.raises(LoginEndedError):
            run(refresh(request(code_issuer), grant, wall=lambda: 100.0), fetcher)  # it was good once
        run(logout(request(code_issuer), renewed), fetcher)
        with pytest.raises(LoginEndedError):
            run(refresh(request(code_issuer), renewed, wall=lambda: 100.0), fetcher)
    assert code_issuer.sessions == {}


async def test_the_same_for_an_event_loop(code_issuer: CodeIssuer) -> None:
    fetcher = Fetcher(code_issuer.ca_file)
    with Loopback(follow(code_issuer)) as loopback:
        steps = code_login(request(code_issuer), redirect_uri=loopback.redirect_uri, wall=lambda: 0.0)
        grant = await run_async(steps, fetcher, browser=loopback)
    renewed = await run_async(refresh(request(code_issuer), grant, wall=lambda: 100.0), fetcher)
    await run_async(logout(request(code_issuer), renewed), fetcher)
    await fetcher.aclose()
    assert (grant.client_id, renewed.access.expires_at) == ("pgbearer-cli", 400)


async def test_the_blocking_shell_inside_a_running_event_loop(code_issuer: CodeIssuer) -> None:
    assert log_in(code_issuer).client_id == "pgbearer-cli"


def test_an_issuer_that_is_mixed_up_with_another(code_issuer: CodeIssuer) -> None:
    code_issuer.answer_of_browser["iss"] = "https://evil.test"
    with pytest.raises(MetadataError, match=r"of another issuer: 'https://evil\.test'"):
        log_in(code_issuer)
    assert code_issuer.forms == []


def test_a_no_in_the_browser(code_issuer: CodeIssuer) -> None:
    hostile = "\x1b]0;owned\x07\u202e<script>"
    code_issuer.answer_of_browser |= {"code": None, "error": "access_denied", "error_description": hostile}
    with pytest.raises(LoginRefusedError, match="denied in the browser") as caught:
        log_in(code_issuer)
    assert r"\x1b]0;owned\x07\u202e<script>" in str(caught.value)


def test_a_code_of_another_login(code_issuer: CodeIssuer) -> None:
    def browser(url: str) -> None:
        stolen = code_issuer.authorize(url.replace("code_challenge=", "code_challenge=x"))  # the thief's own challenge
        httpx.get(stolen, trust_env=False)

    with pytest.raises(LoginRefusedError, match="does not take the code"):
        log_in(code_issuer, browser)


def test_nobody_comes_back(code_issuer: CodeIssuer) -> None:
    with pytest.raises(LoginRefusedError, match="nobody finished the login in the browser in time"):
        log_in(code_issuer, lambda _url: None, patience=0.05)


def test_a_browser_that_cannot_be_shown_anything(code_issuer: CodeIssuer) -> None:
    def broken(_url: str) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        log_in(code_issuer, broken)


def test_interrupted_while_it_waits(code_issuer: CodeIssuer) -> None:
    def interrupt(_url: str) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        log_in(code_issuer, interrupt)
    assert not any(thread.name == "pgbearer-loopback" for thread in threading.enumerate())


async def test_cancelled_while_it_waits() -> None:
    loop, shown = asyncio.get_running_loop(), asyncio.Event()

    def show(_url: str) -> None:
        loop.call_soon_threadsafe(shown.set)

    with Loopback(show) as loopback:
        waiting = asyncio.create_task(loopback.visit_async(Browse("https://sso.test/auth", "the-state", 60)))
        await shown.wait()
        address = ("127.0.0.1", int(loopback.redirect_uri.split(":")[2].split("/")[0]))
        with socket.create_connection(address, timeout=60) as held:
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address, timeout=60)
            assert await asyncio.to_thread(ended, held)


# an issuer that answers badly


@pytest.mark.parametrize(
    ("breaks", "kind", "says"),
    [
        (lambda issuer: issuer.huge_body(), FetchError, "answered more than"),
        (lambda issuer: issuer.html(), MetadataError, "not a JSON object"),
        (lambda issuer: issuer.redirect(), FetchError, "redirects are not followed"),
        (lambda issuer: issuer.gzip_bomb(), FetchError, "compressed body"),
        (lambda issuer: issuer.cut(), FetchError, ""),
        (lambda issuer: issuer.status(500), MetadataError, "answered 500"),
        (lambda issuer: issuer.status(503), MetadataError, "answered 503"),
        (lambda issuer: issuer.down(), FetchError, "connect"),
    ],
)
@pytest.mark.parametrize("when", ["at first", "at the code", "at the renewal", "at the logout"])
def test_an_answer_that_is_none(
    code_issuer: CodeIssuer, breaks: Callable[[CodeIssuer], None], kind: type[PgbearerError], says: str, when: str
) -> None:
    def broken_browser(url: str) -> None:
        redirect = code_issuer.authorize(url)
        breaks(code_issuer)
        httpx.get(redirect, trust_env=False)

    def attempt() -> None:
        if when == "at first":
            breaks(code_issuer)
            log_in(code_issuer)
        elif when == "at the code":
            log_in(code_issuer, broken_browser)
        else:
            grant = log_in(code_issuer)
            breaks(code_issuer)
            with SyncFetcher(code_issuer.ca_file) as fetcher:
                if when == "at the logout":
                    run(logout(request(code_issuer), grant), fetcher)
                else:
                    run(refresh(request(code_issuer), grant, wall=lambda: 0.0), fetcher)

    with pytest.raises(PgbearerError) as caught:
        attempt()
    assert isinstance(caught.value, kind)
    assert says in str(caught.value)
    assert caught.value.exit_code == 3
    assert not any(word in str(caught.value) for word in code_issuer.sessions)


@pytest.mark.parametrize("do", [log_in, renew])
def test_another_issuers_metadata(code_issuer: CodeIssuer, do: Callable[[CodeIssuer], object]) -> None:
    code_issuer.wrong_issuer()
    with pytest.raises(MetadataError, match="metadata of another issuer"):
        do(code_issuer)
    assert (code_issuer.questions, code_issuer.forms) == ([], [])


# who else comes to the address


class Browser:
    """Everything that can reach the address, the person's browser among it."""

    port = 0

    def get(self, target: str, **headers: str) -> int:
        """Ask, and return the status."""
        reply = httpx.get(f"http://127.0.0.1:{self.port}{target}", headers=headers, trust_env=False)
        return reply.status_code

    def answer(self, code: str = "the-code") -> int:
        """Come back with the answer that is waited for."""
        return self.get(f"/callback?code={code}&state=the-state")

    def connect(self, sends: bytes = b"") -> socket.socket:
        """A bare connection that has sent this."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.sendall(sends)
        return connection


def land(browser: Callable[[Browser], None], **bounds: float) -> tuple[Redirect | None, Browser]:
    """Wait for an answer while `browser` does what it does, to its end; returns what came, and the browser."""
    at, done = Browser(), threading.Event()

    def show(_url: str) -> None:
        try:
            browser(at)
        finally:
            done.set()

    with Loopback(show, **bounds) as loopback:  # type: ignore[arg-type]
        at.port = int(loopback.redirect_uri.split(":")[2].split("/")[0])
        redirect = loopback.visit(Browse("https://sso.test/auth", "the-state", 60))
        assert done.wait(60)
        return redirect, at


def ended(connection: socket.socket) -> bool:
    """Wait until the other side ends the connection without a word."""
    with connection, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        return connection.recv(1) == b""
    return True


def test_everybody_else_gets_an_error_page_and_the_waiting_goes_on() -> None:
    said: list[int] = []

    def browser(at: Browser) -> None:
        said.append(at.get("/favicon.ico"))
        said.append(at.get("/callback"))
        said.append(at.get("/callback?code=evil&state=guessed"))
        said.append(at.get("/callback?code=evil&state=the-state", host="evil.test"))
        said.append(at.answer())

    redirect, _ = land(browser)
    assert said == [404, 400, 400, 421, 200]
    assert redirect == Redirect({"code": "the-code", "state": "the-state"})


def test_a_second_answer_changes_nothing() -> None:
    def browser(at: Browser) -> None:
        at.answer("first")
        with contextlib.suppress(httpx.HTTPError):  # nobody may be there any more
            at.answer("second")

    redirect, at = land(browser)
    assert redirect == Redirect({"code": "first", "state": "the-state"})
    with pytest.raises(ConnectionRefusedError):
        at.connect()


def test_a_connection_that_sends_nothing_to_the_end_is_ended() -> None:
    sends = [b"", b"G", b"GET /callback?code=evil&state=the-state HTTP/1.1\r\nHost: 127.0.0.1\r\n"]

    def browser(at: Browser) -> None:
        assert all(ended(at.connect(what)) for what in sends)
        at.answer()

    assert land(browser, connection_seconds=0.2)[0] is not None


def test_a_huge_request_is_ended() -> None:
    def browser(at: Browser) -> None:
        with at.connect() as connection, contextlib.suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(b"GET /callback?state=the-state&code=" + b"x" * 4_000_000)
            assert ended(connection)
        at.answer()

    redirect, _ = land(browser)
    assert redirect == Redirect({"code": "the-code", "state": "the-state"})


def test_a_thousand_connections_do_not_keep_the_browser_out() -> None:
    said: list[int] = []

    def browser(at: Browser) -> None:
        with contextlib.ExitStack() as held:
            connections = [held.enter_context(at.connect(b"GET /callback?")) for _ in range(300)]
            for _ in range(700):
                at.connect(b"GET ").close()
            assert all(map(ended, connections[:200]))  # the oldest went for the newer
            said.append(at.answer())

    redirect, _ = land(browser, connection_seconds=600)
    assert (said, redirect is not None) == ([200], True)


def test_no_other_address_of_this_machine_is_answered() -> None:
    refused: list[str] = []

    def browser(at: Browser) -> None:
        for address in ("127.0.0.2", "::1"):
            try:
                socket.create_connection((address, at.port), timeout=60).close()
            except OSError:
                refused.append(address)
        at.answer()

    land(browser)
    assert refused == ["127.0.0.2", "::1"]


def test_no_port_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgbearer.client.login.loopback._ADDRESS", "192.0.2.1")  # nobody's (RFC 5737)
    with pytest.raises(UnreachableError, match="no port for the browser") as caught:
        Loopback(lambda _url: None)
    assert "--device" in (caught.value.hint or "")


def test_no_code_in_any_log(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # the test's own browser says where it goes
    logging.getLogger("httpcore").setLevel(logging.WARNING)

    def browser(at: Browser) -> None:
        at.get("/callback?code=a-secret&state=wrong")
        at.answer("a-secret")

    land(browser)
    assert "a-secret" not in caplog.text + "".join(capfd.readouterr())


def test_the_folder_where_the_person_stands_has_no_say_in_what_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}\n')
    browser.chmod(0o700)
    (tmp_path / "webbrowser.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    TerminalPrompt(io.StringIO(), browser=True).browse("https://sso.test/auth?state=x")
    assert opened.read_text() == "https://sso.test/auth?state=x"
