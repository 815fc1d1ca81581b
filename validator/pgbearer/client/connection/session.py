"""How long a connection's session may last, as far as this side can know, and whether it is over already.

The server decides when a session ends: with the token that opened it, with the person's login, or after a fixed time.
It tells nobody beforehand. What a client can know is when the token ends; a session is replaced shortly before that,
because a workload's ends then, and a new one costs a few milliseconds. What the server has ended can be seen without
asking it: it has sent its farewell, and the socket has something to read.
"""

import select
import time
from typing import Any, Final

import psycopg
from psycopg import pq
from psycopg.rows import Row

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


class BearerSession(psycopg.BaseConnection[Row]):
    """What a connection remembers of its login, which is not the token. Nothing of it changes after the login."""

    token_ref: str | None = None
    """Names the token that opened the session in the server's log and audit."""
    token_expires_at: float | None = None
    """When that token ends, seconds since the epoch; None if it does not say."""
    opened_at: float | None = None
    """When it was opened, in seconds of `time.monotonic`."""
    fresh_until: float | None = None
    """When to replace it, in seconds of `time.monotonic`: shortly before the token's end; None if that is not known."""


def remember(session: BearerSession[Any], token: AccessToken) -> None:
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


def check(session: BearerSession[Any]) -> None:
    """Say whether an idle `session` can be given work, else close it; takes microseconds, and asks nobody.

    A pool that is told no looks at the connection, and would take an open one back.

    Raises:
        SessionEndedError: the server has ended it, or its token ends.

    Not safe while another thread uses the connection.
    """
    if session.fresh_until is not None and time.monotonic() >= session.fresh_until:
        what = "the token that opened the session ends, or has ended"
    elif _said_farewell(session):
        what = "the server has ended the session"
    else:
        return
    session.pgconn.finish()
    raise SessionEndedError(what, hint="Connect anew.")


def _said_farewell(session: BearerSession[Any]) -> bool:
    """Whether the server has ended an idle session; asks nobody, and never waits."""
    said: list[str | None] = []

    def hear(notice: psycopg.errors.Diagnostic) -> None:
        said.append(notice.severity_nonlocalized)

    session.add_notice_handler(hear)
    try:
        reader = select.poll()
        reader.register(session.pgconn.socket, select.POLLIN)
        for _ in range(_MOST_READS):
            if not reader.poll(0):
                break
            session.pgconn.consume_input()  # raises at the end of the stream
            session.pgconn.is_busy()  # lets libpq read what has come: of an idle session, an error comes as a notice
            _hand_on_notifications(session.pgconn)
    except psycopg.OperationalError:
        return True
    finally:
        session.remove_notice_handler(hear)
    return "FATAL" in said or session.closed


def _hand_on_notifications(conn: pq.abc.PGconn) -> None:
    """As psycopg does after a statement; its own wait for them would not see what has been read already."""
    while heard := conn.notifies():
        if conn.notify_handler is not None:
            conn.notify_handler(heard)
