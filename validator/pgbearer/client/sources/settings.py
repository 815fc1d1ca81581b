"""What a profile says of where its tokens come from: one type a kind of source, told apart by ``kind``."""

from typing import Annotated, ClassVar

import msgspec

__all__ = [
    "ClientCredentialsSettings",
    "CommandSettings",
    "ExchangeSettings",
    "FileSettings",
    "KubernetesSettings",
    "LoginSettings",
    "SourceSettings",
    "SpiffeSettings",
]

File = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
"""A path; ``~`` is the home folder, and what is not absolute is in the folder of the file that says it."""


class _Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What all have in common: a key that is not known is refused."""

    interactive: ClassVar[bool] = False
    """Whether a person may be asked."""


class LoginSettings(_Settings, frozen=True, kw_only=True, tag="login"):
    """A person logs in, and the login is kept."""

    interactive: ClassVar[bool] = True


class _ClientSettings(_Settings, frozen=True, kw_only=True):
    """A client of the issuer; one of three says how it proves that it is itself."""

    client_id: Annotated[str, msgspec.Meta(min_length=1)]
    secret_file: File | None = None
    """Holds the client's secret (``client_secret_basic``)."""
    key_file: File | None = None
    """Holds a private key, PEM (``private_key_jwt``, RFC 7523)."""
    key_id: str | None = None
    """Names the key (``kid``); only with `key_file`."""
    algorithm: str | None = None
    """Instead of the key's usual one, e.g. PS256; only with `key_file`."""
    certificate_file: File | None = None
    """The client's certificate, PEM; with `certificate_key_file` (``tls_client_auth``, RFC 8705 section 2)."""
    certificate_key_file: File | None = None


class ClientCredentialsSettings(_ClientSettings, frozen=True, kw_only=True, tag="client-credentials"):
    """A service with a token for itself (RFC 6749 section 4.4)."""


class KubernetesSettings(_Settings, frozen=True, kw_only=True, tag="kubernetes"):
    """A pod with its service account's token, as it is or exchanged at the issuer."""

    token_file: File = "/var/run/secrets/tokens/pgbearer"  # noqa: S105  a path
    """Written anew by the kubelet before it expires; read at each use."""
    exchange: bool = False
    """Whether the token is a client's assertion for a token of the issuer (federated client authentication)."""
    client_id: str | None = None
    """The client at the issuer; only with `exchange`, and the token's ``sub`` if left out."""


class SpiffeSettings(_Settings, frozen=True, kw_only=True, tag="spiffe"):
    """A workload with its JWT-SVID from the SPIFFE Workload API."""

    audience: str
    socket: str | None = None
    """The API's Unix socket; ``SPIFFE_ENDPOINT_SOCKET`` if left out."""
    spiffe_id: str | None = None
    """Which identity, where the workload has several."""


class ExchangeSettings(_ClientSettings, frozen=True, kw_only=True, tag="exchange"):
    """A service that acts for a person: the person's token, exchanged for one for the database (RFC 8693)."""

    subject_token_file: File
    """Holds the person's token; read at each use."""
    audience: str | None = None
    """For whom the new token shall be; what the scopes bring if left out."""


class CommandSettings(_Settings, frozen=True, kw_only=True, tag="command"):
    """A program that prints a token."""

    command: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    timeout: Annotated[float, msgspec.Meta(gt=0, le=600)] = 30.0
    """Seconds."""


class FileSettings(_Settings, frozen=True, kw_only=True, tag="file"):
    """A file that somebody else keeps a good token in; read at each use."""

    path: File


SourceSettings = (
    LoginSettings
    | ClientCredentialsSettings
    | KubernetesSettings
    | SpiffeSettings
    | ExchangeSettings
    | CommandSettings
    | FileSettings
)
"""A profile's ``source``."""
