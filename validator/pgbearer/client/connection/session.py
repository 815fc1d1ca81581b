"""How long a connection's session may last, as far as this side can know, and whether it is over already.

The server decides when a session ends: with the token that opened it, with the person's login, or after a fixed time.
It tells nobody beforehand. What a client can know is when the token ends; a session is replaced shortly before that,
because a workload's ends then, and a new one costs a few milliseconds. What the server has ended can be seen without
asking it: it has sent its farewell, and the socket has something to read.
"""

import select
import time
from typing import Final

import psycopg
from psycopg import pq

from pgbearer.client.peek import expiry_in
from pgbearer.client.token import AccessToken
from pgbearer.errors import PgbearerError

__all__ = ["BearerSession", "SessionEndedError", "check", "remember"]

_LONGEST_MARGIN: Final = 30.0  # seconds left for the work that a session is taken for
_MARGIN: Final = 0.1  # of what the token had left
_MOST_READS: Final = 16  # a server that keeps talking to an idle client is alive


class SessionEndedError(PgbearerError, psycopg.OperationalError):
    """The server has ended the session, or its token ends so soon that a new one is better.

    Also a `psycopg.OperationalError`, so that pools written for psycopg replace the connection.
    """


class BearerSession:
    """What a connection remembers of its login, which is not the token. Nothing of it changes after the login."""

    pgconn: pq.abc.PGconn

    token_ref: str | None = None
    """Names the token that opened the session in the server's log and audit."""
    token_expires_at: float | None = None
    """When that token ends, seconds since the epoch; None if it does not say."""
    opened_at: float | None = None
    """When it was opened, in seconds of `time.monotonic`."""
    fresh_until: float | None = None
    """When to replace it, in seconds of `time.monotonic`: shortly before the token's end; None if that is not known."""


def remember(session: BearerSession, token: AccessToken) -> None:
    """Note what `token` says, on the `session` that it has just opened.

    A token that the server took although it is over by our clock says that our clock is wrong, and nothing else.
    """
    session.token_ref = token.ref
    said = expiry_in(token)
    session.token_expires_at = token.expires_at if said is None else said
    session.opened_at = time.monotonic()
    left = 0.0 if session.token_expires_at is None else session.token_expires_at - time.time()
    if left > 0:
        session.fresh_until = session.opened_at + left - min(_LONGEST_MARGIN, left * _MARGIN)


def check(session: BearerSession) -> None:
    """Say whether an idle `session` can be given work; takes microseconds, and asks nobody.

    Raises:
        SessionEndedError: the server has ended it, or its token ends.

    Not safe while another thread uses the connection.
    """
    if session.fresh_until is not None and time.monotonic() >= session.fresh_until:
        raise SessionEndedError("the token that opened the session ends, or has ended", hint="Connect anew.")
    if _hung_up(session.pgconn):
        raise SessionEndedError("the server has ended the session", hint="Connect anew.")


def _hung_up(conn: pq.abc.PGconn) -> bool:
    """Whether the server has closed an idle connection; asks nobody, and never waits."""
    try:
        reader = select.poll()
        reader.register(conn.socket, select.POLLIN)
        for _ in range(_MOST_READS):
            if not reader.poll(0):
                break
            conn.consume_input()  # a notice stays in libpq's buffer; at the end of the stream it raises
    except psycopg.OperationalError:
        return True
    return conn.status != pq.ConnStatus.OK
