"""The login request as our own module writes it, read in one pass by msgspec; whatever is written otherwise is not.

`decode` says what a request is, and refuses by name. This is its short cut for the text that always comes, and it may
take nothing that `decode` would refuse or read another way (the tests hold the two against each other). msgspec is
strict about types but knows nothing of members that come twice, so the argument is one of length: every member is
required here and written exactly once by `_ENCODER`, without a space; a text that says the same and is no longer has
room for nothing else. Without a backslash there are no escapes, so no NUL, no half of a surrogate pair, and only one
way to spell a string.
"""

from functools import lru_cache
from typing import Annotated, Final, Literal

import msgspec

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

__all__ = ["read_compact"]

_Natural = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Text = Annotated[str, msgspec.Meta(max_length=512)]  # at most 2,048 bytes of UTF-8
_Texts = Annotated[tuple[_Text, ...], msgspec.Meta(max_length=256)]


class _Role(msgspec.Struct, frozen=True):
    exists: bool
    super: bool
    replication: bool
    createrole: bool
    createdb: bool
    bypassrls: bool
    member_of: _Texts


class _Hba(msgspec.Struct, frozen=True):
    issuer: _Text
    scopes: _Texts
    delegate: bool
    map: _Text | None


class _Tls(msgspec.Struct, frozen=True):
    version: _Text
    cipher: _Text
    client_cert_sha256: _Text | None


class _Client(msgspec.Struct):
    address: _Text | None
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] | None
    tls: _Tls | None


class _Unverified(msgspec.Struct):
    application_name: _Text | None


class _Server(msgspec.Struct, frozen=True):
    instance: _Text
    system_identifier: _Text
    start: _Natural
    in_recovery: bool
    version: _Natural


class _Backend(msgspec.Struct):
    pid: _Natural
    start: _Natural


class _Request(msgspec.Struct):
    v: Literal[1]
    request_id: Annotated[str, msgspec.Meta(min_length=32, max_length=64, pattern=r"\A[0-9a-fA-F-]*\Z")]
    now: _Natural
    token: str
    role: _Text
    role_attributes: _Role
    database: _Text
    replication: Replication
    hba: _Hba
    client: _Client
    unverified: _Unverified
    server: _Server
    backend: _Backend


_DECODER: Final = msgspec.json.Decoder(_Request)
_ENCODER: Final = msgspec.json.Encoder()


def read_compact(body: bytes) -> LoginRequest | None:
    """The request that `body` holds, or None if it is not written as our module writes it, or is no request at all.

    Args:
        body: at most `MAX_REQUEST_BYTES` bytes.
    """
    if b"\\" in body:
        return None
    try:
        read = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # whoever asks next says what is wrong
    if len(_ENCODER.encode(read)) != len(body):
        return None
    client, unverified, backend = read.client, read.unverified, read.backend
    return LoginRequest(
        version=read.v,
        token=read.token,
        access=AccessRequest(
            request_id=read.request_id,
            now=read.now,
            role=read.role,
            role_attributes=_role(read.role_attributes),
            database=read.database,
            replication=read.replication,
            hba=_hba(read.hba),
            client=Client(
                address=client.address, port=client.port, tls=None if client.tls is None else _tls(client.tls)
            ),
            application_name=unverified.application_name,
            server=_server(read.server),
            backend=Backend(pid=backend.pid, start=backend.start),
        ),
    )


# A server says the same of itself, of its roles and of its HBA lines again and again.


@lru_cache(maxsize=256)
def _role(read: _Role) -> RoleAttributes:
    if not read.exists:
        return RoleAttributes(exists=False)
    return RoleAttributes(
        exists=True,
        superuser=read.super,
        replication=read.replication,
        createrole=read.createrole,
        createdb=read.createdb,
        bypassrls=read.bypassrls,
        member_of=frozenset(read.member_of),
    )


@lru_cache(maxsize=256)
def _hba(read: _Hba) -> Hba:
    return Hba(issuer=read.issuer, scopes=read.scopes, delegate=read.delegate, map=read.map)


@lru_cache(maxsize=64)
def _tls(read: _Tls) -> Tls:
    return Tls(version=read.version, cipher=read.cipher, client_cert_sha256=read.client_cert_sha256)


@lru_cache(maxsize=64)
def _server(read: _Server) -> ServerInfo:
    return ServerInfo(
        instance=read.instance,
        system_identifier=read.system_identifier,
        start=read.start,
        in_recovery=read.in_recovery,
        version=read.version,
    )
