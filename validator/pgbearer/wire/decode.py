"""The login request from bytes, or a reason why not (docs/protocol.md)."""

from dataclasses import dataclass
from typing import Final

from pgbearer.errors import PgbearerError
from pgbearer.wire.compact import read_compact
from pgbearer.wire.reason import Reason
from pgbearer.wire.request import (
    AccessRequest,
    Backend,
    Client,
    Hba,
    LoginRequest,
    Replication,
    RoleAttributes,
    ServerInfo,
    Tls,
)
from pgbearer.wire.strict import Members, StrictError, parse_object
from pgbearer.wire.version import is_supported

__all__ = ["MAX_REQUEST_BYTES", "Echo", "RequestError", "decode_request"]

MAX_REQUEST_BYTES: Final = 128 * 1024
"""The longest request body that is read."""

_REQUEST_ID_CHARACTERS: Final = frozenset("0123456789abcdefABCDEF-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """What every answer repeats, so that the module knows it for its own: an answer to another question denies."""

    version: int
    request_id: str
    role: str
    database: str


class RequestError(PgbearerError):
    """A request that cannot be decided.

    Args:
        reason: `Reason.REQUEST_INVALID` or `Reason.VERSION_UNSUPPORTED`.
        detail: which member and why; holds no value from the request.
        echo: what an answer must repeat, if that much could be read; without it no answer can be given.
    """

    def __init__(self, reason: Reason, detail: str, echo: Echo | None) -> None:
        self.reason = reason
        self.detail = detail
        self.echo = echo
        super().__init__(f"{reason}: {detail}")


def decode_request(body: bytes) -> LoginRequest:
    """Decode `POST /v1/login`'s body: strictly where a member is known, blindly past what is not.

    Args:
        body: at most `MAX_REQUEST_BYTES` bytes of JSON.

    Raises:
        RequestError: too large, not JSON, nested deeper than 8, a known member missing, duplicated or of another
            type, or a version that is not spoken.
    """
    if len(body) > MAX_REQUEST_BYTES:
        raise RequestError(Reason.REQUEST_INVALID, "larger than 128 KiB", None)
    return read_compact(body) or _read(body)


def _read(body: bytes) -> LoginRequest:
    """Member by member, to say which one is wrong; `read_compact` is the short cut."""
    echo = None
    try:
        members = parse_object(body)
        echo = _echo(members)
        if not is_supported(echo.version):
            raise RequestError(Reason.VERSION_UNSUPPORTED, f"version {echo.version}", echo)
        return LoginRequest(
            version=echo.version,
            token=members.text("token", limit=MAX_REQUEST_BYTES),
            access=_access(members, echo),
        )
    except StrictError as error:
        raise RequestError(Reason.REQUEST_INVALID, str(error), echo) from None


def _echo(members: Members) -> Echo:
    """These four keep their names and types in every version, so that any service can refuse any module by name."""
    request_id = members.text("request_id", limit=64)
    if len(request_id) < 32 or not _REQUEST_ID_CHARACTERS.issuperset(request_id):
        raise StrictError("request_id is not a 128-bit number in hexadecimal")
    return Echo(
        version=members.integer("v", least=1, most=2**31 - 1),
        request_id=request_id,
        role=members.text("role"),
        database=members.text("database"),
    )


def _access(members: Members, echo: Echo) -> AccessRequest:
    unverified = members.optional_members("unverified")
    return AccessRequest(
        request_id=echo.request_id,
        now=members.integer("now"),
        role=echo.role,
        role_attributes=_role_attributes(members.members("role_attributes")),
        database=echo.database,
        replication=_replication(members),
        hba=_hba(members.members("hba")),
        client=_client(members.members("client")),
        application_name=unverified.optional_text("application_name") if unverified else None,
        server=_server(members.members("server")),
        backend=_backend(members.members("backend")),
    )


def _role_attributes(members: Members) -> RoleAttributes:
    """Every attribute must be said: one left out would pass for "not privileged"."""
    if not members.boolean("exists"):
        return RoleAttributes(exists=False)
    return RoleAttributes(
        exists=True,
        superuser=members.boolean("super"),
        replication=members.boolean("replication"),
        createrole=members.boolean("createrole"),
        createdb=members.boolean("createdb"),
        bypassrls=members.boolean("bypassrls"),
        member_of=frozenset(members.texts("member_of")),
    )


def _replication(members: Members) -> Replication:
    try:
        return Replication(members.text("replication"))
    except ValueError as error:
        if isinstance(error, StrictError):
            raise
        raise StrictError("replication is none of none, logical, physical") from None


def _hba(members: Members) -> Hba:
    return Hba(
        issuer=members.text("issuer"),
        scopes=members.texts("scopes"),
        delegate=members.boolean("delegate"),
        map=members.optional_text("map"),
    )


def _client(members: Members) -> Client:
    tls = members.optional_members("tls")
    return Client(
        address=members.optional_text("address"),
        port=members.optional_integer("port", most=65535),
        tls=None if tls is None else _tls(tls),
    )


def _tls(members: Members) -> Tls:
    return Tls(
        version=members.text("version"),
        cipher=members.text("cipher"),
        client_cert_sha256=members.optional_text("client_cert_sha256"),
    )


def _server(members: Members) -> ServerInfo:
    return ServerInfo(
        instance=members.text("instance"),
        system_identifier=members.text("system_identifier"),
        start=members.integer("start"),
        in_recovery=members.boolean("in_recovery"),
        version=members.integer("version"),
    )


def _backend(members: Members) -> Backend:
    return Backend(pid=members.integer("pid"), start=members.integer("start"))
