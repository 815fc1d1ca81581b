"""What a person does in a browser to approve a device login, done by plain HTTP on Keycloak's own pages.

It knows no addresses of Keycloak: it opens the verification URL, fills in each form that comes by the names of its
fields and sends it, until a page without a form says how it ended.
"""

import ssl
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import httpx

__all__ = ["PagesError", "Person", "Visit", "approve", "deny"]

_MOST_PAGES = 8

# Keycloak answers a POST to the verification page by what is accepted: not HTML, and it takes it for a device's request
_AS_A_BROWSER = {"Accept": "text/html,application/xhtml+xml"}


class PagesError(Exception):
    """The pages did not go where they should; the message is what the last one said."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who sits in front of the browser."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Visit:
    """What the person saw: the points of the consent page, and the text of the last page."""

    consents: tuple[str, ...]
    outcome: str


def approve(url: str, person: Person, *, ca_file: Path, user_code: str = "") -> Visit:
    """Log `person` in at the verification `url` and grant what is asked.

    Args:
        url: `verification_uri`, or `verification_uri_complete` without `user_code`.
        person: logs in.
        ca_file: the authority that the pages' certificate comes from (PEM).
        user_code: typed into the page, if it asks.

    Raises:
        PagesError: wrong password, unknown or expired code, or a page that nobody expected.
    """
    return _visit(url, person, ca_file, user_code, "accept")


def deny(url: str, person: Person, *, ca_file: Path, user_code: str = "") -> Visit:
    """Log `person` in and refuse what is asked; arguments and errors as `approve`."""
    return _visit(url, person, ca_file, user_code, "cancel")


def _visit(url: str, person: Person, ca_file: Path, user_code: str, answer: str) -> Visit:
    known = {"device_user_code": user_code, "username": person.username, "password": person.password}
    consents: tuple[str, ...] = ()
    trust = ssl.create_default_context(cafile=str(ca_file))
    with httpx.Client(verify=trust, headers=_AS_A_BROWSER, follow_redirects=True, timeout=30) as browser:
        reply = browser.get(url)
        for _ in range(_MOST_PAGES):
            if "html" not in reply.headers.get("content-type", ""):
                raise PagesError(f"{reply.url.path} answered {reply.status_code}: {reply.text[:300]}")
            page = _Page(reply.text)
            if page.action is None:
                return Visit(consents, page.text)
            if page.error:
                raise PagesError(page.error)
            consents = consents or page.points
            fields = {name: known.get(name, value) for name, value in page.fields.items()}
            if answer in page.buttons:
                fields[answer] = ""
            reply = browser.post(urljoin(str(reply.url), page.action), data=fields)
    raise PagesError(f"still a form after {_MOST_PAGES} pages: {page.text[:300]}")


class _Page(HTMLParser):
    """The one form of a page, its buttons, the points of its list, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self.buttons: set[str] = set()
        self._words: list[str] = []
        self._points: list[list[str]] = []
        self._error: list[str] = []
        self._sinks: list[list[str]] = []
        self._silent = 0
        self.feed(html)
        self.close()

    @property
    def text(self) -> str:
        """All that a person can read."""
        return " ".join(self._words)

    @property
    def points(self) -> tuple[str, ...]:
        """The items of the page's lists: on the consent page, what is granted."""
        return tuple(" ".join(words) for words in self._points)

    @property
    def error(self) -> str:
        """What the page complains of (wrong password, unknown code); empty if of nothing."""
        return " ".join(self._error)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = has.get("action", "")
        elif tag in {"input", "button"} and has.get("name"):
            if tag == "button" or has.get("type") == "submit":
                self.buttons.add(has["name"])
            else:
                self.fields[has["name"]] = has.get("value", "")
        elif tag in {"script", "style", "title"}:
            self._silent += 1
        elif tag == "li":
            self._points.append([])
            self._sinks.append(self._points[-1])
        elif tag == "span" and "kc-feedback-text" in has.get("class", "").split():
            self._sinks.append(self._error)

    def handle_endtag(self, tag: str) -> None:
        if tag in {"script", "style", "title"}:
            self._silent -= 1
        elif self._sinks and tag == ("span" if self._sinks[-1] is self._error else "li"):
            self._sinks.pop()

    def handle_data(self, data: str) -> None:
        words = data.split()
        if self._silent or not words:
            return
        self._words.extend(words)
        if self._sinks:
            self._sinks[-1].extend(words)
