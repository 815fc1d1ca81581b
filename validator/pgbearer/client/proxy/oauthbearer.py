"""The login at the server, as a state machine without I/O: OAUTHBEARER (RFC 7628) and nothing else.

What libpq does with ``require_auth=oauth``, under the same two rules: a server gets the token only after it has asked
for one of the pinned issuer, and a login without the token is none.
"""

import json
import struct
from enum import Enum, auto
from typing import Any, Final, NamedTuple

from pgbearer.client.connection.failure import TokenRefusedError
from pgbearer.client.connection.pinned import check_server_issuer
from pgbearer.client.proxy.messages import Message, MessageError, message, negotiated_minor
from pgbearer.client.proxy.refusal import RefusedError
from pgbearer.client.token import AccessToken

__all__ = ["MAX_LOGIN_BYTES", "Asked", "Login", "Outcome", "ServerRefusedError"]

MAX_LOGIN_BYTES: Final = 65_536
"""Of one message of a server before it has let us in."""

_MECHANISM: Final = b"OAUTHBEARER"
_OK, _SASL, _SASL_CONTINUE = 0, 10, 11
_METHODS: Final = {2: "Kerberos", 3: "a cleartext password", 5: "an MD5 password", 7: "GSSAPI", 9: "SSPI"}


class ServerRefusedError(Exception):
    """The server ended the login with an ErrorResponse; it is the client's to see.

    Args:
        body: the ErrorResponse's.
        asked: what the server wants, if it has said so.
    """

    def __init__(self, body: bytes, asked: "Asked | None") -> None:
        self.body = body
        self.asked = asked
        super().__init__("the server refused")


class Asked(NamedTuple):
    """What a server answered to a token that it did not take, or to none (RFC 7628 section 3.2.2)."""

    discovery_url: str
    scope: str | None


class Outcome(Enum):
    """Where a login stands."""

    UNDER_WAY = auto()
    LET_IN = auto()


class _State(Enum):
    BEGUN = auto()
    OFFERED = auto()
    FAILED = auto()
    DONE = auto()


class Login:
    """One login on one connection. Give it each message of the server; it answers with what to send.

    Args:
        issuer: the one issuer whose servers may have the token.
        token: None asks the server whose it wants, and ends in `ServerRefusedError` with what it said.

    Nothing here reads a clock or a socket. Not for threads.
    """

    def __init__(self, issuer: str, token: AccessToken | None) -> None:
        self._issuer = issuer
        self._token = token
        self._state = _State.BEGUN
        self.asked: Asked | None = None
        self.negotiated: list[Message] = []
        """The server's NegotiateProtocolVersion, for the client to see."""
        self.minor: int | None = None
        """The minor version that it offers; None if it takes the one that was asked for."""

    @property
    def outcome(self) -> Outcome:
        """Whether the server has let us in."""
        return Outcome.LET_IN if self._state is _State.DONE else Outcome.UNDER_WAY

    def receive(self, said: Message) -> bytes | None:
        """Go on by one message of the server.

        Returns:
            Bytes to send, if any. They hold the token: send them and forget them.

        Raises:
            ServerRefusedError: it ended the login.
            TokenRefusedError: it wants another kind of login, or none; it was sent nothing.
            UnsafeServerError: it wants another issuer's token.
            MessageError: what it sent has no place here.
        """
        match said.kind:
            case b"E":
                raise ServerRefusedError(said.body, self.asked)
            case b"R" if len(said.body) >= 4:
                return self._authentication(struct.unpack_from("!i", said.body)[0], said.body[4:])
            case b"v" if self._state is _State.BEGUN and not self.negotiated:
                self.negotiated.append(said)
                self.minor = negotiated_minor(said.body)
                return None
        raise MessageError(f"a message {said.kind!r} during the login")

    def _authentication(self, code: int, body: bytes) -> bytes | None:
        if code == _SASL and self._state is _State.BEGUN:
            return self._offer(body)
        if code == _SASL_CONTINUE and self._state is _State.OFFERED:
            self.asked = _failure(body)
            check_server_issuer(self.asked.discovery_url, self._issuer)
            self._state = _State.FAILED
            return message(b"p", b"\x01")  # RFC 7628 section 3.2.3: the server then ends it
        if code == _OK:
            if self._state is not _State.OFFERED or self._token is None or body:
                raise TokenRefusedError(
                    "the server let us in without our token", hint="The connection was closed: require_auth=oauth."
                )
            self._state = _State.DONE
            return None
        if code not in (_SASL, _SASL_CONTINUE):
            self._refuse(_METHODS.get(code, f"something unknown (authentication request {code})"))
        raise MessageError(f"authentication request {code} out of turn")

    def _offer(self, body: bytes) -> bytes:
        mechanisms = body.split(b"\0")
        if _MECHANISM not in mechanisms:
            named = ", ".join(name.decode(errors="replace") for name in mechanisms if name)
            self._refuse(f"SASL with {named or 'no mechanism'}")
        self._state = _State.OFFERED
        # RFC 7628 section 4.3: an empty auth asks for nothing but the failure that says what is wanted
        auth = f"Bearer {self._token.reveal()}".encode("ascii") if self._token is not None else b""
        first = b"n,,\x01auth=" + auth + b"\x01\x01"
        return message(b"p", _MECHANISM + b"\0" + struct.pack("!i", len(first)) + first)

    def _refuse(self, method: str) -> None:
        raise TokenRefusedError(
            f"the server asks for {method}, not for a token, and was sent nothing",
            hint="No oauth line of its pg_hba.conf is for this user, database and address.",
        )


def _failure(body: bytes) -> Asked:
    """The server's JSON, as strictly as RFC 7628 section 3.2.2 has it."""
    try:
        said = json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise RefusedError("08P01", "the server's answer to the login is not JSON") from None
    if not isinstance(said, dict) or not isinstance(said.get("status"), str):
        raise RefusedError("08P01", "the server's answer to the login has no status")
    url, scope = said.get("openid-configuration"), said.get("scope")
    if not isinstance(url, str) or not isinstance(scope, str | None):
        raise RefusedError("08P01", "the server does not say whose token it wants")
    return Asked(url, scope)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) != len(pairs):
        raise ValueError
    return named
