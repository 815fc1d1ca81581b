"""A well-formed login request, to be sent as it is or bent by a test."""

import json
import secrets
import time
from typing import Any

from pgbearer.wire import (
    AccessRequest,
    Backend,
    Client,
    Hba,
    LoginRequest,
    Replication,
    RoleAttributes,
    ServerInfo,
    encode_request,
)

__all__ = ["login_body", "login_request"]


def login_request(
    *,
    token: str = "no.token.here",  # noqa: S107 - is none
    role: str = "app_readonly",
    database: str = "appdb",
    issuer: str = "https://sso.example.com/realms/corp",
    scopes: tuple[str, ...] = ("openid", "db:demo"),
    address: str | None = "192.0.2.7",
    role_attributes: RoleAttributes | None = None,
    now: int | None = None,
) -> LoginRequest:
    """A request as a module of this version sends it; `now` in epoch milliseconds, the present unless given."""
    return LoginRequest(
        version=1,
        token=token,
        access=AccessRequest(
            request_id=secrets.token_hex(16),
            now=int(time.time() * 1000) if now is None else now,
            role=role,
            role_attributes=role_attributes or RoleAttributes(exists=True),
            database=database,
            replication=Replication.NONE,
            hba=Hba(issuer=issuer, scopes=scopes, delegate=True, map=None),
            client=Client(address=address, port=None if address is None else 50_000, tls=None),
            application_name="psql",
            server=ServerInfo(
                instance="test", system_identifier="7412345678901234567", start=1, in_recovery=False, version=180_000
            ),
            backend=Backend(pid=4242, start=1),
        ),
    )


def login_body(**changes: Any) -> dict[str, Any]:
    """The JSON of `login_request()` as a dict, its top-level members replaced by `changes`."""
    body: dict[str, Any] = json.loads(encode_request(login_request()))
    return body | changes
