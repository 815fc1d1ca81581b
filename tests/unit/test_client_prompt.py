"""What the person sees, and what the browser and the QR code must not carry."""

import io
from collections.abc import Mapping

import pytest
import segno

from pgbearer.client import DeviceCode, TerminalPrompt, plain
from pgbearer.client.login.prompt import browser_is_sensible

CODE = DeviceCode("https://sso.test/device", "ABCD-EFGH", 119.6)


def shown(code: DeviceCode = CODE, *, qr: bool = False) -> str:
    stream = io.StringIO()
    TerminalPrompt(stream, qr=qr)(code)
    return stream.getvalue()


def test_the_address_the_code_and_its_life() -> None:
    assert "  https://sso.test/device\n  code: ABCD-EFGH\n" in shown()
    assert "good for 2:00 minutes" in shown()


def test_it_warns_of_a_login_that_somebody_else_began() -> None:
    assert "only if you started this login yourself" in shown()


def test_a_code_cannot_drive_the_terminal() -> None:
    assert "\x1b" not in shown(DeviceCode("https://sso.test/", "\x1b]0;owned\x07", 60))


def test_the_qr_code_is_of_the_address_alone() -> None:
    drawn = io.StringIO()
    segno.make(CODE.verification_uri, error="m").terminal(drawn, compact=True)
    assert drawn.getvalue().strip() in shown(qr=True)
    assert drawn.getvalue().strip() not in shown()


@pytest.mark.parametrize(("wanted", "opened"), [(True, ["https://sso.test/device"]), (False, []), (None, [])])
def test_the_browser_gets_the_address_without_the_code(wanted: bool | None, opened: list[str]) -> None:
    calls: list[str] = []

    def open_browser(url: str) -> bool:
        calls.append(url)
        return True

    TerminalPrompt(io.StringIO(), browser=wanted, open_browser=open_browser)(CODE)  # a StringIO is no terminal
    assert calls == opened


@pytest.mark.parametrize(
    "address",
    [
        "http://sso.test/device",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "vnd.app://x",
        "sso.test/device",
        "https:",
        "https:///device",
        "https://[/",
        "https://sso.test/\x1b[2J",
        "https://sso.test/\u202edevice",
        "https://user@sso.test/device",
        "https://sso.test/" + "x" * 2_000,
    ],
)
def test_an_address_that_is_not_https_is_shown_and_not_opened(address: str) -> None:
    opened: list[str] = []
    stream = io.StringIO()
    code = DeviceCode(address, "ABCD-EFGH", 60)
    TerminalPrompt(stream, qr=True, browser=True, open_browser=opened.append)(code)
    assert opened == []
    assert f"  {plain(address, limit=2_000)}\n  code: ABCD-EFGH\n" in stream.getvalue()
    assert "no plain https address, so it is not opened" in stream.getvalue()
    assert not set("█▀▄") & set(stream.getvalue())


def test_a_long_address_is_shown_whole_and_drawn() -> None:
    address = "https://sso.test/" + "x" * 1_900
    text = shown(DeviceCode(address, "ABCD-EFGH", 60), qr=True)
    assert f"  {address}\n" in text
    assert "█" in text


def test_the_address_of_a_browser_login_is_shown_whole_and_opened() -> None:
    opened: list[str] = []
    stream = io.StringIO()
    address = "https://sso.test/auth?" + "x" * 1_000
    TerminalPrompt(stream, browser=True, open_browser=opened.append).browse(address)
    assert opened == [address]
    assert f"  {address}\n" in stream.getvalue()
    assert "--device" in stream.getvalue()


@pytest.mark.parametrize(
    ("environ", "platform", "terminal", "sensible"),
    [
        ({"DISPLAY": ":0"}, "linux", True, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True, True),
        ({}, "darwin", True, True),
        ({}, "linux", True, False),
        ({"DISPLAY": ":0"}, "linux", False, False),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, "linux", True, False),
        ({"SSH_TTY": "/dev/pts/1"}, "darwin", True, False),
        ({"DISPLAY": ":0", "CI": "true"}, "linux", True, False),
    ],
)
def test_a_browser_only_where_the_person_would_see_it(
    environ: Mapping[str, str], platform: str, terminal: bool, sensible: bool
) -> None:
    assert browser_is_sensible(environ, platform=platform, terminal=terminal) is sensible
