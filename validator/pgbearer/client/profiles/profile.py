"""One profile: an issuer, and how tokens of it are had."""

from typing import Annotated

import msgspec

from pgbearer.client.login.request import BROWSER_CLIENT, DEVICE_CLIENT
from pgbearer.client.sources.settings import File, LoginSettings, SourceSettings
from pgbearer.client.store import StoreKind

__all__ = ["Profile"]

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said under ``[profiles.NAME]``."""

    issuer: Text
    """The authorization server's issuer, exactly as it names itself."""
    behind: Text | None = None
    """Another issuer behind whose HBA lines servers take these tokens, as in `pgbearer.connect`."""
    client_id: Text = BROWSER_CLIENT
    """The public client that logs in with a browser."""
    device_client_id: Text = DEVICE_CLIENT
    """The public client that logs in by device code."""
    scope: Text | None = None
    """Scopes to ask for, separated by spaces; the client's default ones if left out."""
    ca_file: File | None = None
    """PEM certificates to trust for the issuer, instead of the system's."""
    store: StoreKind = "auto"
    """Where a login is kept."""
    source: SourceSettings = LoginSettings()
    """Where tokens come from; a person who logs in, if left out."""

    @property
    def server_issuer(self) -> str:
        """The issuer whose tokens the servers ask for, and which may have these: `behind`, else its own."""
        return self.behind or self.issuer
