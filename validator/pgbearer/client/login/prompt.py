"""What the person sees when a login needs them: an address, a code, a browser, and on request a QR code."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import TextIO

from pgbearer.client.login.steps import LONGEST_ADDRESS, DeviceCode
from pgbearer.client.plain import plain

__all__ = ["TerminalPrompt", "browser_is_sensible", "is_terminal", "somebody_is_there"]

_PATIENCE = 10.0  # seconds for a browser to start; the first poll is due about then


def browser_is_sensible(environ: Mapping[str, str], *, platform: str, terminal: bool) -> bool:
    """Whether opening a browser would show it to the person who is asking.

    Not over SSH (it would open on another machine's screen, or nowhere), not without a display (``webbrowser`` would
    then start a text browser in this very terminal), not without a person at a terminal.
    """
    if not terminal or any(environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "CI")):
        return False
    return platform == "darwin" or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def is_terminal(stream: TextIO | None) -> bool:
    """Whether `stream` leads to a terminal; a standard stream is None where it was closed before we began."""
    return stream is not None and not stream.closed and stream.isatty()


def somebody_is_there() -> bool:
    """Whether this process has a terminal at which a person can be asked: as its input, or for what it has to say."""
    return is_terminal(sys.stdin) or is_terminal(sys.stderr)


class TerminalPrompt:
    """Shows on a text stream where to log in; called with a device code, `browse` with an address.

    With a code, the browser and the QR code get the address without the code (``verification_uri``, never
    ``verification_uri_complete``): who must type the code from their own screen cannot be led by a link in a mail to
    approve somebody else's login (RFC 8628 section 5.4).

    Args:
        stream: where to write; standard error if None, so that standard output stays for results.
        qr: also draw the address as a QR code.
        browser: open the address: always, never, or (None) when `browser_is_sensible`.
        open_browser: opens one on an address.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        qr: bool = False,
        browser: bool | None = None,
        open_browser: Callable[[str], object] | None = None,
    ) -> None:
        self._stream = stream
        self._qr = qr
        self._browser = browser
        self._open_browser = open_browser or _open_quietly

    def __call__(self, code: DeviceCode) -> None:
        """Show `code` and return at once; the login goes on polling."""
        stream = self._stream or sys.stderr
        minutes, seconds = divmod(round(code.expires_in), 60)
        lines = [
            "To log in to the database, open this address and enter the code there:",
            "",
            f"  {plain(code.verification_uri, limit=LONGEST_ADDRESS)}",
            f"  code: {plain(code.user_code)}",
            "",
            f"The code is good for {minutes}:{seconds:02} minutes. Enter it only if you started this login yourself.",
        ]
        if not code.openable:
            lines.append("This is no plain https address, so it is not opened. Do not open it unless you know it.")
        elif self._qr:
            lines[4:4] = ["", _qr(code.verification_uri)]
        print(*lines, sep="\n", file=stream, flush=True)
        if code.openable and self._wants_browser(stream):
            self._open_browser(code.verification_uri)

    def browse(self, address: str) -> None:
        """Show `address`, which leads back to this machine, and open it."""
        stream = self._stream or sys.stderr
        lines = [
            "To log in to the database, open this address in a browser on this machine:",
            "",
            f"  {plain(address, limit=len(address))}",
            "",
            "Where there is none, log in by device code (--device).",
        ]
        print(*lines, sep="\n", file=stream, flush=True)
        if self._wants_browser(stream):
            self._open_browser(address)

    def _wants_browser(self, stream: TextIO) -> bool:
        if self._browser is None:
            return browser_is_sensible(os.environ, platform=sys.platform, terminal=stream.isatty())
        return self._browser


def _open_quietly(address: str) -> None:
    """Open a browser whose own chatter does not end up in what this command prints, nor holds it up.

    Isolated (-I), for else a ``webbrowser.py`` in the folder where the person stands would be run instead of Python's.
    """
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):  # the address is on the screen all the same
        subprocess.run(  # noqa: S603  our own interpreter, and an address that was checked to be https and printable
            [sys.executable, "-I", "-m", "webbrowser", address],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
        )


def _qr(address: str) -> str:
    import segno  # heavy, and rarely asked for

    drawn = io.StringIO()
    segno.make(address, error="m").terminal(drawn, compact=True)
    return drawn.getvalue().rstrip("\n")
