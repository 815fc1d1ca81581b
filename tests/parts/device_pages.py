"""What a person does in a browser to log in or approve a device login, by plain HTTP on Keycloak's own pages.

It knows no addresses of Keycloak: it opens a URL, fills in each form that comes by the names of its
fields and sends it, until a page without a form says how it ended.
"""

import ssl
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Self
from urllib.parse import urljoin

import httpx

__all__ = ["Browser", "PagesError", "Person", "Visit", "approve", "deny"]

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
    """What the person saw: the points of the consent page, the text of the last page, and the fields of the forms."""

    consents: tuple[str, ...]
    outcome: str
    fields: tuple[str, ...] = ()


class Browser:
    """A browser that keeps its cookies, and `person` in front of it; a context manager.

    Args:
        person: logs in where a page asks.
        ca_file: the authority that the pages' certificate comes from (PEM).
    """

    def __init__(self, person: Person, ca_file: Path) -> None:
        self._person = person
        trust = ssl.create_default_context(cafile=str(ca_file))
        self._http = httpx.Client(
            verify=trust, headers=_AS_A_BROWSER, follow_redirects=True, timeout=30, trust_env=False
        )

    def visit(self, url: str, *, answer: str = "accept", user_code: str = "") -> Visit:
        """Open `url` and fill in what comes, to a page without a form.

        Args:
            url: where to begin.
            answer: the button to press on the consent page.
            user_code: typed into the page, if it asks.

        Raises:
            PagesError: wrong password, unknown or expired code, or a page that nobody expected.
        """
        person = self._person
        known = {"device_user_code": user_code, "username": person.username, "password": person.password}
        consents: tuple[str, ...] = ()
        forms: tuple[str, ...] = ()
        reply = self._http.get(url)
        for _ in range(_MOST_PAGES):
            if "html" not in reply.headers.get("content-type", ""):
                raise PagesError(f"{reply.url.path} answered {reply.status_code}: {reply.text[:300]}")
            page = _Page(reply.text)
            if page.action is None:
                return Visit(consents, page.text, forms)
            if page.error:
                raise PagesError(page.error)
            consents = consents or page.points
            forms += tuple(page.fields)
            fields = {name: known.get(name, value) for name, value in page.fields.items()}
            if answer in page.buttons:
                fields[answer] = ""
            reply = self._http.post(urljoin(str(reply.url), page.action), data=fields)
        raise PagesError(f"still a form after {_MOST_PAGES} pages: {page.text[:300]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()


def approve(url: str, person: Person, *, ca_file: Path, user_code: str = "") -> Visit:
    """Log `person` in at the verification `url`, with a new browser, and grant what is asked.

    Args:
        url: `verification_uri`, or `verification_uri_complete` without `user_code`.
        person: logs in.
        ca_file: the authority that the pages' certificate comes from (PEM).
        user_code: typed into the page, if it asks.

    Raises:
        PagesError: wrong password, unknown or expired code, or a page that nobody expected.
    """
    with Browser(person, ca_file) as browser:
        return browser.visit(url, user_code=user_code)


def deny(url: str, person: Person, *, ca_file: Path, user_code: str = "") -> Visit:
    """Log `person` in and refuse what is asked; arguments and errors as `approve`."""
    with Browser(person, ca_file) as browser:
        return browser.visit(url, answer="cancel", user_code=user_code)


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
