"""Log in, hold the token, and connect with it."""

from pgbearer.client.connect import check_server, connect, connect_async
from pgbearer.client.conninfo import OAuthSettings, oauth_settings
from pgbearer.client.failure import ServerUnreachableError, TokenRefusedError
from pgbearer.client.libpq import LibpqTooOldError
from pgbearer.client.metadata import MetadataError
from pgbearer.client.peek import audience_in, claims_in, issuer_in
from pgbearer.client.pinned import UnsafeServerError
from pgbearer.client.plain import plain
from pgbearer.client.prompt import TerminalPrompt
from pgbearer.client.refusal import LoginRefusedError
from pgbearer.client.source import DeviceSource, StaticSource, TokenSource
from pgbearer.client.steps import DeviceCode
from pgbearer.client.store import MemoryStore, TokenKey, TokenStore
from pgbearer.client.token import AccessToken, TokenFormatError

__all__ = [
    "AccessToken",
    "DeviceCode",
    "DeviceSource",
    "LibpqTooOldError",
    "LoginRefusedError",
    "MemoryStore",
    "MetadataError",
    "OAuthSettings",
    "ServerUnreachableError",
    "StaticSource",
    "TerminalPrompt",
    "TokenFormatError",
    "TokenKey",
    "TokenRefusedError",
    "TokenSource",
    "TokenStore",
    "UnsafeServerError",
    "audience_in",
    "check_server",
    "claims_in",
    "connect",
    "connect_async",
    "issuer_in",
    "oauth_settings",
    "plain",
]
