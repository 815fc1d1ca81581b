"""What comes to the address that a browser is sent back to: which request is the answer, and which page each gets."""

import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

from pgbearer.client.login.steps import Redirect

__all__ = ["LANDING_PATH", "Landing", "Page"]

LANDING_PATH: Final = "/callback"
"""The one path that is answered; registered for the client as ``http://127.0.0.1/callback``."""

_MOST_PARAMETERS: Final = 32

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>pgbearer</title>
<p>{text}</p>
</html>
"""

_HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Connection": "close",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the page's own address has the code in it
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A status and a sentence. No page repeats anything of what was asked."""

    status: HTTPStatus
    text: str

    def encode(self) -> bytes:
        """The whole HTTP/1.1 response."""
        body = _PAGE.format(text=self.text).encode()
        headers = _HEADERS | {"Content-Length": str(len(body))}
        lines = [
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            *(f"{name}: {headers[name]}" for name in headers),
        ]
        return "\r\n".join([*lines, "", ""]).encode("ascii") + body


_ARRIVED: Final = Page(HTTPStatus.OK, "The login goes on in the terminal. You may close this window.")
_REFUSED: Final = Page(HTTPStatus.OK, "The login did not succeed; the terminal says why. You may close this window.")
_MALFORMED: Final = Page(HTTPStatus.BAD_REQUEST, "This is no request that is understood here.")
_OTHER_METHOD: Final = Page(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET is understood here.")
_OTHER_HOST: Final = Page(HTTPStatus.MISDIRECTED_REQUEST, "This address is not what was asked for.")
_OTHER_PATH: Final = Page(HTTPStatus.NOT_FOUND, "There is nothing here.")
_OTHER_LOGIN: Final = Page(HTTPStatus.BAD_REQUEST, "This is not the answer to the login that is waited for.")


@dataclass(frozen=True, slots=True)
class Landing:
    """Tells the one answer that is waited for from everything else. Pure.

    Args:
        host: what a request must name as its host, with the port. A page elsewhere whose name was made to point here
            (DNS rebinding) names its own.
        state: what the answer must have as its ``state`` (RFC 6749 section 10.12).
    """

    host: str
    state: str

    def judge(self, head: bytes) -> tuple[Page, Redirect | None]:
        """The page for a request, and the answer, if the request is it.

        Args:
            head: the request line and the headers; a body is not looked at.
        """
        try:
            line, *headers = head.decode("ascii").rstrip("\r\n").split("\r\n")
            method, target, version = line.split(" ")
        except ValueError:
            return _MALFORMED, None
        path, _, query = target.partition("?")
        if version not in {"HTTP/1.0", "HTTP/1.1"}:
            return _MALFORMED, None
        if _hosts(headers) != [self.host]:
            return _OTHER_HOST, None
        if path != LANDING_PATH:
            return _OTHER_PATH, None
        if method != "GET":
            return _OTHER_METHOD, None
        return self._answer(query)

    def _answer(self, query: str) -> tuple[Page, Redirect | None]:
        try:
            pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
        except ValueError:
            return _MALFORMED, None
        said = dict(pairs)
        if len(said) != len(pairs):  # which of two would count? (RFC 6749 section 3.1)
            return _MALFORMED, None
        if not hmac.compare_digest(said.get("state", "").encode(), self.state.encode()):
            return _OTHER_LOGIN, None
        return (_REFUSED if "error" in said else _ARRIVED), Redirect(said)


def _hosts(headers: list[str]) -> list[str]:
    named = (header.partition(":") for header in headers)
    return [value.strip(" \t") for name, _, value in named if name.lower() == "host"]
