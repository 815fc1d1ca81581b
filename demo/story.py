"""Three people log in by device code, each at Keycloak's own pages, and find out what they may."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, LiteralString

from demo import service
from demo.state import Stack
from pgbearer.client import DeviceCode, PersonSource, TokenRefusedError, connect
from tests.parts.device_pages import Person, approve
from tests.parts.progress import say

__all__ = ["Chapter", "Told", "tell"]

READ: Final = "SELECT 'notes read: ' || count(*) FROM notes"
WRITE: Final = "INSERT INTO notes (note) VALUES ('written in the demo') RETURNING 'note ' || id || ' written'"


@dataclass(frozen=True, slots=True)
class Chapter:
    """Who asks for which role, what they then do, and how it must go: allowed, or refused for a reason."""

    person: str
    role: str
    sql: LiteralString
    reason: str


@dataclass(frozen=True, slots=True)
class Told:
    """How a chapter went."""

    chapter: Chapter
    reason: str
    """The service's own word for it, from its admin socket."""
    decision_id: str
    decided_by: str
    """A rule of the file, or a decider that it asks, in words."""
    seen: str
    """What PostgreSQL answered, or what the reason means."""

    @property
    def as_it_must(self) -> bool:
        """Whether it went as the chapter says."""
        return self.reason == self.chapter.reason


CHAPTERS = (
    Chapter("alice", "app_readonly", READ, "allowed"),
    Chapter("alice", "app_readwrite", WRITE, "role_not_allowed"),
    Chapter("bob", "app_readwrite", WRITE, "allowed"),
    Chapter("carol", "app_readonly", READ, "no_rule"),
)


def tell(stack: Stack) -> Iterator[Told]:
    """Go through the chapters, one at a time.

    Raises:
        PagesError: the login pages did not go as expected.
        PgbearerError: no token, or no server.
    """
    sources = {chapter.person: _source(stack, chapter.person) for chapter in CHAPTERS}
    for chapter in CHAPTERS:
        yield _go_through(stack, chapter, sources[chapter.person])


def _source(stack: Stack, username: str) -> PersonSource:
    """A device login in which `username` does in a browser what the page asks."""
    person = Person(username, f"demo-password-{username}")
    ca_file = Path(stack.ca_file)

    def browse(code: DeviceCode) -> None:
        say(f"{username} logs in at {code.verification_uri}: this script approves the page, the client polls every 5 s")
        approve(code.verification_uri, person, ca_file=ca_file, user_code=code.user_code)

    return PersonSource(
        stack.issuer,
        scope="db:demo",
        how="device",
        show=browse,
        store="memory",
        ca_file=ca_file,
    )


def _go_through(stack: Stack, chapter: Chapter, source: PersonSource) -> Told:
    try:
        with connect(stack.conninfo(chapter.role), source=source, autocommit=True) as connection:
            who = connection.execute("SELECT system_user, current_user").fetchone()
            done = connection.execute(chapter.sql).fetchone()
    except TokenRefusedError:
        who = done = None
    decision = service.decision(stack.admin_socket, chapter.role, source.token().ref)
    seen = decision["meaning"]
    if who and done:
        seen = f"system_user {who[0]}, current_user {who[1]}; {done[0]}"
    return Told(chapter, decision["reason"], decision["decision_id"], _decided_by(decision), seen)


def _decided_by(decision: Mapping[str, Any]) -> str:
    asked = [f"{each['decider']} said {each['answer']} in {each['ms']:.0f} ms" for each in decision["asked"]]
    return f"the rules; {', '.join(asked)}" if asked else "the rules; nobody else was asked"
