"""One attack: a token, the settings and keys that it meets, and the one reason it must end in.

A case is judged twice: by the verifier alone (`outcome`), at a moment that stands still, and by a whole login through
PostgreSQL, the module and the service (fix_door.py), at the present. So what a case says of time is relative: `At`.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from pgbearer.config.settings import Issuer
from pgbearer.tokens import Denied
from pgbearer.wire import Reason
from tests.issuer import Mint
from tests.unit.fix_tokens import Desk

__all__ = [
    "NOW",
    "OTHER",
    "At",
    "Case",
    "Publish",
    "claims",
    "denial",
    "good",
    "header",
    "name_of",
    "outcome",
    "payload",
    "published",
    "segments",
    "settle",
    "text",
]

NOW: Final = 1_800_000_000
"""The moment at which the verifier alone judges, epoch seconds."""
OTHER: Final = "https://other.example/realms/demo"

M = TypeVar("M", bound=Mint)
Publish = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


@dataclass(frozen=True)
class At:
    """A moment so many seconds after now, as epoch seconds or, in settings, as a date."""

    seconds: int

    def epoch(self, now: int) -> int:
        return now + self.seconds


@dataclass(frozen=True)
class Case:
    """A token, what it meets, and why it is refused."""

    name: str
    reason: Reason
    make: Callable[[Mint, int], str]
    settings: Mapping[str, Any] | Callable[[Mint], Mapping[str, Any]] = field(default_factory=dict)
    """Of the issuer, as the file would hold them; moments as `At`. A function where they name the issuer's address."""
    hba: str = ""
    """The HBA line, by its name in `Case.request`."""
    publish: Publish | None = None
    """What becomes of the keys that the issuer publishes."""
    also: Callable[[Mint], tuple[Issuer, ...]] = lambda _mint: ()
    prepare: Callable[[Desk], Awaitable[None]] = Desk.fetch
    """What happens before the token comes; anything but the first fetch is for the verifier alone."""
    path: str = ""
    """Of the issuer's address, where its form matters; empty: that of a realm."""
    no_login: str = ""
    """Why this cannot be brought through PostgreSQL; empty if it can."""

    @property
    def at_login(self) -> bool:
        return not self.no_login

    def at(self, mint: M) -> M:
        """The same mint, at the path that the case asks for."""
        if self.path:
            mint.url = f"https://{urlsplit(mint.url).netloc}{self.path}"
        return mint

    def settings_at(self, mint: Mint) -> Mapping[str, Any]:
        """The settings, with the mint's address in them."""
        return self.settings(mint) if callable(self.settings) else self.settings

    def request(self, mint: Mint) -> dict[str, Any]:
        """What the HBA line asks for."""
        lines: dict[str, dict[str, Any]] = {
            "": {},
            "other issuer": {"hba_issuer": OTHER},
            "parent issuer": {"hba_issuer": mint.url.rpartition("/")[0]},
            "two scopes": {"hba_scopes": ("db:demo", "db:admin")},
        }
        return lines[self.hba]


def claims(name: str, reason: Reason, *, settings: Mapping[str, Any] | None = None, **changes: Any) -> Case:
    """A well signed token whose claims are changed."""
    return Case(name, reason, lambda mint, now: mint.token(**_at({**_FRESH, **changes}, now)), settings or {})


def header(name: str, reason: Reason, *, settings: Mapping[str, Any] | None = None, **changes: Any) -> Case:
    """A well signed token whose header is changed."""
    return Case(name, reason, lambda mint, now: mint.token(header=changes, **_at(_FRESH, now)), settings or {})


def text(name: str, reason: Reason, change: Callable[[str], str], **more: Any) -> Case:
    """A good token whose text is changed after it was signed."""
    return Case(name, reason, lambda mint, now: change(good(mint, now)), **more)


def payload(name: str, reason: Reason, change: Callable[[str], str], **settings: Any) -> Case:
    """A well signed token whose payload's JSON text is changed."""

    def make(mint: Mint, now: int) -> str:
        written = json.dumps(mint.claims(**_at(_FRESH, now)), ensure_ascii=False)
        return mint.sign(json.dumps(mint.header()).encode(), change(written).encode("utf-8", "surrogateescape"))

    return Case(name, reason, make, settings)


def published(name: str, reason: Reason, publish: Publish, make: Callable[[Mint, int], str] | None = None) -> Case:
    """A good token, or what is made instead, whose issuer publishes its keys otherwise."""
    return Case(name, reason, make or good, publish=publish)


def good(mint: Mint, now: int) -> str:
    """A token with nothing wrong about it."""
    return mint.token(**_at(_FRESH, now))


def segments(token: str, *, h: Callable[[str], str] = str, p: Callable[[str], str] = str) -> str:
    """A token with its header and its payload, still encoded, changed."""
    head, body, signature = token.split(".")
    return ".".join((h(head), p(body), signature))


def settle(settings: Mapping[str, Any], now: int) -> dict[str, Any]:
    """Settings with their moments as dates."""
    return {
        name: datetime.fromtimestamp(value.epoch(now), UTC) if isinstance(value, At) else value
        for name, value in settings.items()
    }


def name_of(case: Case) -> str:
    """For pytest's ids."""
    return case.name


async def outcome(case: Case) -> Reason:
    """What the verifier alone says at `NOW`."""
    denied = await denial(case)
    return denied.reason if denied else Reason.ALLOWED


async def denial(case: Case) -> Denied | None:
    """The same with what it says of it; None if it accepts the token."""
    mint = case.at(Mint())
    token = case.make(mint, NOW)
    if case.publish is not None:
        keys = case.publish(mint.jwks()["keys"])
        mint.jwks = lambda: {"keys": keys}  # type: ignore[method-assign]
    desk = Desk(mint, also=case.also(mint), **settle(case.settings_at(mint), NOW))
    await case.prepare(desk)
    try:
        await desk.verify(token, **{"now": float(NOW)} | case.request(mint))
    except Denied as denied:
        _check_detail(denied, token)
        return denied
    return None


_FRESH: Final = {"iat": At(0), "exp": At(300)}


def _at(changes: Mapping[str, Any], now: int) -> dict[str, Any]:
    return {name: value.epoch(now) if isinstance(value, At) else value for name, value in changes.items()}


def _check_detail(denied: Denied, token: str) -> None:
    """What is logged can be shown, is short, and holds no segment of the token."""
    assert denied.detail.isprintable()
    assert len(denied.detail) < 500
    assert not any(part in denied.detail for part in token.split(".") if len(part) > 8)
