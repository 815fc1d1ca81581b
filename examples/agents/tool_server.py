"""Two tools for an assistant: read notes and write one, in the database, for the person who is talking to it.

What the person's own token is good for, the tools never see: the assistant hands over one that is good here and at no
database, and each call exchanges it for one that is good at the database and says who acts (docs/agents.md).
"""

import asyncio
import ssl
from dataclasses import dataclass, field

import httpx

import pgbearer
from pgbearer.client import AccessToken

__all__ = ["Exchange", "read_notes", "write_note"]

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 -- a name, no token
GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"


@dataclass(frozen=True)
class Exchange:
    """Gives `pgbearer.connect` a token of the person's, exchanged at the issuer (RFC 8693 section 2.1).

    Raises httpx.HTTPStatusError from `token` if the issuer refuses: the person logged out, or this may not be asked.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    subject_token: str = field(repr=False)
    """Of the person, for this tool server: its ``aud`` names `client_id`."""
    scope: str = "db:demo"
    trust: ssl.SSLContext | None = None
    """For the issuer's certificate; None for the system's authorities."""

    def token(self) -> AccessToken:
        """Exchange it once."""
        asked = {
            "grant_type": GRANT,
            "subject_token": self.subject_token,
            "subject_token_type": ACCESS_TOKEN,
            "scope": self.scope,
        }
        reply = httpx.post(
            f"{self.issuer}/protocol/openid-connect/token",
            data=asked,
            auth=(self.client_id, self.client_secret),
            verify=self.trust or True,
        )
        return AccessToken(reply.raise_for_status().json()["access_token"])

    async def token_async(self) -> AccessToken:
        """The same for `pgbearer.connect_async`."""
        return await asyncio.to_thread(self.token)


def read_notes(conninfo: str, person: Exchange) -> list[str]:
    """What has been noted."""
    with pgbearer.connect(conninfo, user="app_readonly", source=person) as connection:
        return [note for (note,) in connection.execute("SELECT note FROM notes ORDER BY id")]


def write_note(conninfo: str, person: Exchange, note: str) -> None:
    """Note something: refused, because no rule gives an agent the role that may."""
    with pgbearer.connect(conninfo, user="app_readwrite", source=person) as connection:
        connection.execute("INSERT INTO notes (note) VALUES (%s)", (note,))
