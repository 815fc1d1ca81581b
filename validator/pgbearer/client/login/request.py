"""What a login asks for."""

from dataclasses import dataclass
from typing import Final

__all__ = ["BROWSER_CLIENT", "DEVICE_CLIENT", "LoginRequest"]

BROWSER_CLIENT: Final = "pgbearer-cli"
"""The client that logs in with a browser, as the realm in keycloak-realm/ names it."""

DEVICE_CLIENT: Final = "pgbearer-device"
"""The client that logs in by device code. It is another one, so that a policy can tell: a code can be phished."""


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """What is asked for: a token of `issuer` for the public client `client_id` with `scope` (space-separated)."""

    issuer: str
    client_id: str
    scope: str | None = None

    def fields(self) -> dict[str, str]:
        """The members that every kind of authorization request has in common."""
        return {"client_id": self.client_id} | ({"scope": self.scope} if self.scope else {})
